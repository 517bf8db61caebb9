"""Tonight's timeline and the night's beginning."""

from __future__ import annotations

from datetime import datetime

import pytest

from controller.service.night import LAST, Night, noon_before


def test_night_collects_points_sessions_knocks_and_totals() -> None:
    night = Night("noon")
    one = {"count": 1, "min": 1, "max": 1}
    night.add("t1", "session_started", {})
    night.add("t1", "entry", one)
    night.add("t2", "knock", {"place": "hatch"})
    night.add("t3", "passage_uncertain", {"min": 0, "max": 1, "occupancy": one | {"max": 2}})
    night.add("t4", "count_adjusted", {"after": one, "before": one})
    night.add("t5", "access_denied", {"reason": "CapacityReached"})
    night.add("t6", "exit", one | {"count": 0, "min": 0, "max": 0})
    night.add("t7", "session_ended", {})
    night.add("t8", "output", {"line": "strike", "level": 1})
    values = night.as_dict()
    assert values["points"] == [["t1", 1, 1, 1], ["t3", 1, 1, 2], ["t4", 1, 1, 1], ["t6", 0, 0, 0]]
    assert values["sessions"] == [{"started_at": "t1", "ended_at": "t7"}]
    assert values["knocks"] == [["t2", "hatch"]]
    assert values["totals"] == {
        "guests": 1, "sessions": 1, "knocks": 1, "denied": 1, "uncertain": 1,
    }  # fmt: skip
    assert [event["name"] for event in values["last"]][-1] == "session_ended"
    assert values["since"] == "noon"


def test_night_has_one_session_where_its_end_was_taken_back() -> None:
    night = Night("noon")
    night.add("t1", "session_started", {})
    night.add("t2", "session_ended", {"lasted_s": 60})
    night.add("t3", "session_started", {})
    night.add("t4", "session_ended", {"lasted_s": 3, "reason": "undo"})
    night.add("t4", "session_resumed", {"remaining_s": 7000})
    values = night.as_dict()
    assert values["sessions"] == [{"started_at": "t1", "ended_at": None}]
    assert values["totals"]["sessions"] == 1


def test_night_ignores_the_end_of_a_session_it_never_saw_begin() -> None:
    night = Night("noon")
    night.add("t", "session_ended", {})
    night.add("t", "session_resumed", {})
    assert night.as_dict()["sessions"] == []


def test_night_keeps_only_the_last_events() -> None:
    night = Night("noon")
    for number in range(LAST + 5):
        night.add(str(number), "hatch_opened", {})
    assert next(event["at"] for event in night.as_dict()["last"]) == "5"


@pytest.mark.usefixtures("in_milan")
@pytest.mark.parametrize(
    ("now", "noon"),
    [
        ("2026-11-22T11:59:00+01:00", "2026-11-21T12:00:00+01:00"),
        ("2026-11-22T12:00:00+01:00", "2026-11-22T12:00:00+01:00"),
        ("2026-11-23T03:00:00+01:00", "2026-11-22T12:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-24T12:00:00+02:00"),  # the night with 25 hours
        ("2027-03-28T03:30:00+02:00", "2027-03-27T12:00:00+01:00"),  # the night with 23
    ],
)
def test_noon_before_is_the_local_noon(now: str, noon: str) -> None:
    begins = noon_before(datetime.fromisoformat(now).timestamp())
    assert begins == datetime.fromisoformat(noon).timestamp()
