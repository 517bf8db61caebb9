"""Copying the files of one folder, by its owner: ``python -m controller.maintenance.collect``.

A backup is made by root, and the folders belong to services. Whoever takes a service over may put
a link into its folder, and root would follow it; so each folder is read by a process that has no
other right than its owner. It gets the items as JSON, and writes a tar to stdout.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from controller.journal.journal import Journal, append_log_path
from controller.maintenance.contents import Kind

#: No file of ours comes near; a larger one is none.
MOST_BYTES = 64 * 1024 * 1024


class CollectError(Exception):
    """A file cannot be copied; the text names it and says why."""


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file, never of what a link leads to."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise CollectError(f"{path}: is no file")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise CollectError(f"{path}: is larger than {MOST_BYTES >> 20} MiB")
    return data


def _file(path: Path, folder: Path) -> Path:
    copy = folder / path.name
    copy.write_bytes(read_file(path))
    return copy


def _database(path: Path, folder: Path) -> Path:
    """Copy a database that others write: one moment of it, in one file, and sound."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise CollectError(f"{path}: is no file")
    copy = folder / path.name
    with (
        closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        _check(target, path)
    return copy


def _check(copy: sqlite3.Connection, path: Path) -> None:
    copy.execute("PRAGMA journal_mode = DELETE")
    found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise CollectError(f"{path}: is damaged ({found})")


def _journal(path: Path, folder: Path) -> Path:
    """Copy the journal with its newest steps, which are in a file of their own, as one database."""
    newest = append_log_path(path)
    with suppress(FileNotFoundError):  # before the database: a checkpoint may move its steps there
        append_log_path(folder / path.name).write_bytes(read_file(newest))
    copy = _database(path, folder)
    Journal(copy).finish()
    with closing(sqlite3.connect(copy)) as merged:
        _check(merged, path)
    return copy


COPY: Mapping[Kind, Callable[[Path, Path], Path]] = {
    Kind.FILE: _file,
    Kind.DATABASE: _database,
    Kind.JOURNAL: _journal,
}


def collect(items: list[tuple[str, str, str]], into: tarfile.TarFile) -> None:
    """Add each item (name, path, kind) that is there; raise `CollectError` for one that fails."""
    with tempfile.TemporaryDirectory(prefix="backdoor-backup-") as folder:
        for name, path, kind in items:
            try:
                copy = COPY[Kind(kind)](Path(path), Path(folder))
            except FileNotFoundError:
                continue
            except (OSError, sqlite3.Error) as error:
                if not os.path.lexists(path):
                    continue
                raise CollectError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
            into.add(copy, name, recursive=False, filter=_plain)
            copy.unlink()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who owned it where: another machine has other numbers."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def main() -> None:
    """Write the items named on the command line (JSON) to stdout; all is void if it fails."""
    try:
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            collect(json.loads(sys.argv[1]), archive)
    except CollectError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
