"""Doors that have a width, people who have shoulders: who comes through side by side.

A beam runs across the doorway, so it never sees how broad somebody is, or where. But who walks
where decides how two come through: each at his own jamb, side by side where both pairs of shoulders
fit, one ahead where they nearly fit, and in one file where they don't.

Shoulders: bideltoid breadth of British adults, men 465 mm (SD 28), women 395 (24), and 10 mm more
in indoor, 40 in heavy outdoor clothes (Pheasant, Bodyspace, 2nd ed. 1996, table 10.1 and ch. 2).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import sqrt
from random import Random

from tests.tools.doorway.bodies import walk
from tests.tools.doorway.receivers import Noise
from tests.tools.doorway.scenes import Scene, Stage, arms, shoot
from tests.tools.doorway.steps import Path, arm, stride

#: Mean and standard deviation of shoulders (mm), of men and of women.
SHOULDERS = ((465.0, 28.0), (395.0, 24.0))
CLOTHES_MM = (10.0, 40.0)
#: Doors from as narrow to as wide as this (mm), in bands.
DOORS = ((650, 700), (700, 750), (750, 850), (850, 1200))
#: Two come side by side, one ahead, if each has so much of the room that both need; else in file.
NEARLY = 0.75


def shoulders_mm(rng: Random) -> float:
    """Return how broad a clothed adult is."""
    return rng.gauss(*rng.choice(SHOULDERS)) + rng.uniform(*CLOTHES_MM)


def room(width_mm: float, one_mm: float, other_mm: float) -> float:
    """Return how much of the way across that two need between their middles this door has."""
    need_mm = (one_mm + other_mm) / 2
    return max(0.0, (width_mm - need_mm) / need_mm)


def lead_mm(rng: Random, width_mm: float, depths_mm: tuple[float, float]) -> float:
    """Return how far one of a pair is ahead of the other in a door of this width.

    Shoulders are ellipses: as broad as a person, as deep as the two are in the mean.
    """
    fits = room(width_mm, shoulders_mm(rng), shoulders_mm(rng))
    if fits >= 1:
        return rng.uniform(0, 300)
    if fits >= NEARLY:
        return sum(depths_mm) / 2 * sqrt(1 - fits * fits) + rng.uniform(0, 80)
    return sum(depths_mm) / 2 + rng.uniform(50, 150)


def _even(rng: Random, start_ms: float, speed: float) -> Path:
    return walk(rng, start_ms, speed, inward=True)


def pair(stage: Stage, width_mm: float) -> None:
    """Two who belong together, as close to each other as this door lets them."""
    rng, speed, way = stage.rng, stage.speed(0.4, 1.4), 1 if stage.inward() else -1
    depths_mm = stage.depth(), stage.depth()
    starts = stage.t_ms, stage.t_ms + lead_mm(rng, width_mm, depths_mm) / speed
    gait = rng.choice((_even, stride))
    for start_ms, depth_mm in zip(starts, depths_mm, strict=True):
        path = gait(rng, start_ms, speed * rng.uniform(0.96, 1.04))
        end_ms = stage.person([(t, way * x) for t, x in path], depth_mm)
    stage.t_ms = end_ms + 1000


def one_with_arms(stage: Stage, width_mm: float) -> None:
    """One whose arms swing, or who carries a bag: nothing of it depends on the door."""
    del width_mm
    stage.rng.choice((arms, arm))(stage)


KINDS = {"pairs": pair, "one with arms": one_with_arms}


def door_scene(kind: str, door: tuple[int, int], seed: int) -> Scene:
    """Return a scene at a door of some width in this band; the same seed gives the same edges."""
    rng = Random(f"door {kind} {door} {seed}")
    width_mm = rng.uniform(*door)
    stage = Stage(rng, [], [])
    KINDS[kind](stage, width_mm)
    made = shoot(kind, stage, rng.uniform(60, 120), Noise(), start=4)
    return replace(made, door_width_mm=width_mm)


#: By name: a function from a seed to a scene.
CATEGORIES = {
    f"door {low}-{high} mm: {kind}": partial(door_scene, kind, (low, high))
    for kind in KINDS
    for low, high in DOORS
}
