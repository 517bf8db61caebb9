"""The strike's time limit: the strike goes off even if the loop that switched it on hangs."""

from __future__ import annotations

import logging
from threading import Condition, Thread
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)


class StrikeCutoff:
    """Switches the strike off after ``limit_s`` seconds, even if the loop hangs.

    One thread sleeps until the strike is due to go off. A new thread for each release would cost
    half a millisecond between command and strike.
    """

    def __init__(self, output: Any, limit_s: float) -> None:
        self._output = output
        self._limit_s = limit_s
        self._changed = Condition()
        self._thread: Thread | None = None
        #: When the strike has to be off, monotonic seconds.
        self._due_s: float | None = None
        self._was_cut_off = False
        self._closed = False

    def set(self, level: bool) -> None:
        """Set the strike.

        A repeated on does not extend the limit; after a cutoff, on is ignored until off was set.
        """
        with self._changed:
            if not level:
                self._output.off()
                self._due_s, self._was_cut_off = None, False
            elif self._due_s is None and not self._was_cut_off:
                self._ensure_thread()  # before the strike: without the thread it stays off
                self._due_s = monotonic() + self._limit_s
                self._changed.notify()
                self._output.on()

    @property
    def is_on(self) -> bool:
        """Whether the strike is driven to on now."""
        return self._due_s is not None

    def close(self) -> None:
        """Switch the strike off and end the thread."""
        self.set(False)
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = Thread(target=self._watch, name="strike-cutoff", daemon=True)
            thread.start()
            self._thread = thread

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                left_s = None if self._due_s is None else self._due_s - monotonic()
                if left_s is not None and left_s <= 0:
                    self._cut_off()
                    left_s = None
                self._changed.wait(left_s)

    def _cut_off(self) -> None:
        self._output.off()
        self._due_s, self._was_cut_off = None, True
        log.error("strike: still on after %s s, switched off by its time limit", self._limit_s)
