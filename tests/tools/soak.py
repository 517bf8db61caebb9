"""``python -m tests.tools.soak [EVENINGS]``: a year of evenings in the real loop, in minutes.

The loop, its pins (gpiozero's mock pins), its journal and its wire are those of every day; only
time is virtual. Twice the same year at once, in two processes: what happens must be the same to
the last byte. After every step the laws of `tests.tools.model.laws` hold, the strike is never on
for too long, and with every evening the journal forgets what is too old.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event as Flag
from typing import Any

from controller.clock import Clock, boottime_ms
from controller.config.loader import parse
from controller.events import Command
from controller.gpio.simulated import ACTS
from controller.journal.journal import read_last
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from controller.service import assembly
from controller.service.assembly import Running, World, alone, assemble, simulated
from tests.tools.model import laws

DAY_MS = 86_400_000.0
#: 1 January 2027, 20:00 in Milan: when the year begins.
OPENING_S = 1_798_830_000.0
KEEP_DAYS = 14
STRIKE = 16
#: Python's own allocator moves in steps: growth below this over the year is none.
FLAT_KB = 12_000
RESTART_EVERY = 30


class VirtualClock(Clock):
    """House time as the soak sets it; the wall clock goes along. One for all restarts."""

    virtual_ms = 0.0

    def now_ms(self) -> float:
        return VirtualClock.virtual_ms

    def wall_s(self) -> float:
        return OPENING_S + VirtualClock.virtual_ms / 1000

    def seconds_until(self, t_ms: float) -> float:
        return 0.0


DIFFERS = ("boot", "at", "late_s")


@dataclass(frozen=True, slots=True)
class Report:
    """What one run came to."""

    digest: str
    events: int
    steps: int
    most_rows: int
    most_kb: int
    first_rss_kb: int
    last_rss_kb: int


class Bar:
    """One house, driven from outside: its loop's own steps, without its waiting."""

    def __init__(self, folder: Path) -> None:
        config = parse({}, "soak", [f"journal.keep_days={KEEP_DAYS}"])
        journal = replace(config.journal, path=str(folder / "journal.db"))
        mqtt = replace(config.mqtt, host="")
        self._config = replace(config, factory="mock", journal=journal, mqtt=mqtt)
        self.path = folder / "journal.db"
        self.steps = self.events = self.seq = 0
        self.digest = sha256()
        self._strike_since_ms: float | None = None
        self._running: Running
        self.start()

    def start(self) -> None:
        bus = InMemoryBroker()
        mqtt = bus.join(
            subscriptions=["backdoor/bar/event/#"],
            on_message=self._hear,
            on_up=lambda: None,
            on_ack=lambda _: None,
        )
        mqtt.start()
        world = World(partial(simulated, self._config), alone(bus))
        self._running = assemble(self._config, world)
        self._running.loop.begin(self._running.absence)
        self._mqtt = mqtt

    def stop(self) -> None:
        self.settle()
        self._running.loop._close()
        self._mqtt.stop()

    def _hear(self, message: Message) -> None:
        """Take each event once, without what differs between any two runs.

        That is boot, wall time, and how late it was sent: virtual hours pass while a disk writes.
        """
        event: dict[str, Any] = json.loads(message.payload)
        if event["seq"] <= self.seq:
            return
        assert event["seq"] == self.seq + 1, f"event {self.seq + 1} is missing"
        self.seq = event["seq"]
        self.events += 1
        same = {name: value for name, value in event.items() if name not in DIFFERS}
        self.digest.update(json.dumps([message.topic, same], sort_keys=True).encode())

    # --- time ----------------------------------------------------------------------------------

    def until(self, t_ms: float) -> None:
        """Let time pass, stopping at every deadline on the way as the loop does."""
        engine = self._running.loop._engine
        self._drain()
        while (due := engine.deadline()) is not None and due <= t_ms:
            VirtualClock.virtual_ms = max(VirtualClock.virtual_ms, due)
            self._running.loop._advance()
            self._look()
        VirtualClock.virtual_ms = max(VirtualClock.virtual_ms, t_ms)

    def _drain(self) -> None:
        loop = self._running.loop
        while not loop._queue.empty():
            loop._handle(loop._queue.get())
            self._look()

    def _look(self) -> None:
        """Hold the laws to the state and the strike to its time."""
        self.steps += 1
        loop = self._running.loop
        problems = laws.broken(laws.OF_STATES, loop.state, loop.settings)
        assert not problems, problems
        now_ms, on = VirtualClock.virtual_ms, self._running.factory.pin(STRIKE).state
        if not on:
            self._strike_since_ms = None
        elif self._strike_since_ms is None:
            self._strike_since_ms = now_ms
        else:
            assert now_ms - self._strike_since_ms <= loop.settings.strike_max_on_ms

    def act(self, name: str) -> None:
        """Play one act on the pins, from now on."""
        start_ms = VirtualClock.virtual_ms
        for move in ACTS[name]:
            self.line(start_ms + move.at_ms, move.line, bool(move.level))

    def line(self, t_ms: float, line: str, level: bool) -> None:
        """Bring one line to a level at ``t_ms``."""
        self.until(t_ms)
        self._running.factory.drive(line, level=level, stamp_ms=VirtualClock.virtual_ms)
        self._drain()

    def ask(self, name: str, number: int | None = None) -> None:
        """Give a command, as the page would."""
        now_ms = VirtualClock.virtual_ms
        self._running.loop.post(Command(now_ms, name, number, id="soak", cause="page"))
        self._drain()

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass, reading the levels again on the way."""
        self.until(VirtualClock.virtual_ms + seconds * 1000)
        for _ in range(10):
            self._running.loop._components.heartbeat.tick()
        self._drain()

    def settle(self) -> None:
        """Wait until the journal's thread has written and told all that it was given."""
        done = Flag()
        self._running.loop._components.publisher.call_after(done.set)
        assert done.wait(60)


# --- an evening ---------------------------------------------------------------------------------


def evening(bar: Bar, chance: random.Random) -> None:
    """Some parties, one after the other, each with its knocks, mistakes and farewells."""
    for _ in range(chance.randint(2, 6)):
        _party(bar, chance)
        bar.wait(chance.uniform(60, 1800))
    _oddity(bar, chance)
    bar.ask("room_empty")


def _party(bar: Bar, chance: random.Random) -> None:
    size = chance.randint(1, 4)
    bar.act("knock_door")
    bar.wait(chance.uniform(2, 60))
    bar.ask("access_door", size)
    for _ in range(size + (chance.random() < 0.02)):
        bar.act("walk_in")
        bar.wait(chance.uniform(1, 8))
    for _ in range(chance.randint(0, 8)):
        bar.act(chance.choice(("knock_hatch", "turn_back", "open_hatch", "close_hatch")))
        bar.wait(chance.uniform(5, 1200))
    for _ in range(size):
        bar.act("walk_out")
        bar.wait(chance.uniform(1, 30))


def _oddity(bar: Bar, chance: random.Random) -> None:
    """What does not happen every evening."""
    odd = chance.choice(sorted(ODDITIES))
    for name, number in ODDITIES[odd]:
        bar.ask(name, number)
        bar.act(chance.choice(("walk_in", "press_release", "walk_out")))
        bar.wait(chance.uniform(1, 60))
    if odd == "a beam is covered":
        start_ms = VirtualClock.virtual_ms
        bar.line(start_ms + 100, "beam_outer", True)
        bar.line(start_ms + 900_000, "beam_outer", False)


ODDITIES: dict[str, list[tuple[str, int | None]]] = {
    "nothing": [],
    "a beam is covered": [],
    "evacuation": [("lock_open", None), ("lock_open_release", None)],
    "lock-down": [("lock_down", None), ("lock_down_release", None)],
    "blocked": [("block_door", None), ("unblock_door", None)],
    "a glass runner": [("staff_pass", None), ("staff_pass", None)],
    "a recount": [("set_count", 3), ("set_count", 9), ("set_count", 0)],
}


def _evenings(bar: Bar, count: int) -> Iterator[int]:
    """Play the evenings; yield the number of each when it is over and written down."""
    chance = random.Random(2027)
    for number in range(count):
        bar.until(max(number * DAY_MS, VirtualClock.virtual_ms))
        bar.wait(1)
        evening(bar, chance)
        if number % RESTART_EVERY == RESTART_EVERY - 1:
            bar.stop()
            bar.start()
        bar.settle()
        yield number


def year(count: int, tell: bool) -> Report:
    """Play ``count`` evenings and report; raises AssertionError when something does not hold."""
    vars(assembly)["Clock"] = VirtualClock
    began_s, rows, kilobytes, rss = time.monotonic(), [0], [0], []
    with tempfile.TemporaryDirectory() as folder:
        bar = Bar(Path(folder))
        for number in _evenings(bar, count):
            _kept(bar, number, rows)
            kilobytes.append(bar.path.stat().st_size // 1024)
            rss.append(_rss_kb())
            if tell:
                _progress(number + 1, count, began_s)
        bar.stop()
    settled = rss[len(rss) // 4 :]
    digest = bar.digest.hexdigest()
    return Report(digest, bar.events, bar.steps, max(rows), max(kilobytes), settled[0], settled[-1])


def _kept(bar: Bar, number: int, rows: list[int]) -> None:
    """See that the journal holds its last days and no more."""
    kept = read_last(str(bar.path), 10_000_000)
    rows.append(len(kept))
    oldest_s = OPENING_S + (number - KEEP_DAYS - 1) * DAY_MS / 1000
    assert kept[0].at_s >= oldest_s or number < 1, f"{kept[0].at} should be forgotten"


def _rss_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def _progress(done: int, of: int, began_s: float) -> None:
    full = 30 * done // of
    bar = "#" * full + "." * (30 - full)
    took_s = time.monotonic() - began_s
    sys.stderr.write(f"\r[{bar}] evening {done} of {of}, {took_s:.0f} s ")
    sys.stderr.flush()


def main(count: int) -> int:
    """Play the year twice at once, compare, print; return 1 when it is not the same year."""
    began_ms = boottime_ms()
    with ProcessPoolExecutor(2) as pool:
        both = [pool.submit(year, count, tell) for tell in (True, False)]
        first, second = (run.result() for run in both)
    growth_kb = first.last_rss_kb - first.first_rss_kb
    flat, same = growth_kb < FLAT_KB, first.digest == second.digest
    sys.stdout.write(
        f"\n{count} evenings, {first.steps:,} steps, {first.events:,} events, "
        f"{(boottime_ms() - began_ms) / 1000:.0f} s\n"
        f"journal: at most {first.most_rows:,} events, {first.most_kb:,} kB "
        f"({KEEP_DAYS} days kept)\n"
        f"memory: {first.first_rss_kb:,} kB after a quarter, {growth_kb:+,} kB until the end: "
        f"{'flat' if flat else 'GROWING'}\n"
        f"rerun: {'byte-identical' if same else 'DIFFERENT'} ({first.digest[:16]})\n"
    )
    return 0 if flat and same else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 365))
