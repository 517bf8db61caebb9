"""How each wire stands: for whoever looks at the drawing of the header with a screwdriver in hand.

It takes note of every edge, after the pins were set and in 3 us, and publishes (`wiring`) only
while somebody looks: the page asks again and again (`watch_wiring`), and `WATCHED_S` after that
nothing is sent any more. It reads, and decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from controller.config.header import HEADER
from controller.config.settings import LineSettings
from controller.events import OUTPUT_LINES, SWITCHES, Edge
from controller.rules.state import ActiveFault
from controller.sensing.contacts import LEAST_SETTLE_MS
from controller.sensing.settings import SensingSettings

#: For so long the wires are published after somebody asked, seconds.
WATCHED_S = 30.0
#: A change is published so much after the one before at the soonest; without one, so often.
SOONEST_S, REPEAT_S = 0.2, 1.0
#: Edges are counted over so many seconds.
WINDOW_S = 60

#: The level of each output, and whether it blinks.
Driven = Mapping[str, tuple[bool, bool]]


class Window:
    """A count over the last minute, by whole seconds; memory is bounded."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW_S)

    def add(self, t_ms: float) -> None:
        """Count one more at this time; times never run backwards by more than a second."""
        second = int(t_ms // 1000)
        if self._seconds and self._seconds[-1][0] >= second:
            last, n = self._seconds[-1]
            self._seconds[-1] = (last, n + 1)
        else:
            self._seconds.append((second, 1))

    def total(self, now_ms: float) -> int:
        """Return how many there were in the last minute."""
        since = now_ms // 1000 - WINDOW_S
        return sum(n for second, n in self._seconds if second > since)


@dataclass(slots=True)
class Wire:
    """What one input did: its level, its last edge, its edges and those that were no move.

    ``settle_ms`` is how long a level must stand to be believed; 0 for a sensor that gives pulses.
    """

    settle_ms: float
    level: bool | None = None
    edge_ms: float | None = None
    edges: Window = field(default_factory=Window)
    noise: Window = field(default_factory=Window)

    def take(self, edge: Edge) -> bool:
        """Take one edge; return whether anything changed. The first one is only the level."""
        if edge.level is self.level:
            return False
        first, self.level = self.level is None, edge.level
        if not first:
            self.edges.add(edge.t_ms)
            if self.edge_ms is not None and edge.t_ms - self.edge_ms < self.settle_ms:
                self.noise.add(edge.t_ms)
            self.edge_ms = edge.t_ms
        return True


@dataclass(frozen=True, slots=True)
class WiringHost:
    """What the wires are read from, and what publishes them under a name."""

    now_ms: Callable[[], float]
    driven: Callable[[], Driven]
    faults: Callable[[], Sequence[ActiveFault]]
    publish: Callable[[str, Mapping[str, Any]], None]


class Wiring:
    """All wired lines; `edge` takes every edge, `tick` is called ten times a second."""

    def __init__(
        self,
        lines: Mapping[str, LineSettings],
        sensing: SensingSettings,
        host: WiringHost,
        monotonic_s: Callable[[], float] = monotonic,
    ) -> None:
        self._lines, self._host, self._monotonic_s = lines, host, monotonic_s
        self._wires = {
            line: Wire(_settle_ms(line, sensing)) for line in lines if line not in OUTPUT_LINES
        }
        self._until_s = self._published_s = float("-inf")
        self._changed = False
        self._shown: tuple[Driven, Sequence[ActiveFault]] = ({}, ())

    def watch(self) -> None:
        """Publish from now on, until nobody has asked for `WATCHED_S`."""
        now_s = self._monotonic_s()
        if now_s >= self._until_s:
            self._publish(now_s)
        self._until_s = now_s + WATCHED_S

    def edge(self, edge: Edge) -> None:
        """Take note of one raw edge."""
        wire = self._wires.get(edge.line)
        if wire is not None and wire.take(edge):
            self._changed = True

    def tick(self) -> None:
        """Publish what has changed, and every second how long ago it was; if somebody looks."""
        now_s = self._monotonic_s()
        if now_s >= self._until_s:
            return
        passed_s = now_s - self._published_s
        if passed_s >= REPEAT_S or (passed_s >= SOONEST_S and self._has_changed()):
            self._publish(now_s)

    def _has_changed(self) -> bool:
        return self._changed or self._shown != (self._host.driven(), self._host.faults())

    def _publish(self, now_s: float) -> None:
        self._published_s, self._changed = now_s, False
        self._shown = self._host.driven(), self._host.faults()
        self._host.publish("wiring", {"lines": self.snapshot()})

    def snapshot(self) -> list[dict[str, Any]]:
        """Return each wired line: where it is, its level, what it did in the last minute."""
        now_ms, (driven, faults) = self._host.now_ms(), self._shown
        return [
            {
                "line": line,
                "gpio": wired.pin,
                "pin": HEADER.get(wired.pin),
                "active": wired.active,
                "faults": [fault.name for fault in faults if fault.line == line],
                **self._state(line, now_ms, driven),
            }
            for line, wired in self._lines.items()
        ]

    def _state(self, line: str, now_ms: float, driven: Driven) -> dict[str, Any]:
        wire = self._wires.get(line)
        if wire is None:
            level, blinking = driven.get(line, (False, False))
            return {"direction": "out", "level": level, "blinking": blinking}
        edge_ms = wire.edge_ms
        return {
            "direction": "in",
            "level": bool(wire.level),
            "last_edge_s": None if edge_ms is None else round(max(now_ms - edge_ms, 0) / 1000, 1),
            "edges": wire.edges.total(now_ms),
            "noise": wire.noise.total(now_ms),
        }


def _settle_ms(line: str, sensing: SensingSettings) -> float:
    """Return for how long a level of this line must stand; a knock's pulses are short by nature."""
    if line in SWITCHES:
        return max(sensing.contact_settle_ms, LEAST_SETTLE_MS)
    return sensing.beam_settle_ms if line.startswith("beam_") else 0.0
