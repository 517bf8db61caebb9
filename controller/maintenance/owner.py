"""As root, work in a service's folder as the folder's owner: for root a link there is a trap.

A child process can't become root again, so what reads or writes much is one (`owner`); a glance, or
a secret that is made, is done in this process (`as_owner`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def owner(folder: Path) -> dict[str, Any]:
    """Return what makes a child process one of the folder's owner; nothing unless we are root."""
    if os.geteuid() != 0:
        return {}
    found = folder.stat()
    return {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Be the folder's owner meanwhile; ourselves unless we are root, or if it is not there."""
    other = owner(folder) if folder.is_dir() else {}
    if not other.get("user"):  # not root, or the folder is root's own
        yield
        return
    groups = os.getgroups()
    os.setgroups(other["extra_groups"])
    os.setegid(other["group"])
    os.seteuid(other["user"])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
