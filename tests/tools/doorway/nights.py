"""A whole evening with its releases: how often the house asks, and whether it is ever wrong.

Before each opening of the door by which anybody comes in, a release of their true number is
given. Whenever the door has been shut for a while the bartender looks: what the house asks is
answered with the truth, and what it says in certain words is held against the truth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from controller.engine import Engine
from controller.events import Command, Edge
from controller.rules.occupancy import settled
from controller.rules.state import RuleSettings, State
from controller.sensing.settings import SensingSettings

LINES = frozenset({"beam_outer", "beam_inner", "door_contact"})
#: The release comes so long before the door opens; the bartender looks so long after it shut.
RELEASE_MS = 100.0
LOOK_MS = 5_000.0
#: Nobody is turned away: our evenings have more guests than any bar for four.
RULES = RuleSettings(capacity=1000, lines=LINES, release_ms=60_000.0, strike_max_on_ms=60_000.0)

#: With more inside nothing is judged: the house counts up to 99, and an evening may have more.
MOST_INSIDE = 90

Crossings = Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Night:
    """How often the house asked, and was certain and wrong, in one evening."""

    asked: int
    wrong: int


def openings(edges: Sequence[Edge]) -> Iterator[tuple[float, float]]:
    """Yield from when to when the door was open; its bounces are one opening."""
    moves = [(edge.t_ms, edge.level) for edge in edges if edge.line == "door_contact"]
    since_ms = until_ms = None
    for t_ms, level in moves:
        if level and until_ms is not None and t_ms - until_ms > RELEASE_MS:
            assert since_ms is not None
            yield since_ms, until_ms
            since_ms = None
        if level and since_ms is None:
            since_ms = t_ms
        if not level and since_ms is not None:
            until_ms = t_ms
    if since_ms is not None and until_ms is not None:
        yield since_ms, until_ms


def night(
    edges: Sequence[Edge], crossings: Crossings, sensing: SensingSettings, *, releases: bool = True
) -> Night:
    """Play one evening with a bartender who lets parties in, looks, and answers."""
    times = [t_ms for t_ms, _ in sorted(crossings)]
    moved = [0, *accumulate(way for _, way in sorted(crossings))]
    start = -min(moved)
    engine = Engine(RULES, sensing, State(occupancy=settled(start)))
    asked = wrong = 0
    for t_ms, number in _acts(list(openings(edges)), crossings, edges[-1].t_ms):
        while edges and edges[0].t_ms <= t_ms:
            taken = bisect_right(edges, t_ms, key=lambda edge: edge.t_ms)
            for edge in edges[:taken]:
                engine.edge(edge)
            edges = edges[taken:]
        engine.advance(t_ms)
        if number and releases:
            engine.event(Command(t_ms, "access_door", number))
        if number or engine.state.busy:
            continue
        inside = start + moved[bisect_right(times, t_ms)]
        count = engine.state.occupancy
        if inside <= MOST_INSIDE:
            asked += not count.certain
            wrong += count.certain and count.count != inside
        if count.count != inside or not count.certain:
            engine.event(Command(t_ms, "set_count", inside))
    return Night(asked, wrong)


def _acts(
    opened: Sequence[tuple[float, float]], crossings: Crossings, ends_ms: float
) -> list[tuple[float, int]]:
    """Return when the bartender lets so many in, or looks (0), in order."""
    acts = []
    for k, (since_ms, until_ms) in enumerate(opened):
        number = sum(way > 0 and since_ms <= t_ms <= until_ms for t_ms, way in crossings)
        if number:
            acts.append((since_ms - RELEASE_MS, number))
        next_ms = opened[k + 1][0] if k + 1 < len(opened) else ends_ms + 2 * LOOK_MS
        if until_ms + LOOK_MS < next_ms - RELEASE_MS:
            acts.append((until_ms + LOOK_MS, 0))
    return acts
