"""The events that the centre has not acknowledged yet, in the order of their numbers.

One that came late, because the broker had lost it, goes before those that wait for it. They are
written in the transaction that adds them to the history, so none is ever in one and not in the
other, and they are deleted when the centre has them. Only a bar's own store has an outbox, and that
is a SQLite file.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.codec import decode
from web.nights.database import Database, Row, StoreError
from web.nights.events import Event

#: AUTOINCREMENT: a position is never used again, also when all before it are gone.
TABLES = (
    "CREATE TABLE IF NOT EXISTS outbox ("
    " position INTEGER PRIMARY KEY AUTOINCREMENT, venue TEXT NOT NULL, boot TEXT NOT NULL,"
    " seq BIGINT NOT NULL, t_ms DOUBLE PRECISION NOT NULL, at_s DOUBLE PRECISION NOT NULL,"
    " name TEXT NOT NULL, data TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_seq ON outbox (seq)",
)


def prepare(database: Database) -> None:
    """Make the outbox where there is none."""
    for table in TABLES:
        database.rows(table)
    database.commit()


def put(database: Database, events: Iterable[Event]) -> None:
    """Add events."""
    database.many(
        "INSERT INTO outbox (venue, boot, seq, t_ms, at_s, name, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*event[:6], event.text) for event in events],
    )


def first(database: Database, most: int) -> list[tuple[int, Event]]:
    """Return the first events with their positions."""
    rows = database.rows(
        "SELECT position, venue, boot, seq, t_ms, at_s, name, data FROM outbox"
        " ORDER BY seq, position LIMIT ?",
        (most,),
    )
    return [(row[0], _event(row)) for row in rows]


def _event(row: Row) -> Event:
    _, venue, boot, seq, t_ms, at_s, name, data = row
    return Event(venue, boot, seq, t_ms, at_s, name, decode(data))


def waiting(database: Database) -> int:
    """Return how many events wait here; 0 where there is no outbox."""
    try:
        return int(database.rows("SELECT COUNT(*) FROM outbox")[0][0])
    except StoreError:
        return 0


def acknowledged(database: Database, positions: Iterable[int]) -> None:
    """Forget these events, and commit: the centre has them."""
    database.many("DELETE FROM outbox WHERE position = ?", [(one,) for one in positions])
    database.commit()
