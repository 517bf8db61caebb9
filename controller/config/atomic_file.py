"""Writing a file so that a power cut leaves the old text or the new one, never a part of either.

And reading one of ours: whatever stands in its place (a pipe, a device) is not waited for.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

#: No small file of ours comes near; a larger one is none.
MOST_BYTES = 16 * 1024 * 1024


def open_regular(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file and return its descriptor; raise OSError at once where it is no regular file."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return fd


def read_regular(path: Path) -> bytes:
    """Return what stands in a small file of ours; raise OSError where it can't be one."""
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MOST_BYTES >> 20} MiB", str(path))
    return data


def check_replaceable(path: Path) -> None:
    """Raise OSError where a device, a pipe or a folder stands: a file in its place destroys it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no regular file, and would be lost", str(path))


def write_beside(path: Path, text: str) -> Path:
    """Write ``text`` to a new file (mode 0600) in the folder of ``path``, and return that file.

    Its contents are on the disk (fsync). Being in the same folder it can be renamed to ``path`` in
    one step. Raise OSError when it can't be written; then no file is left behind.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def replace(path: Path, text: str, *, like: Path | None = None) -> None:
    """Replace ``path`` by a file (mode 0600) with ``text``, in one step; raise OSError if not.

    With ``like`` it has that file's mode, and its owner where we may give a file away.
    """
    beside = write_beside(path, text)
    try:
        if like is not None:
            found = like.stat()
            beside.chmod(found.st_mode & 0o777)
            with suppress(PermissionError):
                os.chown(beside, found.st_uid, found.st_gid)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the file is whole either way
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder survive a power cut; raise OSError if it can't be known."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
