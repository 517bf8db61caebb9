"""Print how well passages and knocks are decided, ours beside three published decoders.

``python -m tests.tools.bench.bench_doorway [first seed] [scenes per category]``; without arguments
the held-out seeds, on which nothing was ever tuned. ``... --scenes FOLDER [factor]`` judges
recorded scenes instead (see ``tests.tools.doorway.folder``), with the beams' distance wrong by this
factor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

from controller.events import Doorway, Edge, Passage, Sensed
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.tools.doorway import any_wall, steps
from tests.tools.doorway.another_wall import varied
from tests.tools.doorway.any_wall import KNOCKS, any_hour
from tests.tools.doorway.folder import by_category, recorded, score_replay
from tests.tools.doorway.rivals import RIVALS
from tests.tools.doorway.scenes import CATEGORIES, Scene, evening, scene
from tests.tools.doorway.score import (
    Heard,
    Result,
    listen,
    score_ours,
    score_rival,
    sense,
    wilson,
)
from tests.tools.doorway.wall import KINDS, NOISES, TOGETHER, Wall, hour

#: Seeds from here on are held out.
HELD_OUT = 800_000
#: Another author's hour: which part of the pulses is lost, and which is felt on both surfaces.
VARIED = (
    ("jittered", 0.0, 0.0),
    ("softer", 0.3, 0.0),
    ("a thinner wall", 0.0, 0.5),
    ("both", 0.2, 0.3),
)


def percent(part: float, whole: float) -> str:
    """A share, with one decimal."""
    return f"{100 * part / max(1, whole):.1f}"


def bounded(part: int, whole: int) -> str:
    """A share with its 95 % bounds."""
    low, high = wilson(part, whole)
    return f"{percent(part, whole)} ({low:.1f}-{high:.1f})"


def passages(first: int, count: int, evenings: int) -> None:
    """The tables of categories and evenings, of both worlds."""
    print("Even walkers: share of scenes with the right final count, % (95 % bounds)")
    _head(*RIVALS)
    for category in CATEGORIES:
        _row(category, [scene(category, first + k) for k in range(count)], *RIVALS)
    _row("evening of 320", [evening(first + k) for k in range(evenings)], *RIVALS)
    print("\nWalkers in steps, deep bags, chats in the doorway")
    _head()
    for category in steps.CATEGORIES:
        _row(category, [steps.step_scene(category, first + k) for k in range(count)])
    _row("evening of 320", [steps.step_evening(first + k) for k in range(evenings)])


def _head(*rivals: str) -> None:
    columns = ("scenes", "right", "silently wrong", "asked", "truth within", "asks a scene")
    print("| " + " | ".join((*columns, *rivals)) + " |")
    print("|---" * (len(columns) + len(rivals)) + "|")


def _row(name: str, scenes: Sequence[Scene], *rivals: str) -> None:
    ours = [score_ours(s, SensingSettings(beam_spacing_mm=s.spacing_mm)) for s in scenes]
    others = [
        percent(sum(score_rival(s, rival).right for s in scenes), len(scenes)) for rival in rivals
    ]
    print(f"| {name} | " + " | ".join([*_cells(ours), *others]) + " |")


def _cells(results: Sequence[Result]) -> list[str]:
    n = len(results)
    shares = [bounded(part, n) for part in _counts(results)]
    return [*shares, f"{sum(r.asks for r in results) / n:.2f}"]


def folder(path: str, spacing: float = 1.0) -> None:
    """The table of recorded scenes, by the count at the end of `replay`."""
    _head()
    for name, scenes in sorted(by_category(recorded(Path(path))).items()):
        cells = _cells([score_replay(scene, spacing) for scene in scenes])
        print(f"| {name} | " + " | ".join(cells) + " |")


def _counts(results: Sequence[Result]) -> tuple[int, int, int, int]:
    return (
        sum(r.right for r in results),
        sum(r.silent for r in results),
        sum(not r.certain for r in results),
        sum(r.contained for r in results),
    )


def fifth_guest(first: int, evenings: int) -> None:
    """Every entry could be the fifth guest: did the lock know before, and the count a second on?"""
    foreseen = seen = entries = 0
    for k in range(evenings):
        made = evening(first + k)
        sensed = sense(made.edges, SensingSettings(beam_spacing_mm=made.spacing_mm))
        reached = [s.t_ms for s in sensed if isinstance(s, Doorway) and s.coming_in]
        inside = made.start
        for t_ms, way in made.crossings:
            inside += way
            if way > 0:
                entries += 1
                foreseen += any(t_ms - 1500 < at < t_ms + 400 for at in reached)
                seen += made.start + _most(sensed, t_ms + 1000) >= inside
    print(f"\nentries seen at the inner beam, before any verdict: {percent(foreseen, entries)} %;")
    print(f"max and who is coming in include them a second later: {percent(seen, entries)} %")


def _most(sensed: Sequence[Sensed], until_ms: float) -> int:
    """The most people that can have come in by then, provisional ones too."""
    past = [s for s in sensed if s.t_ms <= until_ms]
    coming = [s.coming_in for s in past if isinstance(s, Doorway)][-1:]
    return sum(coming) + sum(s.most for s in past if isinstance(s, Passage))


def knocks(first: int, hours: int) -> None:
    """Knocks found and noises mistaken, for both settings of `knock_raps`."""
    print(
        "\n| an hour of | knock_raps | found % | right surface % | raps right % | false an hour |"
    )
    print("|---|---|---|---|---|---|")
    for raps in (2, 1):
        for name, kind in (KINDS | TOGETHER | NOISES).items():
            _knocks_row(name, raps, [hour(first + k, {name: kind}) for k in range(hours)])
        _knocks_row("everything, mixed", raps, [hour(first + k) for k in range(10 * hours)])


def other_walls(first: int, hours: int) -> None:
    """The same for the hour by another author, varied; 95 % bounds beside each share."""
    print("\n| another author's hour | found % | right surface % | raps right % | false an hour |")
    print("|---|---|---|---|---|")
    for name, lost, felt in VARIED:
        heard = [
            listen(varied(first + k, lost=lost, felt=felt), SensingSettings()) for k in range(hours)
        ]
        whole = Heard(*(sum(column) for column in zip(*map(_fields, heard), strict=True)))
        print(f"| {name} | {_shares(whole)} | {a_time(whole.false, hours)} |")


def any_walls(first: int, hours: int) -> None:
    """The same for walls of many kinds."""
    print("\n| walls of many kinds | found % | right surface % | raps right % | false an hour |")
    print("|---|---|---|---|---|")
    for name, play in (KNOCKS | any_wall.NOISES | {"everything, mixed": None}).items():
        kinds = {name: play} if play else None
        many = hours if play else 5 * hours
        heard = [listen(any_hour(first + k, kinds), SensingSettings()) for k in range(many)]
        whole = Heard(*(sum(column) for column in zip(*map(_fields, heard), strict=True)))
        print(f"| {name} | {_shares(whole)} | {a_time(whole.false, many)} |")


def a_time(events: int, hours: int) -> str:
    """So many events in so many hours as a rate, with its 95 % bounds (Poisson, approximated)."""
    low = max(0.0, sqrt(events + 0.02) - 0.98) ** 2
    high = (sqrt(events + 0.96) + 0.98) ** 2
    return f"{events / hours:.2f} ({low / hours:.2f}-{high / hours:.2f})"


def _knocks_row(name: str, raps: int, walls: Sequence[Wall]) -> None:
    heard = [listen(wall, SensingSettings(knock_raps=raps)) for wall in walls]
    whole = Heard(*(sum(column) for column in zip(*map(_fields, heard), strict=True)))
    print(f"| {name} | {raps} | {_shares(whole)} | {a_time(whole.false, len(walls))} |")


def _shares(heard: Heard) -> str:
    if not heard.true:
        return "- | - | -"
    parts = (heard.found, heard.placed, heard.counted)
    return " | ".join(bounded(part, heard.true) for part in parts)


def _fields(heard: Heard) -> tuple[int, ...]:
    return (heard.true, heard.found, heard.placed, heard.counted, heard.false)


def speed(first: int) -> None:
    """Edges a second through `Senses`, ticks included, beside a bare loop over the same rows."""
    rows = list(evening(first).edges)
    best = max(_edges_a_second(rows) for _ in range(5))
    start = time.process_time()
    for row in rows:
        _ = row.t_ms, row.line, row.level
    bare = len(rows) / (time.process_time() - start)
    print(f"\ndecoding: {best:,.0f} edges/s (bare loop over the rows: {bare:,.0f}/s)")


def _edges_a_second(rows: list[Edge]) -> float:
    senses = Senses(SensingSettings(), {row.line for row in rows})
    start = time.process_time()
    for row in rows:
        while (due := senses.due) <= row.t_ms:
            senses.tick(due)
        senses.edge(row)
    return len(rows) / (time.process_time() - start)


def main(first: int = HELD_OUT, count: int = 400) -> None:
    """Print everything."""
    passages(first, count, count // 4)
    fifth_guest(first, 10)
    knocks(first, 4)
    other_walls(first, 20)
    any_walls(first, 6)
    speed(first)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--scenes"]:
        folder(sys.argv[2], *(float(arg) for arg in sys.argv[3:]))
    else:
        main(*(int(arg) for arg in sys.argv[1:]))
