"""The events that the centre has not acknowledged yet, in the order of their numbers.

One that came late, because the broker had lost it, goes before those that wait for it. They are
written in the transaction that adds them to the history, so none is ever in one and not in the
other, and they are deleted when the centre has them. Only a bar's own store has an outbox, and that
is a SQLite file.

What happened before a bar joined goes first. It may be years, so it is not copied: `past` has the
ranges of numbers that are to be sent yet, at positions below zero, and their events are read from
the history when they are sent.
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
#: A range of one run; ``position`` is that of its first event.
PAST = (
    "CREATE TABLE IF NOT EXISTS past ("
    " position INTEGER PRIMARY KEY, venue TEXT NOT NULL, boot TEXT NOT NULL,"
    " first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL)"
)
INDEX = "CREATE INDEX IF NOT EXISTS outbox_seq ON outbox (seq)"

#: What stands for an event whose number is all that was kept of it; a centre keeps no more.
COUNTED = "counted"


def prepare(database: Database, venue: str) -> None:
    """Make the outbox where there is none, with what of this venue happened before."""
    database.rows("BEGIN")  # else each table would last by itself
    database.rows(PAST)
    if not database.rows("SELECT 1 FROM sqlite_master WHERE name = 'outbox'"):
        database.rows(TABLE)
        _remember_past(database, venue)
    database.rows(INDEX)
    database.commit()


def leave(database: Database) -> None:
    """Forget the outbox: who joins a centre later, or again, sends all from the beginning."""
    database.rows("BEGIN")
    database.rows("DROP TABLE IF EXISTS past")
    database.rows("DROP TABLE IF EXISTS outbox")
    database.commit()


def _remember_past(database: Database, venue: str) -> None:
    """Note all numbers of a venue that have come, run after run.

    Also those of which no event is kept: without them a centre would show gaps.
    """
    ranges = database.rows(
        "SELECT boot, first_seq, last_seq FROM seen WHERE venue = ? ORDER BY last_s, first_seq",
        (venue,),
    )
    position = -sum(last_seq - first_seq + 1 for _, first_seq, last_seq in ranges)
    for boot, first_seq, last_seq in ranges:
        whole = (position, venue, boot, first_seq, last_seq)
        database.rows("INSERT INTO past VALUES (?, ?, ?, ?, ?)", whole)
        position += last_seq - first_seq + 1


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
    return list(_first_past(database, most)) or [
        (row[0], _event(row))
        for row in database.rows(
            "SELECT position, venue, boot, seq, t_ms, at_s, name, data FROM outbox"
            " ORDER BY seq, position LIMIT ?",
            (most,),
        )
    ]


def _first_past(database: Database, most: int) -> Iterator[tuple[int, Event]]:
    rows = database.rows("SELECT * FROM past ORDER BY position LIMIT ?", (most,))
    for position, venue, boot, first_seq, last_seq in rows:
        last = min(last_seq, first_seq + most - 1)
        yield from enumerate(_history(database, (venue, boot), first_seq, last), position)
        most -= last - first_seq + 1
        if not most:
            return


def _history(
    database: Database, run: tuple[str, str], first_seq: int, last_seq: int
) -> Iterator[Event]:
    """Yield the events of these numbers of a run; one that is not kept is as old as the last."""
    rows = database.rows(
        "SELECT 0, venue, boot, seq, t_ms, at_s, name, data FROM event"
        " WHERE venue = ? AND boot = ? AND seq BETWEEN ? AND ?",
        (*run, first_seq, last_seq),
    )
    kept = {row[3]: _event(row) for row in rows}
    before = database.rows(
        "SELECT t_ms, at_s FROM event WHERE venue = ? AND boot = ? AND seq < ?"
        " ORDER BY seq DESC LIMIT 1",
        (*run, first_seq),
    )
    t_ms, at_s = before[0] if before else (0.0, 0.0)
    for seq in range(first_seq, last_seq + 1):
        event = kept.get(seq) or Event(*run, seq, t_ms, at_s, COUNTED, {})
        t_ms, at_s = event.t_ms, event.at_s
        yield event


def _event(row: Row) -> Event:
    _, venue, boot, seq, t_ms, at_s, name, data = row
    return Event(venue, boot, seq, t_ms, at_s, name, decode(data))


def waiting(database: Database) -> int:
    """Return how many events wait here; 0 where there is no outbox."""
    try:
        return int(
            database.rows(
                "SELECT (SELECT COUNT(*) FROM outbox)"
                " + (SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM past)"
            )[0][0]
        )
    except StoreError:
        return 0


def acknowledged(database: Database, positions: Iterable[int]) -> None:
    """Forget these events, and commit: the centre has them; of the past also all before them."""
    there = list(positions)
    past = [position for position in there if position < 0]
    if past:
        _forget_past(database, max(past) + 1)
    database.many("DELETE FROM outbox WHERE position = ?", [(one,) for one in there])
    database.commit()


def _forget_past(database: Database, position: int) -> None:
    """Let the past begin at this position."""
    database.rows("DELETE FROM past WHERE position + last_seq - first_seq < ?", (position,))
    database.rows(
        "UPDATE past SET first_seq = first_seq + ? - position, position = ? WHERE position < ?",
        (position, position, position),
    )
