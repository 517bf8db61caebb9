"""Reading the store: a few sums over its tables, the same for one bar and for a hundred."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from web.nights.database import Database, Row, connect
from web.nights.events import Event
from web.nights.fold import TOTALS
from web.nights.gaps import Gap, gaps_in
from web.nights.schema import check
from web.nights.spans import Span
from web.nights.store import UNKNOWN, events_of

#: A list on the page or in a file has no more rows.
MOST_LISTED = 2000


class NightRow(NamedTuple):
    """One night, summed over its venues: ``open`` is how many of them had a guest or a knock.

    ``exact`` is how many had a right count all night, ``counted`` of how many that had parties.
    """

    night: str
    weekday: int
    open: int
    counted: int
    exact: int
    totals: dict[str, int]


class HourRow(NamedTuple):
    """One hour of the clock on one weekday (0 is Monday), summed over nights."""

    weekday: int
    hour: int
    guests: int
    parties: int
    guest_s: float
    full_s: float


class BarRow(NamedTuple):
    """One bar, summed over its nights; ``open``, ``counted``, ``exact`` as in `NightRow`."""

    venue: str
    open: int
    counted: int
    exact: int
    totals: dict[str, int]


class Listed(NamedTuple):
    """One incident; ``word`` and ``value`` as `fold` has them."""

    venue: str
    night: str
    at_s: float
    kind: str
    word: str
    value: int


class Reader:
    """Questions to one store, of one venue or (None) of all."""

    def __init__(self, database: Database, venue: str | None) -> None:
        self._db = database
        self._venue = venue
        self._whose = "venue = ? AND " if venue is not None else ""
        self._who = [] if venue is None else [venue]

    def venues(self) -> list[str]:
        """Return whose nights are here."""
        return [row[0] for row in self._db.rows("SELECT DISTINCT venue FROM night ORDER BY venue")]

    def nights(self, span: Span) -> list[NightRow]:
        """Return the nights that have something, oldest first."""
        head = "night, MIN(weekday)"
        return [_night(row) for row in self._summed(head, "night", span)]

    def bars(self, span: Span) -> list[BarRow]:
        """Return the bars that have something, by name."""
        return [_bar(row) for row in self._summed("venue", "venue", span)]

    def _summed(self, head: str, by: str, span: Span) -> list[Row]:
        """Return ``head``, the nights with something, with parties, exact ones, and the totals."""
        sums = ", ".join(f"MAX({name})" if name == "most" else f"SUM({name})" for name in TOTALS)
        return self._db.rows(
            f"SELECT {head},"
            " SUM(CASE WHEN parties > 0 OR guests > 0 OR knocks > 0 THEN 1 ELSE 0 END),"
            f" SUM(CASE WHEN parties > 0 THEN 1 ELSE 0 END), SUM(exact), {sums} FROM night"
            f" WHERE {self._whose}night BETWEEN ? AND ? GROUP BY {by} ORDER BY {by}",
            self._values(span),
        )

    def hours(self, span: Span) -> list[HourRow]:
        """Return the hours of the clock by weekday."""
        rows = self._db.rows(
            "SELECT weekday, hour, SUM(guests), SUM(parties), SUM(guest_s), SUM(full_s) FROM hour"
            f" WHERE {self._whose}night BETWEEN ? AND ? GROUP BY weekday, hour"
            " ORDER BY weekday, hour",
            self._values(span),
        )
        return [HourRow(*row[:2], *map(int, row[2:4]), *map(float, row[4:])) for row in rows]

    def tallies(self, span: Span) -> dict[tuple[str, str], dict[int, int]]:
        """Return by kind and word how often each value was there."""
        rows = self._db.rows(
            "SELECT kind, word, value, SUM(n) FROM tally"
            f" WHERE {self._whose}night BETWEEN ? AND ? GROUP BY kind, word, value"
            " ORDER BY kind, word, value",
            self._values(span),
        )
        found: dict[tuple[str, str], dict[int, int]] = {}
        for kind, word, value, n in rows:
            found.setdefault((kind, word), {})[value] = int(n)
        return found

    def incidents(self, span: Span, *kinds: str) -> list[Listed]:
        """Return what is listed of these kinds, oldest first; the newest `MOST_LISTED` of it."""
        rows = self._db.rows(
            "SELECT venue, night, at_s, kind, word, value FROM incident"
            f" WHERE {self._whose}night BETWEEN ? AND ?"
            f" AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY at_s DESC, seq DESC LIMIT ?",
            (*self._values(span), *kinds, MOST_LISTED),
        )
        return [Listed(*row) for row in reversed(rows)]

    def gaps(self, span: Span) -> list[Gap]:
        """Return the gaps that ended in this time."""
        return gaps_in(self._db, self._venue, span.first, span.last)

    def events(self, span: Span, venue: str) -> list[Event]:
        """Return the events of one night of one venue."""
        return events_of(self._db, venue, span.first.isoformat())

    def unplaced(self) -> int:
        """Return how many events have no night: their controller's clock was never set."""
        found = self._db.rows(
            f"SELECT COUNT(*) FROM event WHERE {self._whose}night = ?", (*self._who, UNKNOWN)
        )
        return int(found[0][0])

    def extent(self) -> tuple[str, str] | None:
        """Return the first and the last night; None while there is none."""
        where = f" WHERE {self._whose.removesuffix(' AND ')}" if self._who else ""
        found = self._db.rows(f"SELECT MIN(night), MAX(night) FROM night{where}", self._who)
        first, last = found[0]
        return None if first is None else (str(first), str(last))

    def _values(self, span: Span) -> list[object]:
        return [*self._who, span.first.isoformat(), span.last.isoformat()]


def _night(row: Row) -> NightRow:
    night, weekday, is_open, counted, exact, *sums = row
    totals = dict(zip(TOTALS, map(int, sums), strict=True))
    return NightRow(night, weekday, int(is_open), int(counted), int(exact), totals)


def _bar(row: Row) -> BarRow:
    venue, is_open, counted, exact, *sums = row
    totals = dict(zip(TOTALS, map(int, sums), strict=True))
    return BarRow(venue, int(is_open), int(counted), int(exact), totals)


@contextmanager
def reading(address: str, venue: str | None) -> Iterator[Reader]:
    """Yield a reader on a connection of its own; raise StoreError when there is no store."""
    database = connect(address)
    try:
        found: dict[str, str] = dict(database.rows("SELECT name, value FROM meta"))
        check(database, found.get("version", ""))
        yield Reader(database, venue)
    finally:
        database.close()
