"""Effects to the letter: journals, pages and other programs read these names and numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from controller.events import (
    TONES,
    Answer,
    Chime,
    Command,
    Effect,
    Fault,
    Knock,
    KnockEnded,
    Note,
    Passage,
    Reason,
    Set,
    Started,
    Tick,
)
from controller.rules.occupancy import Occupancy, moved
from controller.rules.state import MINUTE_MS, State, lock_state, strike_on, wanted
from tests.support.rules_driver import Room

ZONES = {"outer_ms": 350.3, "inner_ms": 351.8}
MANUAL = {"lines": frozenset({"door_contact", "release_button"}), "counting": "manual"}


def count(number: int, low: int | None = None, high: int | None = None) -> dict[str, object]:
    low = number if low is None else low
    high = number if high is None else high
    return {"count": number, "min": low, "max": high, "certain": low == high}


def went(room: Room, least: int, most: int, why: str = "") -> list[Effect]:
    return room.step(Passage(room.now_ms, least, most, why, 350.26, 351.84))


def notes(effects: list[Effect]) -> list[tuple[str, dict[str, object]]]:
    return [(effect.name, dict(effect.data)) for effect in effects if isinstance(effect, Note)]


def armed(room: Room) -> Room:
    room.command("staff_pass")
    return room


def manual(room: Room) -> Room:
    return Room(**MANUAL)


def by(name: str) -> Callable[[Room], list[Effect]]:
    return lambda room: room.step(Command(room.now_ms, name, cause="page"))


def evacuated(room: Room) -> Room:
    room.command("lock_open")
    return room


DOORS = ("door_contact", "bolt_contact")
BY_PAGE = {"cause": "page"}
Prepare = Callable[[Room], Room]


def fresh(room: Room) -> Room:
    return room


@pytest.mark.parametrize(
    ("prepare", "happens", "expected"),
    [
        (fresh, lambda r: went(r, -1, 1, "two"), ("passage_uncertain", {"min": -1, "max": 1,
            "why": "two", "occupancy": count(0, 0, 1), **ZONES})),
        (fresh, lambda r: went(r, 0, 0, "arm"), ("passage_aborted", {"why": "arm", **ZONES})),
        (armed, lambda r: went(r, 0, 1), ("staff_passed", {"min": 0, "max": 1})),
        (manual, lambda r: went(r, 0, 1), ("passage_seen", {"min": 0, "max": 1, **ZONES})),
        (fresh, lambda r: r.knock("door", 3), ("knock", {"place": "door", "raps": 3})),
        (fresh, lambda r: r.step(KnockEnded(0.0, "door", 4)),
            ("knock_ended", {"place": "door", "raps": 4})),
        (fresh, lambda r: r.step(KnockEnded(0.0, "door", 7, "shave")),
            ("knock_ended", {"place": "door", "raps": 7, "regular": "shave"})),
        (fresh, by("block_door"), ("door_blocked", BY_PAGE)),
        (fresh, by("unblock_door"), ("door_unblocked", BY_PAGE)),
        (fresh, by("lock_down"), ("locked_down", BY_PAGE)),
        (fresh, by("lock_down_release"), ("lock_down_released", BY_PAGE)),
        (fresh, by("lock_open"), ("locked_open", BY_PAGE)),
        (evacuated, by("lock_open_release"), ("lock_open_released", BY_PAGE)),
        (fresh, by("staff_pass"), ("staff_pass", BY_PAGE)),
        (fresh, by("answer_hatch"), ("hatch_answered", BY_PAGE)),
        (fresh, by("answer_door"), ("door_answered", BY_PAGE)),
        (fresh, by("access_door"), ("access_granted", {"party": 1, "cause": "page"})),
        (evacuated, by("access_door"), ("access_denied",
            {"command": "access_door", "reason": "LockedOpen", "cause": "page"})),
        (evacuated, by("lock_down"), ("command_refused",
            {"command": "lock_down", "reason": "LockedOpen", "cause": "page"})),
        (fresh, lambda r: r.contact("evacuate", True), ("locked_open", {"cause": "evacuate"})),
        (fresh, lambda r: r.step(Started(0.0, doubt=False)), ("started", {"doubt": False})),
    ],
)  # fmt: skip
def test_note_of_each_event(
    prepare: Prepare,
    happens: Callable[[Room], list[Effect]],
    expected: tuple[str, dict[str, object]],
) -> None:
    room = prepare(Room())
    assert notes(happens(room)) == [expected]


def test_entry_note_has_count_and_zones() -> None:
    room = Room()
    assert notes(went(room, 1, 1)) == [("entry", {**count(1), **ZONES}), ("session_started", {})]
    assert notes(went(room, -1, -1)) == [("exit", {**count(0), **ZONES})]


def test_count_adjusted_note_has_before_after_and_cause() -> None:
    room = Room()
    room.inside(1)
    effects = notes(room.step(Command(0.0, "set_count", 3, cause="page")))
    assert effects == [("count_adjusted", {"before": count(1), "after": count(3), "cause": "page"})]


def test_fault_note_has_name_line_and_time() -> None:
    room = Room()
    room.now_ms = 500.0
    data = {"name": "BeamDead", "line": "beam_inner"}
    doubted = {**count(0), "certain": False}
    assert notes(room.step(Fault(500.0, "BeamDead", "beam_inner", active=True))) == [
        ("fault", data),
        ("count_adjusted", {"before": count(0), "after": doubted, "cause": "BeamDead"}),
    ]
    assert room.state.faults[0].since_ms == 500.0
    cleared = room.step(Fault(500.0, "BeamDead", "beam_inner", active=False))
    assert notes(cleared) == [("fault_cleared", data)]


def test_session_notes_have_the_remaining_seconds() -> None:
    room = Room()
    room.now_ms = 60_000.0
    room.inside(1)
    rung = [
        (note.name, note.data, tone.tone)
        for minute in (105, 10, 5, 5)
        for note, tone in [room.wait(minute * 60)[-2:]]
        if isinstance(note, Note) and isinstance(tone, Chime)
    ]
    assert rung == [
        ("session_warning", {"remaining_s": 900}, "warning"),
        ("session_warning", {"remaining_s": 300}, "warning"),
        ("session_time_up", {}, "time_up"),
        ("session_overtime", {"over_s": 300}, "overtime"),
    ]
    effects = notes(room.step(Command(room.now_ms, "room_empty")))
    assert effects[-1] == ("session_ended", {"lasted_s": 125 * 60})


def test_session_as_long_as_a_warning_skips_that_warning() -> None:
    room = Room(session_ms=15 * MINUTE_MS)
    room.inside(1)
    assert room.wait(599) == []
    assert room.wait(1)[-1] == Chime("warning")
    assert room.state.session is not None
    assert room.state.session.next_mark == 2


def test_door_held_open_has_the_alarm_states_of_onvif() -> None:
    room = Room(lines=frozenset({"door_contact"}))
    room.door(False)
    room.door(True)
    assert notes(room.wait(20)) == [("door_pre_alarm", {"alarm": "DoorOpenTooLong"})]
    assert notes(room.wait(10)) == [("door_alarm", {"alarm": "DoorOpenTooLong"})]
    assert room.state.alarm == "DoorOpenTooLong"
    assert ("door_alarm", {"alarm": "Normal"}) in notes(room.door(False))


def test_over_capacity_note_has_the_count() -> None:
    room = Room(capacity=1)
    room.inside(1)
    assert ("over_capacity", {"count": 2}) in notes(room.passes(1))
    assert ("over_capacity_ended", {"count": 1}) in notes(room.passes(-1))


def test_count_set_during_a_release_widens_the_count_and_notes_why() -> None:
    room = Room(**MANUAL)
    room.door(False)
    room.command("access_door", 2)
    room.door(True)
    room.command("set_count", 1)
    wide = {"before": count(1), "after": count(1, 1, 3), "cause": "release"}
    assert notes(room.door(False)) == [
        ("door_closed", {}),
        ("count_adjusted", wide),
        ("access_taken", {"expected": 2, "entered": 2}),
    ]


# --- restart, to the last field -----------------------------------------------------------------


def test_restart_resets_what_depends_on_the_process_and_nothing_else() -> None:
    room = Room()
    room.step(Fault(0.0, "BeamStuck", "beam_inner", active=True))
    room.passes(-1)  # nobody was there: the count's own fault stays
    for line in (*DOORS, "hatch_contact", "exit_button", "release_button"):
        room.contact(line, False)
    assert room.state.buttons_up == {"exit_button", "release_button"}
    room.contact("evacuate", True)
    room.contact("evacuate", False)
    room.command("lock_open_release")
    room.command("set_count", 1)
    room.step(Fault(0.0, "CountUnderflow", "occupancy", active=True))
    room.contact("exit_button", True)
    room.doorway(1)
    room.command("staff_pass")
    room.command("access_door", 2)
    room.knock("hatch")
    room.command("block_door")
    room.contact("evacuate", True)
    before = room.state
    effects = room.step(Started(room.now_ms, doubt=False))
    assert notes(effects) == [
        ("started", {"doubt": False}),
        ("access_not_taken", {"expected": 2, "reason": "restart"}),
    ]
    kept = {"occupancy", "session", "hatch_waiting", "hatch_knock_ms", "blocked", "locked_open"}
    for name in State.__struct_fields__:
        if name in kept:
            assert getattr(room.state, name) == getattr(before, name)
        elif name not in ("faults", "timers", "t_ms", "undos", "no_undos"):
            assert getattr(room.state, name) == getattr(State(), name), name
    assert [fault.name for fault in room.state.faults] == ["CountUnderflow"]
    assert set(room.state.timers) == {"hatch_patience"}
    assert [undo.command for undo in room.state.undos] == ["staff_pass", "set_count"]


# --- edges of the rules -------------------------------------------------------------------------


def test_opening_at_the_end_of_the_exit_grace_is_not_forced() -> None:
    room = Room()
    room.now_ms = 60_000.0
    for line in ("door_contact", "exit_button"):
        room.contact(line, False)
    room.contact("exit_button", True)
    room.now_ms += room.settings.exit_grace_ms
    assert notes(room.door(True)) == [("door_opened", {})]
    assert room.state.alarm == "Normal"


def test_walk_in_has_no_forced_door_and_no_door_held_open() -> None:
    room = Room(entry="walk_in")
    room.door(False)
    assert notes(room.door(True)) == [("door_opened", {})]
    assert room.state.timers == {}


def test_evacuation_has_no_forced_door() -> None:
    room = Room()
    room.door(False)
    room.command("lock_open")
    assert notes(room.door(True)) == [("door_opened", {})]


def test_door_opened_from_inside_with_one_guest_widens_the_count() -> None:
    room = Room(**MANUAL)
    room.command("set_count", 1)
    room.door(False)
    room.door(True)
    room.door(False)
    assert room.state.occupancy == Occupancy(1, 0, 1, doubted=True)


def test_two_coming_in_on_a_staff_pass_are_one_guest() -> None:
    room = Room()
    room.command("staff_pass")
    room.doorway(3)
    assert room.state.coming_in == 2


def test_button_held_down_is_one_press() -> None:
    room = Room()
    room.contact("release_button", False)
    assert notes(room.contact("release_button", True)) == [
        ("access_granted", {"party": 1, "cause": "button"})
    ]
    room.wait(6)
    assert notes(room.contact("release_button", True)) == []
    room.contact("release_button", False)
    assert notes(room.contact("release_button", True))[0][0] == "access_granted"


def test_staff_pass_used_and_expired_have_their_notes() -> None:
    room = armed(Room())
    room.wait(15)
    assert room.state.staff_pass is False
    went(armed(room), 1, 1)
    assert room.state.staff_pass is False


def test_release_over_is_not_live() -> None:
    room = Room()
    room.command("access_door", 1)
    room.doorway(0)
    room.wait(5)
    assert room.state.grant is not None
    assert (room.state.grant.live, room.state.grant.over) == (False, True)
    assert not strike_on(room.state, room.settings)


def test_knock_at_the_end_of_the_merge_time_is_merged() -> None:
    room = Room()
    room.now_ms = 60_000.0
    room.knock()
    room.now_ms += room.settings.knock_merge_ms
    room.knock()
    assert room.state.hatch_waiting == (60_000.0,)
    room.now_ms += room.settings.knock_merge_ms + 1
    room.knock()
    assert len(room.state.hatch_waiting) == 2


def test_door_knock_has_the_final_number_of_raps() -> None:
    room = Room()
    room.knock("door", 2)
    assert room.state.door_knock is not None
    assert room.state.door_knock.raps == 2


def test_last_exit_is_no_underflow_and_an_uncertain_one_enters_nobody() -> None:
    room = Room()
    room.inside(1)
    room.passes(-1)
    assert room.state.faults == ()
    room.command("access_door", 1)
    room.passes(0, 1)
    assert room.state.grant is not None
    assert room.state.grant.entered == 0


def test_set_count_to_the_most_people() -> None:
    assert Room().command("set_count", 99) is None


@pytest.mark.parametrize(("coming", "reason"), [(0, Reason.COUNT_UNCERTAIN),
                                                (1, Reason.CAPACITY_REACHED)])  # fmt: skip
def test_refusal_of_a_room_that_may_be_full_is_count_uncertain(coming: int, reason: Reason) -> None:
    room = Room()
    room.inside(2)
    room.passes(0, 2)
    room.doorway(coming)
    assert room.command("access_door", 2) == reason


def test_refusal_of_a_full_room_is_never_count_uncertain() -> None:
    room = Room()
    room.inside(3)
    room.doorway(1)
    assert room.command("access_door", 1) == Reason.CAPACITY_REACHED


def test_count_moves_by_clear_passages_and_by_the_sure_part_of_others() -> None:
    wide = Occupancy(3, 0, 6)
    assert moved(wide, 1, 1).count == 4
    assert moved(wide, -1, -1).count == 2
    assert moved(wide, 1, 2).count == 4
    assert moved(wide, 2, 3).count == 5
    assert moved(wide, -2, -1).count == 2
    assert moved(wide, 0, 1).count == 3
    assert moved(wide, -1, 0).count == 3


def test_outputs_have_the_names_of_their_lines() -> None:
    room = Room(capacity=1)
    assert Set("full_lamp", True) in room.passes(1)


def test_lock_fault_that_ends_is_cleared_once() -> None:
    room = Room()
    room.door(False)
    room.contact("bolt_contact", True)
    room.wait(2)
    assert lock_state(room.state, room.settings) == "Fault"
    room.contact("bolt_contact", False)
    assert lock_state(room.state, room.settings) == "Locked"
    assert room.state.faults == ()


def test_hatch_closed_keeps_its_queue() -> None:
    room = Room()
    room.contact("hatch_contact", True)
    room.contact("hatch_contact", False)
    assert (room.state.hatch, room.state.hatch_waiting) == ("Closed", ())
    room.step(Knock(0.0, "hatch", 2))
    room.command("answer_hatch")
    assert room.state.hatch_waiting == ()
    assert structs.replace(room.state, hatch_waiting=(1.0,)) != room.state


def test_restart_in_doubt_widens_the_count_to_empty_and_full() -> None:
    room = Room()
    room.inside(2)
    room.step(Started(room.now_ms, doubt=True))
    assert room.state.occupancy == Occupancy(2, 0, 4, doubted=True)


def test_answer_has_the_id_of_its_command() -> None:
    effects = Room().step(Command(0.0, "staff_pass", id="one"))
    assert Answer("one", True, None) in effects
    assert not [e for e in Room().step(Command(0.0, "staff_pass")) if isinstance(e, Answer)]


@pytest.mark.parametrize(("number", "tone"), list(enumerate(TONES)))
def test_ring_chime_with_each_tone(number: int, tone: str) -> None:
    effects = Room().step(Command(0.0, "ring_chime", number))
    assert [effect for effect in effects if isinstance(effect, Chime)] == [Chime(tone)]


@pytest.mark.parametrize("number", [None, -1, len(TONES)])
def test_ring_chime_without_a_known_tone_is_malformed(number: int | None) -> None:
    assert Room().command("ring_chime", number) == Reason.MALFORMED


def test_timer_rings_after_one_of_another_version() -> None:
    room = armed(Room())
    room.state = structs.replace(room.state, timers={"closing_time": 0.0, **room.state.timers})
    assert notes(room.step(Tick(15_000.0))) == [("staff_pass_expired", {})]


def test_each_output_is_set_by_its_own_name() -> None:
    assert list(wanted(State(), Room().settings)) == ["strike", "full_lamp", "hatch_light"]
