"""How deep is what passed, in millimetres, and how deep people are as these beams measure them.

Inward, the front of a body reaches the outer beam, then the inner one (``spacing`` further), then
its back leaves the outer beam, then the inner one:

    outer  ____#########______        broken time = depth / speed
    inner  _______#########___        lag         = spacing / speed
               |--|      |--|         depth       = broken time x spacing / lag

So depth needs no speed. A bag is as deep as a thin body at a glance, and two side by side as one
deep body. Where the line is depends on the people, and on how right the spacing is set. So it moves
with those who walk alone, which neither a bag nor a pair does often.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import inf

from controller.sensing.patterns import BeamPattern, Span, mean_ms, spans_of
from controller.sensing.settings import SensingSettings

#: A body is at least this deep at hip height: trunks measure 200-350 mm with clothes, a hand 60-90.
#: In between, and with nobody near who carries it: room for a spacing that is 15 % wrong.
BODY_LEAST_MM = 145.0
#: Beside a body, what is thinner than this is its bag or arm: bags measure up to 184 mm.
BAG_MOST_MM = 187.0
#: What is so much deeper was no arm or bag, even next to a body; in between it is open.
OPEN_MM = 5.0
#: The same until people are known, for a spacing that is set 5 % too large makes bags of 184 mm
#: deeper; and close to a body, where bags are and hardly any followers: a step does the same.
WIDE_OPEN_MM = 9.0
#: It is less where people are thin, or the spacing is set too small: this part of the third
#: thinnest of the last so many who walked alone.
THINNEST_PART = 0.9
THINNEST = 3
#: And a body beside a body is at least this part of it, if that is less than a bag can be.
BODY_PART = 0.935
MOST_ALONE = 64
#: One in so many who walk alone is deeper than this; if they measure deeper here, so may anybody.
DEEP_PART = 16
DEEP_MM = 342.0
MOST_SCALE = 1.08
#: Nobody is taken for a bag by a scale that one or two people have taught.
SCALE_SURE = 48
#: One body is at most this deep: 350 mm, and what uneven steps and a wrong spacing add.
BODY_MOST_MM = 378.0
#: A walker's speed changes by some 8 % within each step of half a second. Who breaks a beam for
#: about as long (ms) shows the same moment of a step at both lags, and may look deeper.
STEP_MOST_MM = 394.0
STEP_MS = (360.0, 640.0)
#: In a doorway up to so wide (mm) two who come side by side are together deeper than this: one
#: leads, because their shoulders do not fit. What is less deep there is one body, with its arms.
NARROW_MM = ((650.0, 600.0), (700.0, 450.0), (750.0, 400.0))
#: Slower than this (mm/ms = m/s) somebody stands, and a lag says nothing about depth.
SLOWEST = 0.2
#: Nobody walks through a door faster than this; two who squeeze past each other, one in and one
#: out, can look faster.
FASTEST_BODY = 1.8
#: One walker's two lags agree within this factor; beyond it an arm swung at one end.
UNEVEN_FACTOR = 1.3
#: An arm, or a bag that its own lags need not measure, is thinner than this.
THIN_MM = 150.0
#: A hand or a fore-arm is no deeper than this.
HAND_MM = 110.0
#: A bag is carried, and an arm swings, within this of its body; most within the second.
REACH_MM = 180.0
CLOSE_MM = 130.0
#: A bag comes this soon after its body.
BAG_MS = 1000.0


def depths_mm(outer: Span, inner: Span, spacing_mm: float) -> tuple[float, float]:
    """Return the depth of what passed: by its mean lag (least), by its mean speed (most).

    They agree for whoever walks through; they differ for whoever stopped half-way.
    """
    lag_on, lag_off = abs(inner[0] - outer[0]), abs(inner[1] - outer[1])
    broken_ms = (outer[1] - outer[0] + inner[1] - inner[0]) / 2
    by_lag = 2 * spacing_mm * broken_ms / (lag_on + lag_off)
    by_speed = spacing_mm * broken_ms * (1 / lag_on + 1 / lag_off) / 2
    return by_lag, by_speed


def hull_mm(pattern: BeamPattern, spacing_mm: float) -> float:
    """Return the depth of the whole pattern by its mean lag; infinite if it did not go through."""
    outer, inner = pattern.hull()
    if (inner[0] - outer[0]) * (inner[1] - outer[1]) <= 0:
        return inf
    return depths_mm(outer, inner, spacing_mm)[0]


def apart_mm(one: BeamPattern, other: BeamPattern, spacing_mm: float) -> float:
    """Return how far apart these are, by the lags beside the gap; inf if they went two ways."""
    before, after = (one, other) if one.outs[0] < other.outs[0] else (other, one)
    lag_off = before.ins[-1][1] - before.outs[-1][1]
    lag_on = after.ins[0][0] - after.outs[0][0]
    if lag_on * lag_off <= 0:
        return inf
    gap_ms = after.outs[0][0] - before.outs[-1][1] + after.ins[0][0] - before.ins[-1][1]
    return spacing_mm * gap_ms / abs(lag_on + lag_off)


def _narrow_mm(width_mm: float) -> float:
    """Return how deep one body may look in a doorway of this width (0: it is not known)."""
    fitting = (most_mm for widest_mm, most_mm in NARROW_MM if 0 < width_mm <= widest_mm)
    return next(fitting, 0.0)


class People:
    """Who passes here, as these beams measure them: how deep, and who was the last."""

    __slots__ = (
        "_alone", "_last", "_sorted", "bag_mm", "dropout_ms", "narrow_mm", "open_mm", "scale",
        "spacing_mm", "sure_mm", "until_ms",
    )  # fmt: skip

    def __init__(self, settings: SensingSettings) -> None:
        self.spacing_mm = settings.beam_spacing_mm
        self.dropout_ms = settings.beam_dropout_ms
        #: Up to this depth nothing here is two who come side by side.
        self.narrow_mm = _narrow_mm(settings.door_width_mm)
        self._last: tuple[list[float], list[float]] = ([], [])
        #: Until when the last one's bag may come.
        self.until_ms = -inf
        #: Depths (mm) of those who walked alone: as they came, and in order.
        self._alone: deque[float] = deque()
        self._sorted: list[float] = []
        #: Beside a body, what is thinner is its bag.
        self.bag_mm = BAG_MOST_MM
        #: Beside a body, what is deeper is another body; and close to it, what is deeper than both.
        self.sure_mm = self.open_mm = BAG_MOST_MM + WIDE_OPEN_MM
        #: How much deeper people measure here than they are, as a factor.
        self.scale = 1.0

    def passed(self, outer: list[float], inner: list[float]) -> None:
        """Remember these changes, by which somebody certainly passed."""
        self._last = (outer, inner)
        self.until_ms = max(outer[-1], inner[-1]) + BAG_MS

    def walked(self, outer: list[float], inner: list[float]) -> None:
        """Learn from one who walked alone, by one even break of each beam."""
        if not len(outer) == len(inner) == 2:
            return
        lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
        if not 1 / UNEVEN_FACTOR < lag_on / lag_off < UNEVEN_FACTOR:
            return
        broken_ms = outer[1] - outer[0] + inner[1] - inner[0]
        depth_mm = self.spacing_mm * broken_ms / abs(lag_on + lag_off)
        if depth_mm < BODY_MOST_MM * MOST_SCALE:
            self._learn(depth_mm)

    def _learn(self, depth_mm: float) -> None:
        """Take one more depth into account, and forget the oldest."""
        self._alone.append(depth_mm)
        insort(self._sorted, depth_mm)
        if len(self._alone) > MOST_ALONE:
            del self._sorted[bisect_left(self._sorted, self._alone.popleft())]
        known, body_mm = len(self._sorted), 0.0
        sure = known >= DEEP_PART
        self.scale = min(max(1.0, self._sorted[-1 - known // DEEP_PART] / DEEP_MM), MOST_SCALE)
        if known >= THINNEST:
            thin_mm = THINNEST_PART * self._sorted[THINNEST - 1]
            scale = self.scale if known >= SCALE_SURE else 1.0
            self.bag_mm = min(BAG_MOST_MM * scale, thin_mm)
            body_mm = min(BAG_MOST_MM + OPEN_MM, BODY_PART * self._sorted[THINNEST - 1])
        self.open_mm = self.bag_mm + WIDE_OPEN_MM
        self.sure_mm = max(self.bag_mm + OPEN_MM if sure else self.open_mm, body_mm)

    def before(self, pattern: BeamPattern) -> BeamPattern | None:
        """Return who passed just before this, or None."""
        if pattern.outs[0][0] >= self.until_ms or pattern.ins[0][0] >= self.until_ms:
            return None
        return BeamPattern(spans_of(self._last[0]), spans_of(self._last[1]))

    def too_deep(self, broken_ms: float, depth_mm: float, *, arms: bool = False) -> bool:
        """Return whether no one body is so deep that broke each beam for so long.

        ``arms``: they show beside it, and where they touch it they are part of its depth.
        """
        if depth_mm <= BODY_MOST_MM * self.scale:
            return False
        deeper = arms or STEP_MS[0] < broken_ms < STEP_MS[1]
        return depth_mm > max(STEP_MOST_MM * self.scale if deeper else 0.0, self.narrow_mm)

    def body_mm(self, outer: Span, inner: Span) -> float:
        """Return the depth of a body: by its mean lag, or its longer one if an arm swung there."""
        least_ms, most_ms = sorted((abs(inner[0] - outer[0]), abs(inner[1] - outer[1])))
        broken_ms = mean_ms(outer, inner)
        depth_mm = 2 * self.spacing_mm * broken_ms / (least_ms + most_ms)
        swung = most_ms > UNEVEN_FACTOR * least_ms and self.too_deep(broken_ms, depth_mm)
        return self.spacing_mm * broken_ms / most_ms if swung else depth_mm
