"""Putting files back into one folder, as its owner: ``python -m controller.maintenance.put_back``.

It gets the items as JSON and a tar on stdin. What was there is moved aside first, never deleted;
a service that still runs is noticed by its lock, and nothing is changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from controller.journal.doubt import RESTORED, DoubtMark
from controller.journal.journal import append_log_path
from controller.maintenance.contents import Kind

ASIDE = "before-restore"
#: What SQLite and the journal keep beside a database.
COMPANIONS = ("", "-wal", "-shm", "-tail")


class InUseError(Exception):
    """The service that owns the files runs."""


def put_back(items: list[tuple[str, str, str]], archive: tarfile.TarFile) -> Path | None:
    """Replace each item (name, path, kind) by what the tar has; return where the old ones are.

    An item that the tar lacks is moved aside too: the state is then that of the backup.
    """
    folder = Path(items[0][1]).parent
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=folder) as name:
        new = {member.name: _taken(archive, member, Path(name)) for member in archive}
        for _, path, kind in items:
            if kind == Kind.JOURNAL:
                _check_unused(Path(path))
                DoubtMark(Path(path)).set(RESTORED)
        aside = _move_aside(folder, [Path(path) for _, path, _ in items])
        for item, path, _ in items:
            if item in new:
                new[item].rename(path)
    _sync(folder)
    return aside


def _taken(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> Path:
    stream = archive.extractfile(member)
    assert stream is not None
    path = folder / str(member.offset)
    with path.open("wb") as file:
        while block := stream.read(1 << 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(member.mode)
    return path


def _check_unused(journal: Path) -> None:
    log = append_log_path(journal)
    with suppress(FileNotFoundError), log.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InUseError(f"{journal}: the controller runs") from None


def _move_aside(folder: Path, paths: list[Path]) -> Path | None:
    old = [Path(f"{path}{ending}") for path in paths for ending in COMPANIONS]
    there = [path for path in old if os.path.lexists(path)]
    if not there:
        return None
    number = 1
    while (aside := folder / f"{ASIDE}-{number}").exists():
        number += 1
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def main() -> None:
    """Put back what the command line names (JSON) from the tar on stdin; say where the old is."""
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            aside = put_back(json.loads(sys.argv[1]), archive)
    except (InUseError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write(str(aside or ""))


if __name__ == "__main__":
    main()
