"""Opening the journal, whatever is there: sound, damaged, too new, or not to be had at all.

The door works in every case. What the file can't tell any more is doubted, and said.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.journal.database import NewerJournalError
from controller.journal.journal import MEMORY, DamagedJournalError, Journal, read_newest, tail_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A journal that works; in ``doubt`` when it may not tell how the house was left, and why."""

    journal: Journal
    doubt: bool
    warning: str = ""


def open_journal(path: str | Path) -> Opened:
    """Open the journal at ``path``; where that cannot be, go on without it and say so."""
    file = Path(path)
    if str(path) == MEMORY:
        return Opened(Journal(MEMORY), doubt=False)
    was_there = file.exists()
    try:
        journal = _sound(file)
    except DamagedJournalError as error:
        return _begin_anew(file, str(error))
    except (NewerJournalError, sqlite3.Error, OSError) as error:
        return _without(file, str(error))
    if journal.damaged_tail:
        text = f"journal {file}: its newest part is damaged; the count asks"
        return Opened(journal, doubt=True, warning=text)
    empty = was_there and journal.saved() is None and journal.last_seq() == 0
    warning = f"journal {file} was empty: is anybody inside?" if empty else ""
    return Opened(journal, doubt=empty, warning=warning)


def _sound(file: Path) -> Journal:
    try:
        journal = Journal(file)
    except sqlite3.DatabaseError as error:
        raise _damaged(error) from error
    try:
        journal.check()
    except BaseException as error:
        journal.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise _damaged(error) from error
        raise
    return journal


def _damaged(error: sqlite3.DatabaseError) -> Exception:
    """Tell a damaged file from one that merely cannot be opened, written or locked now."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    damages = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return DamagedJournalError(str(error)) if code in damages else error


def _begin_anew(file: Path, why: str) -> Opened:
    try:
        aside = _move_aside(file)
        journal = Journal(file)
        _take_over(journal, aside)
    except (sqlite3.Error, OSError) as error:
        return _without(file, f"{why}; {error}")
    return Opened(
        journal,
        doubt=True,
        warning=f"journal {file} is damaged ({why}): kept as {aside}, a new one is begun",
    )


def _move_aside(file: Path) -> Path:
    number = 1
    while (aside := file.with_name(f"{file.name}.corrupt-{number}")).exists():
        number += 1
    for ending in ("-wal", "-shm", "-tail", ""):
        part = Path(f"{file}{ending}")
        if part.exists():
            part.rename(f"{aside}{ending}")
    return aside


def _take_over(journal: Journal, aside: Path) -> None:
    """Take what the tail still tells into the new journal: no number is given twice."""
    with suppress(OSError):
        newest, _ = read_newest(tail_of(aside))
        journal.write(list(newest.events.values()), None, newest.delivered)


def _without(file: Path, why: str) -> Opened:
    return Opened(
        Journal(MEMORY),
        doubt=True,
        warning=(
            f"journal {file} cannot be used ({why}): the house remembers nothing across a restart; "
            "give [journal] path a writable place and restart"
        ),
    )
