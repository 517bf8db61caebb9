"""The broker in memory: what only it does, and what is easier to test on it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from controller.mqtt.link import Peer
from controller.mqtt.memory import InMemoryBroker, MemoryLink
from controller.mqtt.message import PAYLOAD_LIMIT, Message
from tests.support.links import Heard, Wire

LEVELS = st.sampled_from(["bar", "cmd", "", "a", "b", "$SYS"])


def link_with(topic_filter: str) -> MemoryLink:
    peer = Peer("x", (topic_filter,), lambda _: None, lambda: None, lambda _: None)
    return MemoryLink(InMemoryBroker(), peer)


@given(
    st.lists(LEVELS | st.just("+"), min_size=1, max_size=4),
    st.booleans(),
    st.lists(LEVELS, min_size=1, max_size=5),
)
def test_subscriptions_match_as_paho_says(wanted: list[str], rest: bool, levels: list[str]) -> None:
    pattern, topic = "/".join([*wanted, "#"] if rest else wanted), "/".join(levels)
    if pattern and topic:
        expected = topic_matches_sub(pattern, topic)
        assert link_with(pattern).subscribed(topic) == expected


def test_retained_is_delivered_to_late_link_until_cleared() -> None:
    wire = Wire(None)
    link, _ = wire.up()
    link.publish(Message("bar/state", b"1", 0, True))
    link.publish(Message("bar/door", b"shut", 0, True))
    link.publish(Message("bar/door", b"", 0, True))
    _, late = wire.up("bar/#")
    assert late.messages == [Message("bar/state", b"1", 0, True)]


def test_exception_in_on_message_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Fragile(Heard):
        def on_message(self, message: Message) -> None:
            raise RuntimeError("no such cocktail")

    wire = Wire(None)
    wire.up("bar/#", heard=Fragile())
    _, heard = wire.up("bar/#")
    link, _ = wire.up()
    link.publish(Message("bar/state", b"1"))
    assert heard.payloads("bar/state") == [b"1"]
    assert "a receiver failed" in caplog.text


def test_all_links_receive_in_the_same_order() -> None:
    wire = Wire(None)
    ears = [wire.up("bar/#")[1] for _ in range(3)]
    links = [wire.up()[0] for _ in range(4)]

    def publish(name: int) -> None:
        for number in range(200):
            links[name].publish(Message(f"bar/{name}", b"%d" % number))

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ears[0].messages) == 800
    assert ears[0].messages == ears[1].messages == ears[2].messages


def test_stopped_link_receives_nothing_queued() -> None:
    wire = Wire(None)

    class Leaving(Heard):
        def on_message(self, message: Message) -> None:
            super().on_message(message)
            other.stop()

    wire.up("bar/#", heard=Leaving())
    other, heard = wire.up("bar/#")
    link, _ = wire.up()
    link.publish(Message("bar/state", b"1"))
    assert heard.messages == []


def test_only_commands_are_shortened() -> None:
    broker = InMemoryBroker()
    heard: dict[str, int] = {}

    def hear(message: Message) -> None:
        heard[message.topic] = len(message.payload)

    link = broker.join(
        subscriptions=["bar/#"], on_message=hear, on_up=lambda: None, on_ack=lambda _: None
    )
    link.start()
    for topic in ("bar/night", "bar/cmd/access_door"):
        link.publish(Message(topic, b"x" * 100_000))
    assert heard == {"bar/night": 100_000, "bar/cmd/access_door": PAYLOAD_LIMIT + 1}
