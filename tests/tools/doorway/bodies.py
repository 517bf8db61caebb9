"""Bodies that move through two beams: paths in, broken intervals out (millimetres, ms).

x = 0 is the middle of the doorway, inward is positive; the outer beam is at -spacing/2. Numbers:
depth of a clothed body at hip height 200-350 mm (shoulder breadth is no matter: the beams run
across the doorway), a hand or fore-arm 60-90 mm, a bag 90-130 mm, walking 0.3-1.6 m/s.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

Interval = tuple[float, float]


@dataclass(frozen=True)
class Mover:
    """A thing of one depth on a path of (t_ms, x_mm) points, straight in between."""

    depth_mm: float
    path: tuple[tuple[float, float], ...]

    def broken(self, beam_mm: float) -> list[Interval]:
        """Intervals in which this thing is in the beam at ``beam_mm``."""
        spans: list[Interval] = []
        for (t0, x0), (t1, x1) in zip(self.path, self.path[1:], strict=False):
            span = _inside(t0, x0 - beam_mm, t1, x1 - beam_mm, self.depth_mm / 2)
            if span:
                spans.append(span)
        return join(spans)


def _inside(t0: float, y0: float, t1: float, y1: float, half: float) -> Interval | None:
    """When |y| <= half on the straight line from y0 to y1."""
    if y0 == y1:
        return (t0, t1) if abs(y0) <= half else None
    a, b = sorted(((-half - y0) / (y1 - y0), (half - y0) / (y1 - y0)))
    a, b = max(a, 0.0), min(b, 1.0)
    return (t0 + a * (t1 - t0), t0 + b * (t1 - t0)) if a < b else None


def join(spans: Iterable[Interval]) -> list[Interval]:
    """Union of intervals, in order."""
    out: list[Interval] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1] + 1e-6:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out


def walk(
    rng: Random, start_ms: float, speed_m_s: float, *, inward: bool, wobble: float = 0.08
) -> list[tuple[float, float]]:
    """A path from 700 mm before to 700 mm behind the door, with some change of speed."""
    points, t_ms, x_mm = [(start_ms, -700.0)], start_ms, -700.0
    speed = speed_m_s
    while x_mm < 700:
        step_mm = rng.uniform(60, 140)
        speed = min(
            max(speed * rng.uniform(1 - wobble, 1 + wobble), 0.8 * speed_m_s), 1.2 * speed_m_s
        )
        t_ms, x_mm = t_ms + step_mm / speed, x_mm + step_mm
        points.append((t_ms, x_mm))
    return points if inward else [(t, -x) for t, x in points]


def via(
    rng: Random, start_ms: float, speed_m_s: float, stops: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """A path through (x_mm, pause_ms) stops, each leg at about this speed."""
    x_mm, t_ms = stops[0][0], start_ms
    points = [(t_ms, x_mm)]
    for to_mm, pause_ms in stops[1:]:
        while abs(to_mm - x_mm) > 1e-9:
            step = math.copysign(min(rng.uniform(60, 140), abs(to_mm - x_mm)), to_mm - x_mm)
            t_ms += abs(step) / (speed_m_s * rng.uniform(0.85, 1.15))
            x_mm += step
            points.append((t_ms, x_mm))
        if pause_ms:
            t_ms += pause_ms
            points.append((t_ms, x_mm))
    return points


def swing(rng: Random, body: list[tuple[float, float]], depth_mm: float, ahead_mm: float) -> Mover:
    """A hand or bag that swings about ``ahead_mm`` before (negative: behind) its body."""
    reach = rng.uniform(20, 110)
    period, phase = rng.uniform(700, 1300), rng.uniform(0, 2 * math.pi)
    points = []
    for (t0, x0), (t1, x1) in itertools.pairwise(body):
        n = max(1, int((t1 - t0) / 15))
        for k in range(n):
            t = t0 + (t1 - t0) * k / n
            x = x0 + (x1 - x0) * k / n
            points.append((t, x + ahead_mm + reach * math.sin(phase + 2 * math.pi * t / period)))
    return Mover(depth_mm, tuple(points))
