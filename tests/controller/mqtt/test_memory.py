"""The wire in memory, where it differs from a broker or is easier to corner."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from controller.mqtt.memory import MemoryBus, matches
from controller.mqtt.message import PAYLOAD_LIMIT, Message
from tests.support.links import Heard, Wire

LEVELS = st.sampled_from(["bar", "cmd", "", "a", "b"])


@given(
    st.lists(LEVELS | st.just("+"), min_size=1, max_size=4),
    st.booleans(),
    st.lists(LEVELS, min_size=1, max_size=5),
)
def test_subscriptions_match_as_paho_says(wanted: list[str], rest: bool, levels: list[str]) -> None:
    pattern, topic = "/".join([*wanted, "#"] if rest else wanted), "/".join(levels)
    if pattern and topic:
        assert matches(pattern, topic) == topic_matches_sub(pattern, topic)


def test_retained_is_kept_for_who_comes_later_until_cleared() -> None:
    wire = Wire(None)
    link, _ = wire.up()
    link.publish(Message("bar/state", b"1", 0, True))
    link.publish(Message("bar/door", b"shut", 0, True))
    link.publish(Message("bar/door", b"", 0, True))
    _, late = wire.up("bar/#")
    assert late.messages == [Message("bar/state", b"1", 0, True)]


def test_receiver_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
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


def test_all_hear_the_same_order_whoever_speaks() -> None:
    wire = Wire(None)
    ears = [wire.up("bar/#")[1] for _ in range(3)]
    links = [wire.up()[0] for _ in range(4)]

    def say(name: int) -> None:
        for number in range(200):
            links[name].publish(Message(f"bar/{name}", b"%d" % number))

    threads = [threading.Thread(target=say, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ears[0].messages) == 800
    assert ears[0].messages == ears[1].messages == ears[2].messages


def test_who_left_hears_nothing_that_was_under_way() -> None:
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


def test_only_commands_are_cut_to_what_a_checker_needs() -> None:
    bus = MemoryBus()
    heard: dict[str, int] = {}

    def hear(message: Message) -> None:
        heard[message.topic] = len(message.payload)

    link = bus.join(
        subscriptions=["bar/#"], on_message=hear, on_up=lambda: None, on_ack=lambda _: None
    )
    link.start()
    for topic in ("bar/night", "bar/cmd/access_door"):
        link.publish(Message(topic, b"x" * 100_000))
    assert heard == {"bar/night": 100_000, "bar/cmd/access_door": PAYLOAD_LIMIT + 1}
