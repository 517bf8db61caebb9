"""Ten times a second: the levels are read again. Once a second: the signs of life, and clean-up."""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

from controller.clock import Clock
from controller.codec import iso
from controller.engine import Engine
from controller.events import Fault
from controller.gpio.pins import Pins
from controller.rules.state import RuleSettings, State, door_mode
from controller.service.publisher import Item, Publisher
from controller.service.reporter import Reporter
from controller.service.selftest import SelfTest
from controller.service.wiring import Wiring
from controller.systemd import Notifier
from controller.trace import FlightRecorder

log = logging.getLogger(__name__)

#: Input levels are read again this often (and half of it apart): kernels and drivers lose edges.
REREAD_S = 0.1
#: Re-reads between two heartbeats.
TICKS_PER_HEARTBEAT = 10
#: Re-reads between two writes of the flight recorder.
TICKS_PER_FLUSH = 100
DAY_S = 86_400.0
#: A start that has moved by more was not the clocks' drift: the wall clock was set.
CLOCK_SET_S = 5.0
#: How often the strength of the wireless signal is read, seconds.
SIGNAL_EVERY_S = 10.0
WIRELESS = "/proc/net/wireless"
#: Upper bounds in seconds of the histogram; what takes longer than the last is counted apart.
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Latency:
    """How long the loop takes for one turn, as a histogram since the start; memory is fixed."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, took_s: float) -> None:
        """Count one turn that took so many seconds."""
        self._counts[bisect_left(BOUNDS_S, took_s)] += 1
        self._sum_s += took_s

    def as_dict(self) -> dict[str, object]:
        """Return the bounds, the turns below each, those beyond the last, and the total time."""
        return {
            "bounds_s": BOUNDS_S,
            "turns": list(self._counts),
            "sum_s": round(self._sum_s, 6),
        }


class Signal:
    """The strength of the wireless signal, by the kernel's table, read every ten seconds."""

    def __init__(self) -> None:
        self._read_at_s = 0.0
        self._dbm: int | None = None

    def as_dict(self, uptime_s: float) -> dict[str, object]:
        """Return ``signal_dbm``, or nothing on a cable."""
        if uptime_s >= self._read_at_s:
            self._read_at_s = uptime_s + SIGNAL_EVERY_S
            self._dbm = signal_dbm()
        return {} if self._dbm is None else {"signal_dbm": self._dbm}


class StartTime:
    """When the controller started: the same second in each heartbeat, until the clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_ms = clock.now_ms()
        self._at_s = 0

    def at(self) -> str:
        """Return it as ISO 8601 in UTC; two readings of the clocks differ a little."""
        at_s = self._clock.wall_s() - (self._clock.now_ms() - self._began_ms) / 1000
        if abs(at_s - self._at_s) > CLOCK_SET_S:
            self._at_s = round(at_s)
        return iso(self._at_s)


def signal_dbm(table: str = WIRELESS) -> int | None:
    """Return the strength in dBm of the first wireless interface; None on a cable."""
    try:
        rows = Path(table).read_text(encoding="ascii").splitlines()[2:]
        return int(float(rows[0].split()[3])) if rows else None
    except (OSError, ValueError, IndexError):
        return None


@dataclass(slots=True)
class Heartbeat:
    """What the loop does by the clock; `tick` is called whenever ``due_s`` (monotonic) is over."""

    clock: Clock
    pins: Pins
    engine: Engine
    queue: SimpleQueue[Item]
    reporter: Reporter
    publisher: Publisher
    self_test: SelfTest
    wiring: Wiring
    flight: FlightRecorder
    notifier: Notifier
    keep_days: int = 400
    due_s: float = field(default_factory=monotonic)
    #: How long each turn of the loop took.
    latency: Latency = field(default_factory=Latency)
    #: Commands dropped since the last heartbeat.
    commands_dropped: int = 0
    _began_s: float = field(default_factory=monotonic)
    _signal: Signal = field(default_factory=Signal)
    _started: StartTime = field(init=False)
    _ticks: int = TICKS_PER_HEARTBEAT - 1  # the first heartbeat comes at once
    _flood: bool = False
    #: Outputs that have a fault.
    _failed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._started = StartTime(self.clock)

    def tick(self) -> None:
        """Read the levels again; once a second publish that the loop works and the pins answer."""
        self.due_s = max(self.due_s + REREAD_S, monotonic() + REREAD_S / 2)
        for edge in self.pins.reread():
            log.warning(
                "%s: an edge was lost, its level is now %d; check the wiring if it goes on",
                edge.line,
                edge.level,
            )
            self.queue.put(edge)
        self._report_outputs()
        self.publisher.catch_up()
        self.publisher.watch_disk(self.engine.state)
        self.wiring.tick()
        self._ticks += 1
        if self._ticks % TICKS_PER_HEARTBEAT == 0:
            self._beat()

    def flush(self) -> None:
        """Hand the raw edges of the last seconds to the thread that writes to the disk."""
        rows, flight = self.flight.take(), self.flight
        if self.publisher.stalled:  # they would only fill the memory
            return
        wall_s, now_ms = self.clock.wall_s(), self.clock.now_ms()
        self.publisher.call_after(lambda: flight.flush(rows, wall_s, now_ms))

    def _beat(self) -> None:
        state = self.engine.state
        self.notifier.watchdog()
        self.notifier.status(summary(state, self.engine.settings))
        self._report_flood()
        self.self_test.tick()
        self._clean_up()
        self.publisher.publish_in_turn(self.reporter.periodic_messages(self.engine.state))
        uptime_s = monotonic() - self._began_s
        loop, signal = self.latency.as_dict(), self._signal.as_dict(uptime_s)
        self.publisher.publish(
            self.reporter.heartbeat(uptime_s, loop=loop, started_at=self._started.at(), **signal)
        )

    def _report_flood(self) -> None:
        """Raise a fault while commands are being dropped, until a whole second without one."""
        dropped, self.commands_dropped = self.commands_dropped, 0
        if self._flood != bool(dropped):
            self._flood = bool(dropped)
            self.queue.put(Fault(self.clock.now_ms(), "CommandFlood", "mqtt", self._flood))

    def _report_outputs(self) -> None:
        """Drive again what could not be driven; raise a fault for each output, and end it."""
        before, self._failed = self._failed, self.pins.retry()
        for line in sorted(before ^ self._failed):
            failed = line in self._failed
            self.queue.put(Fault(self.clock.now_ms(), "OutputFailed", line, failed))

    def _clean_up(self) -> None:
        """Write the flight recorder; with each new night, forget what is too old."""
        if self._ticks % TICKS_PER_FLUSH:
            return
        self.flush()
        if self.engine.state.session is None and self.reporter.new_night():
            self.publisher.forget(self.clock.wall_s() - self.keep_days * DAY_S)


def summary(state: State, rules: RuleSettings) -> str:
    """Return one line for ``systemctl status``."""
    sure = "" if state.occupancy.certain else "?"
    inside = f"{state.occupancy.count}{sure} of {rules.capacity} inside"
    return f"{inside}, door {door_mode(state, rules)}, {len(state.faults)} faults"
