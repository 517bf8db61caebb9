"""Links of one kind on one broker, that keep what they receive."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.mqtt.link import Link
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from tests.support.wait import eventually


@dataclass
class Received:
    """What a link called back, in order."""

    messages: list[Message] = field(default_factory=list)
    acks: list[int] = field(default_factory=list)
    ups: int = 0
    downs: list[str] = field(default_factory=list)
    thrown_out: int = 0
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

    def on_thrown_out(self) -> None:
        self.thrown_out += 1

    def on_ack(self, ack: int) -> None:
        self.acks.append(ack)
        self.all.append(ack)

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]


class Links:
    """Makes links of one kind on one broker, and stops them at the end."""

    def __init__(self, mqtt: Mqtt | None) -> None:
        self._mqtt = mqtt
        self._broker = InMemoryBroker()
        self._links: list[Link] = []

    def link(
        self,
        *subscriptions: str,
        will: Message | None = None,
        birth: Message | None = None,
        received: Received | None = None,
        client_id: str = "",
        durable: bool = False,
    ) -> tuple[Link, Received]:
        received = Received() if received is None else received
        common = {
            "subscriptions": subscriptions,
            "on_message": received.on_message,
            "on_up": received.on_up,
            "on_ack": received.on_ack,
            "will": will,
            "birth": birth,
        }
        link: Link
        if self._mqtt is None:
            link = self._broker.join(**common)  # type: ignore[arg-type]
        else:
            name = client_id or f"test-{len(self._links)}"
            more = common | {"on_down": received.on_down, "durable": durable}
            more["on_thrown_out"] = received.on_thrown_out
            link = MqttLink(self._mqtt, client_id=name, **more)  # type: ignore[arg-type]
        self._links.append(link)
        return link, received

    def up(self, *subscriptions: str, **kwargs: object) -> tuple[Link, Received]:
        link, received = self.link(*subscriptions, **kwargs)  # type: ignore[arg-type]
        link.start()
        eventually(lambda: received.ups)
        return link, received

    def stop(self) -> None:
        for link in self._links:
            link.stop()
