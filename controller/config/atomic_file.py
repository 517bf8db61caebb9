"""Writing a file so that a power cut leaves the old text or the new one, never a part of either."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


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


def replace(path: Path, text: str) -> None:
    """Replace ``path`` by a file (mode 0600) with ``text``, in one step; raise OSError if not."""
    beside = write_beside(path, text)
    try:
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
