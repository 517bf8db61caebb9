"""What another user may do with the Python that runs these tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def others_may_run_python() -> bool:
    """Return whether any user may run this Python: one below root's home is root's alone."""
    used = [Path(sys.executable), Path(sys.executable).resolve(), Path(os.__file__).resolve()]
    return all(folder.stat().st_mode & 0o005 == 0o005 for file in used for folder in file.parents)
