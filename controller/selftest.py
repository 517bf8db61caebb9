"""The self-test at opening: a guided minute that proves every wire before the first guest comes.

It *is* the controller, run in the foreground: the same pins, rules, page and journal, with an ear
on the raw edges. So the strike really lets go when the release is pressed, and whatever the test
does is on the page too. ``watch`` shows all lines live, for tuning knock sensors; ``learn`` takes
down a rhythm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import NamedTuple

from controller.assembly import Running, assemble, real_world
from controller.config import Config, input_lines
from controller.events import Command, Edge, Note
from controller.regulars import learn

UNIT = Path("/etc/systemd/system/backdoor-controller.service")
INSIDE = "BACKDOOR_SELF_TEST"
#: What the service has and a shell has not.
PLACE = (
    f"Conflicts={UNIT.name} backdoor-safe.service",
    f"After={UNIT.name} backdoor-safe.service",
    "User=backdoor",
    "SupplementaryGroups=gpio",
    "UMask=0077",
    "ProtectKernelTunables=yes",  # the same view of /proc, so the same boot, also in a container
    "LoadCredential=broker:/etc/backdoor/controller.login",
    "RuntimeDirectory=backdoor-self-test",
    "WorkingDirectory=/run/backdoor-self-test",
    "Environment=LG_WD=/run/backdoor-self-test",
    "ExecStopPost=-/usr/bin/python3 -IS /opt/backdoor/systemd/strike-off",
)

Echo = Callable[[str], None]

#: What proves each line, in the order in which a hand gets to them.
STEPS: Mapping[str, str] = {
    "beam_outer": "break the outer beam, on the street side, with your hand, and let go",
    "beam_inner": "break the inner beam, and let go",
    "release_button": "press the release behind the counter: the strike must be heard",
    "door_contact": "open the door, and shut it",
    "bolt_contact": "let the bolt go back and come out again (the release does it)",
    "exit_button": "press the exit button",
    "hatch_contact": "open the hatch, and shut it",
    "hatch_knock": "knock twice at the hatch",
    "door_knock": "knock twice at the front door",
}
#: Tested with the fire panel's people: it opens the house until somebody releases it.
NOT_ASKED = frozenset({"evacuate"})
KNOCKS = frozenset({"hatch_knock", "door_knock"})
#: A hand takes longer than a glitch, and a rap is over before the next one.
PRESS_MS, RAP_GAP_MS, KNOCK_MS = 30.0, 60.0, 3000.0
#: A rhythm has ended when nobody has knocked for so long.
RHYTHM_ENDS_S = 2.0
SHOW_EVERY_S = 0.5


class Burst(NamedTuple):
    """One rap as the sensor gives it: when, how many pulses, from first to last, active time."""

    t_ms: float
    pulses: int
    span_ms: float
    active_ms: float


@dataclass(slots=True)
class Line:
    """What one line has done so far."""

    edges: int = 0
    level: bool = False
    since_ms: float = 0.0
    proven: bool = False
    bursts: list[Burst] = field(default_factory=list)

    def take(self, edge: Edge) -> None:
        """Count one edge; a pulse close to the last one belongs to the same burst."""
        if edge.level is self.level and self.edges:
            return
        held_ms = edge.t_ms - self.since_ms if self.edges else 0.0
        self.edges += 1
        last = self.bursts[-1] if self.bursts else None
        if edge.level and (last is None or edge.t_ms - last.t_ms - last.span_ms > RAP_GAP_MS):
            self.bursts = [*self.bursts[-19:], Burst(edge.t_ms, 1, 0.0, 0.0)]
        elif last is not None:
            pulses, span_ms = last.pulses + edge.level, edge.t_ms - last.t_ms
            active_ms = last.active_ms + (0.0 if edge.level else held_ms)
            self.bursts[-1] = Burst(last.t_ms, pulses, span_ms, active_ms)
        self.level, self.since_ms = edge.level, edge.t_ms

    def pressed(self, edge: Edge) -> bool:
        """Tell whether this edge ends a pulse that a hand made; to be asked before `take`."""
        return self.edges > 0 and self.level and edge.t_ms - self.since_ms >= PRESS_MS

    def knocked(self) -> bool:
        """Tell whether there were two raps within a moment."""
        raps = [burst.t_ms for burst in self.bursts[-2:]]
        return len(raps) == 2 and raps[1] - raps[0] <= KNOCK_MS


class SelfTest:
    """Ticks lines off as their edges prove them."""

    def __init__(self, lines: Mapping[str, object]) -> None:
        self.lines = {name: Line() for name in [*STEPS, *NOT_ASKED] if name in lines}

    def edge(self, edge: Edge) -> str:
        """Take one edge; return the name of the line that it proves, or nothing."""
        line = self.lines.get(edge.line)
        if line is None:
            return ""
        pressed = not edge.level and line.pressed(edge)
        line.take(edge)
        if line.proven or not (line.knocked() if edge.line in KNOCKS else pressed):
            return ""
        line.proven = True
        return edge.line

    def missing(self) -> list[str]:
        """Return the lines that nobody has proven yet, in the order of `STEPS`."""
        return [name for name, line in self.lines.items()
                if not line.proven and name not in NOT_ASKED]  # fmt: skip

    def table(self) -> list[str]:
        """Return a row for each line: level, edges so far, the last burst's shape."""
        width = max((len(name) for name in self.lines), default=4)
        rows = [f"{'line':{width}}  level  edges  last burst: pulses, length, active"]
        for name, line in self.lines.items():
            shape = ""
            if line.bursts:
                last = line.bursts[-1]
                shape = f"{last.pulses:3} {last.span_ms:8.1f} ms {last.active_ms:8.1f} ms"
            rows.append(f"{name:{width}}  {int(line.level):5}  {line.edges:5}  {shape}".rstrip())
        return rows


@dataclass(frozen=True, slots=True)
class Options:
    """What the self-test is to do: prove wires within ``limit_s``, or ``watch``, or ``learn``."""

    limit_s: float = 60.0
    watch: bool = False
    learn: str = ""


def change_places(argv: Sequence[str]) -> int | None:
    """As root, on an installed house: run this very command in the service's place.

    It gets the service's user, group and login, and systemd stops the service before it (they
    conflict); the service is started again after it. None where there is no service, or inside it.
    """
    if os.geteuid() != 0 or INSIDE in os.environ or not UNIT.exists():
        return None
    properties = [f"--property={each}" for each in PLACE]
    terminal = "--pty" if sys.stdout.isatty() else "--pipe"
    place = ["systemd-run", "--quiet", "--wait", "--collect", terminal, f"--setenv={INSIDE}=1"]
    try:
        return subprocess.run([*place, *properties, *argv], check=False).returncode
    finally:
        subprocess.run(["systemctl", "start", UNIT.stem], check=False)


def run_self_test(
    config: Config,
    options: Options,
    *,
    echo: Echo,
    until_told: Callable[[Callable[[], None]], None],
) -> bool:
    """Run the house and the test in it; tell whether everything asked for was there."""
    edges: SimpleQueue[Edge | None] = SimpleQueue()
    running = assemble(config, replace(real_world(config), watch=edges.put))
    test = SelfTest(input_lines(config))
    until_told(lambda: edges.put(None))
    running.service.begin(running.absence)
    thread = Thread(target=running.service.run, name="house")
    thread.start()
    try:
        if options.watch:
            return _watch(test, edges, options.limit_s, echo)
        if options.learn:
            return _learn(test, edges, options, echo)
        return _guide(running, test, edges, options.limit_s, echo)
    finally:
        running.service.stop()
        thread.join(10)


def _next(edges: SimpleQueue[Edge | None], end_s: float, most_s: float = 3600.0) -> Edge | None:
    """Return the next edge; raises Empty when the time is over, None when told to stop."""
    return edges.get(timeout=max(min(end_s - monotonic(), most_s), 0.0))


def _guide(
    running: Running, test: SelfTest, edges: SimpleQueue[Edge | None], limit_s: float, echo: Echo
) -> bool:
    end_s = monotonic() + limit_s
    for number, name in enumerate(test.missing(), 1):
        echo(f"{number}. {name}: {STEPS[name]}")
    try:
        while test.missing() and (edge := _next(edges, end_s)) is not None:
            if proven := test.edge(edge):
                echo(f"   ok  {proven}, {len(test.missing())} to go")
    except Empty:
        echo(f"   {limit_s:g} s are over")
    missing = test.missing()
    for name in missing:
        echo(f"   MISSING  {name}: {test.lines[name].edges or 'no'} edges")
    count = len(set(test.lines) - set(missing) - NOT_ASKED)
    _journal(running, {"ok": not missing, "proven": count, "missing": missing})
    echo("every wire is proven" if not missing else "see the README's page of wiring")
    return not missing


def _journal(running: Running, data: Mapping[str, object]) -> None:
    """Keep the result; what the test did to an empty room is put right with it."""
    service, now_ms = running.service, running.clock.now_ms()
    if service.state.occupancy.count == 0 and service.state.session is None:
        service.post(Command(now_ms, "room_empty", id="self-test", cause="self-test"))
    service.post(lambda: service.note(Note("self_tested", data)))


def _watch(test: SelfTest, edges: SimpleQueue[Edge | None], limit_s: float, echo: Echo) -> bool:
    """Show all lines until told to stop or the time is over, each time over the last."""
    end_s, shown = monotonic() + limit_s, 0
    while monotonic() < end_s:
        table = test.table()
        echo((f"\x1b[{shown}F" if shown else "") + "\n".join(f"\x1b[K{row}" for row in table))
        shown = len(table)
        until_s = min(monotonic() + SHOW_EVERY_S, end_s)
        try:
            while (edge := _next(edges, until_s)) is not None:
                test.edge(edge)
            return True
        except Empty:
            continue
    return True


def _learn(test: SelfTest, edges: SimpleQueue[Edge | None], options: Options, echo: Echo) -> bool:
    """Take down one rhythm of at least three raps, and say how to keep it."""
    echo(f"knock the rhythm of {options.learn} once, at the hatch or the front door")
    end_s, quiet_s = monotonic() + options.limit_s, RHYTHM_ENDS_S
    place = ""
    while monotonic() < end_s:
        try:
            edge = _next(edges, end_s, quiet_s if place else 3600.0)
        except Empty:
            break
        if edge is None:
            return False
        test.edge(edge)
        place = place or (edge.line if edge.line in KNOCKS else "")
    gaps = learn([burst.t_ms for burst in test.lines[place].bursts]) if place else ()
    if len(gaps) < 2:
        echo("that was no rhythm: it takes three raps or more")
        return False
    listed = ", ".join(f"{gap:g}" for gap in gaps)
    echo("put this under [knocks] in the configuration:")
    echo(f'regulars = {{ "{options.learn}" = [{listed}] }}')
    return True
