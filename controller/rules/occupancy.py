"""How many are inside, and how sure that is: the one gate that every change of the count passes.

The truth lies in ``min..max``. A clear passage moves both ends, an ambiguous one only the end that
it must, so the range never lies and often heals by itself: after "0 or 1 went in" a clear exit says
that it was one. ``doubted`` is the doubt that arithmetic can't heal (a blind sensor, a restart, an
exit from an empty room): only a person's tap takes it away.
"""

from __future__ import annotations

from dataclasses import dataclass

#: More people than any doorway of ours could hold: beyond it the sensors are talking nonsense.
MOST_PEOPLE = 99


@dataclass(frozen=True, slots=True)
class Occupancy:
    """People inside: ``0 <= min <= count <= max <= 99``; ``count`` is the best single guess."""

    count: int = 0
    min: int = 0
    max: int = 0
    doubted: bool = False

    @property
    def certain(self) -> bool:
        """Whether the count is exact and can be trusted."""
        return self.min == self.max and not self.doubted


def settled(count: int) -> Occupancy:
    """Return the occupancy after somebody who sees the room has set the count."""
    count = _bounded(count)
    return Occupancy(count, count, count)


def moved(occupancy: Occupancy, least: int, most: int) -> Occupancy:
    """Return the occupancy after ``least`` to ``most`` people went in (negative: out).

    More people leaving than can be inside is never clamped in silence: the count was short before,
    by one at least and perhaps by more, so one more than none stays possible and the doubt is kept.
    """
    low, high = occupancy.min + least, occupancy.max + most
    if high < 0:
        return Occupancy(0, 0, 1, doubted=True)
    sure = least if least > 0 else min(most, 0)
    return gate(Occupancy(occupancy.count + sure, low, high, occupancy.doubted))


def unseen(occupancy: Occupancy, *, least: int, most: int) -> Occupancy:
    """Return the occupancy when anything from ``least`` to ``most`` inside has become possible."""
    return gate(
        Occupancy(
            occupancy.count,
            min(occupancy.min, least),
            max(occupancy.max, most),
            doubted=True,
        )
    )


def gate(occupancy: Occupancy) -> Occupancy:
    """Return ``occupancy`` with every invariant restored; what had to be bent is doubted.

    The lower end may fall to zero without doubt: nobody can leave who was not inside.
    """
    low = _bounded(occupancy.min)
    high = max(low, _bounded(occupancy.max))
    count = min(max(occupancy.count, low), high)
    return Occupancy(count, low, high, occupancy.doubted or high != occupancy.max)


def _bounded(people: int) -> int:
    return min(max(people, 0), MOST_PEOPLE)
