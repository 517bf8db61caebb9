"""The room in words and drawing states: every case is a row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.fake_controller import calm
from web.mirror import MirrorView
from web.presentation.page_view import RoomPart
from web.presentation.room import room_view

pytestmark = pytest.mark.usefixtures("english")


def shown(link: str = "online", knock: dict[str, Any] | None = None, **parts: Any) -> RoomPart:
    state = calm()
    for key, value in parts.items():
        state[key] = {**state[key], **value} if isinstance(state[key], dict) else value
    mirror_view = MirrorView(
        state | {"link": link, "age_ms": 10}, link, 1, {}, 0, knock or {"n": 0, "place": ""}
    )
    return room_view(mirror_view)


def inside(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {
        "count": most, "min": least, "max": most, "certain": least == most,
        "free_places": max(4 - most, 0), **more,
    }  # fmt: skip


def session(left_s: float, phase: str = "running") -> dict[str, Any]:
    start = datetime(2026, 11, 22, 20, tzinfo=UTC)
    return {
        "started_at": start.isoformat(),
        "ends_at": (start + timedelta(hours=2)).isoformat(),
        "remaining_s": left_s,
        "phase": phase,
    }


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "Nobody inside. Four may come in."),
        (
            {"occupancy": inside(3, 3), "session": session(4320)},
            "3 of 4 inside. One may come in. 1 h 12 left.",
        ),
        ({"occupancy": inside(2, 2)}, "2 of 4 inside. Two may come in."),
        ({"occupancy": inside(1, 1)}, "1 of 4 inside. Three may come in."),
        ({"occupancy": inside(4, 4)}, "4 of 4 inside. Full."),
        ({"occupancy": inside(3, 4)}, "3 or 4 inside? Maybe full."),
        ({"occupancy": inside(0, 2)}, "0 to 2 inside? Two may come in."),
        ({"occupancy": inside(5, 5), "over_capacity": True}, "5 of 4 inside. One too many!"),
        ({"occupancy": inside(6, 6), "over_capacity": True}, "6 of 4 inside. Too many!"),
        ({"occupancy": inside(0, 0, capacity=6, free_places=6)}, "Nobody inside. 6 may come in."),
        ({"session": session(59)}, "Nobody inside. Four may come in. 59 s left."),
        ({"session": session(840, "last_call")},
         "Nobody inside. Four may come in. Last call, 14 min left."),
        ({"session": session(-730, "overtime")}, "Nobody inside. Four may come in. 12 min over."),
        ({"door": {"mode": "LockedOpen"}}, "Nobody inside. Everybody out!"),
        ({"door": {"mode": "LockedDown"}}, "Nobody inside. Locked down."),
        ({"door": {"mode": "Blocked"}}, "Nobody inside. Closed to guests."),
        ({"grant": {"party": 2, "entered": 1, "remaining_s": 3.0}},
         "Nobody inside. One is coming in."),
        ({"grant": {"party": 3, "entered": 0, "remaining_s": 3.0}},
         "Nobody inside. 3 are coming in."),
    ],
)  # fmt: skip
def test_sentence_of_each_state_of_the_room(parts: dict[str, Any], words: str) -> None:
    state = calm()
    if "grant" in parts:
        state["grant"] = {}
    assert shown(**parts).texts["sentence"] == words


def test_sentence_without_a_snapshot_waits() -> None:
    mirror_view = MirrorView(
        {"link": "offline", "age_ms": None}, "offline", 0, {}, 0, {"n": 0, "place": None}
    )
    view = room_view(mirror_view)
    assert view.texts["sentence"] == "Waiting for the door."
    assert view.texts["link"] == "not heard yet"
    assert view.texts["title"] == "(?) Backdoor"


@pytest.mark.parametrize(
    ("parts", "seats"),
    [
        ({}, "free free free free"),
        ({"occupancy": inside(2, 2)}, "taken taken free free"),
        ({"occupancy": inside(1, 3)}, "taken doubt doubt free"),
        ({"occupancy": inside(1, 1), "grant": {"party": 2, "entered": 0}},
         "taken coming coming free"),
        ({"occupancy": inside(5, 5)}, "taken taken taken taken"),
    ],
)  # fmt: skip
def test_seats_are_drawn_by_count_doubt_and_grant(parts: dict[str, Any], seats: str) -> None:
    states = shown(**parts).states
    assert " ".join(states[f"seat{n}"] for n in range(1, 5)) == seats


@pytest.mark.parametrize(
    ("parts", "keys", "why"),
    [
        ({}, "yes yes yes yes", ""),
        ({"occupancy": inside(3, 3)}, "yes no no no", ""),
        ({"occupancy": inside(2, 3)}, "ask no no no", ""),
        ({"occupancy": inside(4, 4)}, "no no no no", "The room is full"),
        ({"occupancy": inside(3, 4)}, "no no no no", "Say first how many are inside"),
        ({"door": {"mode": "Blocked"}}, "no no no no", "The door is closed to guests"),
        ({"door": {"mode": "LockedDown"}}, "no no no no", "The door is locked down"),
        ({"grant": {"party": 2, "entered": 1}}, "no no no no", "Letting in 2, 1 came in"),
    ],
)
def test_let_buttons_allow_only_as_many_as_fit(parts: dict[str, Any], keys: str, why: str) -> None:
    view = shown(**parts)
    assert " ".join(view.states[f"let{n}"] for n in range(1, 5)) == keys
    assert view.texts["let"] == why


PARTY = {"kind": "party", "id": "8792", "expected": 4, "seen": 2, "answers": [2, 3, 4]}


def came_keys(states: Mapping[str, str]) -> list[int]:
    return [n for n in range(9) if states[f"came{n}"] == "yes"]


def test_question_how_many_came_in_stands_in_place_of_the_doubt() -> None:
    view = shown(occupancy=inside(2, 4), question=PARTY)
    assert view.texts["asked"] == "Let in 4, saw 2. How many came in?"
    assert (view.texts["question"], view.states["asked"]) == ("8792", "party")
    assert came_keys(view.states) == [2, 3, 4]
    assert view.states["settle"] == "calm"
    assert view.texts["let"] == "Say first how many came in"
    assert view.texts["announce"].endswith("Let in 4, saw 2. How many came in?")


def test_question_does_not_stand_in_the_way_of_who_fits() -> None:
    question = PARTY | {"expected": 2, "seen": 1, "answers": [1, 2]}
    view = shown(occupancy=inside(1, 2), question=question)
    assert [view.states[f"let{n}"] for n in range(1, 5)] == ["yes", "yes", "no", "no"]


def test_question_whether_everybody_left() -> None:
    view = shown(occupancy=inside(1, 1), question={"kind": "everybody_left"})
    assert (view.states["asked"], view.texts["asked"]) == (
        "left",
        "Has everybody left? If not, how many are inside?",
    )
    assert came_keys(view.states) == []


@pytest.mark.parametrize("question", [None, {}, {"kind": "why"}, 7, {"kind": "party"}])
def test_question_that_makes_no_sense_has_no_answers(question: Any) -> None:
    view = shown(occupancy=inside(1, 1), question=question)
    assert (came_keys(view.states), view.states["asked"]) == ([], "none")
    assert view.texts["question"] == ""


@pytest.mark.parametrize(
    ("hatch", "state", "words"),
    [
        ({}, "dark", "nobody"),
        ({"light": "ON", "waiting": 1, "oldest_s": 12.3}, "glow", "12 s"),
        ({"light": "ON", "waiting": 2, "oldest_s": 40}, "glow", "2 · 40 s"),
        ({"light": "ON", "waiting": 1, "oldest_s": 75, "blinking": True}, "blink", "1 min"),
        ({"open": True}, "open", "open now"),
    ],
)
def test_hatch_glows_and_shows_its_waiting_time(
    hatch: dict[str, Any], state: str, words: str
) -> None:
    view = shown(hatch=hatch)
    assert (view.states["hatch"], view.texts["hatch"]) == (state, words)


@pytest.mark.parametrize(
    ("running", "phase", "time", "ring"),
    [
        (None, "none", "–", "0.0 100"),
        (session(7200), "running", "2:00", "100.0 100"),
        (session(3600), "running", "1:00", "50.0 100"),
        (session(754, "last_call"), "last_call", "12:34", "10.5 100"),
        (session(-65, "overtime"), "overtime", "+1:05", "100.0 100"),
        ({"remaining_s": 3600, "phase": "running"}, "running", "1:00", "50.0 100"),
    ],
)
def test_ring_shows_the_part_of_the_session_that_is_left(
    running: Any, phase: str, time: str, ring: str
) -> None:
    state = calm() | {"session": running, "link": "online", "age_ms": 0}
    view = room_view(MirrorView(state, "online", 1, {}, 0, {"n": 0, "place": None}))
    assert (view.states["phase"], view.texts["time"], view.ring) == (phase, time, ring)


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        ({"door": {"mode": "LockedOpen"}}, "alarm", "Evacuation:"),
        ({"occupancy": inside(5, 5), "over_capacity": True}, "alarm",
         "5 inside: the house takes 4."),
        ({"door": {"alarm": "DoorForcedOpen"}}, "alarm", "The door was forced open."),
        ({"door": {"alarm": "DoorOpenTooLong"}}, "alarm", "open too long"),
        ({"door": {"lock": "Fault"}}, "alarm", "The lock"),
        ({"door": {"mode": "LockedDown"}}, "warn", "everybody may leave"),
        ({"staff_pass": True}, "calm", "staff"),
        ({"faults": [{"name": "BeamStuck", "line": "beam_outer"}]}, "warn",
         "Fault: a light beam is blocked (outer beam)."),
        ({"faults": [{"name": "Odd", "line": "odd"}]}, "warn", "Fault: Odd (odd)."),
    ],
)  # fmt: skip
def test_notice_for_each_thing_to_read(parts: dict[str, Any], kind: str, words: str) -> None:
    notices = shown(**parts).notices
    assert [(notice.severity, words in notice.text) for notice in notices] == [(kind, True)]


def test_knock_at_the_door_is_quiet_during_a_session_only() -> None:
    knock = {"n": 1, "place": "door"}
    assert not shown(knock=knock).knock["quiet"]
    assert shown(knock=knock, session=session(50)).knock["quiet"]
    assert not shown(knock={"n": 2, "place": "hatch"}, session=session(50)).knock["quiet"]
