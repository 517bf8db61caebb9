"""Scenarios by category: a few people (or a coat) at one door, with the truth of who went where."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from controller.events import Edge
from tests.tools.doorway import receivers
from tests.tools.doorway.bodies import Mover, swing, via, walk
from tests.tools.doorway.receivers import Noise


@dataclass(frozen=True)
class Scene:
    """Edges and truth: who crossed when, and how many were inside at the start."""

    category: str
    edges: tuple[Edge, ...]
    spacing_mm: float
    start: int
    #: +1 or -1 with the time at which the middle of the body passes.
    crossings: tuple[tuple[float, int], ...]
    ends_ms: float
    #: Clear width of the doorway; 0 where the scene has none.
    door_width_mm: float = 0.0

    @property
    def final(self) -> int:
        """How many are inside in the end."""
        return self.start + sum(way for _, way in self.crossings)


@dataclass
class Stage:
    """A scene in the making."""

    rng: Random
    movers: list[Mover]
    crossings: list[tuple[float, int]]
    t_ms: float = 2000.0

    def person(self, path: list[tuple[float, float]], depth_mm: float | None = None) -> float:
        """Put a body on a path, note a crossing if it ends on the other side, tell when it ends."""
        self.movers.append(Mover(depth_mm or self.depth(), tuple(path)))
        if path[0][1] * path[-1][1] < 0:
            steps = itertools.pairwise(path)
            t_ms = [t1 for (_, x0), (t1, x1) in steps if x0 * x1 <= 0][-1]
            self.crossings.append((t_ms, 1 if path[-1][1] > 0 else -1))
        return path[-1][0]

    def depth(self) -> float:
        """Depth of a body at hip height."""
        return self.rng.uniform(200, 350)

    def speed(self, low: float = 0.5, high: float = 1.5) -> float:
        """Walking speed in m/s (= mm/ms)."""
        return self.rng.uniform(low, high)

    def inward(self) -> bool:
        """Entry or exit."""
        return self.rng.random() < 0.5


def _solo(stage: Stage, low: float = 0.5, high: float = 1.5) -> None:
    stage.t_ms = stage.person(
        walk(stage.rng, stage.t_ms, stage.speed(low, high), inward=stage.inward())
    ) + stage.rng.uniform(300, 2500)


def clean(stage: Stage) -> None:
    """One to four people, well apart."""
    for _ in range(stage.rng.randint(1, 4)):
        _solo(stage)


def slow(stage: Stage) -> None:
    """Somebody at 0.3-0.5 m/s."""
    _solo(stage, 0.3, 0.5)


def hesitate(stage: Stage) -> None:
    """Stops in the doorway, perhaps steps back and forth, and goes on."""
    rng, sign = stage.rng, 1 if stage.inward() else -1
    depth = stage.depth()
    stops = [(-700.0, 0.0)]
    for _ in range(rng.randint(1, 3)):
        stops.append((rng.uniform(-220, depth / 2), rng.uniform(200, 5000)))
    stops.append((700.0, 0.0))
    path = via(rng, stage.t_ms, stage.speed(0.4, 1.2), [(sign * x, p) for x, p in stops])
    stage.t_ms = stage.person(path, depth) + 1000


def turn_back(stage: Stage) -> None:
    """Comes as far as some point in the doorway, waits and goes back."""
    rng, sign = stage.rng, 1 if stage.inward() else -1
    depth = stage.depth()
    far = rng.uniform(-170, depth / 2)
    stops = [(-700.0, 0.0), (far, rng.uniform(50, 2500)), (-700.0, 0.0)]
    if rng.random() < 0.3:
        stops[2:2] = [(far - rng.uniform(80, 250), rng.uniform(50, 900)), (far, 100.0)]
    path = via(rng, stage.t_ms, stage.speed(0.4, 1.2), [(sign * x, p) for x, p in stops])
    stage.t_ms = stage.person(path, depth) + 1000


def _file(stage: Stage, low_mm: float, high_mm: float) -> None:
    """People in one file at one speed with a free gap between bodies."""
    rng, inward, speed = stage.rng, stage.inward(), stage.speed(0.4, 1.4)
    start, before = stage.t_ms, 0.0
    for k in range(rng.randint(2, 4)):
        depth = stage.depth()
        if k:
            start += (before / 2 + depth / 2 + rng.uniform(low_mm, high_mm)) / speed
        before = depth
        path = walk(rng, start, speed * rng.uniform(0.96, 1.04), inward=inward, wobble=0.03)
        stage.t_ms = stage.person(path, depth) + 1000


def follow_gap(stage: Stage) -> None:
    """Followers far enough apart for both beams to be clear at once."""
    _file(stage, 130, 600)


def follow_close(stage: Stage) -> None:
    """Followers 50-110 mm apart: a gap on each beam, but never on both at once."""
    _file(stage, 50, 110)


def lean_in(stage: Stage) -> None:
    """A hand, an arm or a shoulder reaches through and comes back."""
    rng, sign = stage.rng, 1 if stage.inward() else -1
    depth = rng.choice((rng.uniform(55, 90), rng.uniform(200, 350)))
    far = rng.uniform(-40, 260) if depth < 100 else rng.uniform(-150, depth / 2)
    stops = [(-700.0, 0.0), (far, rng.uniform(200, 4000)), (-700.0, 0.0)]
    path = via(rng, stage.t_ms, stage.speed(0.3, 1.0), [(sign * x, p) for x, p in stops])
    stage.movers.append(Mover(depth, tuple(path)))
    stage.t_ms = path[-1][0] + 1000


def arms(stage: Stage) -> None:
    """Somebody with swinging arms or a bag."""
    rng = stage.rng
    path = walk(rng, stage.t_ms, stage.speed(0.5, 1.4), inward=stage.inward())
    way = 1 if path[-1][1] > 0 else -1
    bag = rng.random() < 0.5
    for side in (1, -1):
        if rng.random() < 0.7:
            depth = rng.uniform(90, 130) if bag else rng.uniform(60, 90)
            stage.movers.append(swing(rng, path, depth, side * way * rng.uniform(90, 240)))
    stage.t_ms = stage.person(path) + 1000


def door_held(stage: Stage) -> None:
    """The door stays open while some go in and some go out, one after the other."""
    for _ in range(stage.rng.randint(2, 5)):
        _solo(stage, 0.6, 1.4)
        stage.t_ms -= 250


def abreast(stage: Stage) -> None:
    """Two in the same direction beside each other, up to 300 mm apart."""
    rng, inward, speed = stage.rng, stage.inward(), stage.speed(0.4, 1.3)
    for k in range(2):
        start = stage.t_ms + k * rng.uniform(0, 300) / speed
        end = stage.person(walk(rng, start, speed * rng.uniform(0.93, 1.07), inward=inward))
    stage.t_ms = end + 1000


def passing(stage: Stage) -> None:
    """One in and one out squeeze past each other in the doorway."""
    rng = stage.rng
    ends = []
    for inward in (True, False):
        start = stage.t_ms + rng.uniform(0, 350)
        ends.append(stage.person(walk(rng, start, stage.speed(0.5, 1.3), inward=inward)))
    stage.t_ms = max(ends) + 1000


def covered(stage: Stage) -> None:
    """A coat hangs in one beam while people pass."""
    rng, start = stage.rng, stage.t_ms
    beam = rng.choice((-1, 1))
    stage.t_ms += rng.uniform(1000, 20000)
    for _ in range(rng.randint(1, 4)):
        _solo(stage, 0.5, 1.3)
    end = stage.t_ms + rng.uniform(500, 200_000)
    # 30 mm of cloth, hung and taken away: only in the beam that it covers.
    stage.movers.append(Mover(30.0, ((start, beam * 45.0), (end, beam * 45.0))))
    stage.t_ms = end + 1000


CATEGORIES: dict[str, tuple[Callable[[Stage], None], Noise]] = {
    "clean": (clean, Noise()),
    "slow": (slow, Noise()),
    "hesitate": (hesitate, Noise()),
    "turn back": (turn_back, Noise()),
    "followers, gap": (follow_gap, Noise()),
    "followers, close": (follow_close, Noise()),
    "chatter": (clean, Noise(chatter=1.0, chatter_ms=4.9)),
    "glitches": (clean, Noise(glitches_per_s=1.5)),
    "drop-outs": (clean, Noise(dropouts_per_s=2.0)),
    "door held": (door_held, Noise()),
    "lean-in": (lean_in, Noise()),
    "arms and bags": (arms, Noise()),
    "abreast": (abreast, Noise()),
    "passing": (passing, Noise()),
    "covered beam": (covered, Noise()),
}
OPEN = ("abreast", "passing", "covered beam")


def scene(category: str, seed: int, receivers_are: Noise | None = None) -> Scene:
    """One scenario; the same seed gives the same edges."""
    rng = Random(f"{category} {seed}")
    play, usual = CATEGORIES[category]
    noise = receivers_are or usual
    stage = Stage(rng, [], [])
    play(stage)
    spacing_mm = 90.0 if category == "covered beam" else rng.uniform(60, 120)
    return shoot(category, stage, spacing_mm, noise, start=rng.randint(4, 6))


def shoot(category: str, stage: Stage, spacing_mm: float, noise: Noise, start: int) -> Scene:
    rng, ends = stage.rng, stage.t_ms + 3000
    edges = [Edge(0.0, b, False) for b in ("beam_outer", "beam_inner", "door_contact")]
    seen = receivers.edges(stage.movers, spacing_mm, (500.0, ends), rng, noise)
    seen += _doors(stage)
    edges += sorted(seen, key=lambda e: e.t_ms)
    crossings = tuple(sorted(stage.crossings))
    return Scene(category, tuple(edges), spacing_mm, start, crossings, ends)


def _doors(stage: Stage) -> list[Edge]:
    """The door opens before somebody comes and shuts after the last one of a group."""
    spans = sorted((m.path[0][0] - 300, m.path[-1][0] + 700) for m in stage.movers)
    joined: list[tuple[float, float]] = []
    for a, b in spans:
        if joined and a < joined[-1][1] + 400:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    return [e for a, b in joined for e in receivers.contact(stage.rng, "door_contact", a, b)]


#: What an evening is made of; the physically open ones are rare, as they are in a bar for four.
_EVENING = (
    (clean, 46),
    (follow_gap, 18),
    (follow_close, 4),
    (door_held, 10),
    (slow, 4),
    (hesitate, 5),
    (turn_back, 5),
    (lean_in, 5),
    (arms, 6),
)


def evening(seed: int, crossings: int = 320, noise: Noise | None = None) -> Scene:
    """A whole evening of some ``crossings`` crossings, with glitches and chatter."""
    rng = Random(f"evening {seed}")
    stage = Stage(rng, [], [])
    plays = [p for p, n in _EVENING for _ in range(n)]
    while len(stage.crossings) < crossings:
        rng.choice(plays)(stage)
        stage.t_ms += rng.expovariate(1 / 60_000) + 2000
    usual = Noise(chatter=0.3, glitches_per_s=0.005, dropouts_per_s=0.03)
    return shoot("evening", stage, rng.uniform(60, 120), noise or usual, start=400)
