"""What a finished passage was, from the times at which each beam was broken and clear.

Two people close together leave a gap on both beams, one lag apart; a drop-out of a receiver shows
on one beam alone, or on both at once. A bag leaves a gap as a second person does, but what is
carried is thinner than any body and within an arm's reach of one; and one body shows on both beams
with the lags of a walker, whatever its arms do. What remains is walked through as quarter turns, in
which a retreat takes its steps back.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import fsum, inf

from controller.sensing.depths import (
    BAG_MOST_MM,
    BODY_LEAST_MM,
    BODY_MOST_MM,
    CLOSE_MM,
    FASTEST_BODY,
    HAND_MM,
    REACH_MM,
    SLOWEST,
    THIN_MM,
    UNEVEN_FACTOR,
    People,
    apart_mm,
    depths_mm,
    hull_mm,
)
from controller.sensing.patterns import (
    BODY_MS,
    LAG_FACTOR,
    BeamPattern,
    Span,
    alike,
    filled,
    gaps,
    length,
    mean_ms,
    quarter_turns,
    spans_of,
    unflickered,
    without,
)

#: What one beam alone saw between two gaps is a body if it is this deep.
BODY_SURE_MM = 192.0
#: A drop-out of a receiver lasts at least so long (ms).
DROPOUT_LEAST_MS = 8.0
#: People in one file are at least as fast as this (m/s), even behind somebody who is slower.
SLOWEST_FILE = 0.5
#: What a drop-out leaves of two is at least so deep (mm), or taken for a hand.
HALF_LEAST_MM = 75.0
#: When each beam, outer and inner, was clear too briefly for a change.
Blinks = tuple[Sequence[Span], Sequence[Span]]
#: Least and most people who went in (negative: out), and why that is uncertain or nobody.
Verdict = tuple[int, int, str]

#: Two bodies one behind the other with a gap between them are at least this deep.
TWO_LEAST_MM = 400.0
#: Deeper than this is no hand: a bag whose body comes, or a body that looks thin in its arms.
LONE_MM = 130.0
#: Three bodies that touch are at least this deep.
THREE_LEAST_MM = 620.0
#: Two or three bodies that touch are at most this deep; what is deeper without a gap stood there.
STOOD_MM = 720.0
#: An arm that one beam saw apart from its body, so briefly that both touch, is thinner than this.
TOUCHING_LEAST_MM = 180.0
#: So deep are at most three who walk in touch, where a gap shows that was too brief for a change,
#: though longer (ms) than a glitch.
TOUCHING_MOST_MM = 1050.0
GLITCH_MS = 2.0
#: A hand moves no faster than this (m/s), and no slower while it is not held still.
FASTEST_HAND = 3.0
SLOWEST_HAND = 0.12
#: No arm or bag breaks both beams for longer (ms) on its way through: arms that swing backward,
#: before and behind a body, make it look as thin.
LINGERED_MS = 600.0
#: The lags of two bodies side by side: they walk evenly, or it would be an arm and a body.
EVEN_FACTOR = 1.45
#: An arm that swings ahead or behind makes one lag longer than the other by a factor, up to the one
#: that is named here; by the longer lag the body is then at most this deep (mm). In two who squeeze
#: past each other, one in and one out, lags differ most; in two side by side they hardly do.
SWUNG = ((1.2, 0.0), (1.3, 350.0), (2.7, 378.0), (inf, 280.0))
#: Slower than this (m/s, in the mean) no pair walks side by side whose lags differ by this factor:
#: somebody stood in the doorway.
PAIRS = ((0.44, EVEN_FACTOR), (0.375, 1.3), (0.363, 1.12))
#: Whoever comes to a doorway, or leaves it, breaks or clears the other beam within this; a coat
#: that is hung into one beam is lonely.
VEIL_MS = 800.0
#: A coat hangs for longer than somebody who sways stays in one beam.
HUNG_MS = 3000.0
#: Whoever walks past a coat breaks the other beam for this long; who stands and sways, longer.
VEILED_MS = (BODY_MS[0], 900.0)
#: The sways of one body last equally long, within this part.
SWAY_PART = 0.04
#: A gap seen by both beams is equally long, but for chatter at its ends and a change of speed.
GAP_FACTOR = 3.0
GAP_SLACK_MS = 25.0
#: People in one file leave at least so much between them: what is less is a drop-out, unless it
#: reaches the other beam as late as they did themselves, within this factor.
GAP_LEAST_MM = 10.0
NARROW_FACTOR = 1.3


def classify(
    outer: list[float], inner: list[float], people: People, blinks: Blinks = ((), ())
) -> list[Verdict]:
    """Return a verdict for each passage in these changes (broken, clear, ...) of the two beams.

    ``blinks``: when each beam was clear too briefly for a change.
    """
    if not outer or not inner:
        return [(0, 0, "one_beam")]
    if len(outer) == len(inner) == 2 and (outer[0] < inner[0]) == (outer[1] < inner[1]):
        out, within = (outer[0], outer[1]), (inner[0], inner[1])
        lone = outer[0] >= people.until_ms
        verdict = _single(out, within, people, lone=lone)
        if blinks[0] and blinks[1]:
            parted = _parted([out], [within], blinks)
            if len(parted) > 1:
                return _either(*(_in_file(*spans, people) for spans in parted))
        if (blinks[0] or blinks[1]) and verdict[0] == verdict[1]:
            verdict = _touching(out, within, blinks, people) or verdict
        if lone:
            return [verdict]
        return _without_bags([BeamPattern([out], [within])], [verdict], people)
    outs, ins = unflickered(spans_of(outer), spans_of(inner), people.dropout_ms)
    if blinks[0] or blinks[1]:
        return _either(*(_several(*spans, people) for spans in _parted(outs, ins, blinks)))
    return _several(outs, ins, people)


def _several(outs: list[Span], ins: list[Span], people: People) -> list[Verdict]:
    """Classify what broke a beam more than once: one body and its arms, or people in one file."""
    way = _alone(outs, ins, people)
    verdicts = [(way, way, "")] if way else _in_file(outs, ins, people)
    if verdicts == [(0, 0, "turned_back")] and (way := _body_way(outs, ins, people)):
        verdicts = [_signed(0, 1, way, "order")]
    veiled = _veiled(outs, ins) + _veiled(ins, outs)
    return [_widened(verdicts, veiled)] if veiled else verdicts


def _either(one: list[Verdict], other: list[Verdict] | None = None) -> list[Verdict]:
    """Return the one or, if the other does not agree, a verdict that leaves both open."""
    if other is None or _total(one) == _total(other):
        return one
    (least, most), (low, high) = _total(one), _total(other)
    return [(min(least, low), max(most, high), "close")]


def _total(verdicts: list[Verdict]) -> tuple[int, int]:
    """Return how many went in by all of these, at least and at most."""
    return sum(v[0] for v in verdicts), sum(v[1] for v in verdicts)


def _walked_ms(outs: list[Span], ins: list[Span]) -> tuple[float, float]:
    """Return which lags (ms) those between may have whose first and last walked: from, to."""
    lag_on, lag_off = ins[0][0] - outs[0][0], ins[-1][1] - outs[-1][1]
    if lag_on * lag_off <= 0 or not alike(lag_on, lag_off, LAG_FACTOR):
        return (inf, -inf)
    least, most = sorted((abs(lag_on), abs(lag_off)))
    return least / NARROW_FACTOR, most * NARROW_FACTOR


def _parted(
    outs: list[Span], ins: list[Span], blinks: Blinks
) -> list[tuple[list[Span], list[Span]]]:
    """Return these spans with each gap that one beam, or both, saw too briefly for a change.

    Two who walk in touch leave such a gap: on both beams, and exactly as far apart as they walked.
    Chatter of whoever comes next lengthens it: so as it looks, and with half of it.
    """
    way = 1 if outs[0][0] < ins[0][0] else -1
    walked_ms = _walked_ms(outs, ins)
    first = [(gap, gap in blinks[0]) for gap in sorted([*gaps(outs), *blinks[0]])]
    second = [(gap, gap in blinks[1]) for gap in sorted([*gaps(ins), *blinks[1]])]
    found = [
        (a if brief else None, b if short else None)
        for a, brief in first
        for b, short in second
        if (brief or short) and _one_gap(a, b, way, walked_ms)
    ]
    if not found:
        return [(outs, ins)]
    outer, inner = [a for a, _ in found if a], [b for _, b in found if b]
    whole = without(outs, outer), without(ins, inner)
    halved = without(outs, [*map(_half, outer)]), without(ins, [*map(_half, inner)])
    return [whole, halved]


def _half(gap: Span) -> Span:
    """Return the first half of a gap."""
    return gap[0], (gap[0] + gap[1]) / 2


def _touching(outer: Span, inner: Span, blinks: Blinks, people: People) -> Verdict | None:
    """Return the verdict on people in touch, if a gap shows that was too brief for a change.

    They are as deep as one who stood there, but walk evenly, and no glitch lasts as long.
    """
    lags = inner[0] - outer[0], inner[1] - outer[1]
    if lags[0] * lags[1] <= 0 or not alike(*lags, UNEVEN_FACTOR):
        return None
    depth_mm, _ = depths_mm(outer, inner, people.spacing_mm)
    if depth_mm > TOUCHING_MOST_MM or not people.too_deep(0.0, depth_mm, arms=True):
        return None
    if max(length(gap) for gap in (*blinks[0], *blinks[1])) < GLITCH_MS:
        return None
    return _signed(1, _most_bodies(depth_mm), lags[0], "close")


def _one_gap(outer: Span, inner: Span, way: int, walked_ms: tuple[float, float]) -> bool:
    """Return whether a gap took as long from beam to beam as those beside it."""
    least_ms, most_ms = walked_ms
    short, long = sorted((length(outer), length(inner)))
    lags = way * (inner[0] - outer[0]), way * (inner[1] - outer[1])
    return (
        least_ms < min(lags) and max(lags) < most_ms and long <= GAP_FACTOR * short + GAP_SLACK_MS
    )


def _widened(verdicts: list[Verdict], people: int) -> Verdict:
    """Return these verdicts as one, with so many more who went in, out or neither."""
    least, most = _total(verdicts)
    return (least - people, most + people, "beam_covered")


def _in_file(outs: list[Span], ins: list[Span], people: People) -> list[Verdict]:
    """Cut where both beams saw one gap, classify each piece, and leave out what is carried."""
    way = 1 if outs[0][0] < ins[0][0] else -1
    through = (outs[0][0] < ins[0][0]) == (outs[-1][1] < ins[-1][1])
    cuts = _pair_gaps(outs, ins, way, people.spacing_mm)
    if not cuts and not through:
        cuts = _pair_gaps(outs, ins, -way, people.spacing_mm)
    patterns = _rejoined(_cut(outs, ins, cuts), people)
    verdicts = [_classify_pattern(pattern, people) for pattern in patterns]
    if all(v[0] or v[1] for v in verdicts):  # no arm shows
        verdicts = [
            _signed(1, 2, v[0], "close") if v[0] == v[1] and _dropped(p, people) else v
            for p, v in zip(patterns, verdicts, strict=True)
        ]
    if len(patterns) > 1 and not through:
        return [_back(verdicts)]
    if not any(v[0] or v[1] for v in verdicts):
        return [_classify_pattern(BeamPattern(outs, ins), people)]
    verdicts = _without_bags(patterns, verdicts, people)
    return [v for v in verdicts if v[0] or v[1]] or verdicts[:1]


def _without_bags(
    patterns: list[BeamPattern], verdicts: list[Verdict], people: People
) -> list[Verdict]:
    """Leave out, or doubt, each certain person who is thin enough to be a neighbour's bag."""
    sure = [p if v[0] == v[1] != 0 else None for p, v in zip(patterns, verdicts, strict=True)]
    row = [people.before(patterns[0]), *sure, None]
    out = []
    for pattern, verdict, before, after in zip(sure, verdicts, row, row[2:], strict=False):
        neighbours = [p for p in (before, after) if p]
        why = _carried(pattern, neighbours, people) if pattern and neighbours else ""
        if why == "arm":
            out.append((0, 0, why))
        else:
            out.append(_signed(0, 1, verdict[0], why) if why else verdict)
    return out


def _alone(outs: list[Span], ins: list[Span], people: People) -> int:
    """Return which way (+1 in) one body went, if all else here is as thin as arms; or 0.

    The longest span of each beam is that body.
    """
    outer, inner = max(outs, key=length), max(ins, key=length)
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if lag_on * lag_off <= 0 or not alike(lag_on, lag_off, LAG_FACTOR):
        return 0
    depth_mm, broken_ms = people.body_mm(outer, inner), mean_ms(outer, inner)
    speed = depth_mm / broken_ms
    if depth_mm <= BAG_MOST_MM or people.too_deep(broken_ms, depth_mm, arms=True):
        return 0
    if not SLOWEST < speed < FASTEST_BODY:
        return 0
    way = 1 if lag_on > 0 else -1
    ends = (ins[0][0] - outs[0][0]) * way > 0, (ins[-1][1] - outs[-1][1]) * way > 0
    if not all(ends) and (_longest(outs, people) != outer or _longest(ins, people) != inner):
        return 0
    rest_ms = max(_rest(outs, outer, people) + _rest(ins, inner, people), default=0.0)
    speed = max(speed, SLOWEST_FILE)
    # the second speed is the costly one: only where the first leaves it open
    thin = _thin(rest_ms, speed, ends) and _thin(rest_ms, _even_speed(outs, ins, people), ends)
    return way if thin else 0


def _body_way(outs: list[Span], ins: list[Span], people: People) -> int:
    """Return which way (+1 in) the longest spans went, if as a body walks among hands; or 0."""
    if len(outs) == 1 or len(ins) == 1:  # what else one beam alone saw was a drop-out
        return 0
    outer, inner = max(outs, key=length), max(ins, key=length)
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if lag_on * lag_off <= 0 or not alike(lag_on, lag_off, UNEVEN_FACTOR):
        return 0
    depth_mm = people.body_mm(outer, inner)
    walks = depth_mm > SLOWEST_FILE * mean_ms(outer, inner)
    return (1 if lag_on > 0 else -1) if walks and people.sure_mm < depth_mm < BODY_MOST_MM else 0


def _even_speed(outs: list[Span], ins: list[Span], people: People) -> float:
    """Return the speed (m/s) of the longest spans, with those drop-outs filled that even its lags.

    A drop-out at one end of a body makes that lag longer, and so whoever is near as thin as an arm.
    """
    # any end of the longest span as it is, or filled, with any of the other beam
    outer, inner = ((max(spans, key=length), _longest(spans, people)) for spans in (outs, ins))
    lags = [
        (abs(inner_on - outer_on), abs(inner_off - outer_off))
        for outer_on, inner_on in product((o[0] for o in outer), (i[0] for i in inner))
        for outer_off, inner_off in product((o[1] for o in outer), (i[1] for i in inner))
    ]
    on_ms, off_ms = min(lags, key=lambda pair: abs(pair[1] - pair[0]))
    return 2 * people.spacing_mm / (on_ms + off_ms)


def _longest(spans: list[Span], people: People) -> Span:
    """Return the longest span, drop-outs filled."""
    return max(filled(spans, people.dropout_ms), key=length)


def _thin(rest_ms: float, speed: float, ends: tuple[bool, bool]) -> bool:
    """Return whether the thickest of the rest is an arm or a bag.

    Where an end looks as if somebody came the other way it must be a hand: in one who squeezes past
    another both ends do.
    """
    if all(ends):
        return rest_ms * speed < THIN_MM
    return any(ends) and rest_ms < BODY_MS[0] and rest_ms * speed < HAND_MM


def _rest(spans: list[Span], body: Span, people: People) -> list[float]:
    """Return how long the spans before and after the body's lasted, drop-outs filled."""
    k = spans.index(body)
    sides = filled(spans[:k], people.dropout_ms), filled(spans[k + 1 :], people.dropout_ms)
    return [length(span) for side in sides for span in side]


def _carried(pattern: BeamPattern, neighbours: list[BeamPattern], people: People) -> str:
    """Return "arm" if this is what a neighbour carries, "close" if that is open, or ""."""
    spacing_mm = people.spacing_mm
    outer, inner = pattern.hull()
    depth_mm = hull_mm(pattern, spacing_mm)
    # by its speeds it is deeper if it stopped, and then neither depth says much
    most_mm = max(depth_mm, depths_mm(outer, inner, spacing_mm)[1])
    if most_mm < max(people.sure_mm, people.open_mm):
        why = "arm" if depth_mm < people.bag_mm else "close"
    elif depth_mm < LONE_MM:
        why = "close"
    else:  # it may swing, and hands swing up to twice as fast
        swings = alike(inner[0] - outer[0], inner[1] - outer[1], LAG_FACTOR)
        why = "close" if swings and depth_mm < people.open_mm else ""
    reach_mm = REACH_MM if most_mm < people.sure_mm else CLOSE_MM
    near = any(
        depth_mm < hull_mm(other, spacing_mm) < inf
        and apart_mm(pattern, other, spacing_mm) < reach_mm
        for other in neighbours
    )
    return why if near else ""


def carrier_ms(outer: list[float], inner: list[float], spacing_mm: float) -> float:
    """Return how long after one break of each beam, if by a bag, its body may still come; or 0."""
    lag_ms = abs(inner[0] - outer[0] + inner[1] - outer[1]) / 2
    thick_ms = (outer[1] - outer[0] + inner[1] - inner[0]) / 2 * spacing_mm
    if not LONE_MM * lag_ms < thick_ms < BODY_SURE_MM * lag_ms:
        return 0.0
    walked = lag_ms < spacing_mm / SLOWEST
    return REACH_MM / spacing_mm * lag_ms if walked else 0.0


def _back(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on people who ended where they began: they may have paced to and fro."""
    least, most = _total(verdicts)
    return (min(0, least), max(0, most), "paced" if least or most else "turned_back")


def _veiled(long: list[Span], short: list[Span]) -> int:
    """Return how many may have walked past whoever, or whatever, broke one beam for long.

    Nobody else was near when it broke, and the walkers' breaks of the other beam lie deep within.
    """
    if len(long) > 1:
        return 0
    on, off = long[0]
    if off - on < HUNG_MS or any(abs(t - on) < VEIL_MS for span in short for t in span):
        return 0
    lasted = [b - a for a, b in short if on < a and b <= off - VEIL_MS]
    return sum(VEILED_MS[0] <= ms <= VEILED_MS[1] and not _repeated(ms, lasted) for ms in lasted)


def _repeated(ms: float, lasted: list[float]) -> bool:
    """Return whether another lasted as long: one body that sways, not several that walk."""
    return sum(abs(ms - other) <= SWAY_PART * ms for other in lasted) > 1


def _single(outer: Span, inner: Span, people: People, *, lone: bool = False) -> Verdict:
    """Classify one stretch on each beam: a person, an arm, somebody who turned back, or two.

    ``lone``: nobody is near whose arm or bag it may be.
    """
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if lag_on * lag_off <= 0:
        return (0, 0, "turned_back")
    spacing_mm = people.spacing_mm
    least_mm, most_mm = depths_mm(outer, inner, spacing_mm)
    way = 1 if lag_on > 0 else -1
    walked = max(lag_on * way, lag_off * way) < spacing_mm / SLOWEST_HAND
    if max(outer[0], inner[0]) >= min(outer[1], inner[1]):
        return (0, 0, "arm")
    if walked and most_mm < BODY_LEAST_MM:
        # a hand that reaches in comes back; what goes through by itself may be a body in its arms
        somebody = mean_ms(outer, inner) > LINGERED_MS or (lone and least_mm > LONE_MM)
        return _signed(0, 1, way, "order") if somebody else (0, 0, "arm")
    if people.too_deep(mean_ms(outer, inner), least_mm):
        return _too_deep(outer, inner, people)
    return (way, way, "")


def _too_deep(outer: Span, inner: Span, people: People) -> Verdict:
    """Classify what is too deep for one body: two, one who stood, or an arm swung at one end."""
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    # where people measure deeper than they are, they look as much faster
    spacing_mm = people.spacing_mm / people.scale
    least_mm, _ = depths_mm(outer, inner, spacing_mm)
    quick_ms, slow_ms = sorted((abs(lag_on), abs(lag_off)))
    one = _signed(1, 1, lag_on, "")
    swung_mm = mean_ms(outer, inner) * spacing_mm / slow_ms
    if swung_mm <= next(most_mm for factor, most_mm in SWUNG if slow_ms < factor * quick_ms):
        return one
    bodies = _most_bodies(least_mm)
    if quick_ms < spacing_mm / FASTEST_BODY:
        return _signed(0, bodies, lag_on, "passing")
    walked = any(
        quick_ms + slow_ms < 2 * spacing_mm / slowest and slow_ms < factor * quick_ms
        for slowest, factor in PAIRS
    )
    return _signed(0, bodies, lag_on, "abreast") if walked and least_mm < STOOD_MM else one


def _most_bodies(depth_mm: float) -> int:
    """Return how many people in touch may be so deep."""
    return 3 if depth_mm > THREE_LEAST_MM else 2


def _cut(outs: list[Span], ins: list[Span], cuts: list[tuple[int, int]]) -> list[BeamPattern]:
    """Cut both beams' spans wherever both saw the same gap."""
    patterns, i, j = [], 0, 0
    for ci, cj in [*cuts, (len(outs) - 1, len(ins) - 1)]:
        patterns.append(BeamPattern(outs[i : ci + 1], ins[j : cj + 1]))
        i, j = ci + 1, cj + 1
    return patterns


def _pair_gaps(
    outs: list[Span], ins: list[Span], way: int, spacing_mm: float
) -> list[tuple[int, int]]:
    """Return the gaps that both beams saw one lag apart, as indices of the spans before them."""
    first, second = gaps(outs), gaps(ins)
    lag_ms = min(abs(ins[0][0] - outs[0][0]), abs(ins[-1][1] - outs[-1][1]))
    scale = spacing_mm, lag_ms, _walked_ms(outs, ins)
    like = [[_likeness(a, b, way, scale) for b in second] for a in first]
    best = [[0.0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            paired = like[i][j] + best[i + 1][j + 1] if like[i][j] else 0.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], paired)
    cuts, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if like[i][j] and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            cuts.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return cuts


def _likeness(
    outer: Span, inner: Span, way: int, scale: tuple[float, float, tuple[float, float]]
) -> float:
    """Return how well two gaps can be one gap between two bodies, moving this way: 0 to 3.5.

    ``scale`` is the spacing, the lag of whoever came first or went last, whoever was quicker, and
    from which lag to which a narrow gap may have.
    """
    spacing_mm, walked_ms, narrow_ms = scale
    lag_off, lag_on = way * (inner[0] - outer[0]), way * (inner[1] - outer[1])
    least_ms, most_ms = sorted((lag_off, lag_on))
    if least_ms < spacing_mm / FASTEST_HAND or most_ms > spacing_mm / SLOWEST:
        return 0.0
    short, long = sorted((outer[1] - outer[0], inner[1] - inner[0]))
    narrow = spacing_mm * short < GAP_LEAST_MM * least_ms
    if narrow and not _one_gap(outer, inner, way, narrow_ms):
        return 0.0
    if long > GAP_FACTOR * short + GAP_SLACK_MS or most_ms > LAG_FACTOR * least_ms:
        return 0.0
    like_walked = min(walked_ms, most_ms) / max(walked_ms, most_ms)
    return (0.15 + like_walked) * (1.0 + short / long + least_ms / most_ms)


def _rejoined(patterns: list[BeamPattern], people: People) -> list[BeamPattern]:
    """Join neighbours that met drop-outs by chance: no deeper than one body, or who stood."""
    out = patterns[:1]
    for pattern in patterns[1:]:
        before = out[-1]
        both = before.joined(pattern)
        outer_gap_ms = pattern.outs[0][0] - before.outs[-1][1]
        inner_gap_ms = pattern.ins[0][0] - before.ins[-1][1]
        if max(outer_gap_ms, inner_gap_ms) <= people.dropout_ms and (
            hull_mm(both, people.spacing_mm) < TWO_LEAST_MM
            or (_stood(both, people) and (_stood(before, people) or _stood(pattern, people)))
        ):
            out[-1] = both
        else:
            out.append(pattern)
    return out


def _stood(pattern: BeamPattern, people: People) -> bool:
    """Return whether whoever went through here stood: for long, or between two unlike lags."""
    outer, inner = pattern.hull()
    lags = inner[0] - outer[0], inner[1] - outer[1]
    depth_mm = hull_mm(pattern, people.spacing_mm)
    if not BODY_LEAST_MM < depth_mm < inf:
        return False
    return depth_mm > STOOD_MM or not alike(*lags, LAG_FACTOR)


def _classify_pattern(pattern: BeamPattern, people: People) -> Verdict:
    """Classify one pattern: fill drop-outs that one beam alone saw, then count quarter turns."""
    outs = filled(pattern.outs, people.dropout_ms)
    ins = filled(pattern.ins, people.dropout_ms)
    outer, inner = pattern.hull()
    if len(outs) == len(ins) == 1:
        return _deep(pattern, _single(outer, inner, people), people)
    bodies = quarter_turns(outs, ins) // 4
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if bodies and lag_on * lag_off > 0 > bodies * lag_on:
        return (-1, 1, "order")
    if bodies:
        verdict = _signed(1, abs(bodies), bodies, "close" if abs(bodies) > 1 else "")
        # a gap that one beam alone saw was shorter than the way to the other beam
        brief = all(b - a < min(abs(lag_on), abs(lag_off)) for a, b in gaps(outs) + gaps(ins))
        near = brief and hull_mm(pattern, people.spacing_mm) < STOOD_MM
        return _deep(pattern, verdict, people) if near else verdict
    if lag_on * lag_off <= 0:
        return (0, 0, "turned_back")
    if alike(lag_on, lag_off, LAG_FACTOR):
        return _deep(pattern, _single(outer, inner, people), people)
    return _signed(0, 1, lag_on, "order")


def _deep(pattern: BeamPattern, verdict: Verdict, people: People) -> Verdict:
    """Decide a pattern too deep for one body by the gaps that one beam saw: bodies and arms."""
    lags = _walked_lags(pattern)
    if not lags or hull_mm(pattern, people.spacing_mm) <= BODY_MOST_MM:
        return verdict
    mm_per_ms = 2 * people.spacing_mm / abs(sum(lags))
    bag_mm = _parted_mm(pattern, people)
    counts = [_bodies(spans, mm_per_ms, bag_mm) for spans in (pattern.outs, pattern.ins)]
    seen = [count for count in counts if count]
    if not seen:
        return verdict
    # a body shows on both beams; an arm that swings slowly may look like one on one of them
    most = min(most for _, most in seen)
    least = min(most, max(least for least, _ in seen)) if _in_touch(pattern, people) else 1
    return _signed(least, most, lags[0], "close" if least < most else "")


def _dropped(pattern: BeamPattern, people: People) -> bool:
    """Return whether the one gap here may be a drop-out, and is all that tells this from two."""
    if len(pattern.outs) + len(pattern.ins) != 3:
        return False
    (gap,) = gaps(pattern.outs) or gaps(pattern.ins)
    if not DROPOUT_LEAST_MS <= length(gap) <= people.dropout_ms:
        return False
    outer, inner = pattern.hull()
    least, most, _ = _single(outer, inner, people)
    mm_per_ms = hull_mm(pattern, people.spacing_mm) / mean_ms(outer, inner)
    thinnest_ms = min(length(span) for span in pattern.outs + pattern.ins)
    return least < most and thinnest_ms * mm_per_ms > HALF_LEAST_MM


def _parted_mm(pattern: BeamPattern, people: People) -> float:
    """Return how thin an arm or a bag is that a gap of one beam alone parts from its body.

    A bag has a gap on both beams. So where all together is too deep for one body, what is parted is
    as thin as an arm, or may be a second body; thinner still where the gap may be a drop-out.
    """
    if not people.too_deep(0.0, hull_mm(pattern, people.spacing_mm), arms=True):
        return BAG_MOST_MM
    lasted_ms = [length(gap) for gap in gaps(pattern.outs) + gaps(pattern.ins)]
    dropped = all(ms >= DROPOUT_LEAST_MS for ms in lasted_ms)
    return THIN_MM if dropped else TOUCHING_LEAST_MM * people.scale


def _in_touch(pattern: BeamPattern, people: People) -> bool:
    """Return whether a gap that one beam alone saw may be that of two who walk in touch.

    It had closed at the other beam, so it was short: shorter than any drop-out.
    """
    lasted_ms = [length(gap) for gap in gaps(pattern.outs) + gaps(pattern.ins)]
    lone = len(pattern.outs) == 1 or len(pattern.ins) == 1
    return (
        lone
        and max(lasted_ms) < DROPOUT_LEAST_MS
        and hull_mm(pattern, people.spacing_mm) < STOOD_MM
    )


def _walked_lags(pattern: BeamPattern) -> tuple[float, float] | None:
    """Return the lags of the longest spans if a walker's, else of the whole; None: none walked."""
    outer, inner = max(pattern.outs, key=length), max(pattern.ins, key=length)
    hull = pattern.hull()
    whole = hull[1][0] - hull[0][0], hull[1][1] - hull[0][1]
    body = inner[0] - outer[0], inner[1] - outer[1]
    if whole[0] * whole[1] <= 0 or not alike(*whole, EVEN_FACTOR):
        return None
    same_way = body[0] * whole[0] > 0 and body[1] * whole[1] > 0
    return body if same_way and alike(*body, UNEVEN_FACTOR) else whole


def _bodies(spans: list[Span], mm_per_ms: float, bag_mm: float) -> tuple[int, ...]:
    """Return the least and most bodies that one beam saw with gaps between; () if it can't tell."""
    depths_mm = [length(span) * mm_per_ms for span in spans]
    if len(depths_mm) < 2 or max(depths_mm) >= BODY_MOST_MM or max(depths_mm) < BODY_LEAST_MM:
        return ()
    sure = sum(depth > BODY_SURE_MM for depth in depths_mm)
    rest = fsum(depth for depth in depths_mm if depth <= BODY_SURE_MM)
    perhaps = sum(depth > bag_mm for depth in depths_mm)
    return max(1, sure), max(1, perhaps, sure + int(rest / BODY_SURE_MM))


def _signed(least: int, most: int, way: float, why: str) -> Verdict:
    """Return the verdict for ``least`` to ``most`` people going this way (> 0: in)."""
    return (least, most, why) if way > 0 else (-most, -least, why)
