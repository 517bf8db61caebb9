"""What never came: holes in the numbers of the events, shown as such and never smoothed over.

An event's number is unique for ever and the next one is greater by one, also across restarts. A
hole means that a power cut took back what came last, or that the broker lost what the page had not
read yet: then `backfill` asks the journal for it. Numbers that begin anew mean that the controller
has a new journal: how many are missing there nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from web.nights.database import Database, Row
from web.nights.events import begin_of

#: How far back the run may have ended that comes before the first of a span, in seconds.
BEFORE_S = 60 * 86_400.0
#: Holes of one venue that its journal is asked for.
MOST_HOLES = 100


class Gap(NamedTuple):
    """Events that are missing: between these two moments (seconds since 1970).

    ``missing`` is how many, None where the numbers began anew.
    """

    venue: str
    from_s: float
    until_s: float
    missing: int | None


class Hole(NamedTuple):
    """The numbers above ``after`` up to ``until`` have not come."""

    venue: str
    after: int
    until: int


def gaps(seen: Iterable[Row]) -> list[Gap]:
    """Return the holes between ranges (venue, boot, first_seq, last_seq, first_s, last_s).

    The ranges are in the order in which they happened.
    """
    found = []
    for before, row in _pairs(seen):
        venue, boot, first, _, first_s, _ = row
        missing = first - before[3] - 1
        if missing > 0:
            found.append(Gap(venue, before[5], first_s, missing))
        elif missing < 0 and boot != before[1]:
            found.append(Gap(venue, before[5], first_s, None))
    return found


def holes(seen: Iterable[Row]) -> dict[str, list[Hole]]:
    """Return for each venue which numbers to ask its journal for, of ranges as `gaps` takes them.

    Not those of before the numbers began anew: another journal had them. And only the newest
    `MOST_HOLES`: every power cut leaves one for good.
    """
    found: dict[str, list[Hole]] = {}
    for before, (venue, boot, first, *_) in _pairs(seen):
        if first > before[3] + 1:
            found.setdefault(venue, []).append(Hole(venue, before[3], first - 1))
        elif first <= before[3] and boot != before[1]:
            found.pop(venue, None)
    return {venue: those[-MOST_HOLES:] for venue, those in found.items()}


def newest(seen: Iterable[Row]) -> dict[str, int]:
    """Return the number that came last of each venue, of ranges as `gaps` takes them."""
    return {row[0]: row[3] for row in seen}


def _pairs(seen: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Return each range but a venue's first, with the one before it."""
    last: dict[str, Row] = {}
    for row in seen:
        if row[0] in last:
            yield last[row[0]], row
        last[row[0]] = row


def ranges(database: Database) -> list[Row]:
    """Return all ranges of numbers that have come, as `gaps` takes them."""
    return database.rows(
        "SELECT venue, boot, first_seq, last_seq, first_s, last_s FROM seen"
        " ORDER BY venue, last_s, first_seq"
    )


def gaps_in(database: Database, venue: str | None, first: date, last: date) -> list[Gap]:
    """Return the gaps that ended in the nights from ``first`` to ``last``, of one venue or all."""
    begin_s = begin_of(first).timestamp()
    end_s = begin_of(last + timedelta(days=1)).timestamp()
    whose, who = ("venue = ? AND", [venue]) if venue is not None else ("", [])
    rows = database.rows(
        "SELECT venue, boot, first_seq, last_seq, first_s, last_s FROM seen"
        f" WHERE {whose} last_s >= ? AND first_s < ? ORDER BY venue, last_s, first_seq",
        (*who, begin_s - BEFORE_S, end_s),
    )
    return [gap for gap in gaps(rows) if begin_s <= gap.until_s < end_s]


def missing_in(database: Database, venue: str, night: str) -> int:
    """Return how many events are missing in one night; one at least where nobody knows."""
    day = date.fromisoformat(night)
    return sum(gap.missing or 1 for gap in gaps_in(database, venue, day, day))
