"""The hour of knocks by another author, varied: softer, on a thinner wall, slower, jittered.

What it holds is in ``tests/traces``: knocks, slams, music, steps, bottles and dragged crates whose
pulses were not drawn by our generator. Each seed takes another part of the pulses away, lets
another part be felt on the other surface, and moves each pulse and the tempo a little.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random

from controller.events import Edge
from controller.trace import load_trace
from tests.tools.doorway.wall import PLACES, Episode, Wall, other

TRACES = Path(__file__).parents[2] / "traces"
#: A pulse: its surface, when it began and ended.
Pulse = tuple[str, float, float]


@cache
def another_hour() -> tuple[tuple[Pulse, ...], tuple[Edge, ...], tuple[Episode, ...]]:
    """Return the pulses, the door's moves and the true knocks of that hour."""
    began: dict[str, float] = {}
    pulses: list[Pulse] = []
    moves: list[Edge] = []
    for row in load_trace(str(TRACES / "knocks.csv")):
        place = row.line.removesuffix("_knock")
        if place not in PLACES:
            moves += [Edge(row.t_ms, row.line, row.level == 1)] if row.t_ms else []
        elif row.level:
            began[place] = row.t_ms
        elif place in began:
            pulses.append((place, began.pop(place), row.t_ms))
    truth = json.loads((TRACES / "knocks.truth.json").read_text())["episodes"]
    episodes = [
        Episode(e["sensor"], (e["t_ms"], *[e["t_last_ms"]] * (e["raps"] - 1))) for e in truth
    ]
    return tuple(pulses), tuple(moves), tuple(episodes)


def varied(seed: int, *, lost: float = 0.0, felt: float = 0.0) -> Wall:
    """Return that hour with a part of its pulses ``lost``, and a part ``felt`` on both surfaces."""
    rng = Random(f"another wall {seed}")
    pulses, moves, episodes = another_hour()
    stretch = rng.uniform(0.93, 1.08)
    wall = Wall(rng)
    for place, on_ms, off_ms in pulses:
        if rng.random() < lost:
            continue
        at_ms, lasts_ms = on_ms * stretch + rng.uniform(-1.5, 1.5), off_ms - on_ms
        wall.pulses[place].append((at_ms, at_ms + lasts_ms))
        if rng.random() < felt:
            late_ms = at_ms + rng.uniform(0.5, 6.0)
            wall.pulses[other(place)].append((late_ms, late_ms + lasts_ms * rng.uniform(0.5, 1)))
    wall.contacts += [Edge(m.t_ms * stretch, m.line, m.level) for m in moves]
    for e in episodes:
        wall.episodes.append(Episode(e.place, tuple(t * stretch - 2.0 for t in e.raps_ms)))
    return wall
