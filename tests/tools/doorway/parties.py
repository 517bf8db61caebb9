"""Whole parties that come in, or leave, by one opening of the door: what each witness makes of it.

The house is the engine as it is, with its door contact; who comes is a scene of our generators.
Inward the witnesses are the beams, a release of the party's true size, and the door's width;
outward there is no release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from controller.engine import Engine
from controller.events import Command
from controller.rules.occupancy import Occupancy, settled
from controller.rules.state import RuleSettings, State
from controller.sensing.settings import SensingSettings
from tests.tools.doorway import steps, widths
from tests.tools.doorway.scenes import Scene, scene
from tests.tools.doorway.steps import step_scene

#: What a party may look like to the beams, in both worlds: even walkers, and walkers in steps; and
#: at doors of a known width.
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
    **widths.CATEGORIES,
}
LINES = frozenset({"beam_outer", "beam_inner", "door_contact"})
#: Before the first person of a scene is at the door.
RELEASE_MS = 100.0
#: So many are inside before anybody leaves.
BEFORE = 4


def parties(category: str, way: int, first: int, number: int) -> Iterator[Scene]:
    """Yield scenes in which one to four go this way (+1 in) by one opening, from this seed on."""
    found = 0
    for seed in count(first):
        if found == number:
            return
        played = CATEGORIES[category](seed)
        ways = [each for _, each in played.crossings]
        openings = sum(edge.line == "door_contact" and edge.level for edge in played.edges)
        if 1 <= len(ways) <= 4 and set(ways) == {way} and openings == 1:
            found += 1
            yield played


def truth(played: Scene) -> int:
    """Return how many are inside after a party, in a room that was empty or had `BEFORE`."""
    moved = sum(way for _, way in played.crossings)
    return moved if moved > 0 else BEFORE + moved


def believed(played: Scene, *, release: bool = False, width: bool = False) -> Occupancy:
    """Return what the house believes after a party, by the beams and these further witnesses."""
    size = sum(way for _, way in played.crossings)
    rules = RuleSettings(lines=LINES, release_ms=60_000.0, strike_max_on_ms=60_000.0)
    sensing = SensingSettings(
        beam_spacing_mm=played.spacing_mm, door_width_mm=played.door_width_mm if width else 0.0
    )
    engine = Engine(rules, sensing, State(occupancy=settled(0 if size > 0 else BEFORE)))
    asked = release and size > 0
    for edge in played.edges:
        if asked and edge.t_ms > RELEASE_MS:
            engine.event(Command(RELEASE_MS, "access_door", size))
            asked = False
        engine.edge(edge)
    engine.advance(played.ends_ms + 70_000)
    return engine.state.occupancy
