"""What the beams could not tell about a release, and the readings of it that are still possible.

A release says how many were let in, the beams how many bodies they saw. Where the two differ (see
`reconcile`), each number of guests that may have come in is one reading, with the occupancy that
follows from it. All later passages move every reading. One that becomes impossible, because more
have left than it had inside, is dropped. A tap chooses one; the last one left is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from controller.rules.occupancy import Occupancy, gate, moved


class Seen(NamedTuple):
    """What the beams saw come in: surely ``entered``, at most ``most``."""

    entered: int
    most: int


@dataclass(frozen=True, slots=True)
class Reading:
    """If ``came`` guests came in all told, then this is who is inside now."""

    came: int
    occupancy: Occupancy


@dataclass(frozen=True, slots=True)
class Question:
    """How many came in? ``expected`` were let in, ``seen`` bodies seen, over all of its releases.

    ``readings`` are what is possible, by ``came`` in rising order; there are two at least.
    ``counted`` is False where nobody counted who came in: then ``seen`` says nothing.
    """

    id: str
    expected: int
    seen: int
    since_ms: float
    readings: tuple[Reading, ...]
    counted: bool = True

    @property
    def answers(self) -> tuple[int, ...]:
        """The numbers of guests that can have come in."""
        return tuple(reading.came for reading in self.readings)

    @property
    def asked(self) -> dict[str, object]:
        """The question as it is told."""
        told = {"id": self.id, "expected": self.expected, "seen": self.seen}
        return told | {"answers": self.answers} | ({} if self.counted else {"counted": False})

    def answered(self, came: int) -> Occupancy:
        """Return the occupancy if ``came`` guests came in."""
        return next(r.occupancy for r in self.readings if r.came == came)


def changed(
    readings: Iterable[Reading], change: Callable[[Occupancy], Occupancy]
) -> tuple[Reading, ...]:
    """Return the readings with the same change of the count in each."""
    return tuple(replace(reading, occupancy=change(reading.occupancy)) for reading in readings)


def passed(readings: Iterable[Reading], least: int, most: int) -> tuple[Reading, ...]:
    """Return the readings after ``least`` to ``most`` people went in, without the impossible ones.

    Impossible is one that has less inside than left. Where it was in doubt before, that alone shows
    nothing: then nobody is left of it. None remain when all are impossible.
    """
    before = list(readings)
    if all(reading.occupancy.max + most < 0 for reading in before):
        return ()
    after = changed(before, partial(_passed, least=least, most=most))
    return tuple(reading for reading in after if reading.occupancy.max >= 0)


def _passed(occupancy: Occupancy, *, least: int, most: int) -> Occupancy:
    if occupancy.max + most >= 0:
        return moved(occupancy, least, most)
    return Occupancy(0, 0, 0 if occupancy.doubted else -1, occupancy.doubted)


def came_in(occupancy: Occupancy, seen: Seen, came: int) -> Occupancy | None:
    """Return an occupancy that counts what was ``seen`` as it is if exactly ``came`` came in.

    None when that cannot be: more have left since than were inside then.
    """
    high = occupancy.max + came - seen.most
    if high < 0:
        return None
    low = min(occupancy.min + came - seen.entered, high)
    count = occupancy.count + came - seen.entered
    return gate(Occupancy(count, low, high, occupancy.doubted))


def settled(readings: Iterable[Reading], seen: Seen, came: int) -> tuple[Reading, ...]:
    """Return the readings if of what was ``seen`` through another release exactly ``came`` came."""
    after = [(r, came_in(r.occupancy, seen, came)) for r in readings]
    return tuple(replace(r, occupancy=inside) for r, inside in after if inside is not None)


def added(readings: Iterable[Reading], seen: Seen, numbers: Iterable[int]) -> tuple[Reading, ...]:
    """Return the readings if any of these ``numbers`` came in through one more release."""
    found: dict[int, list[Reading]] = {}
    standing = list(readings)
    for came in numbers:
        for reading in settled(standing, seen, came):
            found.setdefault(reading.came + came, []).append(reading)
    return tuple(
        Reading(came, hull(same, same[0].occupancy.count)) for came, same in sorted(found.items())
    )


def hull(readings: Iterable[Reading], guess: int) -> Occupancy:
    """Return the narrowest occupancy that has room for all of these, with ``guess`` its count."""
    inside = [reading.occupancy for reading in readings]
    low, high = min(each.min for each in inside), max(each.max for each in inside)
    return gate(Occupancy(guess, low, high, any(each.doubted for each in inside)))


def restored(question: Question | None, occupancy: Occupancy) -> Question | None:
    """Return a question from the journal if its readings make sense, and this count out of them."""
    if question is None or len(set(question.answers)) < max(2, len(question.readings)):
        return None
    readings = changed(question.readings, gate)
    makes = hull(readings, occupancy.count)
    same = (makes.min, makes.max) == (occupancy.min, occupancy.max)
    return replace(question, readings=readings) if same else None
