"""The journal: what happened, and the state after it, in one SQLite file and an append log.

Each step is one line of the append log: its events and what they changed of the state, so after any
crash the state is exactly that of the last event. Some hundred events later a checkpoint moves them
into SQLite in one transaction (WAL, ``synchronous=FULL``) and the append log begins anew: a
transaction for each step would write twenty times as much to the card. At the start only the one
state row, the last ``seq`` and the append log are read.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controller.journal.append_log import AppendLog, check_same_file, read_lines
from controller.journal.database import connect, transaction
from controller.journal.records import (
    PendingSteps,
    Row,
    Saved,
    line_of,
    read_steps,
    state_of,
    text_of,
)

MEMORY = ":memory:"
#: Steps and events in the append log at which a checkpoint is made: a few times an evening.
CHECKPOINT_SIZE = 1000
#: Events kept when there is no file: those of some nights, in a few megabytes.
MEMORY_ROWS = 20_000
#: Errors of SQLite that come again however often the same rows are written.
NEVER = (sqlite3.IntegrityError, OverflowError, ValueError)
#: A file up to this size is read whole at the start; a year of evenings would take a Pi seconds.
CHECKED_BYTES = 8 * 1024 * 1024


class DamagedJournalError(Exception):
    """The file is not a sound database."""


class Journal:
    """One open journal; used by one thread at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._pending = PendingSteps()
        self._append_log: AppendLog | None = None
        #: The fields of the state as the lines of the append log give them so far.
        self._known: Mapping[str, Any] = {}
        #: Whether the last process ended without `finish`: a crash, a kill or a power cut.
        self.unfinished = False
        #: Whether the append log is damaged after its whole lines.
        self.damaged_log = False
        if self.in_memory:
            self._db = connect(self.path)
        else:
            self.unfinished = append_log_path(self.path).exists()
            self._open()
            self._read_append_log()

    def _open(self) -> None:
        """Open both files, the append log first: its lock keeps a second process out."""
        self._append_log = AppendLog(append_log_path(self.path))
        try:
            self._db = connect(self.path)
        except BaseException:
            self._append_log.close()
            if not self.unfinished and not self._append_log.torn:  # we made it and it is empty
                self._append_log.path.unlink(missing_ok=True)
            raise
        self._inode = Path(self.path).stat().st_ino

    def _read_append_log(self) -> None:
        try:
            pending, self.damaged_log = read_pending(append_log_path(self.path))
            if not pending.events or max(pending.events) >= self.last_seq():
                self._pending = pending  # else: an older log beside a newer database
        except BaseException:
            self.close()
            raise

    @property
    def in_memory(self) -> bool:
        """Return whether there is no file, so that everything is lost at the end."""
        return self.path == MEMORY

    def saved(self) -> Saved | None:
        """Return the state that was written last; None in a new journal."""
        row = self._db.execute(
            "SELECT t_ms, boot_id, boottime_ms, wall_s, state FROM saved"
        ).fetchone()
        if self._pending.saved is not None or row is None:
            return self._pending.saved
        t_ms, boot_id, boottime_ms, wall_s, text = row
        return Saved(t_ms, boot_id, boottime_ms, wall_s, state_of(text))

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none yet."""
        kept = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])
        return max(kept, *self._pending.events, 0)

    def delivered(self) -> int:
        """Return the number up to which the broker has acknowledged every event."""
        kept = int(self._db.execute("SELECT delivered FROM mark").fetchone()[0])
        return kept if self._pending.delivered is None else self._pending.delivered

    def write(
        self, rows: Sequence[Row] = (), saved: Saved | None = None, delivered: int | None = None
    ) -> None:
        """Write events, the state after them, and how far they are delivered; all or nothing.

        It survives the end of this process at once, and a power cut after `sync`. An event that is
        written again replaces itself: after an I/O error it is unknown whether the first write
        succeeded. Raise OSError or sqlite3.Error if it can't be written.
        """
        if self._append_log is None:
            self._pending.add(rows, saved, delivered)
            self._checkpoint()
            return
        if self._append_log.torn:
            self._checkpoint()
        fields = self._known if saved is None else saved.fields()
        self._append_log.add(line_of(rows, fields, delivered, self._known))
        self._known = fields
        self._pending.add(rows, saved, delivered)
        if self._pending.size >= CHECKPOINT_SIZE:
            self._checkpoint()

    def sync(self) -> None:
        """Return once all that was written survives a power cut."""
        if self._append_log is not None:
            self._append_log.sync()
            check_same_file(Path(self.path), self._inode)

    def _checkpoint(self) -> None:
        """Move the steps of the append log into the database, then clear it.

        If the process is killed between the two, the next start finds the same steps in both.
        """
        if self._append_log is not None:
            self._append_log.torn = True
        try:
            self._commit(self._pending)
        except NEVER:
            self._pending = PendingSteps()
            raise
        self._pending = PendingSteps()
        if self._append_log is not None:
            self._append_log.clear()
            self._known = {}

    def _commit(self, pending: PendingSteps) -> None:
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?)",
                pending.events.values(),
            )
            if pending.saved is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO saved VALUES (1, ?, ?, ?, ?, ?)",
                    (*pending.saved[:4], text_of(pending.saved.state)),
                )
            if pending.delivered is not None:
                self._db.execute("UPDATE mark SET delivered = ?", (pending.delivered,))
            if self.in_memory and pending.events:
                too_old = max(pending.events) - MEMORY_ROWS
                self._db.execute("DELETE FROM event WHERE seq <= ?", (too_old,))

    def after(self, seq: int, limit: int) -> list[Row]:
        """Return at most ``limit`` events that follow number ``seq``."""
        found = self._db.execute("SELECT * FROM event WHERE seq > ? LIMIT ?", (seq, limit))
        return self._with_pending([Row(*row) for row in found], seq)[:limit]

    def since(self, at_s: float) -> list[Row]:
        """Return all events from wall time ``at_s`` (seconds since 1970) on."""
        # Without INDEXED BY SQLite reads the whole table, to save the sorting of one night.
        found = self._db.execute(
            "SELECT * FROM event INDEXED BY event_at WHERE at_s >= ? ORDER BY seq", (at_s,)
        )
        rows = self._with_pending([Row(*row) for row in found])
        return [row for row in rows if row.at_s >= at_s]

    def _with_pending(self, rows: list[Row], seq: int = 0) -> list[Row]:
        return rows + self._pending.after(rows[-1].seq if rows else seq)

    def prune(self, before_s: float) -> int:
        """Delete delivered events older than ``before_s``, never the newest; return how many."""
        self._checkpoint()
        with transaction(self._db):
            return self._db.execute(
                "DELETE FROM event WHERE at_s < ? AND seq <= (SELECT delivered FROM mark)"
                " AND seq < (SELECT max(seq) FROM event)",
                (before_s,),
            ).rowcount

    def reopen(self) -> None:
        """Open the files again after an error; a journal in memory stays as it is."""
        if not self.in_memory:
            self.close()
            self._open()
            self._checkpoint()

    def check(self) -> None:
        """Raise `DamagedJournalError` if the file is damaged; of a large one read the end only."""
        if not self.in_memory and Path(self.path).stat().st_size > CHECKED_BYTES:
            self._db.execute("SELECT * FROM event ORDER BY seq DESC LIMIT 1000").fetchall()
            return
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DamagedJournalError(found)
        self.saved()  # fails if a table is missing
        self.last_seq()
        if self._db.execute("SELECT count(*) FROM mark").fetchone()[0] != 1:
            raise DamagedJournalError("it does not say how far it is delivered")

    def finish(self) -> None:
        """Move everything into the database, and remove the append log."""
        try:
            self._checkpoint()
            if self._append_log is not None:
                self._append_log.path.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Close the files as they are, without a checkpoint; may be called twice."""
        if self._append_log is not None:
            self._append_log.close()
        with suppress(sqlite3.Error):
            self._db.close()


def append_log_path(path: str | Path) -> Path:
    """Return the path of a journal's append log: beside the database."""
    return Path(f"{path}-tail")


def read_pending(path: Path) -> tuple[PendingSteps, bool]:
    """Return the steps in an append log, and whether it is damaged after them."""
    lines, torn = read_lines(path)
    pending, odd = read_steps(lines)
    return pending, torn or odd


def read_last(path: str, count: int) -> list[Row]:
    """Return the newest ``count`` events, oldest first; raises OSError where there are none."""
    pending = PendingSteps()
    with suppress(OSError):
        # Before the database: a checkpoint may move steps into it meanwhile.
        pending, _ = read_pending(append_log_path(path))
    try:
        rows = _read_database(path, count)
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"no journal that can be read ({error})", path) from None
    return [*rows, *pending.after(rows[-1].seq if rows else 0)][-count:]


def _read_database(path: str, count: int) -> list[Row]:
    with suppress(sqlite3.OperationalError):
        return _read(path, count, "mode=ro")
    return _read(
        path, count, "immutable=1"
    )  # a read-only folder: SQLite can't make its own log there


def _read(path: str, count: int, how: str) -> list[Row]:
    with closing(sqlite3.connect(f"file:{quote(path)}?{how}", uri=True)) as db:
        rows = db.execute("SELECT * FROM event ORDER BY seq DESC LIMIT ?", (count,)).fetchall()
    return [Row(*row) for row in reversed(rows)]
