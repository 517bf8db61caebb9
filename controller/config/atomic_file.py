"""Writing a file so that a power cut leaves the old text or the new one, never a part of either."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_beside(path: Path, text: str) -> Path:
    """Write ``text`` to a new file (mode 0600) in the folder of ``path``, and return that file.

    Its contents are on the disk (fsync). Being in the same folder it can be renamed to ``path`` in
    one step. Raise OSError when it can't be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def replace(path: Path, text: str) -> None:
    """Replace ``path`` by a file (mode 0600) with ``text``, in one step; raise OSError if not."""
    write_beside(path, text).replace(path)
