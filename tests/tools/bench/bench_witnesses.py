"""Print how right the count is by each witness, in which direction, and when something is off.

``python -m tests.tools.bench.bench_witnesses [--scenes FOLDER] [first seed] [parties] [evenings]``:
whole parties by the beams, a release of their true size and the door's width; evenings with their
releases; and evenings and single scenes of both our generators, and of a folder by another author,
side by side, as they are and with a spacing that is set wrong, people who walk slower or faster,
and bad receivers. Judged by the count at the end of a replay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

from controller.rules.occupancy import Occupancy
from controller.sensing.settings import SensingSettings
from tests.tools.bench.bench_doorway import HELD_OUT
from tests.tools.doorway import parties, scenes, steps
from tests.tools.doorway.folder import Recorded, as_recorded, recorded, score_replay
from tests.tools.doorway.nights import Night, night
from tests.tools.doorway.receivers import Noise
from tests.tools.doorway.score import Result, wilson

#: Witnesses by name: is the party's number known by its release, is the door's width known?
WITNESSES = {
    "beams": (False, False),
    "beams + release": (True, False),
    "beams + release + width": (True, True),
    "beams + width": (False, True),
}
#: Receivers that chatter at every edge; and such that light blinds every two seconds, while broken.
CHATTER = Noise(chatter=1.0, chatter_ms=4.9, glitches_per_s=0.01)
BLINDED = Noise(dropouts_per_s=0.5)
#: What is off: the spacing's factor, the pace's factor, the receivers (None: as they are).
Variation = tuple[float, float, Noise | None]
VARIATIONS: dict[str, Variation] = {
    "as it is": (1.0, 1.0, None),
    "spacing 5 % too small": (0.95, 1.0, None),
    "spacing 5 % too large": (1.05, 1.0, None),
    "all a fifth slower": (1.0, 0.8, None),
    "all a fifth faster": (1.0, 1.2, None),
    "receivers chatter": (1.0, 1.0, CHATTER),
    "receivers drop out": (1.0, 1.0, BLINDED),
}
PROCESSES = 2


def share(part: int, whole: int, decimals: int = 1) -> str:
    """Return a share in percent with its 95 % bounds."""
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{100 * part / whole:.1f} ({low:.{decimals}f}-{high:.{decimals}f})"


# --- parties -------------------------------------------------------------------------------------


def witnesses(first: int, number: int) -> None:
    """Print the table of whole parties, inward and outward apart."""
    print(f"{number} parties a row, seeds from {first} on; % (95 % bounds)\n")
    columns = "parties", "way", "witnesses", "right", "asked", "silently wrong", "truth within"
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    with ProcessPoolExecutor(PROCESSES) as pool:
        for way in (1, -1):
            names = list(parties.CATEGORIES)
            rows = pool.map(_party_rows, names, repeat(way), repeat(first), repeat(number))
            total: dict[str, list[tuple[int, Occupancy]]] = {}
            for name, found in zip(names, rows, strict=True):
                for witness, judged in found.items():
                    _party_row(name, way, witness, judged)
                    total.setdefault(witness, []).extend(judged)
            for witness in ("beams", "beams + release"):
                if witness in total:
                    _party_row("all", way, witness, total[witness])


def _party_rows(
    name: str, way: int, first: int, number: int
) -> dict[str, list[tuple[int, Occupancy]]]:
    """Return the truth and what is believed, for each witness that these parties can have."""
    played = list(parties.parties(name, way, first, number))
    return {
        witness: [
            (parties.truth(each), parties.believed(each, release=release, width=width))
            for each in played
        ]
        for witness, (release, width) in WITNESSES.items()
        if (way > 0 or not release) and ("door" in name or not width)
    }


def _party_row(name: str, way: int, witness: str, judged: Sequence[tuple[int, Occupancy]]) -> None:
    cells = (
        sum(people.certain and people.count == truth for truth, people in judged),
        sum(not people.certain for _, people in judged),
        sum(people.certain and people.count != truth for truth, people in judged),
        sum(people.min <= truth <= people.max for truth, people in judged),
    )
    row = " | ".join(share(part, len(judged), 2) for part in cells)
    print(f"| {name} | {'in' if way > 0 else 'out'} | {witness} | {row} |", flush=True)


# --- worlds and variations -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """Where scenes come from: evenings, and single scenes that two beams can decide."""

    evenings: Callable[[Noise | None], Iterable[Recorded]]
    singles: Callable[[Noise | None], Iterable[Recorded]]


def _ours(first: int, evenings: int, noise: Noise | None) -> Iterable[Recorded]:
    return (as_recorded(scenes.evening(first + k, noise=noise)) for k in range(evenings))


def _ours_single(first: int, each: int, noise: Noise | None) -> Iterable[Recorded]:
    names = [name for name in scenes.CATEGORIES if name not in scenes.OPEN]
    return (as_recorded(scenes.scene(n, first + k, noise)) for n in names for k in range(each))


def _in_steps(first: int, evenings: int, noise: Noise | None) -> Iterable[Recorded]:
    return (as_recorded(steps.step_evening(first + k, noise=noise)) for k in range(evenings))


def _in_steps_single(first: int, each: int, noise: Noise | None) -> Iterable[Recorded]:
    names = [name for name in steps.CATEGORIES if name not in steps.OPEN]
    return (as_recorded(steps.step_scene(n, first + k, noise)) for n in names for k in range(each))


def _others(folder: str, *, evening: bool, noise: Noise | None) -> Iterable[Recorded]:
    """Return scenes of a folder that two beams can decide; their receivers are as they are."""
    if noise is not None or not folder:
        return []
    found = recorded(Path(folder))
    return [s for s in found if (s.category == "busy") == evening and not s.ambiguous]


def worlds(first: int, evenings: int, folder: str) -> dict[str, World]:
    """Return the worlds by name."""
    each = max(10, evenings // 2)
    found = {
        "even": World(partial(_ours, first, evenings), partial(_ours_single, first, each)),
        "steps": World(partial(_in_steps, first, evenings), partial(_in_steps_single, first, each)),
    }
    if folder:
        evening, single = (partial(_others, folder, evening=is_one) for is_one in (True, False))
        found["other author"] = World(
            lambda noise: evening(noise=noise), lambda noise: single(noise=noise)
        )
    return found


def varied(found: dict[str, World]) -> None:
    """Print evenings and single scenes, world by world, as they are and with something off."""
    print(
        "\n| what is off | world | evenings | right, unasked | truth within | questions |"
        " single scenes | right | asked | silently wrong |"
    )
    print("|---" * 10 + "|")
    for name, (spacing, pace, noise) in VARIATIONS.items():
        for world, source in found.items():
            judged = [
                [score_replay(s.at_pace(pace), spacing) for s in made(noise)]
                for made in (source.evenings, source.singles)
            ]
            if judged[0]:
                print(
                    f"| {name} | {world} | {_evening_cells(judged[0])} |"
                    f" {_single_cells(judged[1])} |",
                    flush=True,
                )


def _evening_cells(results: Sequence[Result]) -> str:
    n = len(results)
    right, within = sum(r.right for r in results), sum(r.contained for r in results)
    return f"{n} | {share(right, n)} | {share(within, n)} | {sum(r.asks for r in results) / n:.2f}"


def _single_cells(results: Sequence[Result]) -> str:
    n = len(results)
    counts = (
        sum(r.right for r in results),
        sum(not r.certain for r in results),
        sum(r.silent for r in results),
    )
    return " | ".join([str(n), *(share(part, n) for part in counts)])


# --- evenings with their releases ----------------------------------------------------------------


def released(found: dict[str, World]) -> None:
    """Print how often the house asks in an evening, with and without the releases."""
    print(
        "\n| evenings of 320 | world | n | questions | with none | with more than one |"
        " silently wrong |"
    )
    print("|---" * 7 + "|")
    for releases in (False, True):
        for world, source in found.items():
            nights = [_night(made, releases=releases) for made in source.evenings(None)]
            name = "beams + release" if releases else "beams"
            print(f"| {name} | {world} | {_night_cells(nights)} |", flush=True)


def _night(made: Recorded, *, releases: bool) -> Night:
    sensing = SensingSettings(beam_spacing_mm=made.spacing_mm)
    return night(made.edges(), made.crossings, sensing, releases=releases)


def _night_cells(nights: Sequence[Night]) -> str:
    n = len(nights)
    cells = (
        share(sum(each.asked == 0 for each in nights), n),
        share(sum(each.asked > 1 for each in nights), n),
        share(sum(each.wrong > 0 for each in nights), n, 2),
    )
    return " | ".join([str(n), f"{sum(each.asked for each in nights) / n:.2f}", *cells])


def main(folder: str, first: int = HELD_OUT, number: int = 700, evenings: int = 100) -> None:
    """Print everything."""
    found = worlds(first, evenings, folder)
    released(found)
    varied(found)
    witnesses(first, number)


if __name__ == "__main__":
    given = sys.argv[1:]
    where = given[1] if given[:1] == ["--scenes"] else ""
    numbers = [int(arg) for arg in (given[2:] if where else given)]
    main(where, *numbers)
