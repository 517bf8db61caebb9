"""Behaviour that all links share: the same tests in memory and on mosquitto, MQTT 3.1.1 and 5."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.mqtt.memory import MemoryLink
from controller.mqtt.message import PAYLOAD_LIMIT, Message
from tests.conftest import Broker
from tests.support.links import Links, Received
from tests.support.wait import eventually

OFFLINE = Message("bar/status", b"offline", 1, True)
ONLINE = Message("bar/status", b"online", 1, True)


@pytest.fixture(params=["memory", "mqtt 3.1.1", "mqtt 5"])
def links(request: pytest.FixtureRequest) -> Iterator[Links]:
    if request.param == "memory":
        links = Links(None)
    else:
        broker: Broker = request.getfixturevalue("broker")
        links = Links(Mqtt(port=broker.port, protocol=5 if request.param == "mqtt 5" else 4))
    yield links
    links.stop()


def test_messages_arrive_in_order(links: Links) -> None:
    sender, _ = links.up()
    _, received = links.up("bar/#")
    for number in range(50):
        sender.publish(Message("bar/event/entry", b"%d" % number, 1))
    eventually(lambda: len(received.messages) == 50)
    assert received.payloads("bar/event/entry") == [b"%d" % number for number in range(50)]


def test_only_subscribed_topics_are_delivered(links: Links) -> None:
    sender, _ = links.up()
    _, received = links.up("bar/cmd/+", "bar/end")
    for topic in ("bar/cmd/access_door", "bar/cmd/a/b", "bar/cmd", "bar/state", "bar/end"):
        sender.publish(Message(topic, b"x", 1))
    eventually(lambda: "bar/end" in received.topics())
    assert received.topics() == ["bar/cmd/access_door", "bar/end"]


def test_publisher_gets_its_own_message_when_subscribed(links: Links) -> None:
    link, received = links.up("bar/#")
    link.publish(Message("bar/state", b"{}", 1))
    eventually(lambda: received.topics() == ["bar/state"])


def test_acks_come_in_order_and_only_when_requested(links: Links) -> None:
    link, received = links.up()
    for number in range(60):
        link.publish(Message("bar/event/entry", b"", 1), number if number % 2 else None)
    eventually(lambda: len(received.acks) == 30)
    assert received.acks == list(range(1, 60, 2))


def test_publish_before_start_keeps_only_latest_retained(links: Links) -> None:
    _, received = links.up("bar/#")
    link, own = links.link(birth=ONLINE)
    link.publish(Message("bar/state", b"1", 0, True))
    link.publish(Message("bar/door", b"shut", 1, True))
    link.publish(Message("bar/state", b"2", 0, True))
    link.publish(Message("bar/heartbeat", b"lost"))
    link.publish(Message("bar/event/entry", b"not ours to keep", 1), 7)
    assert not link.connected
    link.start()
    eventually(lambda: "bar/status" in received.topics())
    assert [(message.topic, message.payload) for message in received.messages] == [
        ("bar/state", b"2"),  # the place of its first time
        ("bar/door", b"shut"),
        ("bar/status", b"online"),
    ]
    assert own.acks == []
    assert link.connected


def test_late_subscriber_gets_retained_with_its_flag(links: Links) -> None:
    link, _ = links.up()
    link.publish(Message("bar/door", b"shut", 1, True), 1)
    link.publish(Message("bar/state", b"old", 1, True), 2)
    link.publish(Message("bar/state", b"new", 1, True), 3)
    link.publish(Message("bar/door", b"", 1, True), 4)  # empty clears it
    link.publish(Message("bar/event/entry", b"once", 1), 5)
    _, first = links.up("bar/end")
    link.publish(Message("bar/end", b"", 1))
    eventually(lambda: first.messages)
    _, late = links.up("bar/#")
    eventually(lambda: late.messages)
    assert late.messages == [Message("bar/state", b"new", 1, True)]


def test_stop_sends_last_messages_and_no_will(links: Links, patient: None) -> None:
    _, received = links.up("bar/#")
    link, _ = links.up(will=Message("bar/status", b"will", 1, True), birth=ONLINE)
    link.stop([Message("bar/event/bye", b"", 0), OFFLINE])
    assert not link.connected
    eventually(lambda: b"offline" in received.payloads("bar/status"))
    assert received.payloads("bar/status") == [b"online", b"offline"]
    assert "bar/event/bye" in received.topics()
    link.stop()
    link.publish(Message("bar/late", b"", 1))
    probe, _ = links.up()
    probe.publish(Message("bar/end", b"", 1))
    eventually(lambda: "bar/end" in received.topics())
    assert "bar/late" not in received.topics()
    assert b"will" not in received.payloads("bar/status")


def test_crash_publishes_the_will(links: Links) -> None:
    _, received = links.up("bar/#")
    link, _ = links.up(will=OFFLINE, birth=ONLINE)
    eventually(lambda: received.payloads("bar/status") == [b"online"])
    if isinstance(link, MemoryLink):
        link.crash()
        link.crash()
    else:
        assert isinstance(link, MqttLink)
        crash(link)
    eventually(lambda: b"offline" in received.payloads("bar/status"))


def crash(link: MqttLink) -> None:
    """Cut the connection under the link: publishing garbage makes paho raise in its thread."""
    link._queue.put(Message("bar/#", b""))  # past the check of `publish`
    link._wake()


def test_large_command_is_cut_one_byte_above_the_limit(links: Links) -> None:
    sender, _ = links.up()
    _, received = links.up("bar/#")
    sender.publish(Message("bar/cmd/access_door", b"x" * 1_000_000, 1))
    sender.publish(Message("bar/cmd/access_door", b"y" * PAYLOAD_LIMIT, 1))
    eventually(lambda: len(received.messages) == 2)
    sizes = [len(message.payload) for message in received.messages]
    assert sizes == [PAYLOAD_LIMIT + 1, PAYLOAD_LIMIT]


def test_publish_from_on_message(links: Links) -> None:
    _, received = links.up("bar/#")

    class Answering(Received):
        def on_message(self, message: Message) -> None:
            super().on_message(message)
            link.publish(Message("bar/result", message.payload, 1))

    link, _ = links.up("bar/cmd/+", received=Answering())
    sender, _ = links.up()
    for number in range(5):
        sender.publish(Message("bar/cmd/access_door", b"%d" % number, 1))
    eventually(lambda: len(received.payloads("bar/result")) == 5)
    assert received.payloads("bar/result") == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("topic", ["", "bar/#", "bar/+/x", "bar/\0"])
def test_publish_to_impossible_topic_raises(links: Links, topic: str) -> None:
    link, _ = links.link()
    with pytest.raises(ValueError, match="cannot publish to topic"):
        link.publish(Message(topic, b""))


def test_stop_without_start_does_nothing(links: Links) -> None:
    link, received = links.link(will=OFFLINE)
    link.stop([OFFLINE])
    assert received.all == []
