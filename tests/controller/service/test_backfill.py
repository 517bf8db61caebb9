"""Events asked for by their numbers: from a real journal, in batches, and never a wrong word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.journal.journal import Journal
from controller.journal.records import Record, Row
from controller.mqtt.message import Message, Topics
from controller.service.backfill import BYTES, EVENTS, PATIENCE, REQUEST_BYTES, WAITING, Backfill
from tests.support.journal_desk import Desk
from tests.support.rows import saved
from tests.support.wait import eventually

REQUEST = "backdoor/bar/backfill/request"


class Asked:
    """A journal, what answers from it, and its answers."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(Journal(folder / "journal.db"))
        self.published: list[Message] = []
        self.newest = 0
        self.failing = False
        #: Whether the broker takes what it gets.
        self.taking = True
        self.backfill = Backfill(
            Topics("backdoor/bar"),
            self.desk.writer.fetch,
            self.publish,
            newest=lambda: self.newest,
            failing=lambda: self.failing,
        )
        self.desk.writer.start()

    def publish(self, message: Message) -> None:
        self.published.append(message)
        if self.taking:
            self.backfill.acked()

    def happen(self, *seqs: int, text: str = "") -> None:
        rows = [Row(seq, 1.0, 5.0, "knock", json.dumps({"boot": "b", "x": text})) for seq in seqs]
        self.desk.writer.put(Record(rows, saved(seqs[-1])))
        self.newest = seqs[-1]

    def ask(self, payload: bytes, retain: bool = False) -> None:
        assert self.backfill.handle(Message(REQUEST, payload, retain=retain))
        self.backfill.tick()

    def answers(self, count: int = 1) -> list[Any]:
        eventually(lambda: len(self.published) >= count)
        assert {(message.topic, message.qos, message.retain) for message in self.published} == {
            ("backdoor/bar/backfill", 1, False)
        }
        return [json.loads(message.payload) for message in self.published]

    def read(self) -> None:
        """Wait until the journal's thread has done all that it was asked to do."""
        done: list[object] = []
        self.desk.writer.fetch(0, 1, done.append)
        eventually(lambda: done)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    found = Asked(tmp_path)
    yield found
    found.desk.writer.stop()


def numbers(answer: Any) -> list[int]:
    return [event["seq"] for event in answer["events"]]


def test_answer_has_the_events_between_and_no_other(asked: Asked) -> None:
    asked.happen(1, 2, 3, 4, 5)
    asked.ask(b'{"after":1,"until":4}')
    (answer,) = asked.answers()
    assert numbers(answer) == [2, 3, 4]
    assert {name: answer[name] for name in ("after", "until", "newest")} == {
        "after": 1, "until": 4, "newest": 5,
    }  # fmt: skip
    assert answer["events"][0]["event"] == "knock"
    assert answer["events"][0]["boot"] == "b"


def test_what_the_journal_does_not_have_is_searched_all_the_same(asked: Asked) -> None:
    asked.happen(1, 2, 7, 8)
    asked.ask(b'{"after":2,"until":6}')
    (answer,) = asked.answers()
    assert (numbers(answer), answer["until"]) == ([], 6)


@pytest.mark.parametrize("payload", [b'{"after":2}', b'{"after":2,"until":null}'])
def test_without_an_end_it_goes_to_the_newest(asked: Asked, payload: bytes) -> None:
    asked.happen(1, 2, 3)
    asked.ask(payload)
    (answer,) = asked.answers()
    assert (numbers(answer), answer["until"], answer["newest"]) == ([3], 3, 3)


def test_after_the_newest_there_is_nothing(asked: Asked) -> None:
    """A new journal begins its numbers anew, and who asks still has those of the old one."""
    asked.happen(1, 2)
    asked.ask(b'{"after":500}')
    (answer,) = asked.answers()
    assert (numbers(answer), answer["until"], answer["newest"]) == ([], 500, 2)


def test_many_come_in_batches_and_the_answer_says_how_far(asked: Asked) -> None:
    asked.happen(*range(1, EVENTS + 51))
    asked.ask(b'{"after":0}')
    first = asked.answers()[0]
    assert (len(first["events"]), first["until"]) == (EVENTS, EVENTS)
    asked.ask(b'{"after":%d}' % EVENTS)
    second = asked.answers(2)[1]
    assert numbers(second) == list(range(EVENTS + 1, EVENTS + 51))
    assert second["until"] == second["newest"] == EVENTS + 50


def test_answer_stays_smaller_than_what_the_broker_takes(asked: Asked) -> None:
    asked.happen(*range(1, 11), text="è" * (BYTES // 8))
    asked.ask(b'{"after":0}')
    (answer,) = asked.answers()
    assert 0 < len(answer["events"]) < 10
    assert answer["until"] == numbers(answer)[-1]
    assert len(asked.published[0].payload) < 64 * 1024


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"after":-1}', b'{"after":"1"}', b'{"after":1.5}', b"\xff",
     b'{"after":1e99}', b'{"after":0,"until":"x"}', b'{"after":0,"x":"' + b"x" * REQUEST_BYTES,
     b"[" * 1000],
)  # fmt: skip
def test_request_that_makes_no_sense_is_not_answered(asked: Asked, payload: bytes) -> None:
    asked.happen(1)
    asked.ask(payload)
    asked.read()
    assert asked.published == []


def test_retained_request_is_not_answered_and_other_topics_are_not_ours(asked: Asked) -> None:
    asked.happen(1)
    asked.ask(b'{"after":0}', retain=True)
    asked.read()
    assert asked.published == []
    assert not asked.backfill.handle(Message("backdoor/bar/cmd/access_door", b'{"after":0}'))


def test_flood_costs_one_read_a_tick_and_the_same_question_is_one(asked: Asked) -> None:
    asked.happen(1)
    for number in range(1000):
        asked.backfill.handle(Message(REQUEST, b'{"after":%d}' % (number // 2)))
    for _ in range(1000):
        asked.backfill.tick()
        asked.read()
    assert len(asked.published) == WAITING


def test_broker_that_takes_no_answer_gets_no_other_for_a_while(asked: Asked) -> None:
    """Else a flood of requests fills our memory with answers."""
    asked.happen(1)
    asked.taking = False
    asked.ask(b'{"after":0}')
    asked.answers()
    asked.ask(b'{"after":0,"until":1}')
    for _ in range(PATIENCE - 2):
        asked.backfill.tick()
    asked.read()
    assert len(asked.published) == 1
    asked.backfill.tick()
    asked.backfill.tick()
    asked.answers(2)
    asked.backfill.acked()
    asked.ask(b'{"after":0,"until":1}')
    asked.answers(3)


def test_journal_that_fails_answers_nothing(asked: Asked) -> None:
    """Else events that are there would be taken for gone."""
    asked.happen(1)
    asked.failing = True
    asked.ask(b'{"after":0}')
    asked.read()
    assert asked.published == []
    asked.failing = False
    asked.ask(b'{"after":0}')
    assert numbers(asked.answers()[0]) == [1]
