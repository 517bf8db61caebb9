"""Rhythms of regulars: recognised at any tempo, and used only as a name on an event."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

#: A name, and the intervals between raps relative to the longest (0-1].
Rhythm = tuple[str, tuple[float, ...]]
#: One interval may be off by this part of the longest, all of them by this part on average: what
#: hands repeat (after the "secret knock" lock that made tempo-free matching popular).
ONE_OFF = 0.25
MEAN_OFF = 0.12


def learn(rap_times_ms: Sequence[float]) -> tuple[float, ...]:
    """Return the relative intervals (longest = 1.0) of a rhythm that was knocked once."""
    gaps = [b - a for a, b in pairwise(rap_times_ms)]
    longest = max(gaps, default=0.0)
    return tuple(round(gap / longest, 3) for gap in gaps) if longest > 0 else ()


def name_of(rap_times_ms: Sequence[float], regulars: Sequence[Rhythm]) -> str:
    """Return the name of the rhythm that these raps are most like, or ""."""
    if not regulars:
        return ""
    heard = learn(rap_times_ms)
    best, name = MEAN_OFF, ""
    for known, gaps in regulars:
        if len(gaps) != len(heard) or len(heard) < 2:
            continue
        off = [abs(a - b) for a, b in zip(heard, gaps, strict=True)]
        mean = sum(off) / len(off)
        if max(off) <= ONE_OFF and mean <= best:
            best, name = mean, known
    return name
