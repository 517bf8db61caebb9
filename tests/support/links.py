"""Both ends of a wire: links that write down what they hear, and an independent client."""

from __future__ import annotations

from dataclasses import dataclass, field

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.mqtt.link import Link
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from tests.support.wait import HANGS_S, eventually


@dataclass
class Heard:
    """What a link told its owner, in order."""

    messages: list[Message] = field(default_factory=list)
    acks: list[int] = field(default_factory=list)
    ups: int = 0
    downs: list[str] = field(default_factory=list)
    #: Everything, with its kind, to check what came before what.
    all: list[object] = field(default_factory=list)

    def on_message(self, message: Message) -> None:
        self.messages.append(message)
        self.all.append(message.topic)

    def on_up(self) -> None:
        self.ups += 1
        self.all.append("up")

    def on_down(self, why: str) -> None:
        self.downs.append(why)
        self.all.append("down")

    def on_ack(self, ack: int) -> None:
        self.acks.append(ack)
        self.all.append(ack)

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]


class Wire:
    """Makes links of one kind on one broker, and stops them at the end."""

    def __init__(self, mqtt: Mqtt | None) -> None:
        self._mqtt = mqtt
        self._bus = InMemoryBroker()
        self._links: list[Link] = []

    def link(
        self,
        *subscriptions: str,
        will: Message | None = None,
        birth: Message | None = None,
        heard: Heard | None = None,
        client_id: str = "",
    ) -> tuple[Link, Heard]:
        heard = Heard() if heard is None else heard
        common = {
            "subscriptions": subscriptions,
            "on_message": heard.on_message,
            "on_up": heard.on_up,
            "on_ack": heard.on_ack,
            "will": will,
            "birth": birth,
        }
        link: Link
        if self._mqtt is None:
            link = self._bus.join(**common)  # type: ignore[arg-type]
        else:
            name = client_id or f"test-{len(self._links)}"
            link = MqttLink(self._mqtt, client_id=name, on_down=heard.on_down, **common)  # type: ignore[arg-type]
        self._links.append(link)
        return link, heard

    def up(self, *subscriptions: str, **kwargs: object) -> tuple[Link, Heard]:
        link, heard = self.link(*subscriptions, **kwargs)  # type: ignore[arg-type]
        link.start()
        eventually(lambda: heard.ups)
        return link, heard

    def stop(self) -> None:
        for link in self._links:
            link.stop()


class Ear:
    """An independent paho client that hears everything."""

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

    def say(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain).wait_for_publish(HANGS_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
