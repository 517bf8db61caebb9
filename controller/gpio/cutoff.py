"""The strike's own guard: it goes off in time even if the loop that switched it on hangs."""

from __future__ import annotations

import logging
from threading import Condition, Thread
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)


class Guard:
    """Switches the strike off after ``limit_s`` seconds by itself, even if the loop hangs.

    Its one thread sleeps until a release is due: to make one for each would cost half a
    millisecond between command and strike.
    """

    def __init__(self, output: Any, limit_s: float) -> None:
        self._output = output
        self._limit_s = limit_s
        self._changed = Condition()
        self._thread: Thread | None = None
        #: When the strike has to be off, monotonic seconds.
        self._due_s: float | None = None
        self._acted = False
        self._closed = False

    def set(self, level: bool) -> None:
        """Switch; a second *on* prolongs nothing, and once the guard acted an *off* comes first."""
        with self._changed:
            if not level:
                self._output.off()
                self._due_s, self._acted = None, False
            elif self._due_s is None and not self._acted:
                self._have_thread()  # before the strike: no thread, no energy
                self._due_s = monotonic() + self._limit_s
                self._changed.notify()
                self._output.on()

    def close(self) -> None:
        """Switch off, and let the thread end."""
        self.set(False)
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _have_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = Thread(target=self._watch, name="strike-guard", daemon=True)
            thread.start()
            self._thread = thread

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                left_s = None if self._due_s is None else self._due_s - monotonic()
                if left_s is not None and left_s <= 0:
                    self._too_long()
                    left_s = None
                self._changed.wait(left_s)

    def _too_long(self) -> None:
        self._output.off()
        self._due_s, self._acted = None, True
        log.error("strike: still on after %s s, switched off by its guard", self._limit_s)
