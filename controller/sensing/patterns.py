"""What two beams saw, as stretches of time, and what that says without any length."""

from __future__ import annotations

from itertools import pairwise
from math import fsum

#: One stretch for which a beam was broken: from, to (ms).
Span = tuple[float, float]

#: The two lags of one pattern agree within this factor: a hand swings up to twice as fast as its
#: body walks; beyond it somebody stopped between the beams.
LAG_FACTOR = 2.5
#: A body breaks a beam for this long: 200 mm at 1.6 m/s, 350 mm at 0.15 m/s.
BODY_MS = (110.0, 2400.0)
#: A gap that comes and goes on both beams within this is light or supply: a body's gap reaches the
#: other beam one lag later.
AT_ONCE_MS = 6.0


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


def alike(lag_on: float, lag_off: float, factor: float) -> bool:
    """Return whether these two lags of one sign are within this factor of each other."""
    low, high = sorted((abs(lag_on), abs(lag_off)))
    return high < factor * low


# --- spans ---------------------------------------------------------------------------------------


def spans_of(changes: list[float]) -> list[Span]:
    """Return these changes (broken, clear, broken, ...) as stretches."""
    return list(zip(changes[::2], changes[1::2], strict=True))


def length(span: Span) -> float:
    """Return how long this stretch lasted, in ms."""
    return span[1] - span[0]


def gaps(spans: list[Span]) -> list[Span]:
    """Return the stretches between these."""
    return [(a[1], b[0]) for a, b in pairwise(spans)]


def mean_ms(outer: Span, inner: Span) -> float:
    """Return how long each beam was broken, in the mean."""
    return (outer[1] - outer[0] + inner[1] - inner[0]) / 2


def broken_ms(changes: list[float]) -> float:
    """Return how long the beam was broken by these changes, in ms (up to its last clear)."""
    if len(changes) == 2:
        return changes[1] - changes[0]
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


def without(spans: list[Span], cuts: list[Span]) -> list[Span]:
    """Return these broken stretches, parted by gaps that lie within them."""
    out = list(spans)
    for on, off in sorted(set(cuts)):
        at = next((k for k, span in enumerate(out) if span[0] < on and off < span[1]), None)
        if at is not None:
            out[at : at + 1] = [(out[at][0], on), (off, out[at][1])]
    return out


def unflickered(
    outs: list[Span], ins: list[Span], dropout_ms: float
) -> tuple[list[Span], list[Span]]:
    """Return both beams' spans without the short gaps that came and went on both at once."""
    if len(outs) == 1 or len(ins) == 1:
        return outs, ins
    seen = gaps(ins)
    both = [
        (on, off)
        for on, off in gaps(outs)
        if off - on <= dropout_ms
        and any(abs(on - a) <= AT_ONCE_MS and abs(off - b) <= AT_ONCE_MS for a, b in seen)
    ]
    return (_bridged(outs, both), _bridged(ins, both)) if both else (outs, ins)


def _bridged(spans: list[Span], over: list[Span]) -> list[Span]:
    """Return these spans, joined over these gaps."""
    out = spans[:1]
    for on, off in spans[1:]:
        if any(abs(out[-1][1] - begin) <= AT_ONCE_MS for begin, _ in over):
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
