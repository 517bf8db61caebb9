"""Server-sent events: the whole state to every phone, at each change and at least once a second.

No event depends on an earlier one, so a phone that was away is right again with the first. Each
stream occupies a thread of the server, hence the limit: further phones get a 503 and poll. A phone
that does not read any more is dropped before its backlog grows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from web.mirror import Mirror, MirrorView

LIFETIME_S = 15 * 60.0  # then the phone reconnects, so nothing can leak for longer
REPEAT_S = 1.0
RETRY_MS = 2000

Render = Callable[[MirrorView], str]
#: Returns the newest data and its version.
Newest = Callable[[], tuple[int, str]]
#: Returns when there is a newer version than this, or after so many seconds.
Wait = Callable[[int, float], None]


def sse_event(number: int, data: str) -> str:
    """Return one server-sent event; ``data`` must be one line, as JSON is."""
    return f"id: {number}\ndata: {data}\n\n"


class Streams:
    """All open streams; there are never more than ``most`` at once."""

    def __init__(self, mirror: Mirror, *, most: int, lifetime_s: float = LIFETIME_S) -> None:
        self._mirror = mirror
        self._most, self._lifetime_s = most, lifetime_s
        self._lock = threading.Lock()
        self._open = 0
        self._closing = False

    def enter(self) -> bool:
        """Take a place; return False when all are taken or the server stops."""
        with self._lock:
            if self._closing or self._open >= self._most:
                return False
            self._open += 1
            return True

    def leave(self) -> None:
        """Free the place that `enter` took."""
        with self._lock:
            self._open -= 1

    @property
    def count(self) -> int:
        """How many streams are open."""
        with self._lock:
            return self._open

    def close(self) -> None:
        """Wake and end all streams, and accept no more."""
        self._closing = True
        self._mirror.wake()

    def follow(self, state: Render, goes_on: Callable[[], bool]) -> Iterator[str]:
        """Yield whole states while ``goes_on()``, at most for the lifetime; call `enter` before."""

        def newest() -> tuple[int, str]:
            mirror_view = self._mirror.view()
            return mirror_view.version, state(mirror_view)

        return self.send(newest, self._mirror.wait, goes_on)

    def send(self, newest: Newest, wait: Wait, goes_on: Callable[[], bool]) -> Iterator[str]:
        """Yield the ``newest`` data whenever ``wait`` returns; otherwise like `follow`."""
        until_s = time.monotonic() + self._lifetime_s
        number = 0
        yield f": backdoor\nretry: {RETRY_MS}\n\n"
        while goes_on() and not self._closing and time.monotonic() < until_s:
            version, data = newest()
            number += 1
            yield sse_event(number, data)
            wait(version, REPEAT_S)
