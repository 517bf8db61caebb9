"""The self-test in the terminal: a guided minute that proves every wire before the first guest.

It *is* the controller, run in the foreground: the same pins, rules, page and journal. So the strike
really opens when the release is pressed, and the page ticks the same wires off. ``watch`` shows all
lines live, for tuning knock sensors; ``learn`` records a rhythm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any

from controller.config.learned_rhythms import keep
from controller.config.settings import Config, input_lines
from controller.events import Command, Edge
from controller.sensing.rhythms import learn
from controller.service.assembly import Running, assemble, real_world
from controller.service.selftest import KNOCKS, STEPS, Checklist

UNIT = Path("/etc/systemd/system/backdoor-controller.service")
IN_UNIT = "BACKDOOR_SELF_TEST"
#: What the service has and a shell has not.
UNIT_PROPERTIES = (
    f"Conflicts={UNIT.name} backdoor-safe.service",
    f"After={UNIT.name} backdoor-safe.service",
    "User=backdoor",
    "SupplementaryGroups=gpio",
    "UMask=0077",
    "KillSignal=SIGQUIT",  # ended too early to say a word, it must not look like a success
    "ProtectKernelTunables=yes",  # the same view of /proc, so the same boot, also in a container
    "LoadCredential=broker:/etc/backdoor/controller.login",
    "RuntimeDirectory=backdoor-controller",  # the service's own, which says the newest step
    "RuntimeDirectoryPreserve=yes",
    "WorkingDirectory=/run/backdoor-controller",
    "Environment=LG_WD=/run/backdoor-controller",
    "ExecStopPost=-/usr/bin/python3 -IS /opt/backdoor/systemd/strike-off",
)

Echo = Callable[[str], None]
Progress = Mapping[str, Any]

#: A rhythm has ended when nobody has knocked for so long.
RHYTHM_ENDS_S = 2.0
SHOW_EVERY_S = 0.5
#: Progress is published every second; longer silence means that the controller hangs.
SILENT_S = 15.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the self-test is to do: prove wires within ``limit_s``, or ``watch``, or ``learn``."""

    limit_s: float = 60.0
    watch: bool = False
    learn: str = ""
    learned: Path = Path("regulars.toml")


def run_in_units_place(argv: Sequence[str]) -> int | None:
    """Run this very command in the service's place, as root on an installed machine.

    It gets the service's user, group and login, and systemd stops the service before it (they
    conflict); the service is started again after it. None where there is no service, or inside it.
    """
    if os.geteuid() != 0 or IN_UNIT in os.environ or not UNIT.exists():
        return None
    properties = [f"--property={each}" for each in UNIT_PROPERTIES]
    terminal = "--pty" if sys.stdout.isatty() else "--pipe"
    place = ["systemd-run", "--quiet", "--wait", "--collect", terminal, f"--setenv={IN_UNIT}=1"]
    try:
        return subprocess.run([*place, *properties, *argv], check=False).returncode
    finally:
        subprocess.run(["systemctl", "start", UNIT.stem], check=False)


def run_self_test(
    config: Config,
    options: Options,
    *,
    echo: Echo,
    on_stop_signal: Callable[[Callable[[], None]], None],
    ask: Callable[[str], bool] = lambda question: False,
) -> bool:
    """Run the controller and the test in it; return whether everything asked for was there."""
    edges: SimpleQueue[Edge | None] = SimpleQueue()
    progress: SimpleQueue[Progress] = SimpleQueue()
    world = replace(
        real_world(config),
        watch=edges.put,
        on_progress=progress.put,
        self_test_s=options.limit_s,
    )
    running = assemble(config, world)
    test = Checklist(input_lines(config))

    stopped = Event()

    def stop() -> None:
        stopped.set()
        edges.put(None)
        running.loop.post(running.self_test.end)

    on_stop_signal(stop)
    with _loop_runs(running):
        if options.watch:
            return _watch(test, edges, options.limit_s, echo)
        if options.learn:
            return _learn(test, edges, options, echo)
        if running.loop.state.occupancy.max > 0:
            _ask_for_count(running, echo, ask)
        _start_test(running, stopped)
        try:
            return _guide(progress, echo)
        except Empty:
            echo(f"   the house said nothing for {SILENT_S:g} s: it hangs; its log may say why")
            return False


@contextmanager
def _loop_runs(running: Running) -> Iterator[None]:
    """Have the controller's loop run in a thread of its own meanwhile."""
    running.loop.begin(running.absence)
    thread = Thread(target=running.loop.run, name="loop")
    thread.start()
    try:
        yield
    finally:
        running.loop.stop()
        thread.join(10)


def _next(edges: SimpleQueue[Edge | None], end_s: float, most_s: float = 3600.0) -> Edge | None:
    """Return the next edge, or None to stop; raises Empty when the time is over."""
    return edges.get(timeout=max(min(end_s - monotonic(), most_s), 0.0))


def _ask_for_count(running: Running, echo: Echo, ask: Callable[[str], bool]) -> None:
    """Ask for the count: after a restart it may be uncertain, and then no release opens."""
    if ask("The count asks who is inside. Is the room empty?"):
        now_ms = running.clock.now_ms()
        running.loop.post(Command(now_ms, "room_empty", id="self-test", cause="self-test"))
    else:
        echo("   the count asks, or guests are inside: the release may be refused")


def _start_test(running: Running, stopped: Event) -> None:
    running.loop.post(Command(running.clock.now_ms(), "self_test", cause="terminal"))
    running.loop.post(running.self_test.begin)  # refused, with guests: it changes nothing then
    if stopped.is_set():  # before there was a test to end
        running.loop.post(running.self_test.end)


def _guide(progress: SimpleQueue[Progress], echo: Echo) -> bool:
    """Say what to do, tick off what was done, and name what is missing in the end."""
    proven: set[str] = set()
    now = progress.get(timeout=SILENT_S)
    for number, line in enumerate(now["lines"], 1):
        echo(f"{number}. {line['line']}: {STEPS[line['line']]}")
    while True:
        done = {line["line"] for line in now["lines"] if line["proven"]}
        for name in done - proven:
            echo(f"   ok  {name}, {len(now['lines']) - len(done)} to go")
        proven = done
        if not now["running"]:
            return _result(now, echo)
        now = progress.get(timeout=SILENT_S)


def _result(last: Progress, echo: Echo) -> bool:
    for line in last["lines"]:
        if not line["proven"]:
            echo(f"   MISSING  {line['line']}: {line['edges'] or 'no'} edges")
    inside = "{min} to {max} inside".format_map(last["inside"])
    if not last["verified"]:
        echo(f"   the room was not surely empty: the count stays as it is, {inside}")
    elif last["inside"]["max"] > 0:
        echo(f"   COUNTED  {inside} since it began: say so if the room is empty")
    echo("every wire is proven" if last["ok"] else "see the README's page of wiring")
    return bool(last["ok"])


def _watch(test: Checklist, edges: SimpleQueue[Edge | None], limit_s: float, echo: Echo) -> bool:
    """Show all lines until a signal or the end of the time, each time over the last."""
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


def _learn(test: Checklist, edges: SimpleQueue[Edge | None], options: Options, echo: Echo) -> bool:
    """Record one rhythm of at least three raps, and save it in its file."""
    if not options.learn.isprintable():
        echo("a name has no line breaks and no other characters that can't be seen")
        return False
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
    keep(options.learned, options.learn, gaps)
    echo(f"{options.learn} knocks [{listed}]: kept in {options.learned}")
    return True
