"""Waiting for a condition, with a limit: the only way in which these tests wait."""

from __future__ import annotations

import time
from collections.abc import Callable

#: What takes longer hangs. It says nothing about speed: a busy machine needs half of it.
HANGS_S = 60.0


def eventually(condition: Callable[[], object], limit_s: float = HANGS_S) -> None:
    """Return as soon as ``condition()`` is true; fail after ``limit_s`` seconds."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: {condition!r}"
        time.sleep(0.005)
