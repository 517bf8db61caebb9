"""One thread that sleeps until a file has something to say: no time-outs, no polling, no spinning.

It must never die of what others do: an exception while edges are passed on is logged and costs one
edge. If it dies all the same, `Listener.check` says so.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable, Iterable
from threading import Lock, Thread, current_thread
from typing import Protocol

log = logging.getLogger(__name__)

#: A moment in nanoseconds, and what is to be called for what happened then.
PendingCall = tuple[int, Callable[[], None]]


class ListenerError(Exception):
    """What was listened to, or the thread that listens, has failed; only a restart helps."""


class Source(Protocol):
    """What can be listened to."""

    def read_edges(self) -> list[PendingCall]:
        """Return what waits, without waiting for more."""

    def settle(self) -> None:
        """Do what remains once everything that was read is told."""


class Listener:
    """Tells what happened on all its sources, oldest first."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._stop, select.EPOLLIN)
        self._lock = Lock()
        self._sources: dict[int, Source] = {}
        self._thread: Thread | None = None
        self._telling = False

    def listen(self, fd: int, source: Source) -> None:
        """Listen to ``source`` from now on: it has something to say when ``fd`` can be read."""
        with self._lock:
            if fd not in self._sources:
                self._poll.register(fd, select.EPOLLIN)
            self._sources[fd] = source
            if self._thread is None:
                self._thread = Thread(target=self._run, name="gpio-edges", daemon=True)
                self._thread.start()

    def forget(self, fd: int) -> None:
        """Listen to ``fd`` no more, if it was listened to."""
        with self._lock:
            if self._sources.pop(fd, None) is not None and not self._poll.closed:
                self._poll.unregister(fd)

    def behind(self) -> bool:
        """Tell whether anything that has happened by now may still have to be told."""
        # In this order: what is not there to be read any more is being told, or was told before.
        return bool(self._poll.poll(0)) or self._telling

    def check(self) -> None:
        """Raise `ListenerError` if the thread has died: from then on every edge is missed."""
        thread = self._thread
        if thread is not None and not thread.is_alive():
            raise ListenerError("the thread that listens to the pins has died")

    def stop(self) -> None:
        """End the thread; may be called twice."""
        if self._poll.closed:
            return
        os.eventfd_write(self._stop, 1)
        thread, self._thread = self._thread, None
        if thread is not None and thread is not current_thread():
            thread.join()
        self._poll.close()
        os.close(self._stop)

    def _run(self) -> None:
        try:
            while True:
                ready = [fd for fd, _ in self._poll.poll()]
                if self._stop in ready:
                    return
                self._telling = True
                self._tell(ready)
                self._telling = False
        except Exception:  # `check` sees the end of this thread, and the service restarts
            log.exception("the pins can't be listened to any more")

    def _tell(self, ready: Iterable[int]) -> None:
        with self._lock:
            sources = [self._sources[fd] for fd in ready if fd in self._sources]
        waiting = [told for source in sources for told in source.read_edges()]
        for _, tell in sorted(waiting, key=lambda told: told[0]):
            _safely(tell)
        for source in sources:
            _safely(source.settle)


def _safely(call: Callable[[], None]) -> None:
    """Call what may run other people's code: an exception must not end all inputs."""
    try:
        call()
    except Exception:
        log.exception("an edge was not passed on")
