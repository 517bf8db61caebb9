"""The journal's tables in SQLite, and the migrations from older versions of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

#: SQLite writes whole pages: with small ones fewer unchanged bytes go to the card.
PAGE_BYTES = 1024
#: How long to wait for another process (a backup, the ``journal`` command), seconds.
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
    (  # a number takes a quarter of the text, in the table and in its index
        "DROP INDEX event_at",
        "ALTER TABLE event RENAME TO event_1",
        "CREATE TABLE event ("
        " seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL, at_s REAL NOT NULL,"
        " name TEXT NOT NULL, data TEXT NOT NULL)",
        "INSERT INTO event SELECT seq, t_ms,"
        " coalesce(strftime('%s', at) + cast(substr(at, 20, 4) AS REAL), 0.0), name, data"
        " FROM event_1",
        "DROP TABLE event_1",
        "CREATE INDEX event_at ON event (at_s)",
    ),
    (  # what a disk spoils is found out; rows of before have no checksum
        "ALTER TABLE event ADD COLUMN crc INTEGER",
        "ALTER TABLE saved ADD COLUMN crc INTEGER",
        "ALTER TABLE mark ADD COLUMN crc INTEGER",
    ),
)


class NewerJournalError(Exception):
    """The file was written by a newer version of this program."""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside the block, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk may have rolled back by itself
            db.execute("ROLLBACK")
        raise


def connect(path: str) -> sqlite3.Connection:
    """Open or create the database and migrate it; raise `NewerJournalError` if it is newer."""
    db = sqlite3.connect(path, timeout=BUSY_LIMIT_S, isolation_level=None, check_same_thread=False)
    db.text_factory = partial(str, encoding="utf-8", errors="replace")  # its checksum will be wrong
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
    if version < 0:
        raise sqlite3.DatabaseError(f"its version is {version}")
    return version


def has_checksums(db: sqlite3.Connection) -> bool:
    """Return whether the rows have checksums: an older release wrote none."""
    return _version(db) >= 3


def schema_of(db: sqlite3.Connection) -> set[str]:
    """Return the text of every table and index, to be held against that of a new database."""
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    return {repr(row) for row in rows if not str(row[1]).startswith("sqlite_")}


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for number in range(version, len(MIGRATIONS)):
        with transaction(db):
            for statement in MIGRATIONS[number]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number + 1}")
