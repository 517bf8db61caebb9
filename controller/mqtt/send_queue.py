"""Outgoing messages of one link. Any thread may add; the thread that holds the client sends.

The latest retained message of each topic is kept and sent again on every new connection, because a
broker that was killed has forgotten it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock

from controller.mqtt.message import Message


class SendQueue:
    """A queue of messages with their acks; all methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: dict[str, Message] = {}
        self._waiting: deque[tuple[Message, int | None]] = deque()
        self._open = False

    def put(self, message: Message, ack: int | None = None) -> bool:
        """Add a message; while the queue is closed only a retained one is kept, as the latest.

        Return whether the queue was empty before: then the sending thread may be asleep.
        """
        with self._lock:
            first = not self._waiting
            if message.retain:
                self._latest[message.topic] = message
            if self._open:
                self._waiting.append((message, ack))
            return first

    def open(self, then: Iterable[Message]) -> None:
        """Queue the latest retained message of every topic, oldest topic first, and ``then``."""
        with self._lock:
            self._waiting.extend((message, None) for message in (*self._latest.values(), *then))
            self._open = True

    def add_last(self, messages: Iterable[Message]) -> None:
        """Queue the last messages of this connection, and accept no other after them."""
        with self._lock:
            self._open = False
            self._waiting.extend((message, None) for message in messages)

    def close(self) -> None:
        """Drop what is queued; the latest retained messages are kept for the next connection."""
        with self._lock:
            self._open = False
            self._waiting.clear()

    def take(self) -> tuple[Message, int | None] | None:
        """Remove and return the next message and its ack; None when the queue is empty."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)
