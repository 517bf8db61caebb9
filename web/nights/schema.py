"""The store's tables. The same words make them in SQLite and Postgres.

``seen`` and ``event`` are what came; the others follow from them and can be made again.
"""

from __future__ import annotations

import uuid

from web.nights.database import Database, StoreError
from web.nights.fold import TOTALS

VERSION = 1

TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # Which store sent the events of a run, and when the first and the last of them came.
    "CREATE TABLE IF NOT EXISTS source ("
    " venue TEXT NOT NULL, boot TEXT NOT NULL, store TEXT NOT NULL, places INTEGER NOT NULL,"
    " first_s DOUBLE PRECISION NOT NULL, last_s DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (venue, boot))",
    # Which numbers have come, as ranges: what is not in one is missing, what is comes twice.
    "CREATE TABLE IF NOT EXISTS seen ("
    " venue TEXT NOT NULL, boot TEXT NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,"
    " first_s DOUBLE PRECISION NOT NULL, last_s DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (venue, boot, first_seq))",
    "CREATE TABLE IF NOT EXISTS event ("
    " venue TEXT NOT NULL, boot TEXT NOT NULL, seq BIGINT NOT NULL, night TEXT NOT NULL,"
    " t_ms DOUBLE PRECISION NOT NULL, at_s DOUBLE PRECISION NOT NULL,"
    " name TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (venue, boot, seq))",
    "CREATE INDEX IF NOT EXISTS event_night ON event (venue, night)",
    "CREATE TABLE IF NOT EXISTS night ("
    " venue TEXT NOT NULL, night TEXT NOT NULL, weekday INTEGER NOT NULL, dirty INTEGER NOT NULL,"
    " exact INTEGER NOT NULL DEFAULT 0,"
    + "".join(f" {name} INTEGER NOT NULL DEFAULT 0," for name in TOTALS)
    + " PRIMARY KEY (venue, night))",
    "CREATE TABLE IF NOT EXISTS hour ("
    " venue TEXT NOT NULL, night TEXT NOT NULL, weekday INTEGER NOT NULL, hour INTEGER NOT NULL,"
    " guests INTEGER NOT NULL, parties INTEGER NOT NULL,"
    " guest_s DOUBLE PRECISION NOT NULL, full_s DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (venue, night, hour))",
    "CREATE TABLE IF NOT EXISTS tally ("
    " venue TEXT NOT NULL, night TEXT NOT NULL, kind TEXT NOT NULL, word TEXT NOT NULL,"
    " value INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (venue, night, kind, word, value))",
    "CREATE TABLE IF NOT EXISTS incident ("
    " venue TEXT NOT NULL, night TEXT NOT NULL, at_s DOUBLE PRECISION NOT NULL,"
    " seq BIGINT NOT NULL, kind TEXT NOT NULL, word TEXT NOT NULL, value INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS incident_night ON incident (venue, night)",
)


def prepare(database: Database) -> str:
    """Make what is missing and return the store's own id; raise StoreError for a newer version."""
    database.hold("schema")  # two that make the same table at once would fail
    for table in TABLES:
        database.rows(table)
    database.rows("UPDATE meta SET value = value")  # proves that it can be written
    new = {"version": str(VERSION), "id": uuid.uuid4().hex[:8]}
    database.many("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", new.items())
    database.commit()
    found: dict[str, str] = dict(database.rows("SELECT name, value FROM meta"))
    database.commit()
    check(database, found.get("version", ""))
    return found["id"]


def check(database: Database, version: str) -> None:
    """Raise StoreError if a newer program has written this store."""
    if version != str(VERSION):
        raise StoreError(
            f"[nights] database: {database.name}: is of version {version} and this program knows"
            f" {VERSION}: upgrade, or name another"
        )
