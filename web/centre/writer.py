"""Into the nights store in Postgres: many events in one transaction, each once.

A writer keeps nothing between two transactions, so any number of them write side by side: what has
come stands in the store, and who writes a venue's events holds that venue until the commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import NamedTuple

from web.centre.wire import Arrived
from web.nights.database import Database, StoreError, connect
from web.nights.store import Store

#: Two runs of one name whose events came in the same time for longer than this are two bars: one
#: bar ends a run before it begins the next. NATS's nodes may have clocks that differ a bit.
TWINS_S = 30.0


class Twins(NamedTuple):
    """Two bars with one name: the runs that send at the same time, and the last time they did."""

    venue: str
    boots: tuple[str, str]
    last_s: float


class Writer:
    """Writes events into the store at this address; it connects when it needs to."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._database: Database | None = None
        self._store: Store | None = None
        #: Who was interrupted while a thread of his writes may ask for the next before it ends.
        self._one_at_a_time = Lock()

    def write(self, arrived: Sequence[Arrived]) -> int:
        """Add events, and return how many were new; when it returns they are on the disk.

        Raise StoreError: then nothing of it is in the store, and it can be tried again.
        """
        with self._one_at_a_time:
            try:
                database, store = self._opened()
                store.expect(one.event[:2] for one in arrived)
                new = [one for one in arrived if store.add(one.event)]
                _note_sources(database, new)
                store.commit()
            except BaseException:
                self.close()
                raise
        return len(new)

    def _opened(self) -> tuple[Database, Store]:
        if self._database is None or self._store is None:
            self.close()
            self._database = connect(self._address, writing=True)
            if not self._database.share():
                raise StoreError(
                    f"[nights] database: {self._database.name}: a page writes into it without the"
                    " centre; stop that page, or give it [centre] servers too"
                )
            self._store = Store(self._database, {}, time.time, shared=True)
        return self._database, self._store

    def close(self) -> None:
        """Close the connection; what is not committed is undone."""
        if self._database is not None:
            self._database.close()
        self._database = self._store = None


def _note_sources(database: Database, new: Iterable[Arrived]) -> None:
    """Write down who sent them, and when they came."""
    found: dict[tuple[str, str], tuple[str, int, float, float]] = {}
    for one in new:
        key = (one.event.venue, one.event.boot)
        store, places, first_s, last_s = found.get(key, ("", 0, one.came_s, one.came_s))
        found[key] = (
            one.store or store,
            one.places or places,
            min(first_s, one.came_s),
            max(last_s, one.came_s),
        )
    database.many(
        "INSERT INTO source AS s VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (venue, boot) DO UPDATE SET"
        " store = excluded.store, places = excluded.places,"
        " first_s = CASE WHEN excluded.first_s < s.first_s THEN excluded.first_s"
        " ELSE s.first_s END,"
        " last_s = CASE WHEN excluded.last_s > s.last_s THEN excluded.last_s ELSE s.last_s END",
        [(*key, *found[key]) for key in sorted(found)],
    )


def places(database: Database) -> dict[str, int]:
    """Return how many guests fill each bar, as it said last."""
    rows = database.rows("SELECT venue, places FROM source WHERE places > 0 ORDER BY last_s")
    return {venue: int(most) for venue, most in rows}


def twins(database: Database, since_s: float) -> list[Twins]:
    """Return who has the same name as another, as far as both sent something since then."""
    rows = database.rows(
        "SELECT a.venue, a.boot, b.boot, a.last_s, b.last_s FROM source AS a JOIN source AS b"
        " ON a.venue = b.venue AND a.boot < b.boot"
        " AND a.first_s + ? < b.last_s AND b.first_s + ? < a.last_s"
        " WHERE a.last_s >= ? AND b.last_s >= ? ORDER BY a.venue, a.boot, b.boot",
        (TWINS_S, TWINS_S, since_s, since_s),
    )
    return [Twins(venue, (a, b), min(a_s, b_s)) for venue, a, b, a_s, b_s in rows]
