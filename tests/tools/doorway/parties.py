"""Whole parties that come in after a release of their true size: beams alone, and both witnesses.

The house is the engine as it is, with its door contact; who comes is a scene of this generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from controller.engine import Engine
from controller.events import Command
from controller.rules.occupancy import Occupancy
from controller.rules.state import RuleSettings, State
from controller.sensing.settings import SensingSettings
from tests.tools.doorway import steps
from tests.tools.doorway.scenes import Scene, scene
from tests.tools.doorway.steps import step_scene

#: What a party may look like to the beams, in both worlds: even walkers, and walkers in steps.
CATEGORIES: dict[str, Callable[[int], Scene]] = {
    **{
        name: partial(scene, name)
        for name in ("clean", "followers, gap", "followers, close", "arms and bags", "abreast")
    },
    **{
        f"steps: {name}": partial(step_scene, name)
        for name in steps.CATEGORIES
        if name not in ("turn back", "lean-in", "stuck beam")
    },
}
LINES = frozenset({"beam_outer", "beam_inner", "door_contact"})
#: Before the first person of a scene is at the door.
RELEASE_MS = 100.0


@dataclass(frozen=True, slots=True)
class Party:
    """One party: how many came in, and what the house believes without and with their release."""

    size: int
    beams: Occupancy
    both: Occupancy


def inward(category: str, first: int, parties: int) -> Iterator[Scene]:
    """Yield scenes in which one to four go in by one opening of the door, from this seed on."""
    found = 0
    for seed in count(first):
        if found == parties:
            return
        played = CATEGORIES[category](seed)
        ways = [way for _, way in played.crossings]
        openings = sum(edge.line == "door_contact" and edge.level for edge in played.edges)
        if 1 <= len(ways) <= 4 and min(ways) > 0 and openings == 1:
            found += 1
            yield played


def party(played: Scene) -> Party:
    """Return what the house makes of one scene, in an empty room."""
    size = len(played.crossings)
    return Party(size, _inside(played, 0), _inside(played, size))


def _inside(played: Scene, released: int) -> Occupancy:
    rules = RuleSettings(lines=LINES, release_ms=60_000.0, strike_max_on_ms=60_000.0)
    sensing = replace(SensingSettings(), beam_spacing_mm=played.spacing_mm)
    engine = Engine(rules, sensing, State())
    for edge in played.edges:
        if edge.t_ms > RELEASE_MS and released:
            engine.event(Command(RELEASE_MS, "access_door", released))
            released = 0
        engine.edge(edge)
    engine.advance(played.ends_ms + 70_000)
    return engine.state.occupancy
