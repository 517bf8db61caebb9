"""MQTT clients that keep what they receive and send commands: on a broker, and in this process."""

from __future__ import annotations

import json
import socket
import uuid
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from controller.clock import wall_s
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from tests.support.wait import HANGS_S, eventually

#: Where the venue of the tests has its topics.
BASE = "backdoor/bar/"


class Messages:
    """What was received, in its order, and a controller that is asked; both below ``BASE``."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send_message(self, message: Message) -> None:
        """Publish without waiting for the broker."""
        raise NotImplementedError

    def all(self, name: str) -> list[Any]:
        """Return the values of all messages of one topic."""
        topic = BASE + name
        return [json.loads(m.payload) for m in list(self.messages) if m.topic == topic]

    def last(self, name: str) -> Any:
        found = self.all(name)
        return found[-1] if found else None

    def events(self, name: str) -> list[Any]:
        return self.all(f"event/{name}")

    def event_messages(self) -> list[Message]:
        return [m for m in list(self.messages) if m.topic.startswith(f"{BASE}event/")]

    def status(self) -> str:
        """Return what the controller's status is, or an empty text."""
        found = self.payloads(f"{BASE}status")
        return found[-1].decode() if found else ""

    def payloads(self, topic: str) -> list[bytes]:
        return [m.payload for m in list(self.messages) if m.topic == topic]

    def topics(self) -> list[str]:
        return [m.topic for m in list(self.messages)]

    def send(self, name: str, retain: bool = False, **payload: Any) -> str:
        """Send a fresh command; return its id."""
        id_ = str(payload.get("id") or uuid.uuid4().hex)
        body = {"id": id_, "issued_at": wall_s()} | payload
        topic = f"{BASE}cmd/{name}"
        self.send_message(Message(topic, json.dumps(body).encode(), qos=1, retain=retain))
        return id_

    def ask(self, name: str, **payload: Any) -> Any:
        """Send a fresh command; return its result."""
        id_ = self.send(name, **payload)
        eventually(lambda: any(result["id"] == id_ for result in self.all("result")))
        return next(result for result in self.all("result") if result["id"] == id_)


class InMemorySubscriber(Messages):
    """A client on the broker of this process."""

    def __init__(self, broker: InMemoryBroker) -> None:
        super().__init__()
        self.link = broker.join(
            subscriptions=["#"],
            on_message=self.messages.append,
            on_up=lambda: None,
            on_ack=lambda _: None,
        )
        self.link.start()

    def send_message(self, message: Message) -> None:
        self.link.publish(message)


class Subscriber(Messages):
    """A client on a real broker, with paho alone."""

    def __init__(self, port: int, *, v5: bool = False) -> None:
        super().__init__()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=5 if v5 else 4)  # type: ignore[arg-type]
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._subscribed = False
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.on_socket_open = self._on_socket_open
        # Back well before what was meant for it is sent again: then it receives all, and once.
        self.client.reconnect_delay_set(0.2, 0.2)  # type: ignore[arg-type] # it only waits
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        eventually(lambda: self._subscribed)

    def _on_socket_open(self, _client: Client, _data: object, opened: Any) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as quick as its peer

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.messages.append(
            Message(message.topic, bytes(message.payload), message.qos, message.retain)
        )

    def send_message(self, message: Message) -> None:
        self.client.publish(message.topic, message.payload, message.qos, message.retain)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish, and return when the broker has it."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(HANGS_S)

    def clear(self, name: str) -> None:
        """Take a retained message away."""
        self.publish(f"{BASE}{name}", b"", retain=True)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
