"""Trouble on the way to the centre of many bars: a quiet line, for nothing is lost by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from web.language import _
from web.nights import outbox
from web.nights.database import StoreError, connect
from web.nights.feed import Trouble
from web.presentation.labels import span
from web.presentation.page_view import Part

#: Shorter ones are everyday life: a node that is started anew.
SAID_AFTER_S = 60.0
#: Every phone asks each second; the outbox is counted this often.
COUNTED_FOR_S = 5.0


@dataclass(frozen=True, slots=True)
class CentreView:
    """How events reach the centre: why they do not (``trouble``), and how many wait."""

    trouble: Callable[[], Trouble | None]
    waiting: Callable[[], int]

    def words(self) -> str:
        """Return what the bartender may know, "" when nothing is wrong or has not been for long."""
        trouble = self.trouble()
        if trouble is None or (for_s := trouble.lasts_s) < SAID_AFTER_S:
            return ""
        return _(
            "No event has reached the centre for %(time)s. Waiting here: %(n)s, none is lost.",
            time=span(for_s),
            n=self.waiting(),
        )

    def part(self) -> Part:
        """Return the line for the page."""
        return Part(texts={"centre": self.words()}, states={})


class Waiting:
    """Counts what waits in the outbox of this store, not more often than is of use."""

    def __init__(self, address: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._address, self._monotonic = address, monotonic
        self._counted = (0, float("-inf"))

    def __call__(self) -> int:
        """Return how many events wait, as of the last few seconds."""
        found, at_s = self._counted
        if self._monotonic() - at_s >= COUNTED_FOR_S:
            found = self._count()
            self._counted = (found, self._monotonic())
        return found

    def _count(self) -> int:
        try:
            database = connect(self._address)
        except StoreError:
            return 0
        try:
            return outbox.waiting(database)
        finally:
            database.close()
