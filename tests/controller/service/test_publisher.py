"""What leaves the controller, and in which order: journal, then events, then how things stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

import pytest

from controller.clock import Clock
from controller.config.loader import parse
from controller.engine import TimedEffects
from controller.events import Answer, Fault, Note
from controller.integrations.announcements import WatchedTopics
from controller.integrations.devices import Devices
from controller.journal.journal import Journal, read_last
from controller.journal.records import Row
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message, Topics
from controller.rules.state import State
from controller.service.assembly import alone
from controller.service.night import Night
from controller.service.publisher import COMMANDS_WAITING, LATE_S, Item, Publisher
from controller.service.reporter import Integrations, Origin, Reporter
from tests.support.hanging_journal import HangingJournal
from tests.support.subscriber import InMemorySubscriber
from tests.support.wait import HANGS_S, eventually

KNOCK = Note("knock", {"place": "hatch", "raps": 2})


class Desk:
    """A publisher with its journal, and all that a subscriber gets of it."""

    def __init__(self, path: Path, origin_ms: float = 0.0) -> None:
        bus, clock = InMemoryBroker(), Clock(origin_ms)
        self.clock = clock
        self.path = path
        self.journal = HangingJournal(path)
        self.mqtt = InMemorySubscriber(bus)
        self.queue: SimpleQueue[Item] = SimpleQueue()
        origin = Origin("bar", "boot", Topics("backdoor/bar"))
        rules = parse({}, "", ()).rules
        self.reporter = Reporter(origin, rules, clock, 0, Night(""), Integrations(Devices()))
        link = alone(bus)
        self.publisher = Publisher(
            self.reporter,
            self.journal,
            clock,
            self.queue,
            WatchedTopics(),
            lambda **callbacks: link(client_id="test", **callbacks),
        )
        self.publisher.start(State())

    def heard(self) -> list[str]:
        return [message.topic.removeprefix("backdoor/bar/") for message in list(self.mqtt.messages)]

    def stop(self) -> None:
        self.journal.free.set()
        self.publisher.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "journal.db")
    yield desk
    desk.stop()


def test_event_and_state_wait_for_the_journal_and_the_state_comes_last(desk: Desk) -> None:
    desk.publisher.record([(1.0, KNOCK)], State(t_ms=1.0))
    desk.publisher.publish_in_turn([Message("backdoor/bar/state", b"{}", retain=True)])
    assert [name for name in desk.heard() if name != "status"] == []
    desk.journal.free.set()
    eventually(lambda: "event/knock" in desk.heard() and desk.mqtt.last("state") == {})
    assert [row.name for row in read_last(str(desk.path), 9)] == ["knock"]
    knock = desk.heard().index("event/knock")
    last_state = len(desk.heard()) - 1 - desk.heard()[::-1].index("state")
    assert knock < last_state


def test_answer_comes_after_its_event_and_before_the_changed_state(desk: Desk) -> None:
    desk.journal.free.set()
    eventually(lambda: "state" in desk.heard())
    before = len(desk.heard())
    effects: TimedEffects = [(2.0, Note("locked_down", {})), (2.0, Answer("a", ok=True))]
    desk.publisher.record(effects, State(t_ms=2.0, locked_down=True))
    eventually(lambda: "state" in desk.heard()[before:])
    assert desk.heard()[before:] == ["event/locked_down", "result", "door", "state"]


def test_call_after_comes_when_all_before_it_is_published(desk: Desk) -> None:
    called: list[list[str]] = []
    desk.publisher.record([(1.0, KNOCK)], State(t_ms=1.0))
    desk.publisher.call_after(lambda: called.append(desk.heard()))
    assert called == []
    desk.journal.free.set()
    eventually(lambda: called)
    assert "event/knock" in called[0]


def test_event_that_may_have_been_sent_before_says_how_late(tmp_path: Path) -> None:
    """By house time: that the wall clock was wrong when it happened changes nothing."""
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.write([Row(1, 1.0, 5.0, "knock", '{"boot":"before","place":"hatch"}')])
    journal.close()
    desk = Desk(path, origin_ms=7501.0)
    desk.journal.free.set()
    eventually(lambda: desk.mqtt.events("knock"))
    desk.stop()
    (knock,) = desk.mqtt.events("knock")
    assert 7.5 <= knock["late_s"] <= 7.5 + HANGS_S


def test_event_that_is_live_does_not_say_its_age_and_one_that_waited_does(desk: Desk) -> None:
    opened, waited = Note("hatch_opened", {}), Note("hatch_closed", {})
    desk.journal.free.set()
    t_ms = desk.clock.now_ms()
    desk.publisher.record([(t_ms + 3_600_000, opened)], State(t_ms=t_ms, hatch="Open"))
    desk.publisher.record([(t_ms - LATE_S * 1000, waited)], State(t_ms=t_ms, hatch="Closed"))
    eventually(lambda: desk.mqtt.events("hatch_closed"))
    assert "late_s" not in desk.mqtt.events("hatch_opened")[0]
    assert desk.mqtt.events("hatch_closed")[0]["late_s"] >= LATE_S


def test_state_is_due_once_for_many_changes(desk: Desk) -> None:
    desk.publisher.record([], State(door="Open"))
    due_s = desk.publisher.state_due_s
    desk.publisher.record([], State(door="Closed"))
    assert desk.publisher.state_due_s == due_s
    desk.publisher.publish_state(State(door="Closed"))
    assert desk.publisher.state_due_s == float("inf")


def test_commands_beyond_the_limit_are_dropped_at_the_link(desk: Desk) -> None:
    for number in range(COMMANDS_WAITING + 50):
        desk.mqtt.link.publish(Message("backdoor/bar/cmd/set_count", b"%d" % number))
    assert sum(isinstance(item, Message) for item in drained(desk.queue)) <= COMMANDS_WAITING


def test_failed_journal_is_reported_to_the_rules(desk: Desk) -> None:
    desk.journal.close()
    desk.journal.reopen = desk.journal.close  # type: ignore[method-assign]
    desk.journal.free.set()
    desk.publisher.record([(1.0, KNOCK)], State(t_ms=1.0))
    faults: list[Fault] = []

    def failed() -> bool:
        faults.extend(item for item in drained(desk.queue) if isinstance(item, Fault))
        return any(fault.name == "JournalFailed" and fault.active for fault in faults)

    eventually(failed)
    eventually(lambda: "event/knock" in desk.heard())  # published all the same


def test_journal_that_fails_for_two_causes_is_one_fault_until_both_are_gone(desk: Desk) -> None:
    fails = desk.publisher._journal_fails

    def told() -> list[bool]:
        faults = [item for item in drained(desk.queue) if isinstance(item, Fault)]
        return [fault.active for fault in faults if fault.name == "JournalFailed"]

    fails("error", failing=True)
    fails("silence", failing=True)
    fails("error", failing=False)
    assert told() == [True]
    fails("silence", failing=False)
    assert told() == [False]


def drained(queue: SimpleQueue[Item]) -> list[Item]:
    items = []
    while not queue.empty():
        items.append(queue.get())
    return items


def test_latest_values_carry_boot_and_time(desk: Desk) -> None:
    desk.publisher.publish_latest("self_test", {"running": True})
    latest = desk.mqtt.last("self_test")
    assert latest["running"] is True
    assert latest["boot"] == "boot"
    assert datetime.fromisoformat(latest["at"]).tzinfo is not None
