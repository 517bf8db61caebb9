"""From a real broker into a real store: each event once, whatever goes away meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from controller.codec import encode, iso
from controller.config.settings import Config, Mqtt, NightsSettings, Web
from controller.mqtt.client import MqttLink
from controller.mqtt.message import Message
from tests.conftest import Broker
from tests.support.links import Links
from tests.support.wait import HANGS_S, eventually
from web.nights import feed as feed_module
from web.nights.answers import Answers
from web.nights.database import Database, Row, StoreError, connect
from web.nights.feed import Feed, Outgoing, Trouble
from web.nights.queries import reading
from web.nights.spans import parse_span

#: 25 November 2026, 21:00 in Milan.
EVENING_S = 1_795_636_800.0
NIGHT = "2026-11-25"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold at once, and try a store that fails again soon."""
    monkeypatch.setattr(feed_module, "FOLD_EVERY_S", 0.05)
    monkeypatch.setattr(feed_module, "RETRY_S", (0.05, 0.2))


@pytest.fixture
def bars(broker: Broker) -> Iterator[Links]:
    links = Links(Mqtt(host=broker.host, port=broker.port))
    yield links
    links.stop()


class Bar:
    """A controller that only sends events."""

    def __init__(self, bars: Links, venue: str = "bar") -> None:
        self._link, self._received = bars.up()
        self._venue = venue
        self._sent = 0

    def send(self, *seqs: int, boot: str = "b1", after_s: float = 0.0) -> None:
        """Send events with these numbers, and wait until the broker has them."""
        for seq in seqs:
            self._link.publish(self.message(seq, boot, after_s + seq), ack=seq)
            self._sent += 1
        eventually(lambda: len(self._received.acks) == self._sent)

    def message(self, seq: int, boot: str, t_s: float) -> Message:
        body = {
            "seq": seq, "boot": boot, "at": iso(EVENING_S + t_s), "t_ms": 1000.0 * t_s,
            "event": "entry", "count": seq % 4, "min": seq % 4, "max": seq % 4, "certain": True,
        }  # fmt: skip
        topic = f"backdoor/{self._venue}/event/entry"
        return Message(topic, encode(body), qos=1)


def configured(broker: Broker, address: str, venues: str = "") -> Config:
    return replace(
        Config(),
        mqtt=Mqtt(host=broker.host, port=broker.port),
        web=Web(venues=venues),
        nights=NightsSettings(database=address),
    )


@contextmanager
def feeding(
    config: Config,
    open_database: Callable[[str], Database] | None = None,
    outgoing: Callable[[str], Outgoing] | None = None,
) -> Iterator[Feed]:
    links = partial(MqttLink, config.mqtt)
    feed = Feed(config, links, open_database=open_database, outgoing=outgoing)
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def seen(
    address: str, table: str = "seen", columns: str = "boot, first_seq, last_seq"
) -> list[Row]:
    """Return what is in the store, nothing while there is none."""
    with suppress(StoreError):
        database = connect(address)
        try:
            return database.rows(f"SELECT {columns} FROM {table} ORDER BY {columns}")
        finally:
            database.close()
    return []


def sessions(broker: Broker) -> int:
    """Return how many clients the broker has heard subscribe."""
    return broker.log.read_text().count("/event/+ (QoS 1)")


def test_feed_stores_each_event_once(broker: Broker, bars: Links, address: str) -> None:
    bar = Bar(bars)
    with feeding(configured(broker, address)):
        eventually(lambda: sessions(broker))
        bar.send(1, 2, 3, 2, 3, 1, 4)
        eventually(lambda: seen(address) == [("b1", 1, 4)])
        assert seen(address, "event", "seq") == [(1,), (2,), (3,), (4,)]
        eventually(lambda: seen(address, "night", "dirty") == [(0,)])


def test_feed_that_was_away_gets_what_the_broker_kept(
    broker: Broker, bars: Links, address: str
) -> None:
    """Many more than one batch, and every event of them in its place."""
    bar = Bar(bars)
    with feeding(configured(broker, address)):
        eventually(lambda: sessions(broker))
        bar.send(1)
        eventually(lambda: seen(address) == [("b1", 1, 1)])
    bar.send(*range(2, 151))
    with feeding(configured(broker, address)):
        eventually(lambda: seen(address) == [("b1", 1, 150)])


def test_gap_that_remains_is_shown_and_goes_when_it_is_filled(
    broker: Broker, bars: Links, address: str
) -> None:
    bar = Bar(bars)
    with feeding(configured(broker, address)):
        eventually(lambda: sessions(broker))
        bar.send(1, 2, 6)
        eventually(lambda: seen(address, "night", "missing") == [(3,)])
        with reading(address, "bar") as reader:
            record = Answers(reader, parse_span(NIGHT)).missed().records()[0]
        assert record["missing"] == 3
        assert str(record["until"]) == "2026-11-25T21:00:06+01:00"
        bar.send(4, 3, 5)
        eventually(lambda: seen(address, "night", "missing") == [(0,)])
        assert seen(address) == [("b1", 1, 6)]


class Held:
    """What sends to a centre, and what it was let send: each number up to which, and the last."""

    trouble: Trouble | None = None

    def __init__(self, address: str) -> None:
        self._address = address
        #: Up to which number events may go, and which were there at that moment.
        self.holds: list[tuple[int | None, list[Row]]] = []

    def start(self) -> None:
        pass

    def wake(self) -> None:
        pass

    def hold(self, after: int | None) -> None:
        self.holds.append((after, seen(self._address)))

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("fifth", ["", ',{"event":"entry","seq":"5"}'], ids=["gone", "nonsense"])
def test_hole_is_asked_for_and_what_is_behind_it_waits_for_the_answer(
    broker: Broker, bars: Links, tmp_path: Path, fifth: str
) -> None:
    """Number 5 is in no journal, or nonsense: it stays missing, and nothing waits for it."""
    bar, address = Bar(bars), str(tmp_path / "nights.db")
    link, asked = bars.up("backdoor/bar/backfill/request")
    held = Held(address)
    with feeding(configured(broker, address), outgoing=lambda _store: held):
        eventually(lambda: sessions(broker))
        bar.send(1, 2)
        eventually(lambda: seen(address) == [("b1", 1, 2)])
        bar.send(6)
        wanted = encode({"after": 2, "until": 5})
        eventually(lambda: wanted in asked.payloads("backdoor/bar/backfill/request"))
        eventually(lambda: seen(address) == [("b1", 1, 2), ("b1", 6, 6)])
        eventually(lambda: held.holds[-1] == (2, seen(address)))
        events = ",".join(bar.message(seq, "b1", seq).payload.decode() for seq in (3, 4))
        answer = f'{{"after":2,"until":5,"newest":6,"events":[{events}{fifth}]}}'
        link.publish(Message("backdoor/bar/backfill", answer.encode(), qos=1))
        eventually(lambda: held.holds[-1] == (None, [("b1", 1, 4), ("b1", 6, 6)]))
        eventually(lambda: seen(address, "night", "missing") == [(1,)])
    free = [there for after, there in held.holds if after is None]
    assert [("b1", 1, 2), ("b1", 6, 6)] not in free


def test_gap_across_a_restart_is_one_and_numbers_that_begin_anew_are_unknown(
    broker: Broker, bars: Links, address: str
) -> None:
    bar = Bar(bars)
    with feeding(configured(broker, address)):
        eventually(lambda: sessions(broker))
        bar.send(1, 2)
        bar.send(5, 6, boot="b2")
        eventually(lambda: seen(address, "night", "missing") == [(2,)])
        bar.send(1, boot="b3", after_s=100)
        eventually(lambda: len(seen(address)) == 3)
        with reading(address, "bar") as reader:
            records = Answers(reader, parse_span(NIGHT)).missed().records()
        assert [record["missing"] for record in records] == [2, None]


class Failing:
    """A database that takes nothing while ``broken`` says why; one for all connections.

    ``locked`` times its lock is not free: a server may not know yet that a connection has ended.
    """

    broken = ""
    locked = 0

    def __init__(self, real: Database) -> None:
        self._real = real
        self.name = real.name

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        return self._real.rows(sql, values)

    def many(self, sql: str, values: object) -> None:
        if Failing.broken:
            raise StoreError(Failing.broken)
        self._real.many(sql, values)  # type: ignore[arg-type]

    def insert(self, table: str, values: Sequence[Sequence[object]]) -> None:
        self._real.insert(table, values)

    def commit(self) -> None:
        self._real.commit()

    def lock(self, what: str = "nights") -> bool:
        if Failing.locked:
            Failing.locked -= 1
            return False
        return self._real.lock(what)

    def share(self) -> bool:
        return self._real.share()

    def hold(self, *what: str) -> None:
        self._real.hold(*what)

    def close(self) -> None:
        self._real.close()


def test_store_that_takes_nothing_loses_nothing(
    broker: Broker,
    bars: Links,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A full disk, a server out of reach: said once, and all is there when it is over."""
    bar = Bar(bars)

    def open_database(where: str) -> Database:
        return Failing(connect(where, writing=True))

    with caplog.at_level(logging.WARNING), feeding(configured(broker, address), open_database) as f:
        eventually(lambda: sessions(broker))
        bar.send(1)
        eventually(lambda: seen(address) == [("b1", 1, 1)])
        monkeypatch.setattr(Failing, "broken", "[nights] database: the disk is full; make room")
        monkeypatch.setattr(Failing, "locked", 1)
        bar.send(*range(2, 40))
        eventually(lambda: not Failing.locked and "the disk is full" in f.status.problem)
        bar.send(*range(40, 60))
        assert seen(address) == [("b1", 1, 1)]
        monkeypatch.setattr(Failing, "broken", "")
        eventually(lambda: seen(address) == [("b1", 1, 59)])
        eventually(lambda: not f.status.problem)
    assert caplog.text.count("the disk is full") == 1
    assert "Traceback" not in caplog.text


def test_two_pages_on_one_store_write_one_after_the_other(
    broker: Broker, bars: Links, address: str
) -> None:
    bar = Bar(bars)
    config = configured(broker, address)
    with feeding(config) as first:
        eventually(lambda: sessions(broker))
        with feeding(config) as other:
            bar.send(1, 2)
            eventually(lambda: seen(address) == [("b1", 1, 2)])
            assert not other.status.writing
            assert sessions(broker) == 1
            first.stop()
            bar.send(3)
            eventually(lambda: other.status.writing)
            bar.send(4)
            eventually(lambda: seen(address) == [("b1", 1, 4)])


def test_feed_of_all_bars_keeps_them_apart(broker: Broker, bars: Links, address: str) -> None:
    one, other = Bar(bars, "one"), Bar(bars, "other")
    with feeding(configured(broker, address, venues="+")):
        eventually(lambda: sessions(broker))
        one.send(1, 2)
        other.send(1)
        eventually(lambda: seen(address, "seen", "venue, last_seq") == [("one", 2), ("other", 1)])


def test_messages_that_make_no_sense_are_named_and_left_out(
    broker: Broker, bars: Links, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    bar = Bar(bars)
    odd = [b"", b"[]", b'{"seq": 0, "boot": "b1"}', b'{"seq": 1e99, "boot": "b1"}', b"\xff",
           b'{"seq": 7, "boot": "b1", "t_ms": "x"}']  # fmt: skip
    with caplog.at_level(logging.WARNING), feeding(configured(broker, address)) as f:
        eventually(lambda: sessions(broker))
        for number, payload in enumerate(odd):
            bar._link.publish(Message("backdoor/bar/event/entry", payload, qos=1), ack=number)
        bar._sent += len(odd)
        bar.send(1)
        eventually(lambda: seen(address) == [("b1", 1, 1)])
        assert not f.status.problem
    assert caplog.text.count("left out") == len(odd)


def test_nothing_of_a_guest_is_kept(broker: Broker, bars: Links, tmp_path: Path) -> None:
    """A canary name in every text of an event: no file of the store has it."""
    bar, address = Bar(bars), str(tmp_path / "nights.db")
    canary = "Canaria"
    body = {"seq": 1, "boot": "b1", "at": iso(EVENING_S), "t_ms": 1.0}
    fields = ("cause", "regular", "reason", "command", "kind", "how", "id", "who", "place")
    with feeding(configured(broker, address)):
        eventually(lambda: sessions(broker))
        names = ("access_denied", "knock", "knock_ended", "question_ended", "door_blocked", canary)
        for number, name in enumerate(names, 1):
            payload = encode({**body, "seq": number, **dict.fromkeys(fields, canary)})
            message = Message(f"backdoor/bar/event/{name}", payload, qos=1)
            bar._link.publish(message, ack=number)
        eventually(lambda: seen(address) == [("b1", 1, len(names))])
    for file in tmp_path.glob("nights.db*"):
        assert canary.encode() not in file.read_bytes(), file


def test_feed_says_what_it_cannot_open(broker: Broker, tmp_path: Path) -> None:
    with feeding(configured(broker, str(tmp_path / "none" / "nights.db"))) as f:
        eventually(lambda: f.status.problem)
        assert "make it, or name another file" in f.status.problem
        (tmp_path / "none").mkdir()
        eventually(lambda: f.status.writing)


def test_postgres_out_of_reach_is_a_clear_word_without_its_password() -> None:
    began_s = time.monotonic()
    with pytest.raises(StoreError) as failed:
        connect("postgresql://me:geheim@127.0.0.1:1/nights")
    assert time.monotonic() - began_s < HANGS_S
    assert "postgresql://127.0.0.1:1/nights" in str(failed.value)
    assert "geheim" not in str(failed.value)
    assert "\n" not in str(failed.value)
