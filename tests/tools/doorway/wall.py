"""What two piezo sensors on one wall hear: knuckles, music, steps, slams; with truth.

A rap rings a module for 5-60 ms with 1-20 pulses of 0.2-3 ms; the other surface hears it 0.5-6 ms
later with fewer pulses. A bass beat (80-140 bpm) shakes both alike; a step mostly one; a slam
shakes both for 100-450 ms and moves a contact within some 50 ms, before or after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar

from controller.events import Edge

PLACES = ("hatch", "door")


@dataclass(frozen=True)
class Episode:
    """One true knock: its surface, and when each rap began."""

    place: str
    raps_ms: tuple[float, ...]


@dataclass
class Wall:
    """Pulses on both sensors, contacts, our own noise, and the truth, in the making."""

    rng: Random
    pulses: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {p: [] for p in PLACES}
    )
    contacts: list[Edge] = field(default_factory=list)
    own_noise_ms: list[float] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)

    def ring(self, place: str, t_ms: float, pulses: int, length_ms: float) -> None:
        """Some pulses of one sensor within this time."""
        rng = self.rng
        starts = [0.0, *sorted(rng.uniform(0.6, max(1.0, length_ms)) for _ in range(pulses - 1))]
        self.pulses[place] += [(t_ms + s, t_ms + s + rng.uniform(0.2, 3.0)) for s in starts]

    def rebuild(self) -> None:
        """Nothing: this wall stays as it is from scene to scene."""

    def edges(self) -> list[Edge]:
        """Everything as edges in time order."""
        out = [Edge(0.0, line, False) for line in ("hatch_knock", "door_knock", "door_contact")]
        for place, spans in self.pulses.items():
            end = -1.0
            merged: list[list[float]] = []
            for on, off in sorted(spans):
                if on <= end:
                    merged[-1][1] = end = max(end, off)
                else:
                    merged.append([on, off])
                    end = off
            line = f"{place}_knock"
            out += [
                Edge(t, line, up) for s in merged for t, up in zip(s, (True, False), strict=True)
            ]
        return sorted(out + self.contacts, key=lambda e: e.t_ms)


#: One of these, or of walls of many kinds.
AWall = TypeVar("AWall", bound=Wall)


def other(place: str) -> str:
    """The other surface."""
    return PLACES[1 - PLACES.index(place)]


def rap(wall: Wall, place: str, t_ms: float, force: float) -> None:
    """One knuckle; force 1 is ordinary, 0.35 soft."""
    rng = wall.rng
    n = max(1, round(rng.gauss(7.5, 2.0) * force + 0.5))
    wall.ring(place, t_ms, min(20, n), rng.uniform(12, 55) * (0.5 + force / 2))
    if rng.random() < 0.75:
        part = rng.uniform(0.1, 0.45)
        felt_ms = t_ms + rng.uniform(0.5, 6)
        wall.ring(other(place), felt_ms, max(1, round(n * part)), rng.uniform(3, 25))


def blow(wall: Wall, place: str, t_ms: float, force: float) -> None:
    """One knuckle on a thin wall: the other surface shakes half as much, or as much."""
    rng = wall.rng
    n = max(1, round(rng.gauss(7.5, 2.0) * force + 0.5))
    length_ms = rng.uniform(12, 55) * (0.5 + force / 2)
    wall.ring(place, t_ms, min(20, n), length_ms)
    felt_ms, part = t_ms + rng.uniform(0.5, 6), rng.uniform(0.5, 1.0)
    wall.ring(other(place), felt_ms, max(1, round(n * part)), length_ms * rng.uniform(0.6, 1))


def _knock(
    wall: Wall, t_ms: float, gaps_ms: list[float], force: float, at: str | None = None
) -> float:
    place, times = at or wall.rng.choice(PLACES), [t_ms]
    for gap in gaps_ms:
        times.append(times[-1] + gap)
    for t in times:
        rap(wall, place, t, force * wall.rng.uniform(0.8, 1.2))
    wall.episodes.append(Episode(place, tuple(times)))
    return times[-1] + 60


def _even(wall: Wall, t_ms: float, raps: int, force: float, at: str | None = None) -> float:
    gap = wall.rng.uniform(140, 520)
    gaps_ms = [gap * wall.rng.uniform(0.9, 1.1) for _ in range(raps - 1)]
    return _knock(wall, t_ms, gaps_ms, force, at)


def double(wall: Wall, t_ms: float) -> float:
    """Two ordinary raps."""
    return _even(wall, t_ms, 2, wall.rng.uniform(0.7, 1.4))


def triple(wall: Wall, t_ms: float) -> float:
    """Three to five ordinary raps."""
    return _even(wall, t_ms, wall.rng.randint(3, 5), wall.rng.uniform(0.7, 1.4))


def soft(wall: Wall, t_ms: float) -> float:
    """Two to four soft raps."""
    return _even(wall, t_ms, wall.rng.randint(2, 4), wall.rng.uniform(0.35, 0.5))


def thin_wall(wall: Wall, t_ms: float) -> float:
    """Two to four raps that both surfaces feel."""
    rng, place, gap = wall.rng, wall.rng.choice(PLACES), wall.rng.uniform(140, 520)
    times, force = [t_ms], rng.uniform(0.7, 1.4)
    for _ in range(rng.randint(1, 3)):
        times.append(times[-1] + gap * rng.uniform(0.9, 1.1))
    for at_ms in times:
        blow(wall, place, at_ms, force * rng.uniform(0.8, 1.2))
    wall.episodes.append(Episode(place, tuple(times)))
    return times[-1] + 60


def two_people(wall: Wall, t_ms: float, apart_ms: float = 200.0) -> float:
    """Somebody knocks at each place, the second within ``apart_ms`` of the first."""
    first = wall.rng.choice(PLACES)
    ends = [
        _even(wall, at_ms, wall.rng.randint(2, 4), wall.rng.uniform(0.7, 1.4), place)
        for place, at_ms in (
            (first, t_ms),
            (other(first), t_ms + wall.rng.uniform(0, apart_ms)),
        )
    ]
    return max(ends)


SHAVE = (1.0, 0.5, 0.5, 1.0, 2.0, 1.0)


def rhythm(wall: Wall, t_ms: float) -> float:
    """Seven raps of a well-known rhythm, at any tempo."""
    beat = wall.rng.uniform(300, 440)
    gaps = [beat * g * wall.rng.uniform(0.92, 1.08) for g in SHAVE]
    return _knock(wall, t_ms, gaps, wall.rng.uniform(0.7, 1.3))


def music(wall: Wall, t_ms: float, *, loud: float = 1.0, seconds: float = 25.0) -> float:
    """Bass beats on both sensors, some of them unheard."""
    rng, beat = wall.rng, 60_000 / wall.rng.uniform(80, 140)
    end = t_ms + rng.uniform(0.5, 1.5) * seconds * 1000
    while t_ms < end:
        for place in PLACES:
            if rng.random() < min(0.95, 0.62 * loud):
                n = max(1, round(rng.uniform(1, 3.2) * loud))
                wall.ring(place, t_ms + rng.uniform(0, 8), n, rng.uniform(2, 25))
        t_ms += beat + rng.gauss(0, 4)
    return t_ms


def knock_in_music(wall: Wall, t_ms: float) -> float:
    """A knock of two to four raps while a loud bass plays."""
    end = music(wall, t_ms, loud=1.3, seconds=12)
    force = wall.rng.uniform(0.9, 1.5)
    _even(wall, t_ms + wall.rng.uniform(0.35, 0.7) * (end - t_ms), wall.rng.randint(2, 4), force)
    return end


def steps(wall: Wall, t_ms: float) -> float:
    """Somebody walks by: 4-9 steps, mostly on one surface."""
    rng, place, gap = wall.rng, wall.rng.choice(PLACES), wall.rng.uniform(470, 650)
    for _ in range(rng.randint(4, 9)):
        if rng.random() < 0.93:
            wall.ring(place, t_ms, rng.choice((1, 1, 2, 2, 3, 3, 4)), rng.uniform(3, 34))
            if rng.random() < 0.4:
                wall.ring(PLACES[1 - PLACES.index(place)], t_ms + rng.uniform(1, 5), 1, 2)
        t_ms += gap * rng.uniform(0.88, 1.12)
    return t_ms


def bottle(wall: Wall, t_ms: float) -> float:
    """A bottle or a glass is put down."""
    rap(wall, wall.rng.choice(PLACES), t_ms, wall.rng.uniform(0.3, 1.0))
    return t_ms + 60


def drag(wall: Wall, t_ms: float) -> float:
    """A crate is dragged along the wall."""
    rng, place, end = wall.rng, wall.rng.choice(PLACES), t_ms + wall.rng.uniform(800, 2400)
    while t_ms < end:
        wall.ring(place, t_ms, rng.choice((1, 1, 1, 2, 2, 3)), rng.uniform(2, 20))
        t_ms += rng.uniform(6, 75)
    return t_ms


def phone(wall: Wall, t_ms: float) -> float:
    """A phone vibrates on the counter: 150-200 Hz for half a second, two to five times."""
    rng, place, on_ms = wall.rng, wall.rng.choice(PLACES), wall.rng.uniform(250, 800)
    for _ in range(rng.randint(2, 5)):
        end, period = t_ms + on_ms, 1000 / rng.uniform(150, 200)
        while t_ms < end:
            wall.ring(place, t_ms, 1, 1)
            t_ms += period * rng.choice((1, 1, 1, 2, 3))
        t_ms += rng.uniform(0.5, 1.2) * on_ms
    return t_ms


def slam(wall: Wall, t_ms: float) -> float:
    """The door opens, and slams some seconds later; its contact may lag behind the vibration."""
    rng = wall.rng
    wall.contacts.append(Edge(t_ms, "door_contact", True))
    t_ms += rng.uniform(1500, 4000)
    wall.contacts.append(Edge(t_ms + rng.choice((0, 0, rng.uniform(0, 60))), "door_contact", False))
    for place in PLACES:
        at = t_ms + rng.uniform(3, 30)
        for _ in range(rng.randint(1, 3)):
            length = rng.uniform(60, 330)
            wall.ring(place, at, int(length / 6), length)
            at += length + rng.uniform(20, 80)
    return t_ms + 700


def strike(wall: Wall, t_ms: float) -> float:
    """Our own strike: the coil pulls and lets go; the controller knows both moments."""
    for at in (t_ms, t_ms + wall.rng.uniform(150, 900)):
        wall.own_noise_ms.append(at)
        rap(wall, "door", at + wall.rng.uniform(1, 15), 0.8)
    return t_ms + 1200


KINDS: dict[str, Callable[[Wall, float], float]] = {
    "double": double,
    "triple": triple,
    "rhythm": rhythm,
    "soft": soft,
    "in loud bass": knock_in_music,
}
#: Knocks that both sensors hear alike.
TOGETHER: dict[str, Callable[[Wall, float], float]] = {
    "thin wall": thin_wall,
    "two people, together": two_people,
    "two people, within 1.5 s": partial(two_people, apart_ms=1500.0),
}
NOISES: dict[str, Callable[[Wall, float], float]] = {
    "music": music,
    "steps": steps,
    "bottle": bottle,
    "drag": drag,
    "phone": phone,
    "slam": slam,
    "strike": strike,
}


def hour(seed: int, kinds: dict[str, Callable[[Wall, float], float]] | None = None) -> Wall:
    """An hour of these kinds at random (default: everything), well apart."""
    return filled(Wall(Random(f"hour {seed}")), list((kinds or KINDS | NOISES).values()))


def filled(wall: AWall, plays: list[Callable[[AWall, float], float]], ms: float = 3.6e6) -> AWall:
    """This wall with these kinds at random for so long, well apart."""
    rng, t_ms = wall.rng, 3000.0
    while t_ms < ms:
        wall.rebuild()
        t_ms = rng.choice(plays)(wall, t_ms) + 4500 + rng.expovariate(1 / 15_000)
    return wall
