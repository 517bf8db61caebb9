"""An MQTT client of its own, as a stranger on the broker would be."""

from __future__ import annotations

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from controller.mqtt.message import Message
from tests.support.wait import HANGS_S, eventually


class Subscriber:
    """A paho client that keeps every message it receives, and publishes."""

    def __init__(self, port: int, pattern: str = "#", *, v5: bool = False) -> None:
        self.messages: list[Message] = []
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=5 if v5 else 4)  # type: ignore[arg-type]
        self.client.on_connect = lambda client, *_: client.subscribe(pattern, 1)
        self._subscribed = False
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        eventually(lambda: self._subscribed)

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.messages.append(
            Message(message.topic, bytes(message.payload), message.qos, message.retain)
        )

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain).wait_for_publish(HANGS_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
