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
from tests.support.links import Links, Received

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
    links = Links(None)
    link, _ = links.up()
    link.publish(Message("bar/state", b"1", 0, True))
    link.publish(Message("bar/door", b"shut", 0, True))
    link.publish(Message("bar/door", b"", 0, True))
    _, late = links.up("bar/#")
    assert late.messages == [Message("bar/state", b"1", 0, True)]


def test_exception_in_on_message_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Fragile(Received):
        def on_message(self, message: Message) -> None:
            raise RuntimeError("no such cocktail")

    links = Links(None)
    links.up("bar/#", received=Fragile())
    _, received = links.up("bar/#")
    link, _ = links.up()
    link.publish(Message("bar/state", b"1"))
    assert received.payloads("bar/state") == [b"1"]
    assert "a receiver failed" in caplog.text


def test_all_links_receive_in_the_same_order() -> None:
    links = Links(None)
    subscribers = [links.up("bar/#")[1] for _ in range(3)]
    publishers = [links.up()[0] for _ in range(4)]

    def publish(name: int) -> None:
        for number in range(200):
            publishers[name].publish(Message(f"bar/{name}", b"%d" % number))

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(subscribers[0].messages) == 800
    assert subscribers[0].messages == subscribers[1].messages == subscribers[2].messages


def test_stopped_link_receives_nothing_queued() -> None:
    links = Links(None)

    class Leaving(Received):
        def on_message(self, message: Message) -> None:
            super().on_message(message)
            other.stop()

    links.up("bar/#", received=Leaving())
    other, received = links.up("bar/#")
    link, _ = links.up()
    link.publish(Message("bar/state", b"1"))
    assert received.messages == []


def test_only_commands_are_shortened() -> None:
    broker = InMemoryBroker()
    received: dict[str, int] = {}

    def subscribe(message: Message) -> None:
        received[message.topic] = len(message.payload)

    link = broker.join(
        subscriptions=["bar/#"], on_message=subscribe, on_up=lambda: None, on_ack=lambda _: None
    )
    link.start()
    for topic in ("bar/night", "bar/cmd/access_door"):
        link.publish(Message(topic, b"x" * 100_000))
    assert received == {"bar/night": 100_000, "bar/cmd/access_door": PAYLOAD_LIMIT + 1}
