"""The journal: what happened, and the state after it, in one SQLite file with a tail.

Each step is one line of the tail (`append_log`): its events and what they changed of the state,
so after any crash the state is exactly that of the last event. Some hundred events later
they go into SQLite in one transaction (WAL, ``synchronous=FULL``), and a new tail begins: a
database of its own pages for each step would write to the card twenty times as much. To start, only
the one state row, the last ``seq`` and the tail are read.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controller.journal.append_log import Tail, check_place, read_tail
from controller.journal.database import connect, transaction
from controller.journal.records import Newest, Row, Saved, gathered, line_of, state_of, text_of

MEMORY = ":memory:"
#: A tail of so many steps and events goes into the database: a few times an evening.
TAIL_SIZE = 1000
#: Events kept when there is no file: some nights, and a few megabytes.
MEMORY_ROWS = 20_000
#: What SQLite will not take however often it is asked.
NEVER = (sqlite3.IntegrityError, OverflowError, ValueError)
#: A file up to this size is read whole at the start; a year of evenings would take a Pi seconds.
CHECKED_BYTES = 8 * 1024 * 1024


class DamagedJournalError(Exception):
    """The file is not a sound database."""


class Journal:
    """One open journal; used by one thread at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._newest = Newest()
        self._tail: Tail | None = None
        #: What its lines have said of the state so far.
        self._known: Mapping[str, Any] = {}
        #: Was it left without `finish`: by a crash, a kill or a power cut?
        self.abandoned = False
        #: Does its tail end in something else than what we write?
        self.damaged_tail = False
        if self.in_memory:
            self._db = connect(self.path)
        else:
            self.abandoned = tail_of(self.path).exists()
            self._open()
            self._read_tail()

    def _open(self) -> None:
        """Open both files; the tail's lock first, so that no two make or change a database."""
        self._tail = Tail(tail_of(self.path))
        try:
            self._db = connect(self.path)
        except BaseException:
            self._tail.close()
            if not self.abandoned and not self._tail.torn:  # we made it, and nothing is in it
                self._tail.path.unlink(missing_ok=True)
            raise
        self._inode = Path(self.path).stat().st_ino

    def _read_tail(self) -> None:
        try:
            newest, self.damaged_tail = read_newest(tail_of(self.path))
            if not newest.events or max(newest.events) >= self.last_seq():
                self._newest = newest  # an older one is of a database that was put back
        except BaseException:
            self.close()
            raise

    @property
    def in_memory(self) -> bool:
        """Is there no file, so that all is forgotten at the end?"""
        return self.path == MEMORY

    def saved(self) -> Saved | None:
        """Return the state that was written last."""
        row = self._db.execute(
            "SELECT t_ms, boot_id, boottime_ms, wall_s, state FROM saved"
        ).fetchone()
        if self._newest.saved is not None or row is None:
            return self._newest.saved
        t_ms, boot_id, boottime_ms, wall_s, text = row
        return Saved(t_ms, boot_id, boottime_ms, wall_s, state_of(text))

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none yet."""
        kept = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
        return max(kept, *self._newest.events, 0)

    def delivered(self) -> int:
        """Return the number up to which the broker has acknowledged every event."""
        kept = int(self._db.execute("SELECT delivered FROM mark").fetchone()[0])
        return kept if self._newest.delivered is None else self._newest.delivered

    def write(
        self, rows: Sequence[Row] = (), saved: Saved | None = None, delivered: int | None = None
    ) -> None:
        """Keep events, the state after them, and how far they are delivered; all or nothing.

        It outlives this process at once, and a power cut after `sync`. An event that is written
        again replaces itself: after an I/O error nobody knows whether the first time counted.
        """
        if self._tail is None:
            self._newest.add(rows, saved, delivered)
            self._settle()
            return
        if self._tail.torn:
            self._settle()
        fields = self._known if saved is None else saved.fields()
        self._tail.add(line_of(rows, fields, delivered, self._known))
        self._known = fields
        self._newest.add(rows, saved, delivered)
        if self._newest.size >= TAIL_SIZE:
            self._settle()

    def sync(self) -> None:
        """Return when all that was written is safe from a power cut."""
        if self._tail is not None:
            self._tail.sync()
            check_place(Path(self.path), self._inode)

    def _settle(self) -> None:
        """Bring what the tail holds into the database: that and no more, until it is cleared.

        Killed between the two, the next start finds in the tail what the database says as well.
        """
        if self._tail is not None:
            self._tail.torn = True
        try:
            self._commit(self._newest)
        except NEVER:
            self._newest = Newest()
            raise
        self._newest = Newest()
        if self._tail is not None:
            self._tail.clear()
            self._known = {}

    def _commit(self, newest: Newest) -> None:
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?)",
                newest.events.values(),
            )
            if newest.saved is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO saved VALUES (1, ?, ?, ?, ?, ?)",
                    (*newest.saved[:4], text_of(newest.saved.state)),
                )
            if newest.delivered is not None:
                self._db.execute("UPDATE mark SET delivered = ?", (newest.delivered,))
            if self.in_memory and newest.events:
                too_old = max(newest.events) - MEMORY_ROWS
                self._db.execute("DELETE FROM event WHERE seq <= ?", (too_old,))

    def after(self, seq: int, limit: int) -> list[Row]:
        """Return at most ``limit`` events that follow number ``seq``."""
        found = self._db.execute("SELECT * FROM event WHERE seq > ? LIMIT ?", (seq, limit))
        return self._and_newest([Row(*row) for row in found], seq)[:limit]

    def since(self, at_s: float) -> list[Row]:
        """Return all events from wall time ``at_s`` (seconds since 1970) on."""
        # By itself SQLite reads the whole table here, to save itself the sorting of one night.
        found = self._db.execute(
            "SELECT * FROM event INDEXED BY event_at WHERE at_s >= ? ORDER BY seq", (at_s,)
        )
        rows = self._and_newest([Row(*row) for row in found])
        return [row for row in rows if row.at_s >= at_s]

    def _and_newest(self, rows: list[Row], seq: int = 0) -> list[Row]:
        return rows + self._newest.after(rows[-1].seq if rows else seq)

    def prune(self, before_s: float) -> int:
        """Forget delivered events of before ``before_s``, never the newest; return how many."""
        self._settle()
        with transaction(self._db):
            return self._db.execute(
                "DELETE FROM event WHERE at_s < ? AND seq <= (SELECT delivered FROM mark)"
                " AND seq < (SELECT max(seq) FROM event)",
                (before_s,),
            ).rowcount

    def reopen(self) -> None:
        """Open the files anew after an error; one in memory stays as it is."""
        if not self.in_memory:
            self.close()
            self._open()
            self._settle()

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

    def finish(self) -> None:
        """Bring everything into the database and leave it alone on the disk."""
        try:
            self._settle()
            if self._tail is not None:
                self._tail.path.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Close the files as they are; may be called twice."""
        if self._tail is not None:
            self._tail.close()
        with suppress(sqlite3.Error):
            self._db.close()


def tail_of(path: str | Path) -> Path:
    """Return where the tail of a journal lies: beside it."""
    return Path(f"{path}-tail")


def read_newest(tail: Path) -> tuple[Newest, bool]:
    """Return the steps that a tail holds, and whether it is damaged after them."""
    lines, torn = read_tail(tail)
    newest, odd = gathered(lines)
    return newest, torn or odd


def read_last(path: str, count: int) -> list[Row]:
    """Return the newest ``count`` events, oldest first; raises OSError where there are none."""
    newest = Newest()
    with suppress(OSError):
        # First: what is here may go into the database meanwhile.
        newest, _ = read_newest(tail_of(path))
    try:
        rows = _read_database(path, count)
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"no journal that can be read ({error})", path) from None
    return [*rows, *newest.after(rows[-1].seq if rows else 0)][-count:]


def _read_database(path: str, count: int) -> list[Row]:
    with suppress(sqlite3.OperationalError):
        return _read(path, count, "mode=ro")
    return _read(path, count, "immutable=1")  # read-only: not even its log may be made


def _read(path: str, count: int, how: str) -> list[Row]:
    with closing(sqlite3.connect(f"file:{quote(path)}?{how}", uri=True)) as db:
        rows = db.execute("SELECT * FROM event ORDER BY seq DESC LIMIT ?", (count,)).fetchall()
    return [Row(*row) for row in reversed(rows)]
