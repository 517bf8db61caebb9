"""A body and what it carries: arms that swing, bags before and behind it.

A bag is as deep as a thin body at a glance, and leaves a gap on both beams as a second person does.
Three facts tell them apart: what is carried is thinner than any body, it is within an arm's reach
of one, and one body shows on both beams with the lags of a walker. How thin people are, as these
beams measure them, is learnt from those who walk alone: a bag never does.
"""

from __future__ import annotations

from collections import deque
from math import inf

from controller.sensing.patterns import (
    BODY_LEAST_MM,
    BODY_MS,
    BODY_SURE_MM,
    FASTEST_BODY,
    LAG_FACTOR,
    SLOWEST,
    UNEVEN_FACTOR,
    BeamPattern,
    Span,
    alike,
    body_most_mm,
    depths_mm,
    filled,
    hull_mm,
    length,
    mean_ms,
    spans_of,
)
from controller.sensing.settings import SensingSettings

#: Beside a body, what is thinner than this is its bag or arm; 5 mm more are open.
BAG_MOST_MM = 187.0
OPEN_MM = BODY_SURE_MM - BAG_MOST_MM
#: It is less where people are thin, or the beams' distance is set too small: this part of the
#: third thinnest of the last so many who walked alone.
THINNEST_PART = 0.9
THINNEST = 3
MOST_ALONE = 32
#: A bag comes this soon after its body.
BAG_MS = 1000.0
#: An arm, or a bag that its own lags need not measure, is thinner than this.
THIN_MM = 150.0
#: A hand or a fore-arm is no deeper than this.
HAND_MM = 110.0
#: A bag is carried, and an arm swings, within this of its body.
REACH_MM = 170.0
#: People in one file are at least as fast as this (m/s), even behind somebody who is slower.
SLOWEST_FILE = 0.5


class Lately:
    """What passed lately: whose bag may follow, and how thin those are who walk alone."""

    __slots__ = ("_alone", "_last", "until_ms")

    def __init__(self) -> None:
        self._last: tuple[list[float], list[float]] = ([], [])
        #: Until when the last one's bag may come.
        self.until_ms = -inf
        #: Depths of those who walked alone, in spacings.
        self._alone: deque[float] = deque(maxlen=MOST_ALONE)

    def passed(self, outer: list[float], inner: list[float]) -> None:
        """Remember these changes, by which somebody certainly passed."""
        self._last = (outer, inner)
        self.until_ms = max(outer[-1], inner[-1]) + BAG_MS
        if len(outer) == len(inner) == 2:
            lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
            if 1 / UNEVEN_FACTOR < lag_on / lag_off < UNEVEN_FACTOR:
                broken_ms = outer[1] - outer[0] + inner[1] - inner[0]
                self._alone.append(broken_ms / abs(lag_on + lag_off))

    def before(self, pattern: BeamPattern) -> BeamPattern | None:
        """Return who passed just before this, or None."""
        if pattern.outs[0][0] >= self.until_ms or pattern.ins[0][0] >= self.until_ms:
            return None
        return BeamPattern(spans_of(self._last[0]), spans_of(self._last[1]))

    def bag_mm(self, spacing_mm: float) -> float:
        """Return how deep a bag is at most, as these beams measure."""
        thinnest = sorted(self._alone)[THINNEST - 1 : THINNEST]
        return min([BAG_MOST_MM, *(THINNEST_PART * depth * spacing_mm for depth in thinnest)])


def alone(outs: list[Span], ins: list[Span], settings: SensingSettings) -> int:
    """Return which way (+1 in) one body went, if all else here is as thin as arms; or 0.

    The longest span of each beam is that body.
    """
    outer, inner = max(outs, key=length), max(ins, key=length)
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if lag_on * lag_off <= 0 or not alike(lag_on, lag_off, LAG_FACTOR):
        return 0
    broken_ms = mean_ms(outer, inner)
    depth_mm = _body_mm(outer, inner, settings.beam_spacing_mm)
    speed = depth_mm / broken_ms
    if not BAG_MOST_MM < depth_mm <= body_most_mm(broken_ms) or not SLOWEST < speed < FASTEST_BODY:
        return 0
    way = 1 if lag_on > 0 else -1
    ends = (ins[0][0] - outs[0][0]) * way > 0, (ins[-1][1] - outs[-1][1]) * way > 0
    rest_ms = max(_rest(outs, outer, settings) + _rest(ins, inner, settings), default=0.0)
    return way if _thin(rest_ms, max(speed, SLOWEST_FILE), ends) else 0


def _thin(rest_ms: float, speed: float, ends: tuple[bool, bool]) -> bool:
    """Return whether the thickest of the rest is an arm or a bag.

    Where an end looks as if somebody came the other way it must be a hand: in one who squeezes past
    another both ends do.
    """
    if all(ends):
        return rest_ms * speed < THIN_MM
    return any(ends) and rest_ms < BODY_MS[0] and rest_ms * speed < HAND_MM


def _body_mm(outer: Span, inner: Span, spacing_mm: float) -> float:
    """Return the depth of a body: by its mean lag, or its longer one if an arm swung at one end."""
    least_ms, most_ms = sorted((abs(inner[0] - outer[0]), abs(inner[1] - outer[1])))
    broken_ms = mean_ms(outer, inner)
    depth_mm = 2 * spacing_mm * broken_ms / (least_ms + most_ms)
    swung = depth_mm > body_most_mm(broken_ms) and most_ms > UNEVEN_FACTOR * least_ms
    return spacing_mm * broken_ms / most_ms if swung else depth_mm


def _rest(spans: list[Span], body: Span, settings: SensingSettings) -> list[float]:
    """Return how long the spans before and after the body's lasted, drop-outs filled."""
    k = spans.index(body)
    sides = (
        filled(spans[:k], settings.beam_dropout_ms),
        filled(spans[k + 1 :], settings.beam_dropout_ms),
    )
    return [length(span) for side in sides for span in side]


def carried(
    pattern: BeamPattern, neighbours: list[BeamPattern], settings: SensingSettings, lately: Lately
) -> str:
    """Return "arm" if this is what a neighbour carries, "close" if that is open, or ""."""
    spacing_mm = settings.beam_spacing_mm
    depth_mm = hull_mm(pattern, spacing_mm)
    if depth_mm >= BODY_SURE_MM:
        return ""
    bag_mm = lately.bag_mm(spacing_mm)
    sure_mm = bag_mm + OPEN_MM
    # by its speeds it is deeper if it stopped, and then neither depth says much
    if depth_mm >= sure_mm or depths_mm(*pattern.hull(), spacing_mm)[1] >= sure_mm:
        return ""
    near = any(
        depth_mm < hull_mm(other, spacing_mm) < inf
        and _apart_mm(pattern, other, spacing_mm) < REACH_MM
        for other in neighbours
    )
    return ("arm" if depth_mm < bag_mm else "close") if near else ""


def _apart_mm(one: BeamPattern, other: BeamPattern, spacing_mm: float) -> float:
    """Return how far apart these are, by the lags beside the gap; inf if they went two ways."""
    before, after = (one, other) if one.outs[0] < other.outs[0] else (other, one)
    lag_off = before.ins[-1][1] - before.outs[-1][1]
    lag_on = after.ins[0][0] - after.outs[0][0]
    if lag_on * lag_off <= 0:
        return inf
    gap_ms = after.outs[0][0] - before.outs[-1][1] + after.ins[0][0] - before.ins[-1][1]
    return spacing_mm * gap_ms / abs(lag_on + lag_off)


def carrier_ms(outer: list[float], inner: list[float], settings: SensingSettings) -> float:
    """Return how long after one break of each beam, if by a bag, its body may still come; or 0."""
    lag_ms = abs(inner[0] - outer[0] + inner[1] - outer[1]) / 2
    thick_ms = (outer[1] - outer[0] + inner[1] - inner[0]) / 2 * settings.beam_spacing_mm
    if not BODY_LEAST_MM * lag_ms < thick_ms < BODY_SURE_MM * lag_ms:
        return 0.0
    walked = lag_ms < settings.beam_spacing_mm / SLOWEST
    return REACH_MM / settings.beam_spacing_mm * lag_ms if walked else 0.0
