"""What a finished passage was, from the times at which each beam was broken and clear.

Inward, the front of a body reaches the outer beam, then the inner one (``spacing`` further), then
its back leaves the outer beam, then the inner one:

    outer  ____#########______        broken time = depth / speed
    inner  _______#########___        lag         = spacing / speed
               |--|      |--|         depth       = broken time x spacing / lag

So depth needs no speed. Two people close together leave a gap on both beams, one lag apart; a
drop-out of a receiver shows on one beam alone. What remains is walked through as quarter turns, in
which a retreat takes its steps back.
"""

from __future__ import annotations

from itertools import pairwise
from math import fsum, inf

from controller.sensing.settings import SensingSettings

#: One stretch for which a beam was broken: from, to (ms).
Span = tuple[float, float]
#: Least and most people who went in (negative: out), and why that is uncertain or nobody.
Verdict = tuple[int, int, str]

#: A body is at least this deep at hip height: trunks measure 200-350 mm with clothes, a hand 60-90,
#: a bag under an arm up to 130. In between: room for a spacing that is 15 % wrong.
BODY_LEAST_MM = 145.0
#: What is this deep was no arm or bag, even next to a body.
BODY_SURE_MM = 195.0
#: One body is at most this deep: 350 mm, and what uneven steps and a wrong spacing add.
BODY_MOST_MM = 380.0
#: Two bodies one behind the other with a gap between them are at least this deep.
TWO_LEAST_MM = 400.0
#: Three bodies that touch are at least this deep.
THREE_LEAST_MM = 620.0
#: Two or three bodies that touch are at most this deep; what is deeper without a gap stood there.
STOOD_MM = 900.0
#: Nobody walks through a door faster than this (mm/ms = m/s); two who squeeze past each other,
#: one in and one out, can look faster. Hands are faster too.
FASTEST_BODY = 1.8
FASTEST_HAND = 3.0
#: Slower than this somebody stands, and a lag says nothing about depth.
SLOWEST = 0.2
SLOWEST_HAND = 0.12
#: The two lags of one pattern agree within this factor: a hand swings up to twice as fast as its
#: body walks; beyond it somebody stopped between the beams.
LAG_FACTOR = 2.5
#: The lags of two bodies side by side: they walk evenly, or it would be an arm and a body.
EVEN_FACTOR = 1.45
#: A body breaks a beam for this long: 200 mm at 1.6 m/s, 350 mm at 0.15 m/s.
BODY_MS = (110.0, 2400.0)
#: Whoever comes to a doorway, or leaves it, breaks or clears the other beam within this; a coat
#: that is hung into one beam is lonely.
VEIL_MS = 700.0
#: A gap seen by both beams is equally long, but for chatter at its ends and a change of speed.
GAP_FACTOR = 3.0
GAP_SLACK_MS = 25.0


class BeamPattern:
    """What the beams saw of somebody: the stretches for which each was broken."""

    __slots__ = ("ins", "outs")

    def __init__(self, outs: list[Span], ins: list[Span]) -> None:
        self.outs = outs
        self.ins = ins

    def hull(self) -> tuple[Span, Span]:
        """Return first broken to last clear, of the outer and of the inner beam."""
        return (self.outs[0][0], self.outs[-1][1]), (self.ins[0][0], self.ins[-1][1])

    def joined(self, other: BeamPattern) -> BeamPattern:
        """Return this pattern and the next as one."""
        return BeamPattern(self.outs + other.outs, self.ins + other.ins)


def classify(outer: list[float], inner: list[float], settings: SensingSettings) -> list[Verdict]:
    """Return a verdict for each passage in these changes (broken, clear, ...) of the two beams."""
    spacing_mm = settings.beam_spacing_mm
    if len(outer) == 2 and len(inner) == 2 and (outer[0] < inner[0]) == (outer[1] < inner[1]):
        return [_single((outer[0], outer[1]), (inner[0], inner[1]), spacing_mm)]
    if not outer or not inner:
        return [(0, 0, "one_beam")]
    outs = list(zip(outer[::2], outer[1::2], strict=True))
    ins = list(zip(inner[::2], inner[1::2], strict=True))
    veiled = _veiled(outs, ins) + _veiled(ins, outs)
    if veiled:
        return [(-veiled, veiled, "beam_covered")]
    way = 1 if outer[0] < inner[0] else -1
    through = (outer[0] < inner[0]) == (outer[-1] < inner[-1])
    cuts = _pair_gaps(outs, ins, way, spacing_mm)
    if not cuts and not through:
        cuts = _pair_gaps(outs, ins, -way, spacing_mm)
    patterns = _rejoined(_cut(outs, ins, cuts), settings)
    verdicts = [_classify_pattern(pattern, settings) for pattern in patterns]
    if len(patterns) > 1 and not through:
        return [_back(verdicts)]
    people = [v for v in verdicts if v[0] or v[1]]
    return people or [_classify_pattern(BeamPattern(outs, ins), settings)]


def _back(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on people who ended where they began: they may have paced to and fro."""
    least, most = sum(v[0] for v in verdicts), sum(v[1] for v in verdicts)
    return (min(0, least), max(0, most), "paced" if least or most else "turned_back")


def _veiled(long: list[Span], short: list[Span]) -> int:
    """Return how many body-long breaks of one beam lie deep within one long break of the other."""
    if len(long) > 1 or any(abs(t - end) < VEIL_MS for s in short for t in s for end in long[0]):
        return 0
    on, off = long[0]
    return sum(on < a and b < off and BODY_MS[0] <= b - a <= BODY_MS[1] for a, b in short)


def depths_mm(outer: Span, inner: Span, spacing_mm: float) -> tuple[float, float]:
    """Return the depth of what passed: by its mean lag (least), by its mean speed (most).

    They agree for whoever walks through; they differ for whoever stopped half-way.
    """
    lag_on, lag_off = abs(inner[0] - outer[0]), abs(inner[1] - outer[1])
    broken_ms = (outer[1] - outer[0] + inner[1] - inner[0]) / 2
    by_lag = 2 * spacing_mm * broken_ms / (lag_on + lag_off)
    by_speed = spacing_mm * broken_ms * (1 / lag_on + 1 / lag_off) / 2
    return by_lag, by_speed


def _single(outer: Span, inner: Span, spacing_mm: float) -> Verdict:
    """Classify one stretch on each beam: a person, an arm, somebody who turned back, or two."""
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if lag_on * lag_off <= 0:
        return (0, 0, "turned_back")
    least_mm, most_mm = depths_mm(outer, inner, spacing_mm)
    way = 1 if lag_on > 0 else -1
    walked = max(lag_on * way, lag_off * way) < spacing_mm / SLOWEST_HAND
    if max(outer[0], inner[0]) >= min(outer[1], inner[1]) or (walked and most_mm < BODY_LEAST_MM):
        return (0, 0, "arm")
    if least_mm > BODY_MOST_MM:
        people = 3 if least_mm > THREE_LEAST_MM else 2
        if min(lag_on * way, lag_off * way) < spacing_mm / FASTEST_BODY:
            return _signed(0, people, lag_on, "passing")
        if least_mm < STOOD_MM and _alike(lag_on, lag_off, EVEN_FACTOR):
            return _signed(0, people, lag_on, "abreast")
    return (way, way, "")


def _alike(lag_on: float, lag_off: float, factor: float) -> bool:
    """Return whether these two lags of one sign are within this factor of each other."""
    low, high = sorted((abs(lag_on), abs(lag_off)))
    return high < factor * low


def _gaps(spans: list[Span]) -> list[Span]:
    return [(a[1], b[0]) for a, b in pairwise(spans)]


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
    first, second = _gaps(outs), _gaps(ins)
    lag_ms = min(abs(ins[0][0] - outs[0][0]), abs(ins[-1][1] - outs[-1][1]))
    like = [[_likeness(a, b, way, (spacing_mm, lag_ms)) for b in second] for a in first]
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


def _likeness(outer: Span, inner: Span, way: int, scale: tuple[float, float]) -> float:
    """Return how well two gaps can be one gap between two bodies, moving this way: 0, or 1-5.

    ``scale`` is the spacing and the lag of whoever came first or went last, whoever was quicker.
    """
    spacing_mm, walked_ms = scale
    lag_off, lag_on = way * (inner[0] - outer[0]), way * (inner[1] - outer[1])
    least_ms, most_ms = sorted((lag_off, lag_on))
    if least_ms < spacing_mm / FASTEST_HAND or most_ms > spacing_mm / SLOWEST:
        return 0.0
    short, long = sorted((outer[1] - outer[0], inner[1] - inner[0]))
    if long > GAP_FACTOR * short + GAP_SLACK_MS or most_ms > LAG_FACTOR * least_ms:
        return 0.0
    like_walked = min(walked_ms, most_ms) / max(walked_ms, most_ms)
    return 1.0 + short / long + least_ms / most_ms + 2 * like_walked


def _rejoined(patterns: list[BeamPattern], settings: SensingSettings) -> list[BeamPattern]:
    """Join neighbours that together are no deeper than one body: drop-outs met by chance."""
    out = patterns[:1]
    for pattern in patterns[1:]:
        before = out[-1]
        both = before.joined(pattern)
        outer_gap_ms = pattern.outs[0][0] - before.outs[-1][1]
        inner_gap_ms = pattern.ins[0][0] - before.ins[-1][1]
        if (
            max(outer_gap_ms, inner_gap_ms) <= settings.beam_dropout_ms
            and _hull_mm(both, settings.beam_spacing_mm) < TWO_LEAST_MM
        ):
            out[-1] = both
        else:
            out.append(pattern)
    return out


def _hull_mm(pattern: BeamPattern, spacing_mm: float) -> float:
    """Return the depth of the whole pattern by its mean lag; infinite if it did not go through."""
    outer, inner = pattern.hull()
    if (inner[0] - outer[0]) * (inner[1] - outer[1]) <= 0:
        return inf
    return depths_mm(outer, inner, spacing_mm)[0]


def _classify_pattern(pattern: BeamPattern, settings: SensingSettings) -> Verdict:
    """Classify one pattern: fill drop-outs that one beam alone saw, then count quarter turns."""
    outs = filled(pattern.outs, settings.beam_dropout_ms)
    ins = filled(pattern.ins, settings.beam_dropout_ms)
    outer, inner = pattern.hull()
    if len(outs) == len(ins) == 1:
        return _deep(pattern, _single(outer, inner, settings.beam_spacing_mm), settings)
    people = quarter_turns(outs, ins) // 4
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    if people and lag_on * lag_off > 0 > people * lag_on:
        return (-1, 1, "order")
    if people:
        verdict = _signed(1, abs(people), people, "close" if abs(people) > 1 else "")
        # a gap that one beam alone saw was shorter than the way to the other beam
        brief = all(b - a < min(abs(lag_on), abs(lag_off)) for a, b in _gaps(outs) + _gaps(ins))
        near = brief and _hull_mm(pattern, settings.beam_spacing_mm) < STOOD_MM
        return _deep(pattern, verdict, settings) if near else verdict
    if lag_on * lag_off <= 0:
        return (0, 0, "turned_back")
    if _alike(lag_on, lag_off, LAG_FACTOR):
        return _deep(pattern, _single(outer, inner, settings.beam_spacing_mm), settings)
    return _signed(0, 1, lag_on, "order")


def _deep(pattern: BeamPattern, verdict: Verdict, settings: SensingSettings) -> Verdict:
    """Decide a pattern too deep for one body by the gaps that one beam saw: bodies and arms."""
    (on, off), (inner_on, inner_off) = pattern.hull()
    lag_on, lag_off = inner_on - on, inner_off - off
    if lag_on * lag_off <= 0 or not _alike(lag_on, lag_off, EVEN_FACTOR):
        return verdict
    if _hull_mm(pattern, settings.beam_spacing_mm) <= BODY_MOST_MM:
        return verdict
    mm_per_ms = 2 * settings.beam_spacing_mm / abs(lag_on + lag_off)
    people = [
        n
        for spans in (pattern.outs, pattern.ins)
        for n in _bodies([(b - a) * mm_per_ms for a, b in spans])
    ]
    if not people:
        return verdict
    return _signed(min(people), max(people), lag_on, "close" if len(set(people)) > 1 else "")


def _bodies(depths_mm: list[float]) -> tuple[int, ...]:
    """Return the least and most bodies that one beam saw with gaps between; () if it can't tell."""
    if len(depths_mm) < 2 or max(depths_mm) >= BODY_MOST_MM or max(depths_mm) < BODY_LEAST_MM:
        return ()
    sure = sum(depth > BODY_SURE_MM for depth in depths_mm)
    rest = fsum(depth for depth in depths_mm if depth <= BODY_SURE_MM)
    perhaps = sum(depth > BODY_LEAST_MM for depth in depths_mm)
    return max(1, sure), max(perhaps, sure + int(rest / BODY_SURE_MM))


def _signed(least: int, most: int, way: float, why: str) -> Verdict:
    """Return the verdict for ``least`` to ``most`` people going this way (> 0: in)."""
    return (least, most, why) if way > 0 else (-most, -least, why)


# --- spans and steps of two beams ----------------------------------------------------------------


def broken_ms(changes: list[float]) -> float:
    """Return how long the beam was broken by these changes, in ms (up to its last clear)."""
    # `fsum`: exact, so that every Python adds up to the same bytes
    return fsum(changes[1::2]) - fsum(changes[: len(changes) // 2 * 2 : 2])


def filled(spans: list[Span], dropout_ms: float) -> list[Span]:
    """Return these broken stretches with the drop-outs between them filled."""
    out = spans[:1]
    for on, off in spans[1:]:
        if on - out[-1][1] <= dropout_ms:
            out[-1] = (out[-1][0], off)
        else:
            out.append((on, off))
    return out


#: Place of each pair of levels (outer + 2 x inner) on the way through the door.
_PLACE = (0, 1, 3, 2)


def quarter_turns(outs: list[Span], ins: list[Span]) -> int:
    """Return the sum of signed quarter turns through the four states; +4 is one person in."""
    steps = [(t, 1) for span in outs for t in span] + [(t, 2) for span in ins for t in span]
    levels, total = 0, 0
    for _, beam in sorted(steps):
        before = _PLACE[levels]
        levels ^= beam
        total += 1 if (_PLACE[levels] - before) % 4 == 1 else -1
    return total
