"""The interface between the program and a broker: what a link can do, and what it calls back.

Two classes have it: `client.MqttLink` (a real broker, with paho) and `memory.MemoryLink`. This file
imports no MQTT library, so who only needs the interface loads none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.mqtt.message import PAYLOAD_LIMIT, Message


class LinkError(Exception):
    """This connection has ended or cannot be made; the text gives the reason in plain words."""


class LostError(LinkError):
    """The broker had let us in, and ended the connection; ``taken_over``: it said for whom."""

    def __init__(self, text: str, taken_over: bool = False) -> None:
        super().__init__(text)
        self.taken_over = taken_over


class MovedError(LinkError):
    """An earlier broker of the list works again: we leave this one for it."""


class SilentError(LinkError):
    """The broker takes what we send, and acknowledges nothing."""


class Link(Protocol):
    """A connection to a broker, as the service and the page use it."""

    @property
    def connected(self) -> bool:
        """Return whether the broker was reachable the last time we heard from it."""

    def start(self) -> None:
        """Connect in the background; ``on_up`` is called once the broker has accepted us."""

    def publish(self, message: Message, ack: int | None = None) -> None:
        """Send a message, from any thread, without waiting; ``on_ack(ack)`` when it arrived.

        Raise ValueError for a topic that no broker accepts.
        """

    def stop(self, last: Sequence[Message] = ()) -> None:
        """Send ``last`` and disconnect, so that the broker does not publish the will."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One client of the broker: its id, its subscriptions, and the functions that it is called by.

    The callbacks run in the link's own thread and must not wait.
    """

    client_id: str
    subscriptions: Sequence[str]
    on_message: Callable[[Message], None]
    on_up: Callable[[], None]
    on_ack: Callable[[int], None]
    will: Message | None = None
    birth: Message | None = None
    #: The broker keeps events (QoS 1) for us while we are away.
    durable: bool = False
    #: With MQTT 5 for so long; with 3.1.1 the broker's own configuration says how long.
    kept_s: int = 3600
    #: Called before a batch of received events is acknowledged; a `LinkError` leaves them with the
    #: broker, which sends them again. None: each is acknowledged when ``on_message`` returns.
    commit: Callable[[], None] | None = None


def check_topic(topic: str) -> None:
    """Raise ValueError, in the publisher's own thread, for a topic that no broker accepts."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        raise ValueError(f"cannot publish to topic {topic!r}; name one topic, without + and #")


def payload_limit(topic: str) -> int | None:
    """Return how many bytes of a payload to keep: of a command just enough to find it too long."""
    return PAYLOAD_LIMIT + 1 if "/cmd/" in topic else None
