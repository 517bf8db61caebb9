"""Evenings without walls: the real engine, reporter and journal on a clock that the bench turns.

No thread, no waiting, and each step is written by itself, as live, when the disk is not busy. What
a person is told is synced at once, the rest when the writer would, by the clock of the evening.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from controller.clock import Clock, Moment
from controller.config.loader import parse
from controller.config.settings import Config
from controller.engine import Engine, TimedEffects
from controller.events import Command, Edge
from controller.gpio.simulated import ACTS
from controller.integrations.devices import Devices
from controller.journal.journal import Journal
from controller.journal.writer import SYNC_S
from controller.mqtt.message import Topics
from controller.rules.state import State
from controller.service.heartbeat import REREAD_S, TICKS_PER_FLUSH
from controller.service.night import Night
from controller.service.reporter import Integrations, Origin, Reporter
from controller.trace import FlightRecorder

CROSSINGS = 320
KNOCKS = 200
EVENING_MS = 5 * 3_600_000.0
#: An evening of a real year, in seconds since 1970.
WALL_S = 1_795_000_000.0


class VirtualClock(Clock):
    """House time that only moves when the bench says so."""

    def __init__(self) -> None:
        super().__init__()
        self.t_ms = 0.0

    def now_ms(self) -> float:
        """Return the house time."""
        return self.t_ms

    def wall_s(self) -> float:
        """Return the wall time that goes with it."""
        return WALL_S + self.t_ms / 1000

    def moment(self) -> Moment:
        """Return now, as the journal keeps it."""
        return Moment(self.t_ms, "boot", self.t_ms, self.wall_s())


def moves(seed: int) -> list[tuple[float, str, int]]:
    """Return one evening: 320 crossings through the door and 200 knocks at the hatch."""
    chance = random.Random(seed)
    acts = ["knock_hatch"] * KNOCKS
    ways = ["walk_in", "walk_out"] * (CROSSINGS // 2)
    slots = sorted(chance.sample(range(len(acts) + len(ways)), len(ways)))
    for slot, way in zip(slots, ways, strict=True):
        acts.insert(slot, way)
    step_ms = EVENING_MS / len(acts)
    rows: list[tuple[float, str, int]] = []
    for number, act in enumerate(acts):
        rows += [(number * step_ms + move.at_ms, move.line, move.level) for move in ACTS[act]]
        if act == "knock_hatch":
            rows.append((number * step_ms + 8000, "cmd:answer_hatch", 0))
    return sorted(rows)


class House:
    """One house that lives through evening after evening."""

    def __init__(self, journal: Journal | None = None, *sets: str) -> None:
        self.config: Config = parse({}, "bench", ("door.entry=walk_in", *sets))
        self.clock = VirtualClock()
        self.engine = Engine(self.config.rules, self.config.sensing, State())
        seq = 0 if journal is None else journal.last_seq()
        self.reporter = Reporter(
            Origin("bar", "", Topics("backdoor/bar")),
            self.config.rules,
            self.clock,
            seq,
            Night(""),
            Integrations(Devices()),
        )
        self.journal = journal
        self.flight: FlightRecorder | None = None
        self.syncs = self.events = self.messages = self.payload_bytes = 0
        self._sync_at_ms: float | None = None
        self._flush_at_ms = 0.0
        for line in sorted(self.config.rules.lines):
            self._publish(self.engine.edge(Edge(0.0, line, level=False)))

    def live(self, rows: list[tuple[float, str, int]]) -> None:
        """Go through one evening, and to the next one's begin."""
        begin_ms = self.clock.t_ms
        for at_ms, line, level in rows:
            for due_ms in self._dues(begin_ms + at_ms):
                self.clock.t_ms = due_ms
                self._publish(self.engine.advance(due_ms))
            self.clock.t_ms = begin_ms + at_ms
            self._flown(line, level)
            if line.startswith("cmd:"):
                name = line.removeprefix("cmd:")
                command = Command(self.clock.t_ms, name, id=f"{at_ms}", cause="page")
                self._publish(self.engine.event(command))
            else:
                self._publish(self.engine.edge(Edge(self.clock.t_ms, line, bool(level))))
        self.clock.t_ms = begin_ms + 24 * 3_600_000
        self._publish(self.engine.advance(self.clock.t_ms))
        self.reporter.new_night()

    def _dues(self, until_ms: float) -> Iterator[float]:
        while (due_ms := self.engine.deadline()) is not None and due_ms < until_ms:
            yield max(due_ms, self.clock.t_ms)

    def _publish(self, effects: TimedEffects) -> None:
        state, reporter = self.engine.state, self.reporter
        record = reporter.record(effects, state, self.clock.moment(), reporter.seq)
        if record is None:
            return
        self.events += len(record.rows)
        self.messages += len(reporter.one_shot_messages(effects)) + len(record.rows)
        self.messages += len(reporter.changed_messages(state)) if record.urgent else 0
        self.payload_bytes += sum(len(row.data) for row in record.rows)
        self.payload_bytes += len(record.saved.state) if record.saved else 0
        if self.journal is not None:
            self._sync(self.journal, self.clock.t_ms)
            self.journal.write(record.rows, record.saved, record.delivered)
            if self._sync_at_ms is None or record.urgent:
                self._sync_at_ms = self.clock.t_ms + (0 if record.urgent else 1000 * SYNC_S)
            self._sync(self.journal, self.clock.t_ms)

    def _sync(self, journal: Journal, now_ms: float) -> None:
        if self._sync_at_ms is not None and self._sync_at_ms <= now_ms:
            journal.sync()
            self.syncs += 1
            self._sync_at_ms = None

    def _flown(self, line: str, level: int) -> None:
        if self.flight is None or line.startswith("cmd:"):
            return
        self.flight.edge(Edge(self.clock.t_ms, line, bool(level)))
        if self.clock.t_ms >= self._flush_at_ms:
            self.flight.flush(self.flight.take(), self.clock.wall_s(), self.clock.t_ms)
            self._flush_at_ms = self.clock.t_ms + 1000 * REREAD_S * TICKS_PER_FLUSH
