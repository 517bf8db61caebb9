"""Scenes in a folder, by whoever made them, and what `replay` says at the end of each.

Beside each trace ``NAME.csv`` stands its truth ``NAME.json``: ``start_occupancy``,
``final_occupancy``, ``spacing_mm``, and ``ambiguous`` where two beams cannot tell. A folder in the
folder is a category.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.config.loader import parse
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
        )


def as_recorded(scene: Scene) -> Recorded:
    """Return a made scene as if it had been recorded."""
    rows = [Row(edge.t_ms, edge.line, int(edge.level)) for edge in scene.edges]
    return Recorded(scene.category, rows, scene.spacing_mm, scene.start, scene.final)


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
