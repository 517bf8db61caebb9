"""What is checked on the simulated chip; runs in the virtual machine, without a test runner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path

import gpiozero.pins.local

from controller.config.settings import WIRING, LineSettings
from controller.events import INPUT_LINES, OUTPUT_LINES, Edge
from controller.gpio.pins import Pins, PinsError, make_factory
from controller.service.selftest import KNOCKS, STEPS

gpiozero.pins.local.get_pi_revision = lambda: 0xC03111  # there is no board to ask
LINES = "/sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio{}/{}"
KNOCK, DOOR, OUTER, INNER, STRIKE, LAMP = 17, 24, 22, 23, 16, 21
IDLE_S = 20
STRIKE_OFF = ("/usr/bin/python3", "-IS", "systemd/strike-off", "systemd/backdoor.toml")


def wire(pin: int, level: bool) -> None:
    """Bring what hangs on a pin to a level."""
    Path(glob(LINES.format(pin, "pull"))[0]).write_text("pull-up" if level else "pull-down")


def value(pin: int) -> int:
    """Return the level of a pin as one would measure it."""
    return int(Path(glob(LINES.format(pin, "value"))[0]).read_text())


def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a limit."""
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, "not within 10 s"
        time.sleep(0.001)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ok(what: str, true: object = True) -> None:
    """Print one check that holds."""
    assert true, what
    print(f"  ok  {what}", flush=True)


class Rig:
    """The pins of all lines, and the edges that they reported."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self.on_edge = self.edges.append
        self.factory = make_factory("gpiod")
        self.pins = Pins(
            self.factory,
            {line: WIRING[line] for line in INPUT_LINES},
            {**{line: WIRING[line] for line in OUTPUT_LINES},
             "full_lamp": LineSettings(LAMP, "none", "low")},
            on_edge=self._report,
            to_house_ms=lambda seconds: seconds * 1000,
            strike_max_on_s=5,
        )  # fmt: skip
        self.pins.first_edges()

    def _report(self, edge: Edge) -> None:
        self.on_edge(edge)

    def take(self, count: int) -> list[tuple[str, bool]]:
        """Remove and return the next edges; fail if there are not exactly ``count``."""
        eventually(lambda: len(self.edges) >= count)
        found = [(edge.line, edge.level) for edge in self.edges]
        self.edges.clear()
        assert len(found) == count, found
        return found


def outputs(rig: Rig) -> None:
    """Levels from the first moment on, and when switched."""
    ok("the strike is off, an active-low lamp too", (value(STRIKE), value(LAMP)) == (0, 1))
    rig.pins.set("strike", True)
    ok("the strike is on", value(STRIKE) == 1)
    rig.pins.set("strike", False)
    ok("and off", value(STRIKE) == 0)


def inputs(rig: Rig) -> None:
    """Edges, their order and their time."""
    for _ in range(100):
        before_ms = time.monotonic() * 1000
        wire(KNOCK, True)
        eventually(lambda: rig.edges)
        assert before_ms <= rig.edges[0].t_ms <= time.monotonic() * 1000
        wire(KNOCK, False)
        assert rig.take(2) == [("hatch_knock", True), ("hatch_knock", False)]
    ok("a hundred pulses, each edge stamped by the kernel on our clock")
    for pin in (DOOR, OUTER, INNER):
        wire(pin, False)
    rig.take(3)
    wire(OUTER, True)
    wire(INNER, True)
    wire(DOOR, True)
    ok("the outer beam before the inner, the door after both", rig.take(3)
       == [("beam_outer", True), ("beam_inner", True), ("door_contact", True)])  # fmt: skip


def burst(rig: Rig) -> None:
    """More edges than the kernel keeps, while nobody listens."""
    heard: list[Edge] = []
    awake = threading.Event()

    def slow(edge: Edge) -> None:
        heard.append(edge)
        awake.wait(30)

    rig.on_edge = slow
    for _ in range(1500):
        wire(KNOCK, True)
        wire(KNOCK, False)
    wire(KNOCK, True)
    awake.set()
    eventually(lambda: heard[-1].level and rig.factory.lost)
    time.sleep(0.5)
    ok(f"a flood: {len(heard)} edges heard, {rig.factory.lost[KNOCK]} known to be lost")
    ok("and the level is right in the end", heard[-1].level and not rig.pins.reread())
    rig.on_edge = rig.edges.append
    wire(KNOCK, False)
    rig.take(1)


def idle() -> None:
    """The thread that listens does not wake up while nothing happens."""
    (thread,) = [each for each in threading.enumerate() if each.name == "gpio-edges"]
    status = Path(f"/proc/self/task/{thread.native_id}/status")
    before = [line for line in status.read_text().splitlines() if "ctxt_switches" in line]
    time.sleep(5)
    after = [line for line in status.read_text().splitlines() if "ctxt_switches" in line]
    ok("not one wake-up in five idle seconds", before == after)


def configured(*command: str) -> list[str]:
    """Return what runs a command of ours with all lines wired and no broker.

    All but the fire panel's: where nothing holds its line it is an evacuation.
    """
    wired = {name: line.pin for name, line in WIRING.items() if name != "evacuate"}
    lines = "".join(f"{name} = {pin}\n" for name, pin in wired.items())
    config = Path("/tmp/backdoor.toml")
    config.write_text(f'[mqtt]\nhost = ""\n[journal]\npath = "/tmp/journal.db"\n[lines]\n{lines}')
    return [sys.executable, __file__, *command, "--config", str(config)]


def whole() -> None:
    """The whole controller as its unit starts it: how often all of its threads wake up."""
    command = configured("run")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind("/tmp/notify")
        notify.settimeout(60)
        env = {**os.environ, "NOTIFY_SOCKET": "/tmp/notify"}
        with subprocess.Popen(command, env=env) as controller:
            while notify.recv(4096) != b"READY=1":
                pass
            time.sleep(5)  # the start's own work
            tasks = Path(f"/proc/{controller.pid}/task")
            before = switches(tasks)
            time.sleep(IDLE_S)
            a_second = (switches(tasks) - before) / IDLE_S
            controller.terminate()
    ok(f"the whole controller, all lines wired: {a_second:.1f} wake-ups a second", a_second < 15)


def self_test() -> None:
    """The self-test, with every input moved once; the strike moves for the release alone."""
    for file in Path("/tmp").glob("journal.db*"):
        file.unlink()  # after a restart the count would ask, and the release be refused
    command = configured("self-test", "--seconds", "60")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        steps = [test.stdout.readline().split(": ")[0].split()[1] for _ in STEPS]
        ok(f"the self-test asks for {len(steps)} wires", steps == list(STEPS))
        for line in INPUT_LINES:  # the pulls that were just set have moved what hangs on nothing
            wire(WIRING[line].pin, WIRING[line].active == "low")
        time.sleep(1)
        for line in steps:
            assert value(STRIKE) == 0
            for _ in range(2 if line in KNOCKS else 1):
                pulse(WIRING[line])
                time.sleep(0.25)
            if line == "release_button":
                eventually(lambda: value(STRIKE))
                eventually(lambda: not value(STRIKE))
        lines = test.stdout.read().splitlines()
    ticked = [row.split()[1].strip(",") for row in lines if row.startswith("   ok")]
    ok("and ticks each off as a hand proves it", (ticked, test.returncode) == (steps, 0))


def pulse(line: LineSettings) -> None:
    """Make a line active for as long as a hand does."""
    wire(line.pin, line.active == "high")
    time.sleep(0.1)
    wire(line.pin, line.active == "low")


def switches(tasks: Path) -> int:
    """Return how often a process's threads have gone to sleep of their own will."""
    texts = [(task / "status").read_text() for task in tasks.iterdir()]
    lines = [line for text in texts for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def owners() -> None:
    """Another process asks for our strike; then one dies with it on."""
    other = run(sys.executable, __file__, "hold")
    ok("another process is refused", "pin 16 cannot be used" in other.stdout)


def killed() -> None:
    """A controller that was killed with the strike on."""
    with subprocess.Popen([sys.executable, __file__, "hold"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        ok("held on by another process", value(STRIKE) == 1)
        refused = run(*STRIKE_OFF)
        ok("strike-off says that it can't", refused.returncode == 1 and "busy" in refused.stderr)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    done = run(*STRIKE_OFF)
    ok(f"killed: {done.stdout.strip()}", (done.returncode, value(STRIKE)) == (0, 0))


def hold() -> None:
    """Hold the strike on, as a controller does that is about to be killed."""
    try:
        lines = {"strike": WIRING["strike"]}
        pins = Pins(make_factory("gpiod"), {}, lines, on_edge=print, to_house_ms=float,
                    strike_max_on_s=60)  # fmt: skip
    except PinsError as error:
        print(error)
        return
    pins.set("strike", True)
    print("held", flush=True)
    time.sleep(60)


def main() -> None:
    """Check everything; the last line says so."""
    print(f"\nkernel {os.uname().release}")
    rig = Rig()
    outputs(rig)
    inputs(rig)
    burst(rig)
    idle()
    owners()
    rig.pins.close()
    ok("let go: the strike is off", value(STRIKE) == 0)
    killed()
    whole()
    self_test()
    print("every check passed")


def controller() -> None:
    """Be the controller."""
    from controller.cli.main import main as cli

    cli()


ROLES = {"hold": hold, "run": controller, "self-test": controller}

if __name__ == "__main__":
    ROLES.get(" ".join(sys.argv[1:2]), main)()
