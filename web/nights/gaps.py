"""What never came: holes in the numbers of the events, shown as such and never smoothed over.

An event's number is unique for ever and the next one is greater by one, also across restarts. A
hole means that a power cut took back what came last, or that the broker could not keep the events
while the page was away. Numbers that begin anew mean that the controller has a new journal: how
many are missing there nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from web.nights.database import Database, Row
from web.nights.events import begin_of

#: How far back the run may have ended that comes before the first of a span, in seconds.
BEFORE_S = 60 * 86_400.0


class Gap(NamedTuple):
    """Events that are missing: between these two moments (seconds since 1970).

    ``missing`` is how many, None where the numbers began anew.
    """

    venue: str
    from_s: float
    until_s: float
    missing: int | None


def gaps(seen: Iterable[Row]) -> list[Gap]:
    """Return the holes between ranges (venue, boot, first_seq, last_seq, first_s, last_s).

    The ranges are in the order in which they happened.
    """
    found = []
    last: dict[str, Row] = {}
    for row in seen:
        venue, boot, first, _, first_s, _ = row
        before = last.get(venue)
        last[venue] = row
        if before is None:
            continue
        missing = first - before[3] - 1
        if missing > 0:
            found.append(Gap(venue, before[5], first_s, missing))
        elif missing < 0 and boot != before[1]:
            found.append(Gap(venue, before[5], first_s, None))
    return found


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
