"""Scenes in a folder, by whoever made them, and what `replay` says at the end of each.

Beside each trace ``NAME.csv`` stands its truth ``NAME.json``: ``start_occupancy``,
``final_occupancy``, ``spacing_mm``, and ``ambiguous`` where two beams cannot tell. A folder in the
folder is a category.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from controller.config.loader import parse
from controller.events import Edge
from controller.replay import replay, wired_by
from controller.trace import Row, load_trace
from tests.tools.doorway.scenes import Scene
from tests.tools.doorway.score import Result


@dataclass(frozen=True)
class Recorded:
    """A trace with its truth."""

    category: str
    rows: list[Row]
    spacing_mm: float
    start: int
    final: int
    ambiguous: bool = False
    #: +1 or -1 with the time at which the middle of a body passes.
    crossings: tuple[tuple[float, int], ...] = ()

    def edges(self) -> list[Edge]:
        """Return the rows as edges."""
        return [Edge(row.t_ms, row.line, row.level == 1) for row in self.rows]

    def at_pace(self, factor: float) -> Recorded:
        """Return the scene as if everybody had walked so many times as fast."""
        rows = [row._replace(t_ms=row.t_ms / factor) for row in self.rows]
        crossings = tuple((t_ms / factor, way) for t_ms, way in self.crossings)
        return replace(self, rows=rows, crossings=crossings)


def recorded(folder: Path) -> Iterator[Recorded]:
    """Read every scene of this folder; knocks are no scenes."""
    for path in sorted(folder.glob("*/*.json")):
        truth = json.loads(path.read_text())
        trace = path.with_suffix(".csv")
        if "spacing_mm" not in truth or not trace.exists():
            continue
        start, final = truth["start_occupancy"], truth["final_occupancy"]
        yield Recorded(
            path.parent.name,
            load_trace(str(trace)),
            truth["spacing_mm"],
            start,
            final,
            bool(truth.get("ambiguous")),
            tuple((c["t_ms"], 1 if c["kind"] == "entry" else -1) for c in truth["crossings"]),
        )


def as_recorded(scene: Scene) -> Recorded:
    """Return a made scene as if it had been recorded."""
    rows = [Row(edge.t_ms, edge.line, int(edge.level)) for edge in scene.edges]
    # a house counts to 99: whoever leaves an evening was in it, and no more are needed
    fewest = -min(accumulate((way for _, way in scene.crossings), initial=0))
    start = min(scene.start, max(fewest, 6))
    final = start + scene.final - scene.start
    made = Recorded(scene.category, rows, scene.spacing_mm, start, final)
    return replace(made, crossings=scene.crossings)


def score_replay(scene: Recorded, spacing: float = 1.0) -> Result:
    """Score the last count of a replay, with the beams' distance wrong by this factor."""
    sets = [f"sensing.beam_spacing_mm={scene.spacing_mm * spacing}"]
    config = wired_by(parse({}, "", sets), scene.rows)
    events = [json.loads(line) for line in replay(scene.rows, config, scene.start)]
    count = events[-1]["occupancy"]
    return Result(
        right=count["certain"] and count["count"] == scene.final,
        certain=count["certain"],
        contained=count["min"] <= scene.final <= count["max"],
        wrong=0,
        asks=sum(event["event"] == "passage_uncertain" for event in events),
    )


def by_category(scenes: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """Return scenes by category, those that two beams cannot decide by themselves."""
    found: dict[str, list[Recorded]] = {}
    for scene in scenes:
        name = f"{scene.category} (open)" if scene.ambiguous else scene.category
        found.setdefault(name, []).append(scene)
    return found
