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
from web.presentation.seats import seats

pytestmark = pytest.mark.usefixtures("english")


def shown(
    link: str = "online",
    knock: dict[str, Any] | None = None,
    refusal: dict[str, Any] | None = None,
    alerts: dict[str, Any] | None = None,
    **parts: Any,
) -> RoomPart:
    state = calm()
    for key, value in parts.items():
        state[key] = {**state[key], **value} if isinstance(state.get(key), dict) else value
    mirror_view = MirrorView(
        state | {"link": link, "age_ms": 10},
        link,
        1,
        {},
        0,
        knock or {"n": 0, "place": ""},
        alerts or {},
        refusal or {},
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


DOUBT = {"certain": False}
LOCK_FAULT: dict[str, Any] = {"door": {"lock": "Fault"}}
LATE = session(-730, "overtime")


@pytest.mark.parametrize(
    ("parts", "severity", "words"),
    [
        ({}, "calm", "Four may come in."),
        ({"occupancy": inside(3, 3), "session": session(4320)}, "calm", "One may come in."),
        ({"occupancy": inside(2, 2)}, "calm", "Two may come in."),
        ({"occupancy": inside(1, 1)}, "calm", "Three may come in."),
        ({"occupancy": inside(0, 0, capacity=6, free_places=6)}, "calm", "6 may come in."),
        ({"grant": {"party": 2, "entered": 1}}, "calm", "One is coming in."),
        ({"grant": {"party": 3, "entered": 0}}, "calm", "3 are coming in."),
        ({"occupancy": inside(4, 4)}, "warn", "Full."),
        ({"door": {"mode": "Blocked"}}, "warn", "Closed to guests."),
        ({"session": session(840, "last_call")}, "warn",
         "Last call: 14 min left. Four may come in."),
        ({"occupancy": inside(3, 4)}, "warn", "3 or 4 inside? Maybe full."),
        ({"occupancy": inside(0, 2)}, "warn", "0 to 2 inside? Two may come in."),
        ({"occupancy": inside(1, 1, **DOUBT)}, "warn", "1 inside? Three may come in."),
        ({"door": {"mode": "LockedDown"}}, "warn", "Locked down: nobody comes in."),
        ({"session": LATE}, "alarm", "Time is up: 12 min over."),
        ({"door": {"alarm": "DoorOpenTooLong"}}, "alarm", "The door has been open too long."),
        ({"occupancy": inside(5, 5), "over_capacity": True}, "alarm", "One too many inside!"),
        ({"occupancy": inside(6, 6), "over_capacity": True}, "alarm", "2 too many inside!"),
        ({"door": {"alarm": "DoorForcedOpen"}}, "alarm", "The door was forced open."),
        (LOCK_FAULT, "alarm", "Nobody can be let in: the lock is not locked."),
        ({"door": {"mode": "LockedOpen"}}, "alarm", "Evacuation: everybody out!"),
    ],
)  # fmt: skip
def test_headline_of_each_state_of_the_room(
    parts: dict[str, Any], severity: str, words: str
) -> None:
    view = shown(**{"grant": {}, **parts})
    assert (view.states["worst"], view.texts["headline"]) == (severity, words)


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        (LATE, "Time is up"),
        ({"door": {"alarm": "DoorOpenTooLong"}}, "The door has been open"),
        ({"door": {"alarm": "DoorForcedOpen"}}, "The door was forced"),
        (LOCK_FAULT, "Nobody can be let in"),
        ({"door": {"lock": "Fault", "mode": "LockedOpen"}}, "Evacuation"),
    ],
)
def test_headline_says_the_worst_of_several_facts(worse: dict[str, Any], words: str) -> None:
    parts = worse if "door" in worse else {"session": worse}
    view = shown(**{"occupancy": inside(3, 4), "session": LATE, **parts})
    assert view.texts["headline"].startswith(words)
    assert view.texts["sentence"].startswith("3 or 4 inside? ")


def test_lock_fault_leaves_no_key_that_lets_in() -> None:
    view = shown(**LOCK_FAULT)
    assert [view.states[f"let{n}"] for n in range(1, 5)] == ["no"] * 4
    assert (view.states["lock"], view.texts["let"]) == ("fault", "The door has a fault")
    assert view.texts["door"] == "closed · not locked"


@pytest.mark.parametrize(
    ("occupancy", "words", "seats"),
    [
        (inside(3, 3), "3/4", "taken taken taken free"),
        (inside(2, 3), "2–3/4", "taken taken doubt free"),
        (inside(1, 1, certain=False), "1?/4", "doubt free free free"),
        (inside(0, 0, certain=False), "0?/4", "doubt free free free"),
    ],
)
def test_count_in_large_figures_and_as_it_is_drawn(
    occupancy: dict[str, Any], words: str, seats: str
) -> None:
    view = shown(occupancy=occupancy)
    assert view.texts["count"] == words
    assert " ".join(view.states[f"seat{n}"] for n in range(1, 5)) == seats
    assert "1 to 1" not in view.texts["headline"]


@pytest.mark.parametrize("capacity", range(1, 21))
def test_house_of_any_size_has_its_stools_and_keys(capacity: int) -> None:
    guests = inside(capacity, capacity, capacity=capacity, free_places=0)
    view = shown(occupancy=guests)
    assert view.texts["count"] == f"{capacity}/{capacity}"
    assert view.states[f"seat{capacity}"] == "taken"
    assert f"seat{capacity + 1}" not in view.states
    empty = shown(occupancy=inside(0, 0, capacity=capacity, free_places=capacity))
    assert [empty.states[f"let{n}"] for n in range(1, capacity + 1)] == ["yes"] * capacity
    places = [(seat.x, seat.y) for seat in seats(capacity)]
    assert len(set(places)) == capacity
    assert all(x - 22 * seats(capacity)[0].scale >= 88 for x, _ in places)
    assert all(x + 22 * seats(capacity)[0].scale <= 272 for x, _ in places)


@pytest.mark.parametrize(
    ("grant", "mode", "keys"),
    [
        ({"party": 2, "entered": 0}, "Accessed", "no stop no no"),
        ({"party": 2, "entered": 0, "cancelled": True}, "Accessed", "no no no no"),
        ({"party": 2, "entered": 1}, "LockedOpen", "no no no no"),
    ],
)
def test_key_of_the_open_release_stops_it(grant: dict[str, Any], mode: str, keys: str) -> None:
    view = shown(grant=grant, door={"mode": mode})
    assert " ".join(view.states[f"let{n}"] for n in range(1, 5)) == keys


def test_release_for_a_party_without_a_key_is_stopped_at_the_keypad() -> None:
    guests = inside(0, 0, capacity=12, free_places=12)
    view = shown(occupancy=guests, grant={"party": 9, "entered": 0}, door={"mode": "Accessed"})
    assert (view.states["letmore"], view.states["let1"]) == ("stop", "no")


def test_newest_command_is_offered_to_be_taken_back() -> None:
    newest = {"id": "c0ffee", "type": "room_empty", "until": "2026-11-22T20:00:10Z"}
    view = shown(undoable=[newest, {"id": "0ld", "type": "set_count", "until": ""}])
    assert (view.states["undo"], view.texts["undoes"]) == ("yes", "c0ffee")
    assert view.texts["undone"] == "Room empty"
    assert shown().states["undo"] == "no"


@pytest.mark.parametrize("undoable", [None, 7, [], [7], [{}], [{"id": 7}], {}])
def test_what_can_be_taken_back_but_makes_no_sense_is_not_offered(undoable: Any) -> None:
    state = calm() | {"undoable": undoable, "link": "online", "age_ms": 0}
    view = room_view(MirrorView(state, "online", 1, {}, 0, {"n": 0, "place": None}))
    assert (view.states["undo"], view.texts["undoes"], view.texts["undone"]) == ("no", "", "")


@pytest.mark.parametrize(("age_s", "step"), [(0, "0"), (19, "0"), (20, "1"), (60, "2"), (121, "3")])
def test_knock_grows_with_its_age(age_s: float, step: str) -> None:
    assert shown(hatch={"waiting": 1, "oldest_s": age_s}).states["patience"] == step
    assert shown(door_knock={"age_s": age_s}).states["patience"] == step


def test_refusal_of_the_button_stands_on_top_for_six_seconds() -> None:
    refusal = {"reason": "CapacityReached", "age_s": 2.0}
    view = shown(refusal=refusal, door={"mode": "LockedOpen"})
    assert view.notices[0].text == "The button let nobody in: the room is full."
    assert view.notices[0].rank < view.notices[1].rank
    assert shown(refusal=refusal | {"age_s": 6.1}).notices == ()


def test_sentence_without_a_snapshot_waits() -> None:
    mirror_view = MirrorView(
        {"link": "offline", "age_ms": None}, "offline", 0, {}, 0, {"n": 0, "place": None}
    )
    view = room_view(mirror_view)
    assert view.texts["headline"] == "Waiting for the door."
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
        ({"grant": {"party": 2, "entered": 1}}, "no stop no no", "Letting in 2, 1 came in"),
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
        (session(7200), "running", "2 h 0 min", "100.0 100"),
        (session(3600), "running", "1 h 0 min", "50.0 100"),
        (session(754, "last_call"), "last_call", "12 min", "10.5 100"),
        (session(-65, "overtime"), "overtime", "+1 min", "100.0 100"),
        ({"remaining_s": 3600, "phase": "running"}, "running", "1 h 0 min", "50.0 100"),
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
        ({"door": {"mode": "LockedOpen"}}, "alarm", "The inside handle opens"),
        ({"occupancy": inside(5, 5), "over_capacity": True, **LOCK_FAULT}, "alarm",
         "5 inside: the house takes 4."),
        ({"door": {"alarm": "DoorForcedOpen", "lock": "Fault"}}, "alarm",
         "The door was forced open."),
        ({"door": {"alarm": "DoorOpenTooLong", "lock": "Fault"}}, "alarm", "open too long"),
        ({"door": {"mode": "LockedDown"}}, "warn", "Everybody may leave."),
        ({"staff_pass": True}, "calm", "staff"),
        ({"faults": [{"name": "BeamStuck", "line": "beam_outer"}]}, "warn",
         "Fault: a light beam is blocked (outer beam)."),
        ({"faults": [{"name": "Odd", "line": "odd"}]}, "warn", "Fault: Odd (odd)."),
    ],
)  # fmt: skip
def test_notice_for_each_thing_to_read(parts: dict[str, Any], kind: str, words: str) -> None:
    notices = shown(**parts).notices
    assert [(notice.severity, words in notice.text) for notice in notices] == [(kind, True)]


@pytest.mark.parametrize(
    "parts",
    [
        {"door": {"alarm": "DoorForcedOpen"}},
        {"occupancy": inside(5, 5), "over_capacity": True},
        {"door": {"lock": "Fault"}, "faults": [{"name": "LockNotLocked", "line": "bolt_contact"}]},
    ],
)
def test_headline_is_not_said_twice(parts: dict[str, Any]) -> None:
    assert shown(**parts).notices == ()


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("hatch", {"hatch": {"waiting": 1, "oldest_s": 3.0}}),
        ("door", {"door_knock": {"age_s": 3.0}}),
        ("last_call", {"session": session(600, "last_call")}),
        ("time_up", {"session": LATE}),
        ("over", {"occupancy": inside(5, 5), "over_capacity": True}),
        ("door_alarm", {"door": {"alarm": "DoorOpenTooLong"}}),
        ("evacuation", {"door": {"mode": "LockedOpen"}}),
        ("fault", {"faults": [{"name": "BeamStuck", "line": "beam_outer"}]}),
    ],
)
def test_alarm_of_each_kind_stands_while_its_reason_does(kind: str, parts: dict[str, Any]) -> None:
    alerts = shown(alerts={kind: 3}, **parts).alerts
    assert alerts[kind] == [3, 1, 0]
    assert [other for other in alerts if other != kind and alerts[other][:2] != [0, 0]] == []
    assert shown(alerts={kind: 3}).alerts[kind] == [3, 0, 0]


def test_knock_at_the_door_is_quiet_during_a_session_only() -> None:
    knock = {"n": 1, "place": "door"}
    assert not shown(knock=knock).knock["quiet"]
    assert shown(knock=knock, session=session(50)).knock["quiet"]
    assert not shown(knock={"n": 2, "place": "hatch"}, session=session(50)).knock["quiet"]
