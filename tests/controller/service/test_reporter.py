"""What a step leaves for the journal, and what messages follow from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.clock import Clock, Moment
from controller.codec import iso
from controller.config.loader import parse
from controller.engine import TimedEffects
from controller.events import Answer, Chime, Note, Set
from controller.integrations.devices import Devices
from controller.mqtt.message import Message, Topics
from controller.rules.state import State
from controller.service.night import Night, noon_before
from controller.service.reporter import FRESH_MS, Integrations, Origin, Reporter

WALL_S = 1_795_000_000.0
LAMP_AND_BELL = (
    "hatch_light.preset=tasmota",
    "hatch_light.device=lamp",
    "chime.preset=tasmota",
    "chime.device=bell",
)


class Hands(Clock):
    """A clock that the test sets."""

    t_ms = 0.0

    def now_ms(self) -> float:
        return self.t_ms

    def wall_s(self) -> float:
        return WALL_S + self.t_ms / 1000

    def moment(self) -> Moment:
        return Moment(self.t_ms, "boot", self.t_ms, self.wall_s())


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def reporter(clock: Hands) -> Reporter:
    config = parse({}, "", LAMP_AND_BELL)
    origin = Origin("bar", "run", Topics("backdoor/bar"))
    discovery = [Message("homeassistant/device/bar/config", b"{}")]
    integrations = Integrations(Devices.of(config), discovery)
    night = Night(iso(noon_before(WALL_S)))
    return Reporter(origin, config.rules, clock, 7, night, integrations)


def names(messages: list[Message]) -> list[str]:
    return [message.topic.removeprefix("backdoor/bar/") for message in messages]


def seq_of(messages: list[Message]) -> Any:
    return json.loads(messages[-1].payload)["seq"]


def record(reporter: Reporter, state: State, *effects: Any) -> Any:
    timed: TimedEffects = [(state.t_ms, effect) for effect in effects]
    return reporter.record(timed, state, Moment(state.t_ms, "boot", 0.0, WALL_S), 3)


def test_record_numbers_its_events_and_names_the_run(reporter: Reporter) -> None:
    made = record(reporter, State(), Note("hatch_opened"), Note("hatch_closed"))
    assert [(row.seq, row.name) for row in made.rows] == [(8, "hatch_opened"), (9, "hatch_closed")]
    assert json.loads(made.rows[0].to_json())["boot"] == "run"
    assert made.delivered == 3


def test_record_is_none_when_nothing_reported_changed(reporter: Reporter) -> None:
    assert record(reporter, State()) is not None
    assert record(reporter, State(t_ms=5.0, busy=True)) is None


@pytest.mark.parametrize(
    ("state", "effects", "urgent"),
    [
        (State(locked_down=True), [], True),
        (State(locked_open=True), [], True),
        (State(), [Answer("a", ok=True)], True),
        (State(), [Answer("a", ok=False)], False),
        (State(door="Open"), [Note("door_opened")], False),
    ],
)
def test_record_is_urgent_for_durable_fields_and_granted_answers(
    reporter: Reporter, state: State, effects: list[Any], urgent: bool
) -> None:
    record(reporter, State(door="Closed"))
    made = record(reporter, state, *effects)
    assert made is not None
    assert made.urgent is urgent


def test_changed_messages_are_only_the_parts_that_differ(reporter: Reporter) -> None:
    record(reporter, State())
    assert names(reporter.changed_messages(State())) == [
        "hatch/light", "occupancy", "door", "session", "state",
    ]  # fmt: skip
    assert reporter.changed_messages(State()) == []
    record(reporter, State(door="Open"))
    assert names(reporter.changed_messages(State(door="Open"))) == ["door", "state"]


def test_state_names_the_release_that_runs(reporter: Reporter) -> None:
    def whole() -> dict[str, Any]:
        messages = reporter.whole_state(State(t_ms=0.0))
        found: dict[str, Any] = json.loads(messages[-1].payload)
        return found

    assert "release" not in whole()
    reporter.origin = replace(reporter.origin, release="1.2.3")
    assert whole()["release"] == "1.2.3"


def test_one_shot_messages_are_answers_chimes_and_devices(reporter: Reporter) -> None:
    effects: TimedEffects = [
        (0.0, Answer("a", ok=True)),
        (0.0, Chime("time_up")),
        (0.0, Set("hatch_light", level=True)),
        (0.0, Set("strike", level=True)),
    ]
    messages = reporter.one_shot_messages(effects)
    assert names(messages) == ["result", "chime", "cmnd/bell/Buzzer", "cmnd/lamp/POWER"]
    assert not any(message.retain for message in messages)


def test_announcement_is_discovery_then_every_state_then_the_bulb(reporter: Reporter) -> None:
    announced = names(reporter.announcement(State()))
    assert announced[0] == "homeassistant/device/bar/config"
    assert announced[-2:] == ["state", "cmnd/lamp/POWER"]


def test_heartbeat_names_the_seq_of_the_newest_snapshot(reporter: Reporter) -> None:
    record(reporter, State(), Note("hatch_opened"))
    assert seq_of([reporter.heartbeat(1.0)]) == 7
    assert seq_of(reporter.changed_messages(State())) == 8
    assert seq_of([reporter.heartbeat(1.0)]) == 8


def test_periodic_messages_repeat_an_old_snapshot_and_a_changed_night(
    reporter: Reporter, clock: Hands
) -> None:
    reporter.announcement(State())
    assert names(reporter.periodic_messages(State())) == ["night"]
    assert reporter.periodic_messages(State()) == []
    clock.t_ms = FRESH_MS
    assert names(reporter.periodic_messages(State()))[-1] == "state"
    record(reporter, State(), Note("hatch_opened"))
    assert names(reporter.periodic_messages(State())) == ["night"]


def test_new_night_is_true_at_the_first_look_and_after_noon(
    reporter: Reporter, clock: Hands
) -> None:
    assert reporter.new_night()
    clock.t_ms = 1000.0
    assert not reporter.new_night()
    clock.t_ms = 25 * 3_600_000.0
    assert reporter.new_night()
