#!/usr/bin/python3
"""Keep the journal of before an upgrade, and put it back: run by the service's own user.

The controller may write to its directory, so whatever lies there may be a trap: a link to a file of
root's, a pipe that never ends, a device. So root touches nothing in it. This file is a program that
root starts as the service's user: what that user may not do, it can't be made to do. It needs
nothing but Python's own library.
"""

import os
import sqlite3
import stat
import sys
from contextlib import closing, suppress

JOURNAL, BEFORE = "journal.db", "journal.before-upgrade.db"
#: What SQLite and the append log keep beside the database.
BESIDE = ("-wal", "-shm", "-tail")
#: Long enough for the largest journal on the slowest card, seconds.
BUSY_LIMIT_S = 20.0


def back_up() -> None:
    """Copy the journal: a new release may change the format of the file."""
    for name in (BEFORE, *(BEFORE + ending for ending in BESIDE)):
        remove(name)
    if not os.path.lexists(JOURNAL):
        return
    check(JOURNAL)
    os.close(os.open(BEFORE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(JOURNAL, timeout=BUSY_LIMIT_S)) as old,
        closing(sqlite3.connect(BEFORE)) as new,
    ):
        old.backup(new)
    if os.path.lexists(JOURNAL + "-tail"):  # the controller was killed, not stopped
        copy(JOURNAL + "-tail", BEFORE + "-tail")


def put_back() -> None:
    """Give the former release its journal back."""
    if not os.path.lexists(BEFORE):
        return
    check(BEFORE)
    for name in (JOURNAL, *(JOURNAL + ending for ending in BESIDE)):
        remove(name)
    for ending in ("", "-tail"):
        if os.path.lexists(BEFORE + ending):
            copy(BEFORE + ending, JOURNAL + ending)


def check(name: str) -> None:
    """Raise OSError for anything but a plain file with one name."""
    found = os.lstat(name)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise OSError(f"{name} is {kind(found)}: somebody put it there; look at it, and remove it")


def kind(found: os.stat_result) -> str:
    """Return what a file is that should be a plain one."""
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(found.st_mode), "a file with several names")


def remove(name: str) -> None:
    """Remove a name, whatever it is the name of; a directory stays, and is said."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name).st_mode):
            check(name)
        os.unlink(name)


def copy(source: str, target: str) -> None:
    """Copy a plain file to a name that is not there yet."""
    check(source)
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(read, "rb") as old, open(target, "xb", opener=private) as new:
        while piece := old.read(1 << 20):
            new.write(piece)


def private(path: str, flags: int) -> int:
    """Open a file as a new one of this user's alone."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def main(verb: str, folder: str) -> int:
    """Return the exit code: 0 done, 1 not done and why."""
    try:
        os.chdir(folder)
        {"back-up": back_up, "put-back": put_back}[verb]()
    except (OSError, sqlite3.Error) as error:
        print(f"{folder}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
