"""The wire in memory: page and controller of the demo in one process, without a broker.

Same messages and same manners as ``link``; what it has not is outages.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock

from controller.mqtt.link import Peer, check_topic, payload_limit
from controller.mqtt.message import Message

log = logging.getLogger(__name__)


class MemoryBus:
    """A broker in memory.

    Whoever publishes delivers, one message after the other and never under the lock; what a
    receiver says meanwhile is queued behind, so all hear everything in one order.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._links: list[MemoryLink] = []
        self._retained: dict[str, Message] = {}
        self._due: deque[Callable[[], None]] = deque()
        self._delivering = False

    def join(
        self,
        *,
        subscriptions: Sequence[str],
        on_message: Callable[[Message], None],
        on_up: Callable[[], None],
        on_ack: Callable[[int], None],
        will: Message | None = None,
        birth: Message | None = None,
    ) -> MemoryLink:
        """Return a link on this bus; it is heard and hears from its ``start`` on."""
        peer = Peer("memory", tuple(subscriptions), on_message, on_up, on_ack, will, birth)
        return MemoryLink(self, peer)

    def enter(self, link: MemoryLink) -> None:
        """Let a link in: it gets what is retained."""
        with self._lock:
            self._links.append(link)
            for message in self._retained.values():
                self._deliver(message, [link])

    def leave(self, link: MemoryLink, last: Sequence[Message]) -> None:
        """Deliver no more to this link, and its last messages to the others."""
        with self._lock:
            self._links.remove(link)
        for message in last:
            self.queue(message)
        self.run()

    def queue(self, message: Message | None, then: Callable[[], None] | None = None) -> None:
        """Note a message for all who subscribed and what to call then; `run` delivers."""
        with self._lock:
            if message is not None:
                self._retain(message)
                self._deliver(replace(message, retain=False), self._links)
            if then is not None:
                self._due.append(then)

    def _retain(self, message: Message) -> None:
        if message.retain and message.payload:
            self._retained[message.topic] = message
        elif message.retain:
            self._retained.pop(message.topic, None)  # an empty one clears, as MQTT says

    def _deliver(self, message: Message, links: Sequence[MemoryLink]) -> None:
        for link in links:
            if any(matches(pattern, message.topic) for pattern in link.peer.subscriptions):
                self._due.append(partial(link.hear, message))

    def run(self) -> None:
        """Deliver what is due, unless another thread, or this one further out, is at it."""
        while True:
            with self._lock:
                if self._delivering or not self._due:
                    return
                due = self._due.popleft()
                self._delivering = True
            try:
                due()
            except Exception:  # one receiver must not cost the others their message
                log.exception("memory link: a receiver failed")
            finally:
                with self._lock:
                    self._delivering = False


class MemoryLink:
    """A `Link` on a `MemoryBus`."""

    def __init__(self, bus: MemoryBus, peer: Peer) -> None:
        self._bus = bus
        self.peer = peer
        self._latest: dict[str, Message] = {}
        self._lock = Lock()
        self._up = False

    @property
    def connected(self) -> bool:
        """Started and not stopped."""
        return self._up

    def start(self) -> None:
        """Hear what is retained, say how things stand, then that we are here."""
        birth = [] if self.peer.birth is None else [self.peer.birth]
        with self._lock:
            self._up = True
            self._bus.enter(self)
            for message in (*self._latest.values(), *birth):
                self._bus.queue(message)
        self._bus.queue(None, self.peer.on_up)
        self._bus.run()

    def publish(self, message: Message, ack: int | None = None) -> None:
        """Deliver to all who subscribed, then call ``on_ack(ack)``."""
        check_topic(message.topic)
        with self._lock:
            if message.retain:
                self._latest[message.topic] = message
            if not self._up:
                return
            self._bus.queue(message, None if ack is None else lambda: self.peer.on_ack(ack))
        self._bus.run()

    def hear(self, message: Message) -> None:
        """Hand a message to its receiver, cut as the real link does."""
        if self._up:
            payload = message.payload[: payload_limit(message.topic)]
            self.peer.on_message(replace(message, payload=payload))

    def stop(self, last: Sequence[Message] = ()) -> None:
        """Say ``last`` and leave without the will."""
        self._go(last)

    def crash(self) -> None:
        """Be gone without a word, so that the bus says the will."""
        self._go([] if self.peer.will is None else [self.peer.will])

    def _go(self, last: Sequence[Message]) -> None:
        with self._lock:
            was_up, self._up = self._up, False
        if was_up:
            self._bus.leave(self, last)


def matches(pattern: str, topic: str) -> bool:
    """Does an MQTT subscription, with its ``+`` and ``#``, cover this topic?"""
    levels = topic.split("/")
    wanted = pattern.split("/")
    for index, want in enumerate(wanted):
        if want == "#":
            return True
        if index >= len(levels) or want not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
