"""A second world of scenes: people walk in steps, carry bags, swing arms, and chat in the doorway.

The first world (``scenes``) has even walkers and bags up to 130 mm. Here a walker's speed swings by
4-10 % with each step, bags are 60-184 mm deep, 10-150 mm before or behind a body of 205-355 mm, and
whoever stops sways for up to two minutes. Both are judged, so that no number suits one alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from tests.tools.doorway.bodies import Mover, swing
from tests.tools.doorway.receivers import Noise
from tests.tools.doorway.scenes import Scene, Stage, shoot

Path = list[tuple[float, float]]
#: How often a path is sampled (ms).
EVERY_MS = 15.0


def stride(
    rng: Random, start_ms: float, speed: float, from_mm: float = -700.0, to_mm: float = 700.0
) -> Path:
    """Return a walk in steps from one place to another, at this mean speed (m/s)."""
    part, phase = rng.uniform(0.04, 0.10), rng.uniform(0, 2 * math.pi)
    period_ms = 1000 / (1.3 + 0.6 * speed)
    way = 1 if to_mm > from_mm else -1
    points, t_ms, x_mm = [(start_ms, from_mm)], start_ms, from_mm
    while (to_mm - x_mm) * way > 0:
        swung = 1 + part * math.sin(phase + 2 * math.pi * t_ms / period_ms)
        t_ms, x_mm = t_ms + EVERY_MS, x_mm + way * speed * swung * EVERY_MS
        points.append((t_ms, x_mm))
    return points


def _mirrored(stage: Stage, path: Path) -> Path:
    """Return this path inward, or outward as often."""
    way = 1 if stage.inward() else -1
    return [(t_ms, way * x_mm) for t_ms, x_mm in path]


def _walker(stage: Stage, low: float = 0.4, high: float = 1.4) -> tuple[Path, float]:
    """Put one body on its way, and return its path and depth."""
    path = _mirrored(stage, stride(stage.rng, stage.t_ms, stage.speed(low, high)))
    depth_mm = _depth(stage)
    stage.t_ms = stage.person(path, depth_mm) + stage.rng.uniform(300, 2000)
    return path, depth_mm


def _depth(stage: Stage) -> float:
    return stage.rng.uniform(205, 355)


def clean(stage: Stage) -> None:
    """Somebody by himself."""
    _walker(stage)


def slow(stage: Stage) -> None:
    """Somebody at 0.3-0.5 m/s."""
    _walker(stage, 0.3, 0.5)


def bag(stage: Stage) -> None:
    """Somebody with a bag before or behind the body, as rigid as its strap."""
    rng, (path, depth_mm) = stage.rng, _walker(stage)
    bag_mm = rng.uniform(60, 184)
    away_mm = rng.choice((-1, 1)) * (depth_mm / 2 + bag_mm / 2 + rng.uniform(10, 150))
    stage.movers.append(Mover(bag_mm, tuple((t_ms, x_mm + away_mm) for t_ms, x_mm in path)))


def arm(stage: Stage) -> None:
    """Somebody whose hands swing out of the body's shade, before and behind."""
    rng, (path, _) = stage.rng, _walker(stage)
    for side in (-1, 1):
        stage.movers.append(swing(rng, path, rng.uniform(60, 95), side * rng.uniform(60, 180)))


def _file(stage: Stage, low_mm: float, high_mm: float, people: tuple[int, int] = (2, 4)) -> None:
    rng, speed, way = stage.rng, stage.speed(0.4, 1.4), 1 if stage.inward() else -1
    start_ms, before_mm = stage.t_ms, 0.0
    for k in range(rng.randint(*people)):
        depth_mm = _depth(stage)
        if k:
            start_ms += (before_mm / 2 + depth_mm / 2 + rng.uniform(low_mm, high_mm)) / speed
        path = stride(rng, start_ms, speed * rng.uniform(0.97, 1.03))
        stage.t_ms = stage.person([(t, way * x) for t, x in path], depth_mm) + 1000
        before_mm = depth_mm


def tight(stage: Stage) -> None:
    """A party in one file, 60-150 mm apart."""
    _file(stage, 60, 150)


def wide(stage: Stage) -> None:
    """A party in one file, 150-600 mm apart."""
    _file(stage, 150, 600)


def _stand(rng: Random, path: Path, lasts_ms: float) -> None:
    """Sway where the path ends, as people do who talk."""
    t_ms, at_mm = path[-1]
    reach_mm, period_ms = rng.uniform(20, 120), rng.uniform(2000, 4000)
    for k in range(int(lasts_ms / 60)):
        away_mm = reach_mm * math.sin(2 * math.pi * 60 * k / period_ms)
        path.append((t_ms + 60 * (k + 1), at_mm + away_mm))


def _hesitant(stage: Stage, longest_ms: float, back: float) -> None:
    rng, speed = stage.rng, stage.speed(0.4, 1.1)
    path = stride(rng, stage.t_ms, speed, to_mm=rng.uniform(-200, 150))
    _stand(rng, path, math.exp(rng.uniform(math.log(500), math.log(longest_ms))))
    goal_mm = -700.0 if rng.random() < back else 700.0
    t_ms, x_mm = path[-1]
    path += stride(rng, t_ms, speed, x_mm, goal_mm)[1:]
    stage.t_ms = stage.person(_mirrored(stage, path), _depth(stage)) + 1000


def hesitate(stage: Stage) -> None:
    """Stops in the doorway for up to ten seconds, sways, and mostly goes on."""
    _hesitant(stage, 10_000, 0.2)


def chat(stage: Stage) -> None:
    """Stands in the doorway for up to two minutes, sways, and mostly goes on."""
    _hesitant(stage, 120_000, 0.3)


def turn_back(stage: Stage) -> None:
    """Comes as far as the doorway and goes back."""
    _hesitant(stage, 2_000, 1.0)


def lean_in(stage: Stage) -> None:
    """An arm reaches in as far as its shoulder, for a while, and comes back."""
    rng, speed, arm_mm = stage.rng, stage.speed(0.3, 1.0), stage.rng.uniform(350, 600)
    path = stride(rng, stage.t_ms, speed, to_mm=rng.uniform(-40, 260) - arm_mm / 2)
    _stand(rng, path, rng.uniform(200, 4000))
    path += stride(rng, path[-1][0], speed, path[-1][1], -900.0)[1:]
    stage.movers.append(Mover(arm_mm, tuple(_mirrored(stage, path))))
    stage.t_ms = path[-1][0] + 1000


def stuck(stage: Stage) -> None:
    """A thing hangs in one beam for 10 s to 10 minutes while nobody passes."""
    _walker(stage)
    beam_mm, start_ms = stage.rng.choice((-45.0, 45.0)), stage.t_ms + 2500
    stage.t_ms = start_ms + stage.rng.uniform(10_000, 600_000)
    stage.movers.append(Mover(30.0, ((start_ms, beam_mm), (stage.t_ms, beam_mm))))
    stage.t_ms += 2500
    _walker(stage)


def abreast(stage: Stage) -> None:
    """Two side by side, one at most 200 mm ahead."""
    rng, speed, way = stage.rng, stage.speed(0.4, 1.4), 1 if stage.inward() else -1
    starts = stage.t_ms, stage.t_ms + rng.uniform(0, 200) / speed
    for start_ms in starts:
        path = stride(rng, start_ms, speed * rng.uniform(0.98, 1.02))
        end_ms = stage.person([(t, way * x) for t, x in path], _depth(stage))
    stage.t_ms = end_ms + 1000


CATEGORIES: dict[str, tuple[Callable[[Stage], None], Noise]] = {
    "clean": (clean, Noise()),
    "slow": (slow, Noise()),
    "bag": (bag, Noise()),
    "arm": (arm, Noise()),
    "followers, tight": (tight, Noise()),
    "followers, wide": (wide, Noise()),
    "hesitate": (hesitate, Noise()),
    "chat": (chat, Noise()),
    "turn back": (turn_back, Noise()),
    "lean-in": (lean_in, Noise()),
    "stuck beam": (stuck, Noise()),
    "drop-outs": (clean, Noise(dropouts_per_s=2.0)),
    "abreast": (abreast, Noise()),
}
#: Categories in which two beams cannot tell.
OPEN = ("abreast",)
_EVENING = (
    *((clean, 44), (slow, 4), (wide, 12), (tight, 8), (bag, 5), (arm, 6)),
    *((hesitate, 4), (chat, 2), (turn_back, 6), (lean_in, 4)),
)


def step_scene(category: str, seed: int, receivers_are: Noise | None = None) -> Scene:
    """Return one scene of this world; the same seed gives the same edges."""
    rng = Random(f"steps {category} {seed}")
    play, usual = CATEGORIES[category]
    noise = receivers_are or usual
    stage = Stage(rng, [], [])
    play(stage)
    spacing_mm = 90.0 if category == "stuck beam" else rng.uniform(60, 120)
    return shoot(category, stage, spacing_mm, noise, start=rng.randint(4, 6))


def step_evening(seed: int, crossings: int = 320, noise: Noise | None = None) -> Scene:
    """Return a whole evening of this world with some ``crossings`` crossings."""
    rng = Random(f"steps evening {seed}")
    stage = Stage(rng, [], [])
    plays = [play for play, often in _EVENING for _ in range(often)]
    while len(stage.crossings) < crossings:
        rng.choice(plays)(stage)
        stage.t_ms += rng.expovariate(1 / 60_000) + 2000
    usual = Noise(chatter=0.3, glitches_per_s=0.005, dropouts_per_s=0.03)
    return shoot("evening", stage, rng.uniform(60, 120), noise or usual, start=400)
