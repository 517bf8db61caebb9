"""A broker inside this process: joins page and controller of the demo without a real one.

Its links behave as `client.MqttLink` does, except that there are no outages.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock

from paho.mqtt.matcher import MQTTMatcher

from controller.mqtt.link import Peer, check_topic, payload_limit
from controller.mqtt.message import Message

log = logging.getLogger(__name__)


class InMemoryBroker:
    """Delivers messages between links in one process, and keeps retained ones.

    The thread that publishes also delivers, one message after another and never under the lock.
    What a receiver publishes meanwhile is queued, so all receive everything in the same order.
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
        """Return a link to this broker; it sends and receives once it is started."""
        peer = Peer("memory", tuple(subscriptions), on_message, on_up, on_ack, will, birth)
        return MemoryLink(self, peer)

    def add(self, link: MemoryLink) -> None:
        """Add a link and queue for it what is retained."""
        with self._lock:
            self._links.append(link)
            for message in self._retained.values():
                self._deliver(message, [link])

    def remove(self, link: MemoryLink, last: Sequence[Message]) -> None:
        """Remove a link and deliver its last messages to the others."""
        with self._lock:
            self._links.remove(link)
        for message in last:
            self.queue(message)
        self.run()

    def queue(self, message: Message | None, then: Callable[[], None] | None = None) -> None:
        """Queue a message for all that subscribed, and a call after it; `run` delivers."""
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
            self._retained.pop(message.topic, None)  # MQTT: an empty retained message clears

    def _deliver(self, message: Message, links: Sequence[MemoryLink]) -> None:
        for link in links:
            if link.subscribed(message.topic):
                self._due.append(partial(link.receive, message))

    def run(self) -> None:
        """Deliver what is queued, unless another thread, or a caller of this call, does so."""
        while True:
            with self._lock:
                if self._delivering or not self._due:
                    return
                due = self._due.popleft()
                self._delivering = True
            try:
                due()
            except Exception:  # an error of one receiver must not cost the others the message
                log.exception("demo broker: a receiver failed; please report this")
            finally:
                with self._lock:
                    self._delivering = False


class MemoryLink:
    """A `Link` to an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker, peer: Peer) -> None:
        self._broker = broker
        self.peer = peer
        self._filters = MQTTMatcher()  # type: ignore[no-untyped-call]
        for topic_filter in peer.subscriptions:
            self._filters[topic_filter] = True
        self._latest: dict[str, Message] = {}
        self._lock = Lock()
        self._up = False

    @property
    def connected(self) -> bool:
        """Return whether the link is started and not stopped."""
        return self._up

    def subscribed(self, topic: str) -> bool:
        """Return whether one of the link's subscriptions matches ``topic``, as MQTT defines it."""
        return any(self._filters.iter_match(topic))  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """Receive what is retained, send the current values, then the birth message."""
        birth = [] if self.peer.birth is None else [self.peer.birth]
        with self._lock:
            self._up = True
            self._broker.add(self)
            for message in (*self._latest.values(), *birth):
                self._broker.queue(message)
        self._broker.queue(None, self.peer.on_up)
        self._broker.run()

    def publish(self, message: Message, ack: int | None = None) -> None:
        """Deliver to all that subscribed, then call ``on_ack(ack)``."""
        check_topic(message.topic)
        with self._lock:
            if message.retain:
                self._latest[message.topic] = message
            if not self._up:
                return
            self._broker.queue(message, None if ack is None else lambda: self.peer.on_ack(ack))
        self._broker.run()

    def receive(self, message: Message) -> None:
        """Hand a message to ``on_message``, shortened as a real link does."""
        if self._up:
            payload = message.payload[: payload_limit(message.topic)]
            self.peer.on_message(replace(message, payload=payload))

    def stop(self, last: Sequence[Message] = ()) -> None:
        """Send ``last`` and leave without the will."""
        self._leave(last)

    def crash(self) -> None:
        """Leave without a message, so that the broker publishes the will."""
        self._leave([] if self.peer.will is None else [self.peer.will])

    def _leave(self, last: Sequence[Message]) -> None:
        with self._lock:
            was_up, self._up = self._up, False
        if was_up:
            self._broker.remove(self, last)
