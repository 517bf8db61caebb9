"""From a bar's outbox by a real nats-server into a real Postgres: each event once."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest
from nats.js.errors import NotFoundError

from controller.config.settings import CentreSettings
from tests.support.centre import bar, before_joining, centre, come, messages, rows
from tests.support.nats import Node
from tests.support.postgres import Postgres
from tests.support.wait import HANGS_S, eventually
from web.centre import stream
from web.centre.nats import ask, close
from web.centre.nats import connect as connect_nats
from web.centre.stream import ensure
from web.centre.wire import Arrived
from web.centre.writer import Writer, twins
from web.nights import outbox
from web.nights.database import StoreError, connect


def test_events_of_two_bars_come_once_and_in_order(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    database = postgres.new_database()
    with bar(tmp_path, [node.url], "a") as a, bar(tmp_path, [node.url], "b") as b:
        a.happen(range(1, 1201))
        a.start()
        b.start()
        with centre(database, [node.url]):
            b.happen([1])
            b.happen([2])
            eventually(lambda: come(database) == [("a", "b1", 1, 1200), ("b", "b1", 1, 2)])
            a.happen([1201])
            eventually(lambda: ("a", "b1", 1, 1201) in come(database))
        eventually(lambda: a.waiting() == b.waiting() == 0)
    assert rows(database, "SELECT venue, COUNT(*) FROM event GROUP BY 1 ORDER BY 1") == [
        ("a", 1201),
        ("b", 2),
    ]


def test_node_that_is_away_costs_nothing_and_its_return_is_found(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one:
        sender = one.start()
        with centre(database, [node.url]):
            one.happen(range(1, 11))
            eventually(lambda: come(database) == [("bar", "b1", 1, 10)])
            node.kill()
            one.happen(range(11, 61))
            eventually(lambda: sender.problem)
            assert one.waiting() == 50
            node.start()
            eventually(lambda: come(database) == [("bar", "b1", 1, 60)])
        eventually(lambda: one.waiting() == 0 and not sender.problem)


def test_events_behind_a_hole_wait_and_what_came_late_goes_before_them(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one, centre(database, [node.url]):
        one.happen([1, 2, 6, 7])
        sender = one.prepare()
        sender.hold(2)
        sender.start()
        eventually(lambda: come(database) == [("bar", "b1", 1, 2)])
        one.happen([3, 5])
        assert one.waiting() == 4
        sender.hold(None)
        sender.wake()
        eventually(lambda: one.waiting() == 0)
        assert asyncio.run(numbers(node)) == [1, 2, 3, 5, 6, 7]


async def numbers(node: Node) -> list[int]:
    """Return the numbers of the events in the stream, in their order there."""
    import nats

    client = await nats.connect(node.url)
    stream = client.jetstream()
    count = (await stream.stream_info("backdoor-events")).state.messages
    found = await stream.subscribe("backdoor.>", ordered_consumer=True)
    bodies = [json.loads((await found.next_msg(HANGS_S)).data) for _ in range(count)]
    await client.close()
    return [body["seq"] for body in bodies]


def test_batch_whose_answer_was_lost_is_not_there_twice(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    """Half are in NATS and the bar does not know: all are sent again, each is there once."""
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one, centre(database, [node.url]) as consumer:
        one.happen(range(1, 6))
        kept = rows(str(tmp_path / "bar.db"), "SELECT * FROM outbox")
        one.start()
        eventually(lambda: come(database) == [("bar", "b1", 1, 5)])
        eventually(lambda: one.waiting() == 0)
        one.database.many("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
        one.happen(range(6, 11))
        eventually(lambda: come(database) == [("bar", "b1", 1, 10)])
        eventually(lambda: one.waiting() == 0)
        eventually(lambda: consumer.written == 10)
    assert messages(node) == 10


@pytest.fixture
def postgres_away(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Postgres takes nothing until this is set; NATS waits an hour for what is at a consumer."""
    monkeypatch.setattr(stream, "WRITTEN_S", 3600)
    back, write = Event(), Writer.write

    def refused(writer: Writer, arrived: Sequence[Arrived]) -> int:
        if not back.is_set():
            raise StoreError("the server went away")
        return write(writer, arrived)

    monkeypatch.setattr(Writer, "write", refused)
    return back


def test_events_that_postgres_does_not_take_are_written_when_it_is_back(
    tmp_path: Path, node: Node, postgres: Postgres, postgres_away: Event
) -> None:
    """They stay at the consumer, which says so to NATS; none is given to another meanwhile."""
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one, centre(database, [node.url]) as consumer:
        one.happen([1])
        one.start()
        eventually(lambda: asyncio.run(received(node)) == 1)
        one.happen([2])
        eventually(lambda: asyncio.run(received(node)) == 2)
        assert asyncio.run(held(node)) == {1, 2}
        eventually(lambda: consumer.problem == "the server went away")
        postgres_away.set()
        eventually(lambda: come(database) == [("bar", "b1", 1, 2)])
        eventually(lambda: not consumer.problem)


def test_events_that_a_consumer_has_not_written_are_given_back_when_it_ends(
    tmp_path: Path, node: Node, postgres: Postgres, postgres_away: Event
) -> None:
    """Else they would wait for half a minute until NATS gives them to another."""
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one:
        with centre(database, [node.url]):
            one.happen([1])
            one.start()
            eventually(lambda: asyncio.run(received(node)) == 1)
        postgres_away.set()
        with centre(database, [node.url]):
            eventually(lambda: come(database) == [("bar", "b1", 1, 1)])


def test_node_that_goes_while_postgres_is_away(
    tmp_path: Path,
    node: Node,
    postgres: Postgres,
    postgres_away: Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "WRITTEN_S", 2)
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one, centre(database, [node.url]) as consumer:
        one.happen([1])
        one.start()
        eventually(lambda: consumer.problem == "the server went away")
        node.kill()
        eventually(lambda: consumer.problem != "the server went away")
        node.start()
        postgres_away.set()
        eventually(lambda: come(database) == [("bar", "b1", 1, 1)])


async def held(node: Node) -> set[int]:
    """Return the places in the stream of which a consumer says that it works on them."""
    client = await connect_nats(CentreSettings(servers=(node.url,)), node.url, "test")
    found: set[int] = set()
    try:
        said = await client.subscribe("$JS.ACK.>")
        while len(found) < 2:
            message = await said.next_msg(HANGS_S)
            if message.data == b"+WPI":
                found.add(int(message.subject.split(".")[5]))
    finally:
        await close(client)
    return found


async def received(node: Node) -> int:
    """Return how many events are at a consumer and not acknowledged."""
    import nats

    client = await nats.connect(node.url)
    try:
        info = await client.jetstream().consumer_info("backdoor-events", "nights")
    except NotFoundError:  # it is not made yet
        return 0
    finally:
        await client.close()
    return info.num_ack_pending or 0


def test_two_bars_with_one_name_and_one_number_are_two(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    """Each has its own run, so nothing of either is taken for the other's."""
    database = postgres.new_database()
    (tmp_path / "other").mkdir()
    with bar(tmp_path, [node.url]) as one, bar(tmp_path / "other", [node.url]) as two:
        one.happen(range(1, 11), boot="b1")
        two.happen(range(5, 8), boot="b2")
        one.start()
        two.start()
        with centre(database, [node.url]):
            eventually(lambda: come(database) == [("bar", "b1", 1, 10), ("bar", "b2", 5, 7)])


def test_two_bars_with_one_name_are_said_by_the_centre(
    tmp_path: Path,
    node: Node,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From both sending by turns to the line in the log of `backdoor centre`; times are shorter."""
    monkeypatch.setattr("web.centre.writer.TWINS_S", 0.2)
    monkeypatch.setattr("web.centre.consumer.FOLD_EVERY_S", 0.2)
    (tmp_path / "other").mkdir()
    numbers = itertools.count(1)
    with bar(tmp_path, [node.url]) as one, bar(tmp_path / "other", [node.url]) as two:
        one.start()
        two.start()

        def both_send_and_it_is_said() -> bool:
            number = next(numbers)
            one.happen([number], "b1")
            two.happen([number], "b2")
            return 'two bars have the name "bar" and send at the same time' in caplog.text

        with centre(postgres.new_database(), [node.url]):
            eventually(both_send_and_it_is_said)


def test_message_that_makes_no_sense_is_named_and_left_out(
    tmp_path: Path, node: Node, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one, centre(database, [node.url]):
        one.happen([1])
        one.start()
        eventually(lambda: come(database))
        asyncio.run(publish(node, "backdoor.bar.event.entry", b"rubbish"))
        one.happen([2])
        eventually(lambda: come(database) == [("bar", "b1", 1, 2)])
    assert "backdoor.bar.event.entry: left out, " in caplog.text


async def publish(node: Node, subject: str, payload: bytes) -> None:
    """Publish as anybody may who is let in."""
    import nats

    client = await nats.connect(node.url)
    await client.publish(subject, payload)
    await client.close()


def test_bar_that_joins_sends_all_that_happened_before(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    """Also the numbers of events that nobody keeps, else the centre would show gaps; a real gap
    stays one."""
    there = before_joining(tmp_path, [("b0", range(1, 700)), ("b1", [*range(700, 800), 803])])
    database = postgres.new_database()
    with centre(database, [node.url]), bar(tmp_path, [node.url]) as mine:
        mine.start()
        mine.happen(range(804, 810))
        eventually(lambda: ("bar", "b1", 803, 809) in come(database))
        eventually(lambda: mine.waiting() == 0)
        assert come(database) == [*there[:-1], ("bar", "b1", 803, 809)]
    kept = "SELECT boot, seq, t_ms, at_s, name, data FROM event ORDER BY seq"
    local = [row for row in rows(str(tmp_path / "bar.db"), kept) if row[4] == "entry"]
    assert rows(database, kept) == local
    found = connect(database)
    assert not twins(found, 0.0)
    found.close()


@pytest.mark.parametrize("many", [5, 500])
def test_what_happened_before_goes_in_the_late_lane(
    many: int, tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    before_joining(tmp_path, [("b1", range(1, many + 1))])
    with centre(postgres.new_database(), [node.url]), bar(tmp_path, [node.url]) as mine:
        mine.start()
        eventually(lambda: mine.waiting() == 0)
        mine.happen([many + 1])
        eventually(lambda: mine.waiting() == 0)
        assert asyncio.run(lanes(node)) == {"late": many, "event": 1}


async def lanes(node: Node) -> dict[str, int]:
    """Return how many messages each lane of the stream has."""
    client = await connect_nats(CentreSettings(servers=(node.url,)), node.url, "test")
    try:
        name = await ensure(client, "backdoor")
        asked = f"$JS.API.STREAM.INFO.{name}"
        answer = await ask(client, asked, b'{"subjects_filter": ">"}')
        found: dict[str, int] = {}
        for subject, count in answer["state"]["subjects"].items():
            lane = subject.split(".")[2]
            found[lane] = found.get(lane, 0) + count
        return found
    finally:
        await close(client)


def test_bar_that_left_and_joins_again_sends_what_happened_meanwhile(
    tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    database = postgres.new_database()
    with centre(database, [node.url]):
        with bar(tmp_path, [node.url]) as mine:
            mine.start()
            mine.happen(range(1, 4))
            eventually(lambda: mine.waiting() == 0)
        before_joining(tmp_path, [("b1", range(4, 8))])
        with bar(tmp_path, [node.url]) as mine:
            mine.start()
            eventually(lambda: come(database) == [("bar", "b1", 1, 7)])


def test_what_happened_before_goes_run_by_run_also_where_a_new_journal_began_at_one(
    tmp_path: Path,
) -> None:
    """Two runs that send at the same time would be two bars of one name."""
    before_joining(tmp_path, [("b0", range(1, 6))])
    before_joining(tmp_path, [("b1", range(1, 6))])
    with bar(tmp_path, []) as mine:
        mine.happen([7, 6], "b1")
        sent = [(one.boot, one.seq) for _, one in outbox.first(mine.database, 100)]
        assert sent == [("b0", seq) for seq in range(1, 6)] + [("b1", seq) for seq in range(1, 6)]
        outbox.acknowledged(
            mine.database, [position for position, _ in outbox.first(mine.database, 100)]
        )
        assert [one.seq for _, one in outbox.first(mine.database, 100)] == [6, 7]
