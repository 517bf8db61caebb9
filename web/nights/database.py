"""SQLite or Postgres with the same statements: what differs between them stands here.

Statements have ``?`` for their values and keep to what both know. SQLite is the standard library's;
psycopg is imported only where a ``postgresql://`` address is configured: it weighs 20 MiB.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

Row = tuple[Any, ...]

#: SQLite waits so long for another process's transaction, in seconds.
BUSY_S = 5.0
CONNECT_S = 3
#: A question to Postgres that takes longer is given up, in milliseconds.
STATEMENT_MS = 10_000


class StoreError(Exception):
    """The store cannot be used now; the text names it, says why, and the way out."""


class Database(Protocol):
    """One connection, used by one thread at a time."""

    #: As it is shown: a path, or an address without its password.
    name: str

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of one statement."""

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        """Run one statement for each of many values."""

    def insert(self, table: str, values: Sequence[Sequence[object]]) -> None:
        """Insert many whole rows; one whose key is there already is left as it is."""

    def commit(self) -> None:
        """Make all since the last commit last."""

    def lock(self, what: str = "nights") -> bool:
        """Return whether this connection alone may do ``what`` from now on, until it is closed."""

    def share(self) -> bool:
        """Return whether this connection and others that share it may write, until it is closed."""

    def hold(self, *what: str) -> None:
        """Wait until no other connection holds these, and hold them until the commit."""

    def close(self) -> None:
        """Close it; what is not committed is undone."""


def is_postgres(address: str) -> bool:
    """Return whether ``[nights] database`` is an address of Postgres; else it is a file."""
    return address.startswith(("postgresql://", "postgres://"))


def connect(address: str, *, writing: bool = False) -> Database:
    """Open the store at ``[nights] database``; raise StoreError with the reason.

    ``writing`` makes a SQLite file that is missing.
    """
    return _Postgres(address) if is_postgres(address) else _Sqlite(Path(address), writing)


def shown(address: str) -> str:
    """Return the address without user and password."""
    if not is_postgres(address):
        return address
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "postgresql://..."
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"


class _Sqlite:
    def __init__(self, path: Path, writing: bool) -> None:
        self.name = str(path)
        self._path = path
        self._lock: int | None = None
        mode = "rwc" if writing else "ro"
        try:
            if writing and not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o640))
            self._db = sqlite3.connect(
                f"file:{quote(self.name)}?mode={mode}",
                uri=True,
                timeout=BUSY_S,
                check_same_thread=False,
            )
        except (sqlite3.Error, OSError) as error:
            raise self._problem(error) from None
        try:
            self._db.execute("PRAGMA cache_size = -512")  # KiB: a year's sums need no more
            if writing:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            self._db.close()
            raise self._problem(error) from None

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        try:
            self._db.executemany(sql, values)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def insert(self, table: str, values: Sequence[Sequence[object]]) -> None:
        if values:
            places = ", ".join("?" * len(values[0]))
            self.many(f"INSERT INTO {table} VALUES ({places}) ON CONFLICT DO NOTHING", values)

    def commit(self) -> None:
        try:
            self._db.commit()
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def lock(self, what: str = "nights") -> bool:
        if self._lock is None:
            try:
                handle = os.open(f"{self.name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
            except OSError as error:
                raise self._problem(error) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                return False
            self._lock = handle
        return True

    def share(self) -> bool:
        return self.lock()

    def hold(self, *what: str) -> None:
        """Do nothing: a file has one writer, the one that has the lock."""

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _problem(self, error: sqlite3.Error | OSError) -> StoreError:
        return StoreError(f"[nights] database: {self.name}: {_sqlite_words(error, self._path)}")


def _sqlite_words(error: sqlite3.Error | OSError, path: Path) -> str:
    text = str(error)
    if isinstance(error, OSError):
        if error.errno == errno.ENOENT:
            return f"there is no folder {path.parent}; make it, or name another file"
        return f"{error.strerror}; let the page's user write there, or name another file"
    return next((words for part, words in _SQLITE_WORDS if part in text), text)


_SQLITE_WORDS = (
    ("full", "the disk is full; make room, or name a file elsewhere"),
    ("not a database", "is no database; name another file"),
    ("malformed", "is damaged; move it away, or restore a backup"),
    ("unable to open", "cannot be opened; is it there, and may this user read it?"),
    ("readonly", "cannot be written; let the page's user write there, or name another file"),
    ("no such table", "has no nights in it yet"),
)


class _Postgres:
    def __init__(self, address: str) -> None:
        self.name = shown(address)
        try:
            import psycopg
        except ImportError:
            raise StoreError(
                "[nights] database: postgresql:// needs the library psycopg, which is not"
                " installed; on the Pi: sudo systemd/install; elsewhere:"
                " pip install -r requirements-postgres.lock"
            ) from None
        self._error = psycopg.Error
        try:
            self._db = psycopg.connect(
                address,
                connect_timeout=CONNECT_S,
                application_name="backdoor-nights",
                options=f"-c statement_timeout={STATEMENT_MS}",
                keepalives_idle=10,
            )
        except psycopg.Error as error:
            raise self._problem(error) from None

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        try:
            found = self._db.execute(_percent(sql), values)
            return found.fetchall() if found.description is not None else []
        except self._error as error:
            raise self._problem(error) from None

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        try:
            self._db.cursor().executemany(_percent(sql), values)
        except self._error as error:
            raise self._problem(error) from None

    def insert(self, table: str, values: Sequence[Sequence[object]]) -> None:
        """Copy them beside the table first: three times as fast as one statement a row."""
        beside = f"new_{table}"
        try:
            self._db.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {beside} (LIKE {table}) ON COMMIT DELETE ROWS"
            )
            with self._db.cursor().copy(f"COPY {beside} FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
            self._db.execute(f"INSERT INTO {table} SELECT * FROM {beside} ON CONFLICT DO NOTHING")
            self._db.execute(f"DELETE FROM {beside}")  # flushed twice before one commit
        except self._error as error:
            raise self._problem(error) from None

    def commit(self) -> None:
        try:
            self._db.commit()
        except self._error as error:
            raise self._problem(error) from None

    def lock(self, what: str = "nights") -> bool:
        return self._got("SELECT pg_try_advisory_lock(?)", what)

    def share(self) -> bool:
        return self._got("SELECT pg_try_advisory_lock_shared(?)", "nights")

    def _got(self, sql: str, what: str) -> bool:
        got = bool(self.rows(sql, (lock_number(what),))[0][0])
        self.commit()
        return got

    def hold(self, *what: str) -> None:
        self.many("SELECT pg_advisory_xact_lock(?)", [(lock_number(one),) for one in what])

    def close(self) -> None:
        with suppress(self._error):
            self._db.close()

    def _problem(self, error: Exception) -> StoreError:
        # libpq's words may repeat the address, but never its password. The first line says what is
        # wrong, but of a host with several addresses, which it only announces.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((one for one in lines if not one.endswith(":")), type(error).__name__)
        return StoreError(
            f"[nights] database: {self.name}: {why}; is the server there, and the user allowed?"
        )


def lock_number(what: str) -> int:
    """Return the number of a lock among Postgres' advisory locks."""
    name = what.encode()
    short = name if len(name) < 8 else hashlib.sha256(name).digest()[:8]
    return int.from_bytes(short, "big", signed=True)


def _percent(sql: str) -> str:
    """Return a statement as psycopg wants it; ours have no other ``?`` or ``%``."""
    return sql.replace("?", "%s")
