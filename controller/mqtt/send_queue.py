"""What a link has still to say: filled by anybody, emptied by whose turn it is.

Retained messages are kept as their topic's latest value, to be said again to every new connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock

from controller.mqtt.message import Message


class Mailbox:
    """What is to be said: safe to fill and to empty from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: dict[str, Message] = {}
        self._waiting: deque[tuple[Message, int | None]] = deque()
        self._open = False

    def put(self, message: Message, ack: int | None = None) -> bool:
        """Take a message; while nobody is connected only a retained one is kept, as its topic's.

        True when nothing was waiting before it: whoever empties this may be asleep.
        """
        with self._lock:
            first = not self._waiting
            if message.retain:
                self._latest[message.topic] = message
            if self._open:
                self._waiting.append((message, ack))
            return first

    def open(self, then: Iterable[Message]) -> None:
        """Begin with all latest values, in the order of their first time, and then these."""
        with self._lock:
            self._waiting.extend((message, None) for message in (*self._latest.values(), *then))
            self._open = True

    def last(self, messages: Iterable[Message]) -> None:
        """Take the last messages, and no other after them."""
        with self._lock:
            self._open = False
            self._waiting.extend((message, None) for message in messages)

    def close(self) -> None:
        """Forget what is waiting; the latest values stay."""
        with self._lock:
            self._open = False
            self._waiting.clear()

    def take(self) -> tuple[Message, int | None] | None:
        """Return the next message and its ack, or nothing."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)
