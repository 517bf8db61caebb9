"""What receivers make of broken beams: chatter, glitches, drop-outs; and door contacts.

Chatter: up to six extra pulses of 0.1-5 ms at an edge (a receiver on its threshold). Glitch: a
pulse below 2 ms on one or both lines. Drop-out: 10-40 ms clear in the middle of a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from controller.events import Edge
from tests.tools.doorway.bodies import Interval, Mover, join


@dataclass(frozen=True)
class Noise:
    """How bad the receivers are; probabilities are per edge, per second and per broken second."""

    chatter: float = 0.3
    chatter_ms: float = 3.0
    glitches_per_s: float = 0.003
    dropouts_per_s: float = 0.0


def edges(
    movers: Sequence[Mover], spacing_mm: float, span_ms: Interval, rng: Random, noise: Noise
) -> list[Edge]:
    """All beam edges of these movers seen by two noisy receivers."""
    out: list[Edge] = []
    both = _glitch_times(rng, span_ms, noise.glitches_per_s / 4)
    for line, beam_mm in (("beam_outer", -spacing_mm / 2), ("beam_inner", spacing_mm / 2)):
        spans = join(s for m in movers for s in m.broken(beam_mm))
        spans = [piece for s in spans for piece in _dropped(rng, s, noise.dropouts_per_s)]
        glitches = both + _glitch_times(rng, span_ms, noise.glitches_per_s)
        out += _levels(rng, line, spans, glitches, noise)
    return out


def _glitch_times(rng: Random, span_ms: Interval, per_s: float) -> list[float]:
    n = int((span_ms[1] - span_ms[0]) / 1000 * per_s + rng.random())
    return [rng.uniform(*span_ms) for _ in range(n)]


def _dropped(rng: Random, span: Interval, per_s: float) -> list[Interval]:
    """Cut 10-40 ms drop-outs into one broken interval, away from its ends."""
    pieces, (at, end) = [], span
    while per_s:
        gap = at + rng.expovariate(per_s / 1000)
        length = rng.uniform(10, 40)
        if gap - at < 20 or gap + length > end - 20:
            break
        pieces.append((at, gap))
        at = gap + length
    return [*pieces, (at, end)]


def _levels(
    rng: Random, line: str, spans: list[Interval], glitches: list[float], noise: Noise
) -> list[Edge]:
    toggles: list[float] = []
    for a, b in spans:
        for t in (a, b):
            toggles.append(t)
            if rng.random() < noise.chatter:
                toggles += _chatter(rng, t, noise.chatter_ms)
    for g in glitches:
        toggles += [g, g + rng.uniform(0.05, 1.95)]
    out, level = [], False
    for t in sorted(toggles):
        level = not level
        out.append(Edge(t, line, level))
    return out


def _chatter(rng: Random, t: float, most_ms: float) -> list[float]:
    out = []
    for _ in range(2 * rng.randint(1, 5)):
        t += rng.uniform(0.1, most_ms)
        out.append(t)
    return out


def contact(rng: Random, line: str, opens_ms: float, shuts_ms: float) -> list[Edge]:
    """A switch that opens and shuts with some bounce."""
    out, level = [], False
    for t, n in ((opens_ms, rng.choice((0, 0, 2))), (shuts_ms, rng.choice((0, 2, 4)))):
        at = t
        for _ in range(n + 1):
            level = not level
            out.append(Edge(at, line, level))
            at += rng.uniform(0.3, 4.0)
    return out
