"""Opening the journal, whatever is there: sound, damaged, too new, or impossible to open.

This is the one wall between the disk and the start of a controller: all that a start reads of the
journal is read here, and nothing that stands there stops it. What makes no sense is left out; a
file that is damaged as a whole is set aside, and what is sound in it is taken over.

The door works in every case. If the journal may not say how the room was left, ``doubt`` is set,
and the guest count asks to be confirmed. The doubt is on the disk before anything else is changed
there (see `doubt`), so it outlives any number of starts that fail.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from controller.clock import boot_id
from controller.journal.checks import row_problem
from controller.journal.database import NewerJournalError
from controller.journal.doubt import RESTORED, UNWRITTEN, DoubtMark, NewestStep
from controller.journal.journal import (
    CHECKED_ROWS,
    EVENTS,
    MEMORY,
    DamagedJournalError,
    Journal,
    append_log_path,
    open_to_read,
    read_pending,
    read_state,
)
from controller.journal.records import PendingSteps, Row, Saved
from controller.trace import flights

log = logging.getLogger(__name__)

#: What reading raises where odd bytes stand. MemoryError: a length that a flipped bit made huge.
ODD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
       MemoryError)  # fmt: skip
#: SQLite's errors that speak of the file's contents, not of locks, rights or space.
DAMAGES = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_SCHEMA,
)
#: A disk that has not answered after so long is taken as none, seconds: some waits are long ones.
OPEN_LIMIT_S = 20.0
#: Parts of a journal, beside the database itself.
PARTS = ("-wal", "-shm", "-tail", "")


@dataclass(frozen=True, slots=True)
class Opened:
    """A journal that works; ``doubt`` if its state may be wrong, with the reason in ``warning``.

    ``tonight`` are the events that were asked for. ``damaged`` says whether something on the disk
    made no sense.
    """

    journal: Journal
    doubt: bool
    warning: str = ""
    tonight: Sequence[Row] = ()
    damaged: bool = False

    def doubt_state(self, why: str) -> None:
        """Keep it for the next starts that the state can't be read, until one is written."""
        log.warning(
            "journal %s: the last state can't be read (%s); say on the page how many are inside",
            self.journal.path,
            why,
        )
        if not self.journal.in_memory:
            mark = DoubtMark(Path(self.journal.path))
            with suppress(OSError):
                mark.set(f"the last state can't be read ({why})")
            self.journal.doubt = mark


def open_journal(path: str | Path, since_s: float = inf, limit_s: float = OPEN_LIMIT_S) -> Opened:
    """Open the journal at ``path``, or one in memory with a warning if that is impossible.

    ``since_s``: read the events from then on (seconds since 1970). Returns after ``limit_s``
    seconds at most, also when the disk hangs.
    """
    if str(path) == MEMORY:
        return Opened(Journal(MEMORY), doubt=False)
    opening = _Opening(Path(path), since_s)
    return opening.result(limit_s)


class _Opening:
    """Opens a journal in a thread of its own, which a disk that hangs may keep for ever."""

    def __init__(self, file: Path, since_s: float) -> None:
        self._file, self._since_s = file, since_s
        self._opened: SimpleQueue[Opened] = SimpleQueue()
        self._lock, self._late = Lock(), False
        self._thread = Thread(target=self._run, name="opening the journal", daemon=True)

    def result(self, limit_s: float) -> Opened:
        self._thread.start()
        with suppress(Empty):
            return self._opened.get(timeout=limit_s)
        with self._lock:
            self._late = True
        with suppress(Empty):  # at the last moment
            return self._opened.get_nowait()
        return _in_memory(self._file, f"the disk has not answered for {limit_s:g} s")

    def _run(self) -> None:
        try:
            opened = _open(self._file, self._since_s)
        except Exception as error:  # the last wall
            log.exception("journal %s: a bug; please report it", self._file)
            opened = _in_memory(self._file, repr(error))
        with self._lock:
            if self._late:
                opened.journal.close()  # somebody works without it by now
            else:
                self._opened.put(opened)


@dataclass(slots=True)
class _Found:
    """What is found out while a journal is opened."""

    file: Path
    since_s: float
    mark: DoubtMark
    was_there: bool
    #: Why there is doubt; the first is the cause.
    reasons: list[str] = field(default_factory=list)


def _open(file: Path, since_s: float) -> Opened:
    mark = DoubtMark(file)
    try:
        found = _Found(file, since_s, mark, _was_there(file))
        before = mark.reason()
        if before:
            found.reasons.append(before)
        try:
            journal, tonight = _open_checked(file, since_s)
        except DamagedJournalError as error:
            return _start_new(found, str(error))
        return _with_doubts(found, journal, tonight)
    except BlockingIOError as error:  # another controller is at work, and its journal is fine
        return _in_memory(file, str(error))
    except (NewerJournalError, sqlite3.Error, OSError) as error:
        with suppress(OSError):  # what is done from here on, this file will not know
            if file.exists():
                mark.set(str(error))
        return _in_memory(file, str(error))


def _was_there(file: Path) -> bool:
    """Return whether a controller has worked with this journal before.

    One that failed at its start may have created it and written nothing: that leaves tables without
    rows and an empty append log. Whoever worked has left more, for one thing what he recorded.
    """
    beside = NewestStep(file).path, DoubtMark(file).path, _aside(file, 1), flights(str(file))
    emptied = file.exists() and not file.stat().st_size
    log = append_log_path(file)
    written = log.exists() and log.stat().st_size > 0
    return emptied or written or any(path.exists() for path in beside)


def _open_checked(file: Path, since_s: float) -> tuple[Journal, list[Row]]:
    """Return the journal and its events from ``since_s`` on.

    Raise `DamagedJournalError` if what a start needs of it can't be read.
    """
    journal = None
    try:
        journal = Journal(file)
        journal.check()
        return journal, journal.since(since_s)
    except BaseException as error:
        if journal is not None:
            journal.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise _damaged(error, file) from error
        if isinstance(error, ODD):
            raise DamagedJournalError(f"{type(error).__name__}: {error}") from error
        raise


def _damaged(error: sqlite3.DatabaseError, file: Path) -> Exception:
    """Return `DamagedJournalError` for a damaged file, else the error: locked, full, forbidden."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    # A bit of the header says that the file is not to be written.
    forbidden = code == sqlite3.SQLITE_READONLY and os.access(file, os.W_OK)
    return DamagedJournalError(str(error)) if forbidden or code in DAMAGES else error


def _with_doubts(found: _Found, journal: Journal, tonight: Sequence[Row]) -> Opened:
    """Return a journal that can be read, with every reason why its state may be wrong."""
    try:
        empty = found.was_there and journal.saved() is None and journal.last_seq() == 0
        if empty and found.reasons:
            _take_over(journal, _salvaged(_last_aside(found.file)))  # a start failed half-way
        newest = NewestStep(found.file)
        found.reasons += _reasons(journal, newest, empty)
        if found.reasons:
            found.mark.set(found.reasons[0])
            journal.doubt = found.mark
        if journal.left_out:
            journal.drop_left_out()
    except BaseException:
        journal.close()
        raise
    newest.written = journal.saved()
    journal.newest = newest
    warning = "; ".join(dict.fromkeys(found.reasons))
    if warning:
        warning = f"journal {found.file}: {warning}; confirm the guest count on the page"
    damaged = found.reasons[:1] != [RESTORED] and bool(set(found.reasons) - {UNWRITTEN})
    return Opened(journal, bool(warning), warning, tonight, damaged)


def _reasons(journal: Journal, newest: NewestStep, empty: bool) -> Iterable[str]:
    if journal.damaged_log:
        yield "its newest part is damaged"
    if journal.gap:
        yield f"it has lost {journal.gap}"
    if journal.left_out:
        yield f"{len(journal.left_out)} of its rows made no sense and are left out"
    if empty:
        yield "it was empty"
    if missing := newest.missing_from(journal.saved(), boot_id()):
        yield missing


# --- a file that is damaged as a whole ------------------------------------------------------------


def _start_new(found: _Found, why: str) -> Opened:
    """Set a damaged journal aside and begin a new one with all that is sound in the old one."""
    file = found.file
    found.reasons.append(f"it is damaged ({why})")
    try:
        found.mark.set(found.reasons[0])
        salvaged = _salvaged(file)
        aside = _move_aside(file)
        journal = Journal(file)
        _take_over(journal, salvaged)
        tonight = journal.since(found.since_s)
    except (sqlite3.Error, OSError) as error:
        return _in_memory(file, f"{why}; {error}")
    journal.doubt, journal.newest = found.mark, NewestStep(file)
    journal.newest.written = journal.saved()
    warning = f"journal {file} is damaged ({why}): kept as {aside}, a new one is begun"
    return Opened(journal, doubt=True, warning=warning, tonight=tonight, damaged=True)


def _move_aside(file: Path) -> Path:
    number = 1
    while (aside := _aside(file, number)).exists():
        number += 1
    for ending in PARTS:
        part = Path(f"{file}{ending}")
        if part.exists():
            part.rename(f"{aside}{ending}")
    return aside


def _aside(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.corrupt-{number}")


def _last_aside(file: Path) -> Path:
    number = 1
    while _aside(file, number + 1).exists():
        number += 1
    return _aside(file, number)


def _salvaged(file: Path) -> PendingSteps:
    """Return what is sound in a damaged journal: its newest events, and the state if it is.

    The append log has the newer ones. Everything is checked as it is in a sound file.
    """
    rows: list[Row] = []
    saved: Saved | None = None
    with suppress(sqlite3.Error, OSError, *ODD):
        saved = _salvage_database(file, rows)
    steps = PendingSteps()
    steps.add(rows[::-1], saved, None)
    with suppress(OSError, *ODD):
        newer, _ = read_pending(append_log_path(file))
        steps.add(list(newer.events.values()), newer.saved, newer.delivered)
    if steps.delivered is None:
        steps.delivered = max([0, *steps.events]) - min(len(steps.events), CHECKED_ROWS)
    return steps


def _salvage_database(file: Path, rows: list[Row]) -> Saved | None:
    """Put the newest sound events of a database into ``rows``, up to the first page that is not.

    Returns the state, if it is sound.
    """
    with closing(open_to_read(str(file), "immutable=1")) as db:
        with suppress(sqlite3.Error):
            for *fields, crc in db.execute(f"{EVENTS} ORDER BY seq DESC LIMIT {CHECKED_ROWS}"):
                if crc is not None and not row_problem(fields, crc):
                    rows.append(Row(*fields))
        saved, problem = read_state(db)
        return None if problem else saved


def _take_over(journal: Journal, steps: PendingSteps) -> None:
    """Write what was salvaged into a new journal: no ``seq`` is used twice."""
    journal.write(list(steps.events.values()), steps.saved, steps.delivered)


def _in_memory(file: Path, why: str) -> Opened:
    return Opened(
        Journal(MEMORY),
        doubt=True,
        warning=(
            f"journal {file} cannot be used ({why}): nothing is kept across a restart; "
            "give [journal] path a writable place and restart"
        ),
    )
