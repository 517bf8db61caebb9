"""A journal on a disk that hangs until a test lets it go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

from controller.journal.journal import Journal
from controller.journal.records import Row, Saved


class HangingJournal(Journal):
    """Its disk takes nothing until it is ``free``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free = Event()

    def write(
        self, rows: Sequence[Row] = (), saved: Saved | None = None, delivered: int | None = None
    ) -> None:
        """Wait, then write."""
        assert self.free.wait(60)
        super().write(rows, saved, delivered)
