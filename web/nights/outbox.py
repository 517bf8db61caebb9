"""The events that the centre has not acknowledged yet, in the order of their numbers.

One that came late, because the broker had lost it, goes before those that wait for it. They are
written in the transaction that adds them to the history, so none is ever in one and not in the
other, and they are deleted when the centre has them. Only a bar's own store has an outbox, and that
is a SQLite file. A bar that joins a centre has all of its history in it first, at positions below
zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.codec import decode
from web.nights.database import Database, Row, StoreError
from web.nights.events import Event

#: AUTOINCREMENT: a position is never used again, also when all before it are gone.
TABLE = (
    "CREATE TABLE outbox ("
    " position INTEGER PRIMARY KEY AUTOINCREMENT, venue TEXT NOT NULL, boot TEXT NOT NULL,"
    " seq BIGINT NOT NULL, t_ms DOUBLE PRECISION NOT NULL, at_s DOUBLE PRECISION NOT NULL,"
    " name TEXT NOT NULL, data TEXT NOT NULL)"
)
INDEX = "CREATE INDEX IF NOT EXISTS outbox_seq ON outbox (seq)"

#: What stands for an event whose number is all that was kept of it; a centre keeps no more.
COUNTED = "counted"
#: So many numbers of a run are looked up at a time.
LOOKED_UP = 1000


def prepare(database: Database, venue: str) -> None:
    """Make the outbox where there is none, with what of this venue happened before."""
    if not _exists(database):
        database.rows(TABLE)
        _fill(database, venue)
    database.rows(INDEX)
    database.commit()


def leave(database: Database) -> None:
    """Forget the outbox: who joins a centre later, or again, sends all from the beginning."""
    if _exists(database):
        database.rows("DROP TABLE outbox")


def _exists(database: Database) -> bool:
    return bool(database.rows("SELECT 1 FROM sqlite_master WHERE name = 'outbox'"))


def _fill(database: Database, venue: str) -> None:
    (whole,) = database.rows(
        "SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM seen WHERE venue = ?", (venue,)
    )
    database.many(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (position, *event[:6], event.text)
            for position, event in enumerate(_history(database, venue), -whole[0])
        ),
    )


def _history(database: Database, venue: str) -> Iterator[Event]:
    """Yield all of a venue's events that have come, run after run, each by its numbers.

    The other numbers belong to the history, too: without them a centre would show gaps.
    """
    last = Event(venue, "", 0, 0.0, 0.0, COUNTED, {})
    for boot, first_seq, last_seq in database.rows(
        "SELECT boot, first_seq, last_seq FROM seen WHERE venue = ? ORDER BY last_s, first_seq",
        (venue,),
    ):
        for start in range(first_seq, last_seq + 1, LOOKED_UP):
            end = min(start + LOOKED_UP - 1, last_seq)
            kept = _kept(database, (venue, boot, start, end))
            for seq in range(start, end + 1):
                if seq in kept:
                    last = kept[seq]
                    yield last
                else:  # as old as the one before it
                    at = last[3:5] if last.boot == boot else (0.0, 0.0)
                    yield Event(venue, boot, seq, *at, COUNTED, {})


def _kept(database: Database, part: tuple[str, str, int, int]) -> dict[int, Event]:
    rows = database.rows(
        "SELECT 0, venue, boot, seq, t_ms, at_s, name, data FROM event"
        " WHERE venue = ? AND boot = ? AND seq BETWEEN ? AND ?",
        part,
    )
    return {row[3]: _event(row) for row in rows}


def put(database: Database, events: Iterable[Event]) -> None:
    """Add events."""
    database.many(
        "INSERT INTO outbox (venue, boot, seq, t_ms, at_s, name, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*event[:6], event.text) for event in events],
    )


def first(database: Database, most: int) -> list[tuple[int, Event]]:
    """Return the first events with their positions: first what happened before the bar joined.

    That comes alone, in its own order, and may be years; what came since goes by its numbers.
    """
    for which in ("WHERE position < 0 ORDER BY position", "ORDER BY seq, position"):
        rows = database.rows(
            "SELECT position, venue, boot, seq, t_ms, at_s, name, data FROM outbox"
            f" {which} LIMIT ?",
            (most,),
        )
        if rows:
            return [(row[0], _event(row)) for row in rows]
    return []


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
