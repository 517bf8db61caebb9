"""The journal: what happened, and the state after it, in one SQLite file and an append log.

Each step is one line of the append log: its events and what they changed of the state, so after any
crash the state is exactly that of the last event. Some hundred events later a checkpoint moves them
into SQLite in one transaction (WAL, ``synchronous=FULL``) and the append log begins anew: a
transaction for each step would write twenty times as much to the card. At the start only the one
state row, the last ``seq`` and the append log are read.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controller.journal.append_log import AppendLog, check_same_file, read_lines
from controller.journal.checks import checksum, mark_problem, moment_problem, row_problem
from controller.journal.database import connect, has_checksums, schema_of, transaction
from controller.journal.doubt import DoubtMark, NewestStep
from controller.journal.records import (
    PendingSteps,
    Row,
    Saved,
    line_of,
    read_steps,
    state_of,
    text_of,
)

log = logging.getLogger(__name__)

MEMORY = ":memory:"
EVENTS = "SELECT seq, t_ms, at_s, name, data, crc FROM event"
#: Steps and events in the append log at which a checkpoint is made: a few times an evening.
CHECKPOINT_SIZE = 1000
#: Events kept when there is no file: those of some nights, in a few megabytes.
MEMORY_ROWS = 20_000
#: Errors of SQLite that come again however often the same rows are written.
NEVER = (sqlite3.IntegrityError, OverflowError, ValueError)
#: A file up to this size is read whole at the start; a year of evenings would take a Pi seconds.
CHECKED_BYTES = 8 * 1024 * 1024
#: Of the newest events so many are looked at at each start, in a file of any size.
CHECKED_ROWS = 1000
#: Events that make no sense are named one by one up to this many.
NAMED_ROWS = 20
#: What is left out besides events, whose numbers begin at 1.
STATE, DELIVERY = 0, -1


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
        #: Of a log without lines: the last event in the database, for the first line to say.
        self._base: int | None = None
        #: Whether a state was written since the start: after a doubt it carries the doubt.
        self._carried = False
        #: Whether the last process ended without `finish`: a crash, a kill or a power cut.
        self.unfinished = False
        #: Whether the append log is damaged after its whole lines.
        self.damaged_log = False
        #: Which events may be missing between the database and the append log, "" if none is.
        self.gap = ""
        #: What made no sense when it was read, and was left out: why, by the number of the event.
        self.left_out: dict[int, str] = {}
        #: For a journal at work: is there doubt that no written state carries yet, and which step
        #: is the newest? See `recovery`.
        self.doubt: DoubtMark | None = None
        self.newest: NewestStep | None = None
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
            if self._is_older(pending):
                self.damaged_log = True  # somebody put it beside a newer database
            else:
                self._note_gap(pending.base)
                self._pending = pending
            self._base = self._newest_kept()  # of a log that has lines the checkpoint says it anew
        except BaseException:
            self.close()
            raise

    def _is_older(self, pending: PendingSteps) -> bool:
        """Return whether the steps of the append log are from before those of the database."""
        if pending.events:
            return max(pending.events) < self.last_seq()
        kept, logged = self._saved(), pending.saved
        return kept is not None and logged is not None and logged.t_ms < kept.t_ms

    def _note_gap(self, base: int) -> None:
        """Note what the database has lost since the append log was begun after event ``base``.

        SQLite says nothing of a WAL file that is cut or spoilt: it goes back to an older state.
        """
        kept = self._newest_kept()
        if kept < base:
            self.gap = f"events {kept + 1} to {base}"

    def _newest_kept(self) -> int:
        """Return the number of the newest event in the database, of whatever soundness; or 0."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])

    @property
    def in_memory(self) -> bool:
        """Return whether there is no file, so that everything is lost at the end."""
        return self.path == MEMORY

    def saved(self) -> Saved | None:
        """Return the state that was written last; None in a new journal."""
        return self._pending.saved or self._saved()

    def _saved(self) -> Saved | None:
        """Return the state in the database; what makes no sense is left out."""
        saved, problem = read_state(self._db)
        if problem:
            self._leave_out(STATE, f"the saved state: {problem}")
        return saved

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none yet."""
        kept = self._read(" ORDER BY seq DESC", (), 1)
        return max([row.seq for row in kept] + [0, *self._pending.events])

    def delivered(self) -> int:
        """Return the number up to which the broker has acknowledged every event.

        Where that can't be known the last events are taken as not acknowledged.
        """
        if self._pending.delivered is not None:
            return self._pending.delivered
        last_seq = self.last_seq()
        delivered, crc = self._db.execute("SELECT delivered, crc FROM mark").fetchone()
        problem = mark_problem(delivered, last_seq, crc)
        if problem:
            self._leave_out(DELIVERY, f"how far events are delivered: {problem}")
            return max(last_seq - CHECKED_ROWS, 0)
        return int(delivered)

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
        with self._noted(saved):
            self._append(self._append_log, rows, saved, delivered)
        self._pending.add(rows, saved, delivered)
        self._carried = self._carried or (saved is not None and self.doubt is not None)
        if self._pending.size >= CHECKPOINT_SIZE:
            self._checkpoint()

    def _noted(self, saved: Saved | None) -> AbstractContextManager[None]:
        if saved is None or self.newest is None:
            return nullcontext()
        return self.newest.writing(saved)

    def _append(
        self, log: AppendLog, rows: Sequence[Row], saved: Saved | None, delivered: int | None
    ) -> None:
        if log.torn:
            self._checkpoint()
        fields = self._known if saved is None else saved.fields()
        log.add(line_of(rows, fields, delivered, self._known, self._base))
        self._known, self._base = fields, None

    def sync(self) -> None:
        """Return once all that was written survives a power cut."""
        if self._append_log is not None:
            self._append_log.sync()
            check_same_file(Path(self.path), self._inode)
            self._settle_doubt()

    def _settle_doubt(self) -> None:
        """Take the mark of doubt away once a state that carries the doubt is on the disk."""
        if self._carried and self.doubt is not None:
            self.doubt.remove()
            self.doubt = None

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
            self._known, self._base = {}, self._newest_kept()

    def _commit(self, pending: PendingSteps) -> None:
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?)",
                map(_with_checksum, pending.events.values()),
            )
            if pending.saved is not None:
                fields = (*_moment(pending.saved), text_of(pending.saved.state))
                self._db.execute(
                    "INSERT OR REPLACE INTO saved VALUES (1, ?, ?, ?, ?, ?, ?)",
                    (*fields, checksum(*fields)),
                )
            if pending.delivered is not None:
                mark = (pending.delivered, checksum(pending.delivered))
                self._db.execute("UPDATE mark SET delivered = ?, crc = ?", mark)
            if self.in_memory and pending.events:
                too_old = max(pending.events) - MEMORY_ROWS
                self._db.execute("DELETE FROM event WHERE seq <= ?", (too_old,))

    def after(self, seq: int, limit: int) -> list[Row]:
        """Return at most ``limit`` events that follow number ``seq``."""
        found = self._read(" WHERE seq > ? ORDER BY seq", (seq,), limit)
        return self._with_pending(found, seq)[:limit]

    def since(self, at_s: float) -> list[Row]:
        """Return all events from wall time ``at_s`` (seconds since 1970) on."""
        # Without INDEXED BY SQLite reads the whole table, to save the sorting of one night.
        found = self._read(" INDEXED BY event_at WHERE at_s >= ? ORDER BY seq", (at_s,))
        return [row for row in self._with_pending(found) if row.at_s >= at_s]

    def _read(self, where: str, values: Sequence[object], limit: int | None = None) -> list[Row]:
        """Return events from the database; what makes no sense is left out and does not count."""
        with closing(self._db.execute(EVENTS + where, values)) as found:
            return list(islice(self._sound(found), limit))

    def _sound(self, found: Iterable[Sequence[Any]]) -> Iterator[Row]:
        for *fields, crc in found:
            problem = row_problem(fields, crc)
            if problem:
                self._leave_out(fields[0], problem)
            else:
                yield Row(*fields)

    def _leave_out(self, seq: int, problem: str) -> None:
        """Note that something makes no sense; the log names it once."""
        if seq not in self.left_out and len(self.left_out) < NAMED_ROWS:
            what = f"event {seq}: {problem}" if seq > 0 else problem
            log.warning("journal %s: left out: %s", self.path, what)
        self.left_out.setdefault(seq, problem)

    def drop_left_out(self) -> None:
        """Delete what was left out, so that the next start does not find it again."""
        spoilt = sorted(self.left_out)
        with transaction(self._db):
            self._db.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in spoilt])
            if STATE in spoilt:
                self._db.execute("DELETE FROM saved")
            if DELIVERY in spoilt:
                delivered = self.delivered()
                mark = (delivered, checksum(delivered))
                self._db.execute("UPDATE mark SET delivered = ?, crc = ?", mark)
        self._base = self._newest_kept()

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
        if schema_of(self._db) != _new_schema():
            raise DamagedJournalError("its tables are not as they were made")
        if self.in_memory or Path(self.path).stat().st_size <= CHECKED_BYTES:
            self._check_whole()
        if self._db.execute("SELECT count(*) FROM mark").fetchone()[0] != 1:
            raise DamagedJournalError("it does not say how far it is delivered")
        self._read(" ORDER BY seq DESC", (), CHECKED_ROWS)
        self.saved()
        self.delivered()

    def _check_whole(self) -> None:
        """Read the whole file; an index that does not fit its table is made anew."""
        found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if "event_at" in str(found):
            log.warning("journal %s: %s: the index is made anew", self.path, found)
            self._db.execute("REINDEX event_at")
            found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise DamagedJournalError(str(found))

    def finish(self) -> None:
        """Move everything into the database, and remove the append log."""
        try:
            self._checkpoint()
            if self._append_log is not None:
                self._append_log.path.unlink()
            self._settle_doubt()
        finally:
            self.close()

    def close(self) -> None:
        """Close the files as they are, without a checkpoint; may be called twice."""
        if self._append_log is not None:
            self._append_log.close()
        if self.newest is not None:
            self.newest.close()
        with suppress(sqlite3.Error):
            self._db.close()


def read_state(db: sqlite3.Connection) -> tuple[Saved | None, str]:
    """Return the state in a database, if there is one that makes sense, and why it makes none."""
    row = db.execute("SELECT t_ms, boot_id, boottime_ms, wall_s, state, crc FROM saved").fetchone()
    if row is None:
        return None, ""
    problem = moment_problem(row[:4], row[5], row[4])
    if problem:
        return None, problem
    t_ms, boot_id, boottime_ms, wall_s, text, _ = row
    return Saved(t_ms, boot_id, boottime_ms, wall_s, state_of(text)), ""


def open_to_read(path: str, how: str) -> sqlite3.Connection:
    """Open a database without writing to it; ``how`` is SQLite's: ``mode=ro``, ``immutable=1``."""
    db = sqlite3.connect(f"file:{quote(path)}?{how}", uri=True)
    db.text_factory = partial(str, encoding="utf-8", errors="replace")
    return db


def _moment(saved: Saved) -> tuple[float, str, float, float]:
    """Return the moment of a state as SQLite gives it back."""
    return float(saved.t_ms), saved.boot_id, float(saved.boottime_ms), float(saved.wall_s)


def _with_checksum(row: Row) -> tuple[object, ...]:
    fields = (row.seq, float(row.t_ms), float(row.at_s), row.name, row.data)
    return (*fields, checksum(*fields))


def _new_schema() -> set[str]:
    with closing(connect(MEMORY)) as new:
        return schema_of(new)


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
    with closing(open_to_read(path, how)) as db:
        events = EVENTS if has_checksums(db) else EVENTS.replace("crc", "NULL")
        found = db.execute(f"{events} ORDER BY seq DESC LIMIT ?", (count,))
        rows = [Row(*fields) for *fields, crc in found if not row_problem(fields, crc)]
    return rows[::-1]
