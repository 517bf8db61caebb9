"""A broker that is killed with events for the history in it: the journal has them, none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from controller.config.settings import Config, Mqtt, NightsSettings
from controller.journal.journal import read_last
from controller.journal.outbox import OVERLAP_S
from controller.mqtt.client import MqttLink
from tests.conftest import Broker
from tests.support.centre import rows
from tests.support.demo import Demo, house_on
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually
from web.nights import backfill as backfill_module
from web.nights import feed as feed_module
from web.nights.database import StoreError
from web.nights.feed import Feed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and ask a controller that was not back yet again soon."""
    monkeypatch.setattr(feed_module, "FOLD_EVERY_S", 0.05)
    monkeypatch.setattr(backfill_module, "ASK_AGAIN_S", (0.3, 1.0))


class House:
    """A controller with its journal, a broker, and the file of the page's history."""

    def __init__(self, folder: Path, broker: Broker, demo: Demo) -> None:
        self.broker, self.demo = broker, demo
        self.journal = str(folder / "journal.db")
        self.nights = str(folder / "nights.db")
        self._config = replace(
            Config(),
            mqtt=Mqtt(host=broker.host, port=broker.port),
            nights=NightsSettings(database=self.nights),
        )

    @contextmanager
    def history(self) -> Iterator[Feed]:
        """Run what feeds the page's history."""
        feed = Feed(self._config, partial(MqttLink, self._config.mqtt))
        feed.start()
        try:
            yield feed
        finally:
            feed.stop()

    def newest(self) -> int:
        """Return the number of the newest event in the journal."""
        return read_last(self.journal, 1)[0].seq

    def complete(self) -> bool:
        """Return whether the history has all events since it began, in one range of numbers."""
        with suppress(StoreError):  # there is none yet
            return rows(self.nights, "SELECT last_seq FROM seen") == [(self.newest(),)]
        return False

    def listens(self) -> bool:
        """Return whether the history has subscribed."""
        return "/event/+ (QoS 1)" in self.broker.log.read_text(errors="replace")

    def knock(self, subscriber: Subscriber) -> None:
        """Knock at the hatch, and wait until the broker has delivered it to this subscriber."""
        before = len(subscriber.events("knock"))
        self.demo.simulator.act("knock_hatch")
        eventually(lambda: len(subscriber.events("knock")) > before)


@pytest.fixture
def house(tmp_path: Path, broker: Broker) -> Iterator[House]:
    with house_on(tmp_path, broker.port) as demo:
        found = House(tmp_path, broker, demo)
        yield found


def older_than_what_is_sent_again(house: House) -> None:
    """Wait until the controller would not send the newest event again by itself."""
    newest = read_last(house.journal, 1)[0].t_ms
    eventually(lambda: house.demo.running.clock.now_ms() - newest > (OVERLAP_S + 1) * 1000)


@pytest.mark.parametrize("more_after", [False, True], ids=["nothing after it", "more after it"])
def test_events_that_died_with_the_broker_come_from_the_journal(
    house: House, mqtt: Subscriber, more_after: bool
) -> None:
    """The page is away, or hangs: its events are in the broker's memory only, and it is killed."""
    with house.history():
        eventually(house.listens)
        house.knock(mqtt)
        eventually(house.complete)
    for _ in range(5):
        house.knock(mqtt)
    older_than_what_is_sent_again(house)
    assert not house.complete()
    house.broker.kill()
    house.broker.start()
    with house.history():
        if more_after:
            house.knock(mqtt)
        eventually(house.complete)
