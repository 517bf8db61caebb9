"""The house rules, by their numbers in the contract; no clock, no mock, no sleep."""

from __future__ import annotations

import pytest
from msgspec import structs

from controller.events import (
    COMMANDS,
    SWITCHES,
    Answer,
    Command,
    Contact,
    Fault,
    KnockEnded,
    Note,
    Passage,
    Reason,
    Set,
    Started,
    StartSelfTest,
    Tick,
    WatchWiring,
)
from controller.rules import commands, handlers
from controller.rules.plausible import problem
from controller.rules.state import State, door_mode, lock_state
from tests.support.rules_driver import Room, names, note, tones


def mode(room: Room) -> str:
    return door_mode(room.state, room.settings)


# --- 1 four, 2 full --------------------------------------------------------------------------


@pytest.mark.parametrize("inside", range(5))
@pytest.mark.parametrize("party", range(1, 6))
def test_release_is_given_only_while_max_and_party_fit(inside: int, party: int) -> None:
    room = Room()
    room.inside(inside)
    reason = room.command("access_door", party)
    assert room.strike == (inside + party <= 4)
    assert reason == (None if inside + party <= 4 else Reason.CAPACITY_REACHED)


def test_fourth_guest_blocks_the_door_and_lights_the_lamp_in_one_step() -> None:
    room = Room()
    room.inside(3)
    effects = room.passes(1)
    assert Set("full_lamp", True) in effects
    assert mode(room) == "Blocked"
    assert Set("full_lamp", False) in room.passes(-1)
    assert mode(room) == "Locked"


def test_guest_at_the_inner_beam_counts_for_the_strike_at_once() -> None:
    room = Room(lines=frozenset({"beam_outer", "beam_inner"}))
    room.inside(3)
    room.command("access_door", 1)
    assert room.strike
    assert Set("strike", False) in room.doorway(coming_in=1)
    assert mode(room) == "Accessed"  # provisional: the lamp waits for the verdict


def test_strike_off_stays_off_when_the_guest_turns_back() -> None:
    room = Room(lines=frozenset({"beam_outer", "beam_inner"}))
    room.inside(3)
    room.command("access_door", 1)
    room.doorway(coming_in=1)
    room.passes(0)
    assert names(room.doorway(coming_in=0, busy=False)) == ["access_not_taken"]
    assert not room.strike
    assert room.command("access_door", 1) is None  # and a new release may follow at once


def test_strike_off_stays_off_while_the_guest_stands_in_the_doorway() -> None:
    room = Room(lines=frozenset({"beam_outer", "beam_inner"}))
    room.inside(3)
    room.command("access_door", 1)
    room.doorway(coming_in=1)
    assert room.doorway(coming_in=0, busy=True) == []
    assert not room.strike


def test_release_for_more_than_the_free_places_goes_off() -> None:
    room = Room()
    room.command("access_door", 2)
    room.command("set_count", 2)
    assert room.strike
    room.command("set_count", 3)  # one place is free, but two were promised
    assert not room.strike


def test_release_while_a_guest_is_on_the_threshold_counts_him_in() -> None:
    room = Room()
    room.inside(3)
    room.doorway(coming_in=1)
    assert room.command("access_door", 1) == Reason.CAPACITY_REACHED


def test_uncertain_passage_at_three_makes_the_house_full_by_its_upper_end() -> None:
    room = Room()
    room.inside(3)
    room.passes(0, 1)
    assert mode(room) == "Blocked"
    assert room.command("access_door", 1) == Reason.COUNT_UNCERTAIN
    room.command("set_count", 3)
    assert room.command("access_door", 1) is None


# --- 3 release -------------------------------------------------------------------------------


def test_strike_goes_off_when_the_door_opens() -> None:
    room = Room()
    room.door(False)
    room.command("access_door", 2)
    assert Set("strike", False) in room.door(True)
    room.passes(1)
    room.passes(1)
    effects = room.door(False)
    assert note(effects, "access_taken") == {"expected": 2, "entered": 2}
    assert room.state.grant is None


def test_strike_goes_off_when_its_time_is_over() -> None:
    room = Room(release_ms=5000.0)
    room.door(False)
    room.command("access_door", 1)
    assert room.wait(4.999) == []
    effects = room.wait(0.001)
    assert Set("strike", False) in effects
    assert note(effects, "access_not_taken") == {"expected": 1}


def test_strike_is_never_on_beyond_its_limit() -> None:
    room = Room(release_ms=30_000.0, strike_max_on_ms=2000.0)
    room.command("access_door", 1)
    room.wait(2)
    assert not room.strike


def test_release_waits_for_whoever_still_stands_in_the_doorway() -> None:
    room = Room()
    room.door(False)
    room.command("access_door", 1)
    room.door(True)
    room.doorway(coming_in=1)
    assert "access_taken" not in names(room.door(False))
    room.passes(1)
    effects = room.doorway(coming_in=0, busy=False)
    assert note(effects, "access_taken") == {"expected": 1, "entered": 1}


def test_without_a_contact_the_passages_reconcile_a_release() -> None:
    room = Room(lines=frozenset({"beam_outer", "beam_inner"}))
    room.command("access_door", 2)
    room.passes(1)
    assert room.strike
    effects = room.passes(1)
    assert not room.strike
    assert note(effects, "access_taken") == {"expected": 2, "entered": 2}


def test_second_release_is_refused_while_one_is_open() -> None:
    room = Room()
    assert room.command("access_door", 1) is None
    assert room.command("access_door", 1) == Reason.RELEASE_OPEN


def test_no_release_through_an_open_door() -> None:
    room = Room()
    room.door(False)
    room.door(True)
    assert room.command("access_door", 1) == Reason.DOOR_OPEN


@pytest.mark.parametrize("party", [0, -1])
def test_party_of_nobody_is_malformed(party: int) -> None:
    assert Room().command("access_door", party) == Reason.MALFORMED


def test_release_button_is_for_one_and_its_refusal_is_noted() -> None:
    room = Room(capacity=1)
    room.contact("release_button", False)
    assert note(room.contact("release_button", True), "access_granted") == {
        "party": 1,
        "cause": "button",
    }
    room.contact("release_button", False)
    room.passes(1)
    room.door(False)
    room.wait(10)
    denied = note(room.contact("release_button", True), "access_denied")
    assert denied["reason"] == "CapacityReached"


def test_release_button_down_at_start_releases_nothing() -> None:
    room = Room()
    room.contact("release_button", True)
    assert not room.strike


# --- 4 walk-in -------------------------------------------------------------------------------


def test_walk_in_is_unlocked_while_places_are_free() -> None:
    room = Room(entry="walk_in")
    assert mode(room) == "Unlocked"
    assert room.strike
    room.inside(3)
    assert Set("strike", False) in room.doorway(coming_in=1)
    room.passes(1)
    room.doorway(coming_in=0, busy=False)
    assert not room.strike
    assert Set("strike", True) in room.passes(-1)


def test_release_in_walk_in_takes_no_place_away() -> None:
    room = Room(entry="walk_in")
    room.door(False)
    room.command("access_door", 1)
    assert room.strike
    room.door(True)
    room.passes(1)
    room.door(False)
    assert room.strike


def test_passage_moves_the_guest_at_the_inner_beam_into_the_count_in_one_step() -> None:
    room = Room(entry="walk_in")
    room.inside(2)
    room.doorway(coming_in=1)
    effects = room.passes(1) + room.doorway(coming_in=0, busy=False)
    assert not [effect for effect in effects if isinstance(effect, Set)]


def test_release_that_was_blocked_is_over_and_the_next_is_given() -> None:
    room = Room()
    room.door(False)
    room.command("access_door", 1)
    room.command("block_door")
    room.command("unblock_door")
    assert room.command("access_door", 1) is None


def test_release_taken_back_in_manual_counting_widens_the_count() -> None:
    room = Room(lines=frozenset({"hatch_knock"}))
    room.command("access_door", 2)
    effects = room.step(Command(0, "lock_down"))
    assert note(effects, "count_adjusted")["cause"] == "release"
    assert (room.state.occupancy.min, room.state.occupancy.max) == (0, 2)


# --- 5 out is free, 6 honest count -----------------------------------------------------------


def test_exit_at_zero_is_a_count_underflow() -> None:
    room = Room()
    effects = room.passes(-1)
    assert note(effects, "exit")["certain"] is False
    assert note(effects, "fault")["name"] == "CountUnderflow"
    assert (room.state.occupancy.min, room.state.occupancy.max) == (0, 1)
    effects = room.step(Command(0, "set_count", 0))
    assert "fault_cleared" in names(effects)
    assert room.state.occupancy.certain


def test_set_count_is_certain_and_notes_its_cause() -> None:
    room = Room()
    room.passes(0, 2)
    assert not room.state.occupancy.certain
    effects = room.step(Command(0, "set_count", 2, cause="page"))
    assert note(effects, "count_adjusted")["cause"] == "page"
    assert room.state.occupancy.certain


def test_report_wrong_notes_the_count_before_and_the_true_one() -> None:
    room = Room()
    room.inside(2)
    effects = room.step(Command(0, "report_wrong", 3, cause="page"))
    assert note(effects, "reported_wrong") == {"was": 2, "count": 3, "cause": "page"}
    assert room.state.occupancy.count == 3
    assert room.command("report_wrong", 1000) == Reason.MALFORMED


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (Command(0, "access_door", 0, id="x"), "party must be 1 or more"),
        (Command(0, "set_count", 100, id="x"), "count must be a whole number from 0 to 99"),
        (Command(0, "ring_chime", id="x"), "tone must be warning or time_up or"),
        (Command(0, "undo", id="x", refusal=Reason.MALFORMED, detail="undoes must"), "undoes must"),
        (Command(0, "set_count", 3, id="x"), ""),
        (Command(0, "open_sesame", id="x"), ""),
    ],
)
def test_answer_says_what_of_a_command_is_malformed(command: Command, detail: str) -> None:
    (answer,) = [effect for effect in Room().step(command) if isinstance(effect, Answer)]
    assert answer.detail.startswith(detail) if detail else answer.detail == ""


@pytest.mark.parametrize("number", [None, -1, 100])
def test_set_count_out_of_range_changes_nothing(number: int | None) -> None:
    room = Room()
    room.inside(2)
    assert room.command("set_count", number) == Reason.MALFORMED
    assert room.state.occupancy.count == 2


def test_aborted_passages_change_nothing() -> None:
    room = Room()
    assert names(room.step(Passage(0, 0, 0, why="turned_back"))) == ["passage_aborted"]
    assert room.state.occupancy.count == 0


# --- 7 two hours, 8 verified empty -----------------------------------------------------------


def test_two_hours_from_the_first_guest() -> None:
    room = Room()
    room.wait(100)
    assert "session_started" in names(room.passes(1))
    room.wait(3000)
    room.passes(1)
    assert tones(room.wait(6300 - 3000)) == ["warning"]
    assert tones(room.wait(600)) == ["warning"]
    assert names(room.wait(300)) == ["session_time_up"]
    assert tones(room.wait(900)) == ["overtime"] * 3
    notes = [e for e in room.all if isinstance(e, Note) and e.name == "session_warning"]
    assert [e.data["remaining_s"] for e in notes] == [900, 300]


def test_short_session_skips_warnings_that_lie_before_it() -> None:
    room = Room(session_ms=600_000.0)
    room.passes(1)
    assert names(room.wait(600)) == ["session_warning", "session_time_up"]


def test_after_a_long_absence_only_the_last_mark_rings() -> None:
    room = Room()
    room.passes(1)
    room.now_ms += 3 * 3_600_000
    effects = room.step(Started(room.now_ms, doubt=False))
    assert tones(effects) == ["overtime"]
    assert names(effects).count("session_time_up") == 1


@pytest.mark.parametrize("overtime_ms", [60_000.0, 300_000.0])
def test_clock_years_ahead_notes_the_last_missed_marks_only(overtime_ms: float) -> None:
    room = Room(overtime_ms=overtime_ms)
    room.passes(1)
    years_ms = 20 * 365 * 86_400_000.0
    room.now_ms += room.settings.session_ms + years_ms
    effects = room.step(Started(room.now_ms, doubt=False))
    over_s = [note.data["over_s"] for note in effects
              if isinstance(note, Note) and note.name == "session_overtime"]  # fmt: skip
    assert over_s == [(years_ms - late * overtime_ms) / 1000 for late in range(99, -1, -1)]
    assert names(effects).count("session_warning") == 2
    assert names(effects).count("session_time_up") == 1
    assert tones(effects) == ["overtime"]
    assert problem(room.state) == ""
    assert tones(room.wait(overtime_ms / 1000)) == ["overtime"]  # and it goes on as ever


def test_absence_of_a_night_notes_every_mark() -> None:
    room = Room()
    room.passes(1)
    room.now_ms += room.settings.session_ms + 8 * 3_600_000
    effects = room.step(Started(room.now_ms, doubt=False))
    assert names(effects).count("session_overtime") == 8 * 12


def test_session_ends_when_the_room_is_verified_empty() -> None:
    room = Room(empty_after_ms=20_000.0)
    room.door(False)
    room.passes(1)
    room.passes(-1)
    room.door(True)
    assert names(room.wait(25)) == ["door_pre_alarm"]  # an open door: somebody may come back
    room.door(False)
    room.doorway(coming_in=0, busy=True)
    room.doorway(coming_in=0, busy=False)
    assert names(room.wait(19.9)) == []
    assert names(room.wait(0.1)) == ["session_ended"]
    assert "session_started" in names(room.passes(1))


def test_uncertain_count_keeps_the_session_until_it_is_set() -> None:
    room = Room()
    room.passes(1)
    room.passes(-1, 0)
    assert "session_ended" not in names(room.wait(3600))
    effects = room.step(Command(room.now_ms, "room_empty", cause="page"))
    assert "session_ended" in names(effects)


def test_room_empty_in_an_empty_room_ends_nothing() -> None:
    room = Room()
    assert names(room.step(Command(0.0, "room_empty"))) == ["count_adjusted"]


def test_no_command_extends_a_session() -> None:
    room = Room()
    room.passes(1)
    assert room.command("extend_session", 60) == Reason.UNKNOWN_COMMAND


# --- 9 hatch, 10 front door ------------------------------------------------------------------


def test_knock_lights_the_hatch_until_it_opens() -> None:
    room = Room()
    assert Set("hatch_light", True) in room.knock()
    room.contact("hatch_contact", False)
    effects = room.contact("hatch_contact", True)
    assert Set("hatch_light", False) in effects
    assert names(effects) == ["hatch_opened"]
    assert names(room.contact("hatch_contact", False)) == ["hatch_closed"]


def test_knock_on_an_open_hatch_needs_no_light() -> None:
    room = Room()
    room.contact("hatch_contact", True)
    room.knock()
    assert not room.outputs["hatch_light"]


def test_repeats_merge_and_the_oldest_makes_the_light_blink() -> None:
    room = Room(hatch_patience_ms=60_000.0, knock_merge_ms=30_000.0)
    room.knock()
    room.wait(20)
    room.knock()
    assert len(room.state.hatch_waiting) == 1
    room.wait(31)
    room.knock()
    assert len(room.state.hatch_waiting) == 2
    assert Set("hatch_light", True, blink=True) in room.wait(9)
    assert room.command("answer_hatch") is None
    assert not room.outputs["hatch_light"]


def test_timer_that_begins_leaves_the_others_as_they_are() -> None:
    room = Room(entry="walk_in")
    room.knock("hatch")
    room.wait(50)
    room.command("staff_pass")
    assert Set("hatch_light", True, blink=True) in room.wait(10)
    assert names(room.wait(5)) == ["staff_pass_expired"]


def test_open_door_leaves_the_hatch_waiting() -> None:
    room = Room()
    room.knock("hatch")
    room.door(False)
    room.door(True)
    assert Set("hatch_light", True, blink=True) in room.wait(60)


def test_front_door_never_rings_the_room() -> None:
    room = Room()
    room.inside(2)
    effects = room.knock("door")
    room.wait(1)
    room.knock("door", raps=2)
    effects += room.step(KnockEnded(room.now_ms, "door", 3, regular="Carlo"))
    assert tones(effects) == []
    assert room.state.door_knock is not None
    assert (room.state.door_knock.t_ms, room.state.door_knock.raps) == (0.0, 3)
    assert note(effects, "knock_ended") == {"place": "door", "raps": 3, "regular": "Carlo"}
    assert room.command("answer_door") is None
    assert room.state.door_knock is None
    assert names(room.step(KnockEnded(room.now_ms, "door", 2))) == ["knock_ended"]


# --- 12 staff pass, 13 alarms ----------------------------------------------------------------


def test_staff_pass_covers_exactly_one_passage() -> None:
    room = Room()
    room.inside(3)
    room.command("staff_pass")
    room.doorway(coming_in=1)
    assert room.state.coming_in == 0
    assert names(room.passes(1)) == ["staff_passed"]
    assert room.state.occupancy.count == 3
    room.passes(1)
    assert room.state.occupancy.count == 4


def test_staff_pass_expires_and_a_second_one_starts_anew() -> None:
    room = Room(staff_pass_ms=15_000.0)
    room.command("staff_pass")
    room.wait(10)
    room.command("staff_pass")
    assert room.wait(14) == []
    assert names(room.wait(1)) == ["staff_pass_expired"]


def test_door_held_open_warns_then_alarms_then_is_over() -> None:
    room = Room(open_ms=30_000.0, pre_alarm_ms=10_000.0)
    room.door(False)
    room.door(True)
    assert names(room.wait(20)) == ["door_pre_alarm"]
    assert note(room.wait(10), "door_alarm") == {"alarm": "DoorOpenTooLong"}
    assert note(room.door(False), "door_alarm") == {"alarm": "Normal"}


def test_opening_from_inside_is_no_alarm_without_an_exit_button() -> None:
    room = Room(lines=frozenset({"door_contact", "beam_outer", "beam_inner"}))
    room.door(False)
    assert names(room.door(True)) == ["door_opened"]


def test_with_an_exit_button_a_door_opened_without_it_was_forced() -> None:
    room = Room(exit_grace_ms=5000.0)
    room.door(False)
    assert note(room.door(True), "door_alarm") == {"alarm": "DoorForcedOpen"}
    room.door(False)
    room.contact("exit_button", False)
    room.contact("exit_button", True)
    room.wait(4)
    assert names(room.door(True)) == ["door_opened"]


def test_bolt_that_does_not_lock_is_a_fault_that_refuses_entry() -> None:
    room = Room(bolt_grace_ms=2000.0)
    room.door(False)
    room.contact("bolt_contact", True)
    assert lock_state(room.state, room.settings) == "Unlocked"
    assert note(room.wait(2), "fault")["name"] == "LockNotLocked"
    assert lock_state(room.state, room.settings) == "Fault"
    assert room.command("access_door", 1) == Reason.DOOR_FAULT
    assert "fault_cleared" in names(room.contact("bolt_contact", False))
    assert lock_state(room.state, room.settings) == "Locked"


# --- 14 over capacity, 15 doubted sensors -----------------------------------------------------


def test_fifth_guest_is_over_capacity_until_one_leaves() -> None:
    room = Room()
    room.inside(4)
    effects = room.passes(1)
    assert (names(effects)[-1], tones(effects)) == ("over_capacity", ["over_capacity"])
    assert "over_capacity" not in names(room.passes(1))
    room.passes(-1)
    assert "over_capacity_ended" in names(room.passes(-1))


def test_one_stuck_beam_leaves_the_count_certain_and_both_do_not() -> None:
    """Nobody passes the other beam unseen; every break of it is asked about by itself."""
    room = Room()
    room.inside(2)
    assert names(room.step(Fault(0, "BeamStuck", "beam_outer", active=True))) == ["fault"]
    assert room.state.occupancy.certain
    effects = room.step(Fault(0, "BeamStuck", "beam_inner", active=True))
    assert names(effects) == ["fault", "count_adjusted"]
    assert not room.state.occupancy.certain


def test_stuck_beam_that_fluttered_before_makes_the_count_uncertain() -> None:
    room = Room()
    room.step(Fault(0, "BeamChatter", "beam_outer", active=True))
    room.command("set_count", 0)
    assert room.state.occupancy.certain
    room.step(Fault(0, "BeamStuck", "beam_outer", active=True))
    assert not room.state.occupancy.certain


def test_dead_beam_makes_the_count_uncertain_and_again_after_each_opening() -> None:
    room = Room()
    room.inside(2)
    room.door(False)
    effects = room.step(Fault(0, "BeamDead", "beam_outer", active=True))
    assert names(effects) == ["fault", "count_adjusted"]
    assert not room.state.occupancy.certain
    room.command("set_count", 2)
    assert room.state.occupancy.certain
    room.door(True)
    assert note(room.door(False), "count_adjusted")["cause"] == "blind"
    assert room.state.occupancy.max == 4
    assert names(room.step(Fault(0, "BeamDead", "beam_outer", active=True))) == []
    assert names(room.step(Fault(0, "BeamDead", "beam_outer", active=False))) == ["fault_cleared"]


def test_fault_elsewhere_leaves_the_count_alone() -> None:
    room = Room()
    room.step(Fault(0, "BrokerDown", "mqtt", active=True))
    assert room.state.occupancy.certain


# --- manual counting --------------------------------------------------------------------------

SMALL = frozenset({"hatch_knock", "door_contact"})


def test_release_in_manual_counting_counts_its_party() -> None:
    room = Room(lines=SMALL)
    room.door(False)
    room.command("access_door", 3)
    room.door(True)
    effects = room.door(False)
    assert note(effects, "access_taken") == {"expected": 3, "entered": 3}
    assert note(effects, "count_adjusted")["cause"] == "release"
    assert room.state.occupancy.count == 3
    assert "session_started" in names(effects)


def test_door_opened_from_inside_in_manual_counting_widens_the_count() -> None:
    room = Room(lines=SMALL)
    room.door(False)
    room.door(True)
    assert names(room.door(False)) == ["door_closed"]  # nobody inside: nothing to ask
    room.command("set_count", 3)
    room.door(True)
    assert note(room.door(False), "count_adjusted")["cause"] == "opened_from_inside"
    occupancy = room.state.occupancy
    assert (occupancy.min, occupancy.max, occupancy.certain) == (0, 3, False)


def test_release_in_manual_counting_without_a_contact_counts_its_party() -> None:
    room = Room(lines=frozenset({"hatch_knock"}))
    room.command("access_door", 2)
    assert note(room.wait(5), "access_taken") == {"expected": 2, "entered": 2}


def test_count_set_during_a_release_in_manual_counting_may_include_the_party() -> None:
    room = Room(lines=frozenset({"hatch_knock"}))
    room.command("access_door", 2)
    room.command("set_count", 1)
    assert "access_taken" in names(room.wait(5))
    occupancy = room.state.occupancy
    assert (occupancy.count, occupancy.min, occupancy.max, occupancy.certain) == (1, 1, 3, False)


def test_in_manual_counting_passages_are_only_noted() -> None:
    room = Room(counting="manual")
    assert names(room.passes(1)) == ["passage_seen"]
    assert room.state.occupancy.count == 0


# --- 16 refusals, 18 evacuation and lock-down --------------------------------------------------


def test_command_refused_by_the_inbox_is_answered_with_its_reason() -> None:
    room = Room()
    effects = room.step(Command(0, "access_door", 1, id="a", refusal=Reason.STALE_COMMAND))
    assert note(effects, "access_denied")["reason"] == "StaleCommand"
    assert not room.strike
    effects = room.step(Command(0, "answer_hatch", refusal=Reason.REPLAYED))
    assert names(effects) == ["command_refused"]
    assert "age_s" not in note(effects, "command_refused")
    early = Command(0, "answer_hatch", refusal=Reason.FROM_THE_FUTURE, age_s=-7.2)
    assert note(room.step(early), "command_refused")["age_s"] == -7.2


def test_blocked_door_lets_nobody_in_until_unblocked() -> None:
    room = Room()
    room.command("block_door")
    assert mode(room) == "Blocked"
    assert room.command("access_door", 1) == Reason.BLOCKED
    room.command("unblock_door")
    assert room.command("access_door", 1) is None


def test_lock_down_refuses_all_entry_and_takes_an_open_release_back() -> None:
    room = Room()
    room.command("access_door", 1)
    assert room.strike
    room.command("lock_down")
    assert not room.strike
    assert mode(room) == "LockedDown"
    assert room.command("access_door", 1) == Reason.LOCKED_DOWN
    assert room.command("block_door") == Reason.LOCKED_DOWN
    room.command("lock_down_release")
    assert mode(room) == "Locked"
    assert not room.strike
    assert room.command("access_door", 1) is None


def test_evacuation_overrides_all_and_only_its_release_ends_it() -> None:
    room = Room()
    room.command("lock_down")
    room.contact("evacuate", False)
    effects = room.contact("evacuate", True)
    assert (names(effects), tones(effects)) == (["locked_open"], ["evacuate"])
    assert mode(room) == "LockedOpen"
    assert room.outputs["hatch_light"]
    assert not room.strike  # entry only: the inside handle opens without us
    for command in ("access_door", "lock_down", "block_door"):
        assert room.command(command, 1) == Reason.LOCKED_OPEN
    assert room.command("lock_open") is None
    assert room.command("lock_open_release") == Reason.LOCKED_OPEN
    room.contact("evacuate", False)
    assert mode(room) == "LockedOpen"
    assert room.command("lock_open_release") is None
    assert mode(room) == "LockedDown"


# --- 19 restart --------------------------------------------------------------------------------


def test_restart_keeps_the_evening_and_drops_the_release() -> None:
    room = Room()
    room.inside(2)
    room.knock()
    room.command("lock_open")
    session = room.state.session
    room.step(Started(room.now_ms, doubt=False))
    assert room.state.session == session
    assert room.state.occupancy.certain
    assert room.state.hatch_waiting
    assert (room.strike, mode(room)) == (False, "LockedOpen")


def test_release_does_not_survive_a_restart() -> None:
    room = Room()
    room.command("access_door", 1)
    effects = room.step(Started(room.now_ms, doubt=False))
    assert note(effects, "access_not_taken")["reason"] == "restart"
    assert not room.strike


def test_restart_that_may_have_missed_the_door_widens_the_count() -> None:
    room = Room()
    room.inside(1)
    effects = room.step(Started(room.now_ms, doubt=True))
    assert note(effects, "count_adjusted")["cause"] == "restart"
    assert (room.state.occupancy.count, room.state.occupancy.max) == (1, 4)
    assert room.command("access_door", 1) == Reason.COUNT_UNCERTAIN


def test_first_reading_of_a_contact_is_not_an_event() -> None:
    room = Room()
    assert names(room.step(Contact(0, "door_contact", True))) == []
    assert names(room.step(Contact(0, "hatch_contact", True))) == []
    assert names(room.step(Contact(0, "door_contact", True))) == []
    assert room.state.door == "Open"


def test_alarm_ends_with_the_door_that_fell_shut_during_a_restart() -> None:
    """There used to be a bug: the first reading was no event, so the alarm stood for ever."""
    room = Room()
    room.door(False)
    room.door(True)
    assert room.state.alarm == "DoorForcedOpen"
    room.step(Started(room.now_ms, doubt=True))
    assert room.state.alarm == "DoorForcedOpen"
    assert note(room.door(False), "door_alarm")["alarm"] == "Normal"
    assert room.state.alarm == "Normal"


def test_release_is_over_with_the_door_whose_opening_nobody_saw() -> None:
    """There used to be a bug: with a guest in the doorway the strike stayed on behind him."""
    room = Room()
    room.command("access_door", 2)
    room.door(True)  # the first reading: it may have stood open all the time
    room.doorway(0)
    room.door(False)
    assert not room.strike
    assert "access_not_taken" in names(room.doorway(0, busy=False))


def test_by_hand_the_door_whose_opening_nobody_saw_may_have_let_them_in() -> None:
    room = Room(counting="manual")
    room.command("access_door", 2)
    room.door(True)
    assert not room.strike
    room.door(False)
    assert room.state.occupancy.count == 2


@pytest.mark.parametrize("capacity", range(1, 21))
def test_house_of_any_capacity(capacity: int) -> None:
    """All at once, one too many, one more than fit by somebody's word, and all but one."""
    room = Room(capacity=capacity)
    room.door(False)
    assert room.command("access_door", capacity + 1) == Reason.CAPACITY_REACHED
    assert room.command("access_door", capacity) is None
    room.door(True)
    room.inside(capacity)
    room.door(False)
    assert room.state.occupancy.count == capacity
    assert room.outputs["full_lamp"]
    assert room.command("access_door", 1) == Reason.CAPACITY_REACHED
    assert not room.state.over_capacity
    assert room.command("set_count", capacity + 1) is None
    assert room.state.over_capacity
    assert room.command("undo") is None
    assert not room.state.over_capacity
    assert room.command("set_count", capacity - 1) is None
    assert room.command("access_door", 1) is None
    assert room.strike


@pytest.mark.parametrize("capacity", [7, 20])
def test_large_party_of_which_one_was_seen_asks_with_every_answer(capacity: int) -> None:
    room = Room(capacity=capacity)
    room.door(False)
    assert room.command("access_door", capacity) is None
    room.door(True)
    room.passes(1)
    room.door(False)
    assert room.state.question is not None
    assert room.state.question.answers == tuple(range(1, capacity + 1))
    assert room.command("answer_question", capacity) is None
    assert room.state.occupancy.count == capacity


def test_warning_as_long_as_the_session_is_not_given_at_its_beginning() -> None:
    room = Room(session_ms=900_000.0, warnings_ms=(900_000.0, 300_000.0))
    assert names(room.passes(1)) == ["entry", "session_started"]
    assert "session_warning" in names(room.wait(600))


def test_timer_of_another_version_ends_without_effect() -> None:
    """There used to be a bug: a journal with a timer that these rules don't know stopped them."""
    room = Room()
    room.state = structs.replace(room.state, timers={"closing_time": 0.0, "last_orders": 9e9})
    assert room.step(Tick(1.0)) == []
    assert room.state.timers == {}


def test_old_event_is_taken_as_happening_now() -> None:
    room = Room()
    room.now_ms = 1000.0
    room.passes(1)
    room.step(Passage(5.0, 1, 1))
    assert room.state.t_ms == 1000.0


def test_fresh_state_is_empty_and_certain() -> None:
    assert State().occupancy.certain


def test_every_switch_and_every_command_has_its_handler() -> None:
    assert set(handlers.CONTACTS) == set(SWITCHES)
    assert set(commands.HANDLERS) == set(COMMANDS)


# --- the self-test -------------------------------------------------------------------------------


@pytest.mark.parametrize("guests", [0, 2])
def test_watch_wiring_is_answered_and_changes_nothing_at_any_time(guests: int) -> None:
    room = Room()
    room.command("set_count", guests)
    before = room.state
    assert room.step(Command(0.0, "watch_wiring", id="1")) == [WatchWiring(), Answer("1", ok=True)]
    assert room.state == before


def test_self_test_starts_in_an_empty_room_only_and_changes_nothing() -> None:
    room = Room()
    before = room.state
    effects = room.step(Command(0.0, "self_test", cause="page"))
    assert note(effects, "self_test_started") == {"cause": "page"}
    assert [effect for effect in effects if isinstance(effect, StartSelfTest)] == [StartSelfTest()]
    assert structs.replace(room.state, t_ms=before.t_ms) == before
    room.passes(0, 1)  # perhaps somebody
    assert room.command("self_test") == Reason.NOT_PERMITTED_AT_THIS_TIME
    room.passes(1)
    room.command("set_count", 1)
    room.passes(-1)  # a session goes on until the room is verified empty
    assert room.state.session is not None
    assert room.state.occupancy.max == 0
    assert room.command("self_test") == Reason.NOT_PERMITTED_AT_THIS_TIME
    room.command("room_empty")
    assert room.command("self_test") is None


def test_phone_that_asks_is_in_each_note_of_what_it_asked_for() -> None:
    room = Room()
    for name, number in (
        ("set_count", 3),
        ("access_door", 1),
        ("access_door", 1),
        ("lock_down", None),
    ):
        asked = Command(room.now_ms, name, number, id=name, cause="page", by="Anna")
        notes = [effect for effect in room.step(asked) if isinstance(effect, Note)]
        caused = [note.data for note in notes if "cause" in note.data]
        assert caused
        assert all((data["cause"], data["by"]) == ("page", "Anna") for data in caused)
        assert all("by" not in note.data for note in notes if "cause" not in note.data)
    asked = Command(room.now_ms, "lock_down_release", id="x", cause="mqtt")
    assert all("by" not in e.data for e in room.step(asked) if isinstance(e, Note))
