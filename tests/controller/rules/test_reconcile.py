"""Two witnesses: what was let in against what was seen; a test for each row of both tables.

They stand in `controller.rules.reconcile`.
"""

from __future__ import annotations

import pytest

from controller.events import Command, Effect, Fault, Passage, Reason, Started
from controller.rules.occupancy import Occupancy
from controller.rules.question import Question
from controller.rules.state import Session
from tests.support.rules_driver import Room, names, note

BEAMS = frozenset({"beam_outer", "beam_inner"})

Span = tuple[int, int]


def shut_room(inside: int = 0, **numbers: object) -> Room:
    """A room with its door shut, and so many guests inside."""
    room = Room(**numbers)
    room.door(False)
    room.inside(inside)
    return room


def release(room: Room, party: int, *spans: Span) -> list[Effect]:
    """Let a party in; the beams see these passages. Returns the effects of its end."""
    assert room.command("access_door", party) is None
    room.door(True)
    for least, most in spans:
        room.passes(least, most)
    return room.door(False)


def inside(room: Room) -> tuple[int, int, int, bool]:
    people = room.state.occupancy
    return people.count, people.min, people.max, people.certain


def question(room: Room) -> Question:
    assert room.state.question is not None
    return room.state.question


def answer(room: Room, came: int | None, question: str = "") -> list[Effect]:
    asked = Command(room.now_ms, "answer_question", came, "x", cause="page", question=question)
    return room.step(asked)


# --- the first table: what was seen --------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "spans", "after", "answers"),
    [
        (4, [], (0, 0, 0, True), None),
        (4, [(0, 0)], (0, 0, 0, True), None),
        (2, [(1, 1), (1, 1)], (2, 2, 2, True), None),
        (1, [(1, 2)], (1, 1, 1, True), None),
        (2, [(1, 2)], (2, 2, 2, True), None),
        (3, [(1, 1), (1, 3)], (3, 3, 3, True), None),
        (2, [(1, 1), (0, 1)], (2, 2, 2, True), None),
        (2, [(1, 1), (-1, 1)], (2, 1, 2, False), None),
        (1, [(0, 1)], (1, 1, 1, True), None),
        (2, [(0, 2)], (2, 2, 2, True), None),
        (2, [(1, 1)], (1, 1, 2, False), (1, 2)),
        (4, [(1, 1), (1, 1)], (2, 2, 4, False), (2, 3, 4)),
        (4, [(1, 2)], (1, 1, 4, False), (1, 2, 3, 4)),
        (3, [(0, 1)], (0, 0, 3, False), (0, 1, 2, 3)),
        (1, [(1, 1), (1, 1)], (2, 1, 2, False), (1, 2)),
        (2, [(1, 1), (2, 3)], (3, 2, 4, False), (2, 3, 4)),
    ],
)
def test_release_is_held_against_what_was_seen(
    party: int,
    spans: list[Span],
    after: tuple[int, int, int, bool],
    answers: tuple[int, ...] | None,
) -> None:
    room = shut_room()
    effects = release(room, party, *spans)
    assert inside(room) == after
    asked = room.state.question
    assert (asked and asked.answers) == answers
    assert ("question_asked" in names(effects)) == (answers is not None)


def test_fewer_seen_than_let_in_asks_and_says_what_is_possible() -> None:
    room = shut_room()
    room.now_ms = 5530.0
    effects = release(room, 4, (1, 1), (1, 1))
    assert note(effects, "count_adjusted")["cause"] == "release"
    assert note(effects, "question_asked") == {
        "kind": "party",
        "id": "5530",
        "expected": 4,
        "seen": 2,
        "answers": (2, 3, 4),
    }
    assert question(room).since_ms == 5530.0
    assert room.outputs["full_lamp"]
    assert room.command("access_door", 1) == Reason.COUNT_UNCERTAIN


def test_more_seen_than_let_in_is_told_as_tailgating() -> None:
    room = shut_room()
    effects = release(room, 2, (1, 1), (1, 1), (1, 1))
    assert note(effects, "tailgating") == {"expected": 2, "entered": 3}
    asked = question(room)
    assert (asked.expected, asked.seen, asked.answers) == (2, 3, (2, 3))
    assert not room.state.over_capacity


def test_tailgater_over_capacity_is_an_alarm_whatever_was_let_in() -> None:
    room = shut_room(3)
    assert room.command("access_door", 1) is None
    room.door(True)
    room.passes(1)
    assert "over_capacity" in names(room.passes(1))
    assert note(room.door(False), "tailgating") == {"expected": 1, "entered": 2}
    assert "over_capacity_ended" in names(answer(room, 1))


def test_count_that_a_release_settles_is_told_with_its_cause() -> None:
    adjusted = note(release(shut_room(), 2, (0, 2)), "count_adjusted")
    assert adjusted["cause"] == "release"
    assert adjusted["before"] == {"count": 0, "min": 0, "max": 2, "certain": False}
    assert adjusted["after"] == {"count": 2, "min": 2, "max": 2, "certain": True}


@pytest.mark.parametrize("spans", [[(1, 1)], [(1, 2)], [(1, 1), (1, 1), (1, 1)]])
def test_doubt_before_a_release_stays(spans: list[Span]) -> None:
    room = shut_room()
    room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", active=True))
    room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", active=False))
    release(room, 2, *spans)
    assert room.state.occupancy.doubted
    if room.state.question is not None:
        assert all(each.occupancy.doubted for each in question(room).readings)


def test_exits_during_a_release_are_not_mixed_with_who_came_in() -> None:
    room = shut_room(2)
    release(room, 2, (1, 1), (-1, -1), (1, 1))
    assert inside(room) == (3, 3, 3, True)
    assert room.state.question is None


# --- the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [2, 3, 4])
def test_one_tap_settles_how_many_came_in(came: int) -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    effects = answer(room, came, question(room).id)
    assert inside(room) == (came, came, came, True)
    assert room.state.question is None
    ended = note(effects, "question_ended")
    assert (ended["how"], ended["came"], ended["cause"]) == ("answer_question", came, "page")


def test_answer_leaves_other_doubts_as_they_are() -> None:
    room = shut_room()
    room.passes(0, 1)
    release(room, 2, (1, 1))
    assert inside(room) == (1, 1, 3, False)
    answer(room, 2)
    assert inside(room) == (2, 2, 3, False)


def test_answer_counts_who_has_come_and_gone_since() -> None:
    room = shut_room()
    release(room, 3, (1, 1), (1, 1))
    room.passes(-1)
    answer(room, 3)
    assert inside(room) == (2, 2, 2, True)


@pytest.mark.parametrize("came", [None, 1, 5, -1])
def test_number_that_is_not_possible_is_malformed(came: int | None) -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    before = inside(room)
    effects = answer(room, came, question(room).id)
    assert note(effects, "command_refused")["reason"] == "Malformed"
    assert inside(room) == before


def test_answer_to_another_question_is_stale() -> None:
    room = shut_room()
    assert note(answer(room, 2), "command_refused")["reason"] == "StaleCommand"
    release(room, 4, (1, 1), (1, 1))
    assert note(answer(room, 2, "another"), "command_refused")["reason"] == "StaleCommand"
    assert question(room).answers == (2, 3, 4)


@pytest.mark.parametrize(
    ("command", "number"), [("set_count", 4), ("report_wrong", 4), ("room_empty", None)]
)
def test_newer_count_settles_the_question(command: str, number: int | None) -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    effects = room.step(Command(room.now_ms, command, number, "x"))
    assert note(effects, "question_ended")["how"] == command
    assert room.state.question is None
    assert room.state.occupancy.certain


def test_refused_count_leaves_the_question() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    assert room.command("set_count", -1) == Reason.MALFORMED
    assert question(room).answers == (2, 3, 4)


# --- what does not end it, and what does ---------------------------------------------------------


def test_straggler_who_is_let_in_later_does_not_end_the_question() -> None:
    room = shut_room()
    release(room, 2, (1, 1))
    effects = release(room, 1, (1, 1))
    assert "question_asked" not in names(effects)
    assert inside(room) == (2, 2, 3, False)
    assert question(room).answers == (1, 2)


def test_no_time_ends_the_question() -> None:
    room = shut_room()
    release(room, 2, (1, 1))
    room.wait(3 * 3600)
    assert question(room).answers == (1, 2)


def test_as_many_left_as_can_have_been_in_ends_the_question() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    assert names(room.passes(-1) + room.passes(-1) + room.passes(-1)) == ["exit"] * 3
    assert question(room).answers == (3, 4)
    assert inside(room) == (0, 0, 1, False)
    effects = room.passes(-1)
    assert note(effects, "question_ended") | {"id": ""} == {
        "kind": "party", "id": "", "expected": 4, "seen": 2, "how": "arithmetic", "came": 4,
    }  # fmt: skip
    assert inside(room) == (0, 0, 0, True)


def test_answer_that_has_become_impossible_is_not_taken() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    for _ in range(3):
        room.passes(-1)
    assert note(answer(room, 2), "command_refused")["reason"] == "Malformed"
    answer(room, 3)
    assert inside(room) == (0, 0, 0, True)


def test_more_left_than_can_have_been_in_is_said_and_ends_the_question() -> None:
    room = shut_room()
    release(room, 2, (1, 1))
    effects = room.passes(-3)
    assert note(effects, "question_ended")["came"] is None
    assert note(effects, "fault")["name"] == "CountUnderflow"
    assert inside(room) == (0, 0, 1, False)


def test_arithmetic_proves_nothing_about_a_count_that_is_in_doubt() -> None:
    room = shut_room()
    release(room, 2, (1, 1))
    room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", active=True))
    room.passes(-1)
    room.passes(-1)
    assert question(room).answers == (1, 2)
    nobody = Occupancy(0, 0, 0, doubted=True)
    assert [each.occupancy for each in question(room).readings] == [nobody, nobody]


def test_more_who_come_in_do_not_end_the_question() -> None:
    room = shut_room(capacity=9)
    release(room, 2, (1, 1))
    room.passes(3)
    assert question(room).answers == (1, 2)
    assert inside(room) == (4, 4, 5, False)


# --- a second release while it stands ------------------------------------------------------------


def test_second_mismatch_makes_one_question_of_both() -> None:
    room = shut_room(capacity=6)
    release(room, 2, (1, 1))
    first = question(room).id
    room.now_ms += 60_000
    effects = release(room, 3, (1, 1), (1, 1))
    both = question(room)
    assert (both.expected, both.seen, both.answers) == (5, 3, (3, 4, 5))
    assert both.id != first
    assert note(effects, "question_ended")["how"] == "merged"
    assert inside(room) == (3, 3, 5, False)
    assert note(answer(room, 3, first), "command_refused")["reason"] == "StaleCommand"
    answer(room, 5)
    assert inside(room) == (5, 5, 5, True)


def test_release_that_is_settled_by_its_number_leaves_the_question_as_it_was() -> None:
    room = shut_room(capacity=6)
    release(room, 2, (1, 1))
    release(room, 2, (1, 2))
    assert inside(room) == (3, 3, 4, False)
    assert question(room).answers == (1, 2)
    answer(room, 1)
    assert inside(room) == (3, 3, 3, True)


def test_release_that_does_not_fit_is_refused_and_names_the_question() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    effects = room.step(Command(room.now_ms, "access_door", 2))
    denied = note(effects, "access_denied")
    assert denied["reason"] == "CountUncertain"
    assert denied["question"] == {"expected": 4, "seen": 2}
    effects = room.step(Command(room.now_ms, "access_door", 3))
    assert note(effects, "access_denied") == {
        "command": "access_door", "reason": "CapacityReached", "cause": "mqtt",
    }  # fmt: skip


# --- the second table: which release is compared -------------------------------------------------


def test_by_hand_there_is_one_witness() -> None:
    room = shut_room(counting="manual")
    release(room, 4, (1, 1), (1, 1))
    assert inside(room) == (4, 4, 4, True)
    assert room.state.question is None


def test_question_that_stands_when_counting_changes_to_manual_goes_on() -> None:
    room = shut_room(capacity=6)
    release(room, 2, (1, 1))
    room.settings = Room(capacity=6, counting="manual").settings
    release(room, 2)
    assert inside(room) == (3, 3, 4, False)
    answer(room, 2)
    assert inside(room) == (4, 4, 4, True)


def test_walk_in_asks_nothing() -> None:
    room = shut_room(entry="walk_in")
    release(room, 2, (1, 1))
    assert inside(room) == (1, 1, 1, True)
    assert room.state.question is None


def test_staff_pass_within_a_release_does_not_count_for_the_party() -> None:
    room = shut_room()
    room.command("staff_pass")
    assert room.command("access_door", 1) is None
    room.door(True)
    room.passes(1)
    room.passes(1)
    assert "question_asked" not in names(room.door(False))
    assert inside(room) == (1, 1, 1, True)


def test_self_test_is_not_permitted_while_a_question_stands() -> None:
    room = shut_room()
    release(room, 2, (1, 1))
    assert room.command("self_test") == Reason.NOT_PERMITTED_AT_THIS_TIME


def test_button_lets_in_one_and_asks_when_two_came() -> None:
    room = shut_room()
    room.contact("release_button", False)
    room.contact("release_button", True)
    room.door(True)
    room.passes(1)
    room.passes(1)
    room.door(False)
    assert question(room).answers == (1, 2)


@pytest.mark.parametrize("command", ["lock_down", "lock_open", "block_door"])
def test_release_spent_half_way_is_compared_when_the_door_has_closed(command: str) -> None:
    room = shut_room()
    assert room.command("access_door", 4) is None
    room.door(True)
    room.passes(1)
    room.command(command)
    assert room.state.grant is not None
    room.passes(1)
    effects = room.door(False)
    assert note(effects, "access_taken") == {"expected": 4, "entered": 2}
    assert question(room).answers == (2, 3, 4)


def test_full_house_ends_the_release_and_asks_nothing() -> None:
    room = shut_room(2)
    effects = release(room, 2, (1, 1), (1, 1))
    assert note(effects, "access_taken") == {"expected": 2, "entered": 2}
    assert room.state.question is None


def test_without_a_contact_the_end_of_the_time_compares() -> None:
    room = Room(lines=BEAMS)
    room.command("access_door", 2)
    room.passes(1)
    assert note(room.wait(5), "question_asked")["answers"] == (1, 2)


def test_nothing_is_compared_while_somebody_stands_in_the_doorway() -> None:
    room = shut_room()
    assert room.command("access_door", 2) is None
    room.door(True)
    room.passes(1)
    room.doorway(coming_in=1)
    assert "question_asked" not in names(room.door(False))
    room.passes(1)
    assert "question_asked" not in names(room.doorway(coming_in=0, busy=False))
    assert inside(room) == (2, 2, 2, True)


@pytest.mark.parametrize("doubt", [False, True])
def test_restart_compares_what_was_seen_until_then(doubt: bool) -> None:
    room = shut_room()
    assert room.command("access_door", 3) is None
    room.door(True)
    room.passes(1)
    effects = room.step(Started(room.now_ms, doubt))
    assert note(effects, "access_taken") == {"expected": 3, "entered": 1, "reason": "restart"}
    assert question(room).answers == (1, 2, 3)
    assert room.state.occupancy.max == (4 if doubt else 3)


def test_restart_keeps_the_question() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    room.step(Started(room.now_ms, doubt=False))
    assert question(room).answers == (2, 3, 4)
    answer(room, 4)
    assert inside(room) == (4, 4, 4, True)


def test_count_that_is_set_meanwhile_has_those_who_were_seen() -> None:
    room = shut_room()
    assert room.command("access_door", 2) is None
    room.door(True)
    room.passes(1)
    room.command("set_count", 2)
    assert "question_asked" not in names(room.door(False))
    assert inside(room) == (2, 2, 2, True)


def test_who_comes_after_the_count_was_set_is_held_against_the_whole_party() -> None:
    """How many of the party were in that count nobody knows: a bag may have been among them."""
    room = shut_room()
    assert room.command("access_door", 3) is None
    room.door(True)
    room.passes(1)
    room.command("set_count", 1)
    room.passes(1)
    room.door(False)
    asked = question(room)
    assert (asked.expected, asked.seen, asked.answers) == (3, 1, (1, 2, 3))
    assert inside(room) == (2, 2, 4, False)


def test_beams_out_of_order_are_no_witness() -> None:
    room = shut_room()
    assert room.command("access_door", 3) is None
    room.door(True)
    room.passes(1)
    room.step(Fault(room.now_ms, "BeamStuck", "beam_outer", active=True))
    room.door(False)
    assert room.state.question is None
    assert inside(room) == (1, 0, 4, False)


def test_doubt_that_comes_later_is_in_every_reading() -> None:
    room = shut_room()
    release(room, 4, (1, 1), (1, 1))
    room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", active=True))
    answer(room, 3)
    assert room.state.occupancy == Occupancy(3, 3, 3, doubted=True)


def test_exits_within_the_release_that_leave_one_reading_ask_nothing() -> None:
    room = shut_room()
    effects = release(room, 1, (1, 1), (1, 1), (-1, -1), (-1, -1))
    assert "tailgating" in names(effects)
    assert "question_asked" not in names(effects)
    assert inside(room) == (0, 0, 0, True)


def test_number_that_cannot_be_any_more_settles_nothing() -> None:
    room = shut_room()
    release(room, 1, (1, 2), (-2, -2))
    assert inside(room) == (0, 0, 0, True)


# --- a release that is stopped -------------------------------------------------------------------


def stop(room: Room) -> list[Effect]:
    return room.step(Command(room.now_ms, "release_cancel", id="x", cause="page"))


def test_stopped_release_drops_the_strike_and_leaves_the_house_open_to_the_next() -> None:
    room = shut_room()
    assert room.command("access_door", 2) is None
    effects = stop(room)
    assert not room.strike
    assert note(effects, "release_cancelled") == {"party": 2, "cause": "page"}
    assert note(effects, "access_not_taken") == {"expected": 2, "reason": "cancelled"}
    assert room.state.grant is None
    assert inside(room) == (0, 0, 0, True)
    assert room.command("access_door", 4) is None
    assert room.strike


@pytest.mark.parametrize("after", ["nothing", "a release", "a stop"])
def test_nothing_open_is_not_stopped(after: str) -> None:
    room = shut_room()
    if after != "nothing":
        assert room.command("access_door", 1) is None
        room.door(True)
        if after == "a release":
            room.passes(1)
            room.door(False)
        else:
            assert room.command("release_cancel") is None
    assert room.command("release_cancel") == Reason.NO_OPEN_RELEASE


def test_stopped_release_counts_who_was_seen_and_asks_for_the_rest() -> None:
    room = shut_room()
    assert room.command("access_door", 4) is None
    room.door(True)
    room.passes(1)
    effects = stop(room)
    assert room.state.grant is not None  # through the open door they still come
    room.passes(1)
    effects = room.door(False)
    assert note(effects, "access_taken") == {"expected": 4, "entered": 2, "reason": "cancelled"}
    assert note(effects, "question_asked")["answers"] == (2, 3, 4)
    assert inside(room) == (2, 2, 4, False)


def test_stopped_release_waits_for_who_is_in_the_doorway() -> None:
    room = Room(lines=BEAMS)
    assert room.command("access_door", 2) is None
    room.doorway(coming_in=1)
    assert names(stop(room)) == ["release_cancelled"]
    assert not room.strike
    room.passes(1)
    room.passes(1)
    effects = room.doorway(coming_in=0, busy=False)
    assert note(effects, "access_taken") == {"expected": 2, "entered": 2, "reason": "cancelled"}
    assert room.state.question is None


def test_stop_in_an_evacuation_changes_nothing_about_it() -> None:
    room = shut_room()
    assert room.command("access_door", 2) is None
    room.door(True)
    room.command("lock_open")
    assert room.command("release_cancel") is None
    assert room.state.locked_open


def by_hand(*lines: str) -> Room:
    """A room in which nobody counts by beams, with its door shut."""
    room = Room(counting="manual", lines=frozenset(lines))
    if lines:
        room.door(False)
    return room


def test_by_hand_a_stopped_release_that_was_opened_asks_who_came_in() -> None:
    room = by_hand("door_contact")
    room.step(Command(room.now_ms, "set_count", 1, "x"))
    assert room.command("access_door", 3) is None
    room.door(True)
    assert names(stop(room)) == ["release_cancelled"]
    effects = room.door(False)
    assert names(effects) == ["door_closed", "access_taken", "count_adjusted", "question_asked"]
    assert note(effects, "access_taken") == {"expected": 3, "entered": 0, "reason": "cancelled"}
    asked = question(room)
    assert (asked.expected, asked.seen, asked.counted) == (3, 0, False)
    assert asked.answers == (0, 1, 2, 3)
    assert inside(room) == (1, 1, 4, False)
    answer(room, 2)
    assert inside(room) == (3, 3, 3, True)


@pytest.mark.parametrize("ends", ["its time", "a stop", "lock_open", "lock_down", "block_door"])
@pytest.mark.parametrize("counting", ["auto", "manual"])
def test_release_waits_for_a_door_that_began_to_open_before_its_end(
    ends: str, counting: str
) -> None:
    room = shut_room(counting=counting)
    assert room.command("access_door", 2) is None
    room.door_opening(True)
    effects = room.wait(5) if ends == "its time" else []
    if ends == "a stop":
        effects = stop(room)
    elif not effects:
        assert room.command(ends) is None
    assert not room.strike
    assert "access_not_taken" not in names(effects)
    room.wait(0.5)
    assert room.command("access_door", 1) is not None  # the strike stays off
    room.door(True)
    assert room.state.alarm == "Normal"
    room.door_opening(False)
    room.passes(1)  # two abreast
    assert "access_taken" in names(room.door(False))
    assert room.state.occupancy.max == 2


@pytest.mark.parametrize("ends", ["its time", "a stop"])
def test_release_does_not_wait_for_a_door_that_stays_shut(ends: str) -> None:
    room = shut_room(counting="manual")
    assert room.command("access_door", 2) is None
    room.door_opening(True)
    if ends == "its time":
        room.wait(5)
    else:
        stop(room)
    assert names(room.door_opening(False)) == ["access_not_taken"]
    assert inside(room) == (0, 0, 0, True)
    room.contact("exit_button", False)
    assert "door_alarm" in names(room.door(True))


def test_restart_while_the_door_began_to_open_leaves_nothing_to_wait_for() -> None:
    room = shut_room(counting="manual")
    assert room.command("access_door", 2) is None
    room.door_opening(True)
    room.step(Started(room.now_ms, doubt=True))
    assert not room.state.door_opening
    room.door(False)
    assert room.command("access_door", 1) == Reason.COUNT_UNCERTAIN
    room.command("set_count", 0)
    assert room.command("access_door", 1) is None
    assert "access_not_taken" in names(room.wait(5))


def test_by_hand_a_stopped_release_behind_a_shut_door_asks_nothing() -> None:
    room = by_hand("door_contact")
    assert room.command("access_door", 3) is None
    assert note(stop(room), "access_not_taken") == {"expected": 3, "reason": "cancelled"}
    assert room.state.question is None
    assert inside(room) == (0, 0, 0, True)


def test_without_any_sensor_a_stopped_release_asks_at_once() -> None:
    room = by_hand()
    assert room.command("access_door", 2) is None
    effects = stop(room)
    assert not room.strike
    assert note(effects, "question_asked")["answers"] == (0, 1, 2)
    assert inside(room) == (0, 0, 2, False)
    assert room.command("access_door", 2) is None  # as long as they fit
    room.wait(5)
    assert inside(room) == (2, 2, 4, False)
    answer(room, 0)
    assert inside(room) == (2, 2, 2, True)


def test_two_stopped_releases_make_one_question() -> None:
    room = by_hand()
    for _ in range(2):
        assert room.command("access_door", 2) is None
        stop(room)
    asked = question(room)
    assert (asked.expected, asked.counted, asked.answers) == (4, False, (0, 1, 2, 3, 4))
    assert room.command("access_door", 1) == Reason.COUNT_UNCERTAIN


def test_question_of_the_beams_and_of_a_stopped_release_becomes_one_that_nobody_counted() -> None:
    room = shut_room(capacity=6)
    release(room, 2, (1, 1))
    assert question(room).counted
    room.settings = by_hand().settings
    assert room.command("access_door", 2) is None
    stop(room)
    asked = question(room)
    assert (asked.expected, asked.seen, asked.counted) == (4, 1, False)
    assert asked.answers == (1, 2, 3, 4)


def test_by_hand_a_count_set_during_a_stopped_release_leaves_the_party_in_doubt() -> None:
    """Whether they are in that number nobody knows: the page asks for the count."""
    room = by_hand()
    assert room.command("access_door", 2) is None
    room.command("set_count", 1)
    effects = stop(room)
    assert "question_asked" not in names(effects)
    assert inside(room) == (1, 1, 3, False)


@pytest.mark.parametrize("command", ["answer_question", "set_count"])
def test_two_hours_begin_when_they_may_have_come_in_not_when_somebody_says_so(command: str) -> None:
    room = by_hand()
    assert room.command("access_door", 2) is None
    room.wait(3)
    stop(room)
    assert room.state.session is None
    room.wait(106 * 60)
    effects = room.step(Command(room.now_ms, command, 2, "x"))
    assert room.state.session == Session(3_000.0, 1)
    assert note(effects, "session_warning") == {"remaining_s": 900}


@pytest.mark.parametrize("command", ["answer_question", "set_count"])
def test_nobody_came_in_begins_no_two_hours(command: str) -> None:
    room = by_hand()
    assert room.command("access_door", 2) is None
    stop(room)
    room.step(Command(room.now_ms, command, 0, "x"))
    assert room.state.session is None


# --- the other direction -------------------------------------------------------------------------


def overtime(guests: int = 2, **numbers: object) -> Room:
    """A room in its overtime, with so many guests inside."""
    room = shut_room(guests, **numbers)
    room.wait(7200)
    return room


def leave(room: Room) -> None:
    room.door(True)
    room.doorway(0)
    room.passes(-1)
    room.doorway(0, busy=False)
    room.door(False)


def test_in_overtime_a_still_door_after_an_exit_asks_once_if_everybody_left() -> None:
    room = overtime()
    leave(room)
    assert "question_asked" not in names(room.wait(119.9))
    assert note(room.wait(0.1), "question_asked") == {"kind": "everybody_left"}
    effects = room.wait(1200)
    assert "question_asked" not in names(effects)
    assert "session_overtime" in names(effects)
    assert inside(room) == (1, 1, 1, True)


def test_who_left_before_the_overtime_is_asked_about_when_it_begins() -> None:
    room = shut_room(2)
    room.wait(7000)
    leave(room)
    assert "question_asked" not in names(room.wait(200 + 119.9))
    assert "question_asked" in names(room.wait(0.1))


@pytest.mark.parametrize("stir", ["beam", "door"])
def test_whoever_is_in_the_doorway_puts_the_question_off(stir: str) -> None:
    room = overtime()
    leave(room)
    room.wait(60)
    if stir == "beam":
        room.doorway(0)
        room.doorway(0, busy=False)
    else:
        room.door(True)
        room.door(False)
    assert "question_asked" not in names(room.wait(119.9))
    assert "question_asked" in names(room.wait(0.1))


def test_who_comes_back_in_is_not_asked_about() -> None:
    room = overtime()
    leave(room)
    room.passes(1)
    assert "question_asked" not in names(room.wait(600))


def test_nobody_is_asked_about_where_nobody_left_or_before_the_overtime() -> None:
    room = overtime()
    assert "question_asked" not in names(room.wait(600))
    room = shut_room(2)
    leave(room)
    assert "question_asked" not in names(room.wait(600))


def test_ambiguous_exit_may_have_been_somebody() -> None:
    room = overtime()
    room.passes(-1, 0)
    assert "question_asked" in names(room.wait(120))


def test_without_a_contact_the_beams_alone_tell_that_the_door_is_still() -> None:
    room = Room(lines=BEAMS)
    room.inside(2)
    room.wait(7200)
    room.passes(-1)
    assert "question_asked" in names(room.wait(120))


@pytest.mark.parametrize(
    ("command", "number"), [("room_empty", None), ("set_count", 1), ("report_wrong", 1)]
)
def test_answer_ends_the_question_if_everybody_left(command: str, number: int | None) -> None:
    room = overtime()
    leave(room)
    room.wait(120)
    effects = room.step(Command(room.now_ms, command, number, "x", cause="page"))
    assert note(effects, "question_ended") == {
        "kind": "everybody_left", "how": command, "cause": "page",
    }  # fmt: skip
    assert room.state.departure == "None"
    assert "question_asked" not in names(room.wait(600))


def test_verified_empty_ends_the_question_with_the_session() -> None:
    room = overtime()
    leave(room)
    room.wait(120)
    leave(room)
    effects = room.wait(20)
    assert note(effects, "question_ended") == {"kind": "everybody_left", "how": "session_ended"}
    assert room.state.session is None
    assert room.state.departure == "None"


def test_two_who_leave_abreast_are_asked_about_and_no_count_changes_by_itself() -> None:
    room = overtime(2)
    leave(room)  # both of them, seen as one
    effects = room.wait(120)
    assert names(effects) == ["question_asked"]
    assert inside(room) == (1, 1, 1, True)
    assert names(room.step(Command(room.now_ms, "room_empty", id="x")))[-1] == "session_ended"
    assert inside(room) == (0, 0, 0, True)


def test_guests_who_leave_one_by_one_are_not_asked_about() -> None:
    room = overtime(2)
    leave(room)
    leave(room)
    effects = room.wait(600)
    assert "question_asked" not in names(effects)
    assert "session_ended" in names(effects)


def test_staff_who_leave_are_not_asked_about() -> None:
    room = overtime()
    room.command("staff_pass")
    leave(room)
    assert "question_asked" not in names(room.wait(600))


def test_by_hand_the_door_asks_who_is_left_and_the_overtime_does_not() -> None:
    room = by_hand("door_contact", "beam_outer", "beam_inner")
    room.command("set_count", 2)
    room.wait(7200)
    leave(room)
    assert not room.state.occupancy.certain
    assert "question_asked" not in names(room.wait(600))


@pytest.mark.parametrize("waited_s", [60, 120])
def test_restart_goes_on_waiting_or_asking_whether_everybody_left(waited_s: int) -> None:
    room = overtime()
    leave(room)
    room.wait(waited_s)
    room.step(Started(room.now_ms, doubt=False))
    room.door(False)
    effects = room.wait(600)
    assert names(effects).count("question_asked") == (waited_s == 60)
    assert room.state.departure == "Asked"


def test_departure_does_not_cross_into_the_next_session() -> None:
    room = shut_room(1)
    leave(room)
    room.wait(20)
    assert room.state.session is None
    room.step(Passage(room.now_ms, 0, 1))
    assert room.state.departure == "None"
