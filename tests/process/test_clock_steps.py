"""Clocks that are wrong, step, or repeat an hour: a session's two hours stay two hours."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from controller import clock as module
from controller.clock import Clock
from tests.support.demo import Demo, house
from tests.support.wait import eventually
from tests.support.wall_clock import WallClock

#: The instants at which Europe/Rome turns its clocks, and an hour and a half before each.
DST_NIGHTS = ("2026-10-25T01:30:00+02:00", "2027-03-28T01:30:00+01:00")


def length_s(demo: Demo) -> float:
    session = demo.state["session"]
    ends = datetime.fromisoformat(session["ends_at"])
    return (ends - datetime.fromisoformat(session["started_at"])).total_seconds()


@pytest.mark.parametrize("night", DST_NIGHTS)
def test_session_lasts_two_hours_across_a_clock_change(
    night: str, wall: WallClock, tmp_path: Path
) -> None:
    wall.set(night)
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=1)
        eventually(lambda: demo.state["session"])
        assert length_s(demo) == 7200
        assert demo.state["session"]["remaining_s"] == pytest.approx(7200, abs=5)


@pytest.mark.parametrize("step", [timedelta(hours=5), timedelta(hours=-5), timedelta(days=-400)])
def test_clock_step_changes_only_the_times_shown(
    step: timedelta, wall: WallClock, tmp_path: Path
) -> None:
    wall.set("2026-12-24T20:00:00+01:00")
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=1)
        eventually(lambda: demo.state["session"])
        before = datetime.fromisoformat(demo.state["session"]["ends_at"])
        remaining_s = demo.state["session"]["remaining_s"]
        wall.ahead_s += step.total_seconds()
        answer = demo.mqtt.ask("access_door")
        believable = step > timedelta(days=-300)
        assert answer["reason"] == (None if believable else "ClockNotSet")
        demo.simulator.act("open_hatch")  # any change tells the state again
        eventually(lambda: demo.state["hatch"]["open"])
        after = datetime.fromisoformat(demo.state["session"]["ends_at"])
        assert abs(after - before - step) < timedelta(seconds=3)
        assert remaining_s - demo.state["session"]["remaining_s"] < 5
        assert length_s(demo) == pytest.approx(7200, abs=0.01)


def test_boot_in_1970_keeps_the_session_and_refuses_commands_it_cannot_date(
    wall: WallClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "controller.service.loop.PASSAGE_MS", 60_000.0
    )  # away a moment, however slow
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=2)
        eventually(lambda: demo.state["session"])
    wall.set(40.0)
    with house(tmp_path) as demo:
        assert demo.state["session"]["remaining_s"] == pytest.approx(7200, abs=10)
        assert demo.mqtt.ask("staff_pass", issued_at=time.time())["reason"] == "ClockNotSet"
        assert demo.mqtt.ask("staff_pass")["reason"] == "ClockNotSet"
        assert demo.mqtt.ask("staff_pass", boot=demo.state["boot"])["ok"]  # the page beside us
        demo.simulator.act("press_release")  # and the button, in any case
        eventually(lambda: demo.mqtt.events("access_granted"))
        assert demo.mqtt.events("access_granted")[-1]["cause"] == "button"


def test_time_in_suspend_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.0)
    real = module.boottime_ms
    before = clock.now_ms()
    monkeypatch.setattr(module, "boottime_ms", lambda: real() + 3_600_000)
    assert clock.now_ms() - before >= 3_600_000
