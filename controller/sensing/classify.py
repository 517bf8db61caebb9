"""What a finished passage was, from the times at which each beam was broken and clear.

Two people close together leave a gap on both beams, one lag apart; a drop-out of a receiver shows
on one beam alone, or on both at once. A body's arms and bags are told from a second body by their
depth (see ``carried``). What remains is walked through as quarter turns, in which a retreat takes
its steps back.
"""

from __future__ import annotations

from math import fsum

from controller.sensing.carried import BAG_MOST_MM, Lately, alone, carried
from controller.sensing.patterns import (
    BODY_LEAST_MM,
    BODY_MOST_MM,
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
    gaps,
    hull_mm,
    length,
    mean_ms,
    quarter_turns,
    spans_of,
    unflickered,
)
from controller.sensing.settings import SensingSettings

#: Least and most people who went in (negative: out), and why that is uncertain or nobody.
Verdict = tuple[int, int, str]

#: Two bodies one behind the other with a gap between them are at least this deep.
TWO_LEAST_MM = 400.0
#: Three bodies that touch are at least this deep.
THREE_LEAST_MM = 620.0
#: Two or three bodies that touch are at most this deep; what is deeper without a gap stood there.
STOOD_MM = 720.0
#: A hand moves no faster than this (m/s), and no slower while it is not held still.
FASTEST_HAND = 3.0
SLOWEST_HAND = 0.12
#: The lags of two bodies side by side: they walk evenly, or it would be an arm and a body.
EVEN_FACTOR = 1.45
#: An arm that swings ahead or behind makes one lag up to so many times the other; in two who
#: squeeze past each other, one in and one out, they differ more.
SWUNG_FACTOR = 2.7
#: With lags that differ more it is one body only if it is no deeper than this by the longer one.
SWUNG_MOST_MM = 280.0
#: Slower than this no pair walks side by side: somebody stood in the doorway.
SLOWEST_PAIR = 0.38
#: Whoever comes to a doorway, or leaves it, breaks or clears the other beam within this; a coat
#: that is hung into one beam is lonely.
VEIL_MS = 800.0
#: Whoever walks past a coat breaks the other beam for this long; who stands and sways, longer.
VEILED_MS = (BODY_MS[0], 900.0)
#: The sways of one body last equally long, within this part.
SWAY_PART = 0.04
#: A gap seen by both beams is equally long, but for chatter at its ends and a change of speed.
GAP_FACTOR = 3.0
GAP_SLACK_MS = 25.0


def classify(
    outer: list[float],
    inner: list[float],
    settings: SensingSettings,
    lately: Lately,
) -> list[Verdict]:
    """Return a verdict for each passage in these changes (broken, clear, ...) of the two beams."""
    if not outer or not inner:
        return [(0, 0, "one_beam")]
    if len(outer) == len(inner) == 2 and (outer[0] < inner[0]) == (outer[1] < inner[1]):
        verdict = _single((outer[0], outer[1]), (inner[0], inner[1]), settings.beam_spacing_mm)
        if outer[0] >= lately.until_ms:
            return [verdict]
        pattern = BeamPattern(spans_of(outer), spans_of(inner))
        return _carried([pattern], [verdict], settings, lately)
    outs, ins = unflickered(spans_of(outer), spans_of(inner), settings.beam_dropout_ms)
    way = alone(outs, ins, settings)
    verdicts = [(way, way, "")] if way else _in_file(outs, ins, settings, lately)
    veiled = _veiled(outs, ins) + _veiled(ins, outs)
    return [_widened(verdicts, veiled)] if veiled else verdicts


def _widened(verdicts: list[Verdict], people: int) -> Verdict:
    """Return these verdicts as one, with so many more who went in, out or neither."""
    least, most = sum(v[0] for v in verdicts), sum(v[1] for v in verdicts)
    return (least - people, most + people, "beam_covered")


def _in_file(
    outs: list[Span], ins: list[Span], settings: SensingSettings, lately: Lately
) -> list[Verdict]:
    """Cut where both beams saw one gap, classify each piece, and leave out what is carried."""
    way = 1 if outs[0][0] < ins[0][0] else -1
    through = (outs[0][0] < ins[0][0]) == (outs[-1][1] < ins[-1][1])
    cuts = _pair_gaps(outs, ins, way, settings.beam_spacing_mm)
    if not cuts and not through:
        cuts = _pair_gaps(outs, ins, -way, settings.beam_spacing_mm)
    patterns = _rejoined(_cut(outs, ins, cuts), settings)
    verdicts = [_classify_pattern(pattern, settings) for pattern in patterns]
    if len(patterns) > 1 and not through:
        return [_back(verdicts)]
    if not any(v[0] or v[1] for v in verdicts):
        return [_classify_pattern(BeamPattern(outs, ins), settings)]
    verdicts = _carried(patterns, verdicts, settings, lately)
    return [v for v in verdicts if v[0] or v[1]] or verdicts[:1]


def _carried(
    patterns: list[BeamPattern],
    verdicts: list[Verdict],
    settings: SensingSettings,
    lately: Lately,
) -> list[Verdict]:
    """Leave out, or doubt, each certain person who is thin enough to be a neighbour's bag."""
    sure = [p if v[0] == v[1] != 0 else None for p, v in zip(patterns, verdicts, strict=True)]
    row = [lately.before(patterns[0]), *sure, None]
    out = []
    for pattern, verdict, before, after in zip(sure, verdicts, row, row[2:], strict=False):
        neighbours = [p for p in (before, after) if p]
        why = carried(pattern, neighbours, settings, lately) if pattern and neighbours else ""
        if why == "arm":
            out.append((0, 0, why))
        else:
            out.append(_signed(0, 1, verdict[0], why) if why else verdict)
    return out


def _back(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on people who ended where they began: they may have paced to and fro."""
    least, most = sum(v[0] for v in verdicts), sum(v[1] for v in verdicts)
    return (min(0, least), max(0, most), "paced" if least or most else "turned_back")


def _veiled(long: list[Span], short: list[Span]) -> int:
    """Return how many may have walked past whoever, or whatever, broke one beam for long.

    Nobody else was near when it broke, and the walkers' breaks of the other beam lie deep within.
    """
    if len(long) > 1:
        return 0
    on, off = long[0]
    if any(abs(t - on) < VEIL_MS for span in short for t in span):
        return 0
    lasted = [b - a for a, b in short if on < a and b <= off - VEIL_MS]
    return sum(VEILED_MS[0] <= ms <= VEILED_MS[1] and not _repeated(ms, lasted) for ms in lasted)


def _repeated(ms: float, lasted: list[float]) -> bool:
    """Return whether another lasted as long: one body that sways, not several that walk."""
    return sum(abs(ms - other) <= SWAY_PART * ms for other in lasted) > 1


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
    if least_mm > BODY_MOST_MM and least_mm > body_most_mm(mean_ms(outer, inner)):
        return _too_deep(outer, inner, spacing_mm)
    return (way, way, "")


def _too_deep(outer: Span, inner: Span, spacing_mm: float) -> Verdict:
    """Classify what is too deep for one body: two, one who stood, or an arm swung at one end."""
    lag_on, lag_off = inner[0] - outer[0], inner[1] - outer[1]
    least_mm, _ = depths_mm(outer, inner, spacing_mm)
    quick_ms, slow_ms = sorted((abs(lag_on), abs(lag_off)))
    one = _signed(1, 1, lag_on, "")
    if slow_ms > UNEVEN_FACTOR * quick_ms:
        most_mm = BODY_MOST_MM if slow_ms < SWUNG_FACTOR * quick_ms else SWUNG_MOST_MM
        if mean_ms(outer, inner) * spacing_mm / slow_ms <= most_mm:
            return one
    people = 3 if least_mm > THREE_LEAST_MM else 2
    if quick_ms < spacing_mm / FASTEST_BODY:
        return _signed(0, people, lag_on, "passing")
    walked = slow_ms < spacing_mm / SLOWEST_PAIR and slow_ms < EVEN_FACTOR * quick_ms
    return _signed(0, people, lag_on, "abreast") if walked and least_mm < STOOD_MM else one


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
            and hull_mm(both, settings.beam_spacing_mm) < TWO_LEAST_MM
        ):
            out[-1] = both
        else:
            out.append(pattern)
    return out


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
        brief = all(b - a < min(abs(lag_on), abs(lag_off)) for a, b in gaps(outs) + gaps(ins))
        near = brief and hull_mm(pattern, settings.beam_spacing_mm) < STOOD_MM
        return _deep(pattern, verdict, settings) if near else verdict
    if lag_on * lag_off <= 0:
        return (0, 0, "turned_back")
    if alike(lag_on, lag_off, LAG_FACTOR):
        return _deep(pattern, _single(outer, inner, settings.beam_spacing_mm), settings)
    return _signed(0, 1, lag_on, "order")


def _deep(pattern: BeamPattern, verdict: Verdict, settings: SensingSettings) -> Verdict:
    """Decide a pattern too deep for one body by the gaps that one beam saw: bodies and arms."""
    lags = _walked_lags(pattern)
    if not lags or hull_mm(pattern, settings.beam_spacing_mm) <= BODY_MOST_MM:
        return verdict
    mm_per_ms = 2 * settings.beam_spacing_mm / abs(sum(lags))
    counts = [
        _bodies([(b - a) * mm_per_ms for a, b in spans]) for spans in (pattern.outs, pattern.ins)
    ]
    seen = [count for count in counts if count]
    if not seen:
        return verdict
    # a body shows on both beams; an arm that swings slowly may look like one on one of them
    most = min(most for _, most in seen)
    least = min(most, max(least for least, _ in seen))
    return _signed(least, most, lags[0], "close" if least < most else "")


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


def _bodies(depths_mm: list[float]) -> tuple[int, ...]:
    """Return the least and most bodies that one beam saw with gaps between; () if it can't tell."""
    if len(depths_mm) < 2 or max(depths_mm) >= BODY_MOST_MM or max(depths_mm) < BODY_LEAST_MM:
        return ()
    sure = sum(depth > BODY_SURE_MM for depth in depths_mm)
    rest = fsum(depth for depth in depths_mm if depth <= BODY_SURE_MM)
    perhaps = sum(depth > BAG_MOST_MM for depth in depths_mm)
    return max(1, sure), max(1, perhaps, sure + int(rest / BODY_SURE_MM))


def _signed(least: int, most: int, way: float, why: str) -> Verdict:
    """Return the verdict for ``least`` to ``most`` people going this way (> 0: in)."""
    return (least, most, why) if way > 0 else (-most, -least, why)
