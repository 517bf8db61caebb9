"""The journal: what happened, and the state after it, in one SQLite file.

WAL with ``synchronous=FULL``: one sync a transaction, and what was committed survives a power cut.
Events and the state that results are written in one transaction, so after any crash the state is
exactly that of the last event. To start, only the one state row and the last ``seq`` are read.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = ":memory:"
#: Events kept when there is no file: some nights, and a few megabytes.
MEMORY_ROWS = 20_000
#: A file up to this size is read whole at the start; a year of evenings would take a Pi seconds.
CHECKED_BYTES = 8 * 1024 * 1024
#: SQLite writes whole pages, of which a step changes four: small ones halve what a card must take.
PAGE_BYTES = 1024
#: Another process (a backup, the ``journal`` command) may hold the file for a moment, seconds.
BUSY_LIMIT_S = 2.0

#: Each migration is a list of statements and runs in one transaction; never edit one that has
#: been released, append the next. ``user_version`` counts how many a file has seen.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        "CREATE TABLE event ("
        " seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL, at TEXT NOT NULL,"
        " name TEXT NOT NULL, data TEXT NOT NULL)",
        "CREATE INDEX event_at ON event (at)",
        "CREATE TABLE saved ("
        " id INTEGER PRIMARY KEY CHECK (id = 1), t_ms REAL NOT NULL, boot_id TEXT NOT NULL,"
        " boottime_ms REAL NOT NULL, wall_s REAL NOT NULL, state TEXT NOT NULL)",
        "CREATE TABLE mark (id INTEGER PRIMARY KEY CHECK (id = 1), delivered INTEGER NOT NULL)",
        "INSERT INTO mark VALUES (1, 0)",
    ),
)


class NewerJournalError(Exception):
    """The file was written by a newer version of this program."""


class DamagedJournalError(Exception):
    """The file is not a sound database."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The state (JSON text) and when it was: house time, this boot's time, and the wall's."""

    t_ms: float
    boot_id: str
    boottime_ms: float
    wall_s: float
    state: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event: its number, house time, wall time (ISO 8601 UTC), name and data (JSON text)."""

    seq: int
    t_ms: float
    at: str
    name: str
    data: str


class Journal:
    """One open journal; used by one thread at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._db = _connect(self.path)

    @property
    def in_memory(self) -> bool:
        """Is there no file, so that all is forgotten at the end?"""
        return self.path == MEMORY

    def saved(self) -> Saved | None:
        """Return the state that was written last."""
        row = self._db.execute(
            "SELECT t_ms, boot_id, boottime_ms, wall_s, state FROM saved"
        ).fetchone()
        return None if row is None else Saved(*row)

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none yet."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])

    def delivered(self) -> int:
        """Return the number up to which the broker has acknowledged every event."""
        return int(self._db.execute("SELECT delivered FROM mark").fetchone()[0])

    def write(
        self, rows: Sequence[Row] = (), saved: Saved | None = None, delivered: int | None = None
    ) -> None:
        """Write events, the state after them, and how far they are delivered; all or nothing.

        An event that is written again replaces itself: after an I/O error nobody knows whether
        the first time counted.
        """
        with _transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?)", map(astuple, rows)
            )
            if saved is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO saved VALUES (1, ?, ?, ?, ?, ?)", astuple(saved)
                )
            if delivered is not None:
                self._db.execute("UPDATE mark SET delivered = ?", (delivered,))
            if self.in_memory and rows:
                self._db.execute("DELETE FROM event WHERE seq <= ?", (rows[-1].seq - MEMORY_ROWS,))

    def after(self, seq: int, limit: int) -> list[Row]:
        """Return at most ``limit`` events that follow number ``seq``."""
        found = self._db.execute("SELECT * FROM event WHERE seq > ? LIMIT ?", (seq, limit))
        return [Row(*row) for row in found]

    def since(self, at: str) -> list[Row]:
        """Return all events from wall time ``at`` (ISO 8601 UTC) on."""
        # By itself SQLite reads the whole table here, to save itself the sorting of one night.
        found = self._db.execute(
            "SELECT * FROM event INDEXED BY event_at WHERE at >= ? ORDER BY seq", (at,)
        )
        return [Row(*row) for row in found]

    def prune(self, before_at: str) -> int:
        """Forget delivered events older than ``before_at``, never the newest; return how many."""
        with _transaction(self._db):
            return self._db.execute(
                "DELETE FROM event WHERE at < ? AND seq <= (SELECT delivered FROM mark)"
                " AND seq < (SELECT max(seq) FROM event)",
                (before_at,),
            ).rowcount

    def reopen(self) -> None:
        """Open the file anew after an error; one in memory stays as it is."""
        if not self.in_memory:
            self.close()
            self._db = _connect(self.path)

    def check(self) -> None:
        """Raise `DamagedJournalError` unless the file is sound; of a large one, its newest end."""
        if not self.in_memory and Path(self.path).stat().st_size > CHECKED_BYTES:
            self._db.execute("SELECT * FROM event ORDER BY seq DESC LIMIT 1000").fetchall()
            return
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DamagedJournalError(found)
        self.saved()  # are the tables there?
        self.last_seq()
        if self._db.execute("SELECT count(*) FROM mark").fetchone()[0] != 1:
            raise DamagedJournalError("it does not say how far it is delivered")

    def close(self) -> None:
        """Close the file; may be called twice."""
        with suppress(sqlite3.Error):
            self._db.close()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk may have rolled back by itself
            db.execute("ROLLBACK")
        raise


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_LIMIT_S, isolation_level=None, check_same_thread=False)
    try:
        version = _version(db)  # a newer file is not touched
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _migrate(db, version)
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise NewerJournalError(
            f"it is of version {version} and this program knows {len(MIGRATIONS)}; update it"
        )
    return version


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for number in range(version, len(MIGRATIONS)):
        with _transaction(db):
            for statement in MIGRATIONS[number]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number + 1}")


def read_last(path: str, count: int) -> list[Row]:
    """Return the newest ``count`` events, oldest first; raises OSError where there are none."""
    try:
        with suppress(sqlite3.OperationalError):
            return _newest(path, count, "mode=ro")
        return _newest(path, count, "immutable=1")  # read-only: not even its log may be made
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"no journal that can be read ({error})", path) from None


def _newest(path: str, count: int, how: str) -> list[Row]:
    with closing(sqlite3.connect(f"file:{quote(path)}?{how}", uri=True)) as db:
        rows = db.execute("SELECT * FROM event ORDER BY seq DESC LIMIT ?", (count,)).fetchall()
    return [Row(*row) for row in reversed(rows)]
