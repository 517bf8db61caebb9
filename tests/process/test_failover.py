"""A house with two brokers of its own: no event is lost from one to the other and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.conftest import Broker
from tests.support.demo import Demo, house_on
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually


def seqs(subscriber: Subscriber) -> set[int]:
    return {json.loads(message.payload)["seq"] for message in subscriber.event_messages()}


def knocks(demo: Demo, subscriber: Subscriber) -> None:
    """Knock at the hatch, and wait until this subscriber has that knock."""
    before = len(subscriber.events("knock"))
    demo.simulator.act("knock_hatch")
    eventually(lambda: len(subscriber.events("knock")) > before)


def test_events_go_to_the_next_broker_and_back_and_none_is_missing(
    tmp_path: Path, make_broker: Callable[..., Broker]
) -> None:
    first, second = make_broker(), make_broker()
    first.kill()
    with (
        closing(Subscriber(second.port)) as on_second,
        house_on(tmp_path, first.port, second.port) as demo,
    ):
        eventually(lambda: on_second.status() == "online")  # the first is dead at the start
        first.start()
        with closing(Subscriber(first.port)) as on_first:
            eventually(lambda: on_first.status() == "online")  # it comes back
            knocks(demo, on_first)
            first.freeze()  # what is sent now is never acknowledged
            knocks(demo, on_second)
            first.thaw()
            eventually(lambda: on_second.status() == "offline")
            knocks(demo, on_first)
            got = seqs(on_first) | seqs(on_second)
    assert got == set(range(1, max(got) + 1))
