"""Walls of many kinds: other sensors, thresholds and bounces, other feet, other bass; with truth.

`wall` has one kind of sensor and one way to walk. Here each scene draws its own: a spring in a tube
that rattles, a piezo whose comparator cuts a ring that dies away, or a module that holds each pulse
for some ms; a threshold, and whether the output bounces. Feet come at 1.6 to 2.4 a second, with
heel and toe, grow and fade while they pass, and not each is heard. Bass has a tone of 40 to 120 Hz
that sounds for a part of each beat, with drop-outs. Soft raps may be one short pulse each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pi, sin
from random import Random

from tests.tools.doorway.wall import (
    PLACES,
    Episode,
    Wall,
    drag,
    filled,
    other,
    phone,
    slam,
    strike,
)


@dataclass(frozen=True)
class Build:
    """How one wall is made: its sensors, and how much of a blow the other surface feels."""

    sensor: str
    #: Of the piezo: its tone and how fast it dies away.
    tone_hz: float
    decay_ms: float
    #: Of the module: how long it holds a pulse.
    hold_ms: float
    #: Part of the pulses that bounce.
    bounces: float
    felt: float
    #: A threshold that is set high makes everything weaker.
    gain: float


@dataclass
class AnyWall(Wall):
    """A wall of one build."""

    build: Build = Build("spring", 200.0, 8.0, 3.0, 0.0, 0.3, 1.0)

    def rebuild(self) -> None:
        """Another build for each scene."""
        self.build = built(self.rng)

    def struck(self, place: str, t_ms: float, force: float, long: float = 1.0) -> None:
        """Something hit this surface; force 1 is an ordinary rap, a step 0.1 to 0.5."""
        SENSORS[self.build.sensor](self, place, t_ms, force * self.build.gain, long)

    def blow(self, place: str, t_ms: float, force: float, long: float = 1.0) -> None:
        """A hit on this surface, and what the other one feels of it."""
        rng = self.rng
        self.struck(place, t_ms, force, long)
        felt = self.build.felt * rng.uniform(0.5, 1.3)
        if rng.random() < min(0.95, 0.4 + felt):
            self.struck(other(place), t_ms + rng.uniform(0.5, 6.0), force * felt, long * 0.7)

    def pulse(self, place: str, t_ms: float, lasts_ms: float) -> None:
        """One pulse, with its bounces."""
        rng = self.rng
        spans = [(t_ms, t_ms + lasts_ms)]
        if rng.random() < self.build.bounces:
            for _ in range(rng.randint(1, 2)):
                at_ms = spans[-1][1] + rng.uniform(0.02, 0.12)
                spans.append((at_ms, at_ms + rng.uniform(0.02, 0.1)))
        self.pulses[place] += spans


def _spring(wall: AnyWall, place: str, t_ms: float, force: float, long: float) -> None:
    rng = wall.rng
    n = min(20, max(1, round(rng.gauss(7.5, 2.0) * force + 0.3)))
    length_ms = rng.uniform(10, 50) * (0.4 + 0.6 * min(1.2, force)) * long
    for s in [0.0, *sorted(rng.uniform(0.6, max(1.0, length_ms)) for _ in range(n - 1))]:
        wall.pulse(place, t_ms + s, rng.uniform(0.2, 3.0))


def _piezo(wall: AnyWall, place: str, t_ms: float, force: float, long: float) -> None:
    """A tone that dies away, cut by a comparator: a pulse each half wave above the threshold."""
    rng, build = wall.rng, wall.build
    peak, period_ms = 6.0 * force * rng.uniform(0.7, 1.4), 1000.0 / build.tone_hz
    if peak <= 1.05:
        wall.pulse(place, t_ms, rng.uniform(0.2, 0.6))
        return
    decay_ms = build.decay_ms * long
    waves = max(1, int(decay_ms * log(peak) / period_ms))
    for k in range(min(20, waves)):
        level = peak * exp(-k * period_ms / decay_ms)
        lasts_ms = period_ms / 2 * (1 - 0.8 / level) * rng.uniform(0.8, 1.1)
        wall.pulse(place, t_ms + k * period_ms + rng.uniform(0, 0.2), max(0.2, min(3.0, lasts_ms)))


def _module(wall: AnyWall, place: str, t_ms: float, force: float, long: float) -> None:
    """Few pulses, each held for some ms."""
    rng, build = wall.rng, wall.build
    n, at_ms = min(8, max(1, round(rng.gauss(3.5, 1.0) * force + 0.3))), t_ms
    for _ in range(n):
        lasts_ms = build.hold_ms * rng.uniform(0.8, 1.2)
        wall.pulse(place, at_ms, lasts_ms)
        at_ms += lasts_ms + rng.uniform(1.0, 9.0) * long


SENSORS: dict[str, Callable[[AnyWall, str, float, float, float], None]] = {
    "spring": _spring,
    "piezo": _piezo,
    "module": _module,
}


def built(rng: Random) -> Build:
    """Return a wall's build at random."""
    return Build(
        rng.choice(("spring", "spring", "piezo", "module")),
        rng.uniform(120, 400),
        rng.uniform(5, 14),
        rng.uniform(1.5, 3.0),
        rng.choice((0.0, 0.0, 0.15, 0.4)),
        rng.uniform(0.1, 0.6),
        rng.uniform(0.8, 1.25),
    )


def _knock(wall: AnyWall, t_ms: float, force: float, gap_ms: float, raps: int) -> float:
    rng, place, times = wall.rng, wall.rng.choice(PLACES), [t_ms]
    for _ in range(raps - 1):
        times.append(times[-1] + gap_ms * rng.uniform(0.88, 1.12))
    for at_ms in times:
        wall.blow(place, at_ms, force * rng.uniform(0.8, 1.25))
    wall.episodes.append(Episode(place, tuple(times)))
    return times[-1] + 60


def ordinary(wall: AnyWall, t_ms: float) -> float:
    """Two to five ordinary raps."""
    rng = wall.rng
    return _knock(wall, t_ms, rng.uniform(0.7, 1.4), rng.uniform(140, 540), rng.randint(2, 5))


def soft(wall: AnyWall, t_ms: float) -> float:
    """Two to four soft raps, some no more than two pulses."""
    rng = wall.rng
    return _knock(wall, t_ms, rng.uniform(0.25, 0.5), rng.uniform(140, 540), rng.randint(2, 4))


def faint(wall: AnyWall, t_ms: float) -> float:
    """Two to four raps of one short pulse each."""
    rng, place, times = wall.rng, wall.rng.choice(PLACES), [t_ms]
    gap_ms = rng.uniform(140, 400)
    for _ in range(rng.randint(1, 3)):
        times.append(times[-1] + gap_ms * rng.uniform(0.88, 1.12))
    for at_ms in times:
        wall.pulse(place, at_ms, rng.uniform(0.2, 3.0))
    wall.episodes.append(Episode(place, tuple(times)))
    return times[-1] + 60


def struck_at_once(wall: AnyWall, t_ms: float) -> float:
    """Raps on what stands between the sensors: both feel each within 8 ms, alike."""
    rng, times = wall.rng, [t_ms]
    gap_ms, force = rng.uniform(140, 540), rng.uniform(0.6, 1.3)
    for _ in range(rng.randint(1, 3)):
        times.append(times[-1] + gap_ms * rng.uniform(0.88, 1.12))
    for at_ms in times:
        for place in PLACES:
            wall.struck(place, at_ms + rng.uniform(0, 8), force * rng.uniform(0.7, 1.3))
    wall.episodes.append(Episode(rng.choice(PLACES), tuple(times)))
    return times[-1] + 60


def footsteps(wall: AnyWall, t_ms: float) -> float:
    """Somebody walks by: 4-12 steps, 1.6-2.4 a second, growing and fading, some unheard."""
    rng, place = wall.rng, wall.rng.choice(PLACES)
    gap_ms, steps = 1000 / rng.uniform(1.6, 2.4), rng.randint(4, 12)
    loud, heard = rng.uniform(0.12, 0.33), rng.uniform(0.6, 1.0)
    toe_ms = rng.choice((0.0, rng.uniform(60, 160)))
    fades = rng.random() < 0.5
    for k in range(steps):
        force = loud * (0.5 + 0.7 * sin(pi * (k + 0.5) / steps) if fades else 1.0)
        force *= rng.uniform(0.7, 1.3)
        if rng.random() < heard:
            wall.blow(place, t_ms, force)
            if toe_ms and rng.random() < 0.7:
                wall.struck(place, t_ms + toe_ms * rng.uniform(0.85, 1.15), force * 0.6)
        t_ms += gap_ms * rng.uniform(0.93, 1.07)
    return t_ms


def bass(wall: AnyWall, t_ms: float, *, loud: float = 1.0, seconds: float = 20.0) -> float:
    """A tone of 40-120 Hz for 5-45 ms of each beat, on both sensors, with drop-outs."""
    rng, beat_ms = wall.rng, 60_000 / wall.rng.uniform(80, 140)
    period_ms, lasts_ms = 1000 / rng.uniform(40, 120), rng.uniform(5, 45)
    heard, drop = min(0.95, 0.7 * loud), rng.uniform(0.3, 0.7)
    end = t_ms + rng.uniform(0.6, 1.4) * seconds * 1000
    while t_ms < end:
        for place in PLACES:
            at_ms = t_ms + rng.uniform(0, 8)
            if rng.random() < heard:
                wall.pulse(place, at_ms, rng.uniform(0.2, 3.0))
                for k in range(1, int(lasts_ms / period_ms) + 1):
                    if rng.random() > drop:
                        wall.pulse(place, at_ms + k * period_ms, rng.uniform(0.2, 3.0))
        t_ms += beat_ms + rng.gauss(0, 4)
    return t_ms


def knock_in_bass(wall: AnyWall, t_ms: float) -> float:
    """A firm knock of two to four raps while the bass plays."""
    rng = wall.rng
    end = bass(wall, t_ms, loud=1.3, seconds=12)
    at_ms = t_ms + rng.uniform(0.35, 0.7) * (end - t_ms)
    _knock(wall, at_ms, rng.uniform(0.9, 1.5), rng.uniform(140, 520), rng.randint(2, 4))
    return end


def put_down(wall: AnyWall, t_ms: float) -> float:
    """A bottle or a glass, sometimes two in a row."""
    rng = wall.rng
    place = rng.choice(PLACES)
    wall.blow(place, t_ms, rng.uniform(0.2, 1.0))
    return t_ms + 60


KNOCKS: dict[str, Callable[[AnyWall, float], float]] = {
    "ordinary": ordinary,
    "soft": soft,
    "faint": faint,
    "both at once": struck_at_once,
    "in loud bass": knock_in_bass,
}
NOISES: dict[str, Callable[[AnyWall, float], float]] = {
    "footsteps": footsteps,
    "bass": bass,
    "put down": put_down,
    "drag": drag,
    "phone": phone,
    "slam": slam,
    "strike": strike,
}


def any_hour(
    seed: int, kinds: dict[str, Callable[[AnyWall, float], float]] | None = None, ms: float = 3.6e6
) -> AnyWall:
    """An hour of these kinds at random (default: everything), well apart, a new build each."""
    wall = AnyWall(Random(f"any hour {seed}"))
    return filled(wall, list((kinds or KNOCKS | NOISES).values()), ms)
