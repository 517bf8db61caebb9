"""Opening the journal, whatever is there: sound, damaged, too new, or impossible to open.

The door works in every case. If the journal may not say how the room was left, ``doubt`` is set,
and the guest count asks to be confirmed.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.journal.database import NewerJournalError
from controller.journal.journal import (
    MEMORY,
    DamagedJournalError,
    Journal,
    append_log_path,
    read_pending,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A journal that works; ``doubt`` if its state may be wrong, with the reason in ``warning``."""

    journal: Journal
    doubt: bool
    warning: str = ""


def open_journal(path: str | Path) -> Opened:
    """Open the journal at ``path``, or one in memory with a warning if that is impossible."""
    file = Path(path)
    if str(path) == MEMORY:
        return Opened(Journal(MEMORY), doubt=False)
    was_there = file.exists()
    try:
        journal = _open_checked(file)
    except DamagedJournalError as error:
        return _start_new(file, str(error))
    except (NewerJournalError, sqlite3.Error, OSError) as error:
        return _in_memory(file, str(error))
    if journal.damaged_log:
        text = f"journal {file}: its newest part is damaged; confirm the guest count on the page"
        return Opened(journal, doubt=True, warning=text)
    empty = was_there and journal.saved() is None and journal.last_seq() == 0
    warning = f"journal {file} was empty: confirm the guest count on the page" if empty else ""
    return Opened(journal, doubt=empty, warning=warning)


def _open_checked(file: Path) -> Journal:
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
    """Return `DamagedJournalError` for a damaged file, else the error: locked, full, forbidden."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    damages = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return DamagedJournalError(str(error)) if code in damages else error


def _start_new(file: Path, why: str) -> Opened:
    try:
        aside = _move_aside(file)
        journal = Journal(file)
        _recover_events(journal, aside)
    except (sqlite3.Error, OSError) as error:
        return _in_memory(file, f"{why}; {error}")
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


def _recover_events(journal: Journal, aside: Path) -> None:
    """Copy the events of the old append log into the new journal: no ``seq`` is used twice."""
    with suppress(OSError):
        pending, _ = read_pending(append_log_path(aside))
        journal.write(list(pending.events.values()), None, pending.delivered)


def _in_memory(file: Path, why: str) -> Opened:
    return Opened(
        Journal(MEMORY),
        doubt=True,
        warning=(
            f"journal {file} cannot be used ({why}): nothing is kept across a restart; "
            "give [journal] path a writable place and restart"
        ),
    )
