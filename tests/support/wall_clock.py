"""A wall clock that a test sets, in the place of the machine's."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from controller import clock


class WallClock:
    """So many seconds ahead of the machine's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        real = time.time
        monkeypatch.setattr(clock, "wall_s", lambda: real() + self.ahead_s)
        monkeypatch.setattr("controller.service.loop.wall_s", lambda: real() + self.ahead_s)
        monkeypatch.setattr("controller.service.assembly.wall_s", lambda: real() + self.ahead_s)
        monkeypatch.setattr("tests.support.subscriber.wall_s", lambda: real() + self.ahead_s)

    def set(self, to: str | float) -> None:
        """Set it to an ISO time or to seconds since 1970."""
        wanted = to if isinstance(to, float) else datetime.fromisoformat(to).timestamp()
        self.ahead_s = wanted - time.time()
