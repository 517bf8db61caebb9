"""Whatever journal a test opens is closed at its end: a test may leave one as a kill does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.journal.journal import Journal


@pytest.fixture(autouse=True)
def closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[Journal] = []
    begin = Journal.__init__

    def remembered(self: Journal, path: str | Path) -> None:
        opened.append(self)
        begin(self, path)

    monkeypatch.setattr(Journal, "__init__", remembered)
    yield
    for journal in opened:
        with suppress(AttributeError):  # it could not even be opened
            journal.close()
