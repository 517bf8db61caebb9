"""Break-beams: levels, changes in this passage, our doubts; and steps between two beams."""

from __future__ import annotations

from math import fsum, inf

#: One stretch for which a beam was broken: from, to (ms).
Span = tuple[float, float]


class Beam:
    """One receiver: its raw level, its filtered level and its changes in this passage."""

    __slots__ = (
        "alone", "broken_ms", "calm_ms", "changes", "covered", "dead", "due", "ghost", "line",
        "raw", "since", "stable", "stuck",
    )  # fmt: skip

    def __init__(self, line: str) -> None:
        self.line = line
        self.raw: bool | None = None
        self.stable = False
        #: First raw edge of the unsettled stretch, and when it will have settled.
        self.since = inf
        self.due = inf
        #: Times of filtered changes: broken, clear, broken, ... in turn.
        self.changes: list[float] = []
        #: Since when it is broken (inf: it is not), and what we think of it.
        self.broken_ms = inf
        self.covered = self.stuck = self.dead = self.ghost = False
        #: When a chattering beam is trusted again; None: it does not chatter.
        self.calm_ms: float | None = None
        #: Bodies seen in a row by this beam alone.
        self.alone = 0

    def doubt(self) -> str:
        """Why this beam says nothing about a passage, or ''."""
        if self.calm_ms is not None:
            return "beam_chatter"
        if self.dead:
            return "beam_dead"
        return "beam_covered" if self.covered else ""


def broken_ms(changes: list[float]) -> float:
    """How long these changes say that the beam was broken, in ms (up to its last clear)."""
    # `fsum`: exact, so that every Python adds up to the same bytes
    return fsum(changes[1::2]) - fsum(changes[: len(changes) // 2 * 2 : 2])


def filled(spans: list[Span], dropout_ms: float) -> list[Span]:
    """These broken stretches with the drop-outs between them filled."""
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
    """Walk through the four states and add up signed quarter turns; +4 is one person in."""
    steps = [(t, 1) for span in outs for t in span] + [(t, 2) for span in ins for t in span]
    levels, total = 0, 0
    for _, beam in sorted(steps):
        before = _PLACE[levels]
        levels ^= beam
        total += 1 if (_PLACE[levels] - before) % 4 == 1 else -1
    return total
