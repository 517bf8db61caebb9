"""What wires do by themselves: hum, flicker, and spikes that all lines share."""

from __future__ import annotations

from collections.abc import Iterable

from controller.events import INPUT_LINES, Edge
from tests.tools.doorway.sketch import edges, pulses

#: Until when a noise lasts: long enough for whatever it deafens to be deaf for good.
LASTS_MS = 20_000.0


def at_rest(lines: Iterable[str] = INPUT_LINES) -> list[Edge]:
    """Every line's first reading."""
    return [Edge(0.0, line, False) for line in lines]


def hum(
    line: str, every_ms: float, active_ms: float, since_ms: float = 3000.0, to_ms: float = LASTS_MS
) -> list[Edge]:
    """A line that is active for a while again and again."""
    starts = [since_ms + every_ms * k for k in range(int((to_ms - since_ms) / every_ms))]
    return [
        Edge(t_ms + (0.0 if level else active_ms), line, level)
        for t_ms in starts
        for level in (True, False)
    ]


def spike(t_ms: float, lasts_ms: float, lines: Iterable[str] = INPUT_LINES) -> list[Edge]:
    """All lines active at once, each a microsecond after the one before, and back again."""
    return [
        Edge(start_ms + 0.001 * number, line, level)
        for start_ms, level in ((t_ms, True), (t_ms + lasts_ms, False))
        for number, line in enumerate(lines)
    ]


def knock_at(place: str, t_ms: float) -> list[Edge]:
    """Two raps of a knuckle, at ``h`` (hatch) or ``d`` (door)."""
    return edges(pulses(f"{place}{t_ms}x6 {place}{t_ms + 240}x6"), wired="")


def both(*parts: Iterable[Edge]) -> list[Edge]:
    """What each line does when all this happens: it is active while any of it makes it so.

    The first readings come first; an edge that the line does not show is left out.
    """
    edges_ = sorted((edge for part in parts for edge in part), key=lambda edge: edge.t_ms)
    active: dict[str, int] = {}
    out: list[Edge] = []
    for edge in edges_:
        before = active.get(edge.line)
        active[edge.line] = now = max((before or 0) + (1 if edge.level else -1), 0)
        if before is None or (before > 0) is not (now > 0):
            out.append(edge)
    return out
