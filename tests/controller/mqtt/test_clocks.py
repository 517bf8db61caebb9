"""Whose clock differs: by commands from the future at once, by old ones when two agree."""

from __future__ import annotations

import json

import pytest

from controller.events import Fault
from controller.mqtt.clocks import SHOWN_MS, WITHIN_MS, ClockWatch
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import Message

WALL_S = 1_800_000_000.0


def reported(watch: ClockWatch, t_ms: float) -> list[tuple[str, bool, float | None]]:
    return [(fault.line, fault.active, fault.ahead_s) for fault in watch.faults(t_ms)]


def test_command_from_the_future_tells_at_once_and_one_in_time_ends_it() -> None:
    watch = ClockWatch(5.0)
    watch.hear("homeassistant", -35.04, 1000.0)
    assert watch.faults(1000.0) == [Fault(1000.0, "ClockDiffers", "homeassistant", True, 35.0)]
    assert watch.faults(1001.0) == []
    watch.hear("page", 0.2, 1500.0)
    assert watch.faults(1501.0) == []
    watch.hear("homeassistant", -4.9, 2000.0)
    assert reported(watch, 2000.0) == [("homeassistant", False, None)]


def test_one_old_command_may_have_been_late_and_two_that_agree_are_a_clock() -> None:
    watch = ClockWatch(5.0)
    watch.hear("mqtt", 35.0, 1000.0)
    assert watch.faults(1000.0) == []
    watch.hear("mqtt", 60.0, 2000.0)
    assert watch.faults(2000.0) == []
    watch.hear("mqtt", 61.0, 3000.0)
    assert reported(watch, 3000.0) == [("mqtt", True, -61.0)]


def test_old_commands_far_apart_are_no_clock() -> None:
    watch = ClockWatch(5.0)
    watch.hear("mqtt", 35.0, 0.0)
    watch.hear("mqtt", 35.0, WITHIN_MS + 1)
    assert watch.faults(WITHIN_MS + 1) == []


def test_fault_ends_by_itself_and_a_clock_that_moves_on_is_told_again() -> None:
    watch = ClockWatch(5.0)
    watch.hear("mqtt", -35.0, 0.0)
    assert reported(watch, 0.0) == [("mqtt", True, 35.0)]
    watch.hear("mqtt", -36.5, 10.0)
    assert watch.faults(10.0) == []
    watch.hear("mqtt", -90.0, 20.0)
    assert reported(watch, 20.0) == [("mqtt", True, 90.0)]
    assert watch.faults(20.0 + SHOWN_MS) == []
    assert reported(watch, 21.0 + SHOWN_MS) == [("mqtt", False, None)]


def ask(inbox: Inbox, ahead_s: float, *, retain: bool = False, clock_set: bool = True) -> None:
    body = {"id": f"c{ahead_s}", "issued_at": WALL_S + ahead_s, "cause": "homeassistant"}
    message = Message("backdoor/bar/cmd/room_empty", json.dumps(body).encode(), retain=retain)
    inbox.take("room_empty", message, Now(60_000.0, WALL_S, clock_set))


@pytest.mark.parametrize(
    ("ahead_s", "kept", "clock_set", "differs"),
    [
        (35.0, False, True, True),
        (4.0, False, True, False),
        (35.0, True, True, False),
        (35.0, False, False, False),
    ],
)
def test_inbox_hears_only_live_commands_and_only_by_a_clock_that_is_set(
    ahead_s: float, kept: bool, clock_set: bool, differs: bool
) -> None:
    inbox = Inbox(5.0, 0.0, "boot")
    ask(inbox, ahead_s, retain=kept, clock_set=clock_set)
    assert bool(inbox.clocks.faults(60_000.0)) is differs
