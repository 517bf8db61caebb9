"""A tap taken back: a test for each row of the tables in `controller.rules.undo`."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from controller.events import Command, Effect, Fault, Reason, Started
from controller.rules.occupancy import Occupancy
from controller.rules.state import MINUTE_MS
from tests.support.rules_driver import Room, names, note, tones

COUNTED = ("room_empty", "set_count", "report_wrong")


def shut_room(inside: int = 0, **numbers: object) -> Room:
    """A room with its door shut, and so many guests inside."""
    room = Room(**numbers)
    room.door(False)
    room.inside(inside)
    return room


def ask(room: Room, name: str, number: int | None = None, id_: str = "a") -> list[Effect]:
    return room.step(Command(room.now_ms, name, number, id=id_, cause="page"))


def undo(room: Room, id_: str = "a") -> list[Effect]:
    return room.step(Command(room.now_ms, "undo", id="u", cause="page", undoes=id_))


def refused(room: Room, id_: str = "a") -> object:
    """Try to take it back; return the reason why not. Nothing has changed then."""
    before = room.state
    effects = undo(room, id_)
    assert "undone" not in names(effects)
    for field in ("occupancy", "question", "session", "grant", "staff_pass", "hatch_waiting"):
        assert getattr(room.state, field) == getattr(before, field)
    return note(effects, "command_refused")["reason"]


def inside(room: Room) -> tuple[int, int, int, bool]:
    people = room.state.occupancy
    return people.count, people.min, people.max, people.certain


def undoable(room: Room) -> list[tuple[str, str]]:
    return [(each.id, each.command) for each in room.state.undos]


# --- the count and the session -------------------------------------------------------------------


def test_room_empty_taken_back_restores_count_and_session() -> None:
    room = shut_room(3)
    room.wait(3600)
    session = room.state.session
    ask(room, "room_empty")
    assert (inside(room), room.state.session) == ((0, 0, 0, True), None)
    assert undoable(room) == [("a", "room_empty")]
    room.wait(9.9)
    effects = undo(room)
    assert inside(room) == (3, 3, 3, True)
    assert room.state.session == session
    assert names(effects) == ["undone", "session_resumed", "count_adjusted"]
    assert note(effects, "undone") == {"id": "a", "command": "room_empty", "cause": "page"}
    assert note(effects, "session_resumed") == {"remaining_s": round(7200 - 3609.9)}
    adjusted = note(effects, "count_adjusted")
    assert adjusted["before"] == {"count": 0, "min": 0, "max": 0, "certain": True}
    assert adjusted["after"] == {"count": 3, "min": 3, "max": 3, "certain": True}
    assert adjusted["cause"] == "page"
    assert undoable(room) == []


def test_who_came_and_went_in_between_is_in_the_restored_count() -> None:
    room = shut_room(3)
    ask(room, "room_empty")
    effects = room.passes(-1) + room.passes(-1) + room.passes(1)
    assert "CountUnderflow" in [note(effects, "fault")["name"]]
    undo(room)
    assert inside(room) == (2, 2, 2, True)
    assert room.state.faults == ()


def test_ambiguous_passage_in_between_moves_the_restored_range() -> None:
    room = shut_room(2)
    ask(room, "set_count", 4)
    room.passes(0, 1)
    undo(room)
    assert inside(room) == (2, 2, 3, False)


def test_session_that_began_in_between_gives_way_to_the_older_one() -> None:
    room = shut_room(2)
    room.wait(600)
    older = room.state.session
    ask(room, "room_empty")
    room.wait(3)
    room.passes(1)
    assert room.state.session is not None
    assert room.state.session.started_ms == room.now_ms
    room.wait(4)
    effects = undo(room)
    assert room.state.session == older
    assert note(effects, "session_ended") == {"lasted_s": 4, "reason": "undo"}
    assert names(effects).index("session_ended") < names(effects).index("session_resumed")
    assert inside(room) == (3, 3, 3, True)


def test_session_that_a_wrong_count_began_is_ended() -> None:
    room = shut_room()
    ask(room, "set_count", 2)
    room.wait(2)
    effects = undo(room)
    assert room.state.session is None
    assert note(effects, "session_ended") == {"lasted_s": 2, "reason": "undo"}
    assert inside(room) == (0, 0, 0, True)


def test_session_that_a_wrong_count_began_gains_nothing_when_a_guest_has_come() -> None:
    """He came into a room whose two hours ran already: they are not begun anew by taking back."""
    room = shut_room()
    ask(room, "set_count", 2)
    began = room.state.session
    room.wait(5)
    room.passes(1)
    undo(room)
    assert inside(room) == (1, 1, 1, True)
    assert room.state.session == began


def test_session_that_a_wrong_count_began_stays_where_somebody_may_be_inside() -> None:
    room = shut_room()
    room.passes(0, 1)
    assert room.state.session is None
    ask(room, "set_count", 2)
    began = room.state.session
    undo(room)
    assert inside(room) == (0, 0, 1, False)
    assert room.state.session == began


def test_mark_that_was_due_in_between_rings_when_the_session_is_resumed() -> None:
    room = shut_room(1)
    room.wait(105 * 60 - 3)
    ask(room, "room_empty")
    assert "session_warning" not in names(room.wait(6))
    effects = undo(room)
    assert note(effects, "session_warning") == {"remaining_s": 900}
    assert tones(effects) == ["warning"]
    assert tones(room.wait(600)) == ["warning"]  # the next, five minutes before the end


def test_mark_that_rang_in_between_rings_once() -> None:
    room = shut_room(1)
    room.wait(105 * 60 - 3)
    ask(room, "set_count", 2)
    assert "session_warning" in names(room.wait(6))
    assert tones(undo(room)) == []
    assert room.state.session is not None
    assert room.state.session.next_mark == 1


def test_session_that_a_wrong_count_let_end_is_resumed() -> None:
    room = shut_room(2, empty_after_ms=5_000.0)
    session = room.state.session
    ask(room, "set_count", 0)
    assert "session_ended" in names(room.wait(6))
    undo(room)
    assert (inside(room), room.state.session) == ((2, 2, 2, True), session)


def test_empty_room_ends_its_session_when_it_would_have() -> None:
    room = shut_room(1)
    room.passes(-1)
    room.wait(15)
    ask(room, "set_count", 2)
    room.wait(2)
    undo(room)
    assert "session_ended" not in names(room.wait(2.9))
    assert "session_ended" in names(room.wait(0.1))


@pytest.mark.parametrize("number", [0, 2])
def test_doubt_comes_back(number: int) -> None:
    room = shut_room(1)
    room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", active=True))
    ask(room, "set_count", number)
    assert room.state.occupancy.certain
    undo(room)
    assert inside(room) == (1, 1, 1, False)


def test_count_fault_comes_back() -> None:
    room = shut_room()
    room.passes(-1)
    ask(room, "set_count", 2)
    assert room.state.faults == ()
    effects = undo(room)
    assert note(effects, "fault") == {"name": "CountUnderflow", "line": "occupancy"}
    assert inside(room) == (0, 0, 1, False)


def test_fifth_guest_is_an_alarm_again() -> None:
    room = shut_room(5)
    assert "over_capacity_ended" in names(ask(room, "set_count", 3))
    effects = undo(room)
    assert "over_capacity" in names(effects)
    assert tones(effects) == ["over_capacity"]


def asked_room() -> Room:
    """A room that asks how many of four came in, of whom two were seen."""
    room = shut_room()
    room.now_ms = 1000.0
    ask(room, "access_door", 4, "let")
    room.door(True)
    room.inside(2)
    room.door(False)
    assert room.state.question is not None
    return room


@pytest.mark.parametrize(
    ("name", "number"),
    [("answer_question", 4), ("set_count", 3), ("report_wrong", 2), ("room_empty", None)],
)
def test_question_stands_again(name: str, number: int | None) -> None:
    room = asked_room()
    was, session = room.state.question, room.state.session
    ask(room, name, number)
    assert room.state.question is None
    effects = undo(room)
    assert room.state.question == was
    assert note(effects, "question_asked") == {
        "kind": "party", "id": "1000", "expected": 4, "seen": 2, "answers": (2, 3, 4),
    }  # fmt: skip
    assert inside(room) == (2, 2, 4, False)
    assert room.state.session == session
    assert room.command("answer_question", 3) is None
    assert inside(room) == (3, 3, 3, True)


def test_question_that_was_asked_in_between_and_would_not_have_been_is_withdrawn() -> None:
    room = shut_room(capacity=9)
    ask(room, "access_door", 2, "let")
    room.door(True)
    room.passes(1)
    ask(room, "set_count", 5)
    room.passes(1)
    room.door(False)  # one more than was counted: of two, one was seen since
    assert room.state.question is not None
    effects = undo(room)
    ended = note(effects, "question_ended")
    assert (ended["how"], ended["cause"]) == ("undo", "page")
    assert room.state.question is None
    assert inside(room) == (2, 2, 2, True)


def test_question_of_the_same_moment_with_other_answers_has_another_name() -> None:
    """An answer that is on its way to the one must not be taken for an answer to the other."""
    room = shut_room(capacity=9)
    room.now_ms = 4000.0
    ask(room, "access_door", 3, "let")
    room.door(True)
    room.passes(1)
    ask(room, "set_count", 5)
    room.passes(1)
    room.door(False)
    assert room.state.question is not None
    assert (room.state.question.id, room.state.question.answers) == ("4000", (1, 2, 3))
    asked = note(undo(room), "question_asked")
    assert (asked["id"], asked["answers"]) == ("4000b", (2, 3))
    assert room.state.question.id == "4000b"
    assert inside(room) == (2, 2, 3, False)


def test_question_that_would_have_been_asked_in_between_is_asked() -> None:
    room = shut_room()
    ask(room, "access_door", 2, "let")
    room.door(True)
    room.passes(1)
    ask(room, "set_count", 1, "a")
    assert "question_asked" not in names(room.door(False))
    effects = undo(room)
    assert note(effects, "question_asked")["answers"] == (1, 2)
    assert inside(room) == (1, 1, 2, False)


def test_question_if_everybody_left_stands_again() -> None:
    room = shut_room(2)
    room.wait(7200)
    room.passes(-1)
    room.wait(120)
    ask(room, "set_count", 2)
    effects = undo(room)
    assert note(effects, "question_asked") == {"kind": "everybody_left"}
    assert room.state.departure == "Asked"
    effects = ask(room, "room_empty", id_="b")
    assert note(effects, "question_ended")["how"] == "room_empty"
    effects = undo(room, "b")
    assert note(effects, "question_asked") == {"kind": "everybody_left"}
    assert room.state.session is not None


def test_question_if_everybody_left_waits_no_longer_for_a_wrong_count() -> None:
    room = shut_room(3)
    room.wait(7200)
    room.passes(-1)
    room.wait(115)
    ask(room, "set_count", 3)
    room.wait(1)
    undo(room)
    assert "question_asked" not in names(room.wait(3.9))
    assert "question_asked" in names(room.wait(0.1))


def test_question_if_everybody_left_that_would_not_have_been_asked_is_withdrawn() -> None:
    room = shut_room(1, empty_after_ms=600_000.0, left_after_ms=1_000.0)
    room.wait(7200)
    ask(room, "set_count", 2)
    room.passes(-1)
    room.wait(2)
    assert room.state.departure == "Asked"
    effects = undo(room)
    assert note(effects, "question_ended") == {
        "kind": "everybody_left", "how": "undo", "cause": "page",
    }  # fmt: skip


# --- an open release -----------------------------------------------------------------------------


def test_open_release_has_all_that_was_seen_of_it_again() -> None:
    room = shut_room()
    ask(room, "access_door", 3, "let")
    room.door(True)
    room.passes(1)
    ask(room, "set_count", 0)
    room.passes(1)
    undo(room)
    assert inside(room) == (2, 2, 2, True)
    effects = room.door(False)
    assert note(effects, "access_taken") == {"expected": 3, "entered": 2}
    assert note(effects, "question_asked")["answers"] == (2, 3)


def test_taking_back_never_turns_the_strike_on() -> None:
    room = shut_room()
    ask(room, "access_door", 2, "let")
    room.doorway(0)
    ask(room, "set_count", 4)
    assert not room.strike
    undo(room)
    assert inside(room) == (0, 0, 0, True)
    assert not room.strike
    assert room.state.grant is not None
    assert "access_not_taken" in names(room.doorway(0, busy=False))
    assert not room.strike


def test_release_that_only_the_wrong_count_ended_is_not_opened_again() -> None:
    room = shut_room()
    ask(room, "access_door", 2, "let")
    assert "access_not_taken" in names(ask(room, "set_count", 4))
    assert refused(room) == Reason.CHANGED_SINCE
    assert not room.strike


def test_release_that_does_not_fit_the_restored_count_is_spent() -> None:
    room = shut_room(4)
    ask(room, "set_count", 0)
    room.wait(1)
    assert ask(room, "access_door", 1, "let")
    assert room.strike
    assert refused(room) == Reason.CHANGED_SINCE  # into four nobody would have been let


def test_release_goes_on_over_a_count_taken_back() -> None:
    room = shut_room(2)
    ask(room, "access_door", 1, "let")
    ask(room, "set_count", 3)
    assert room.strike
    undo(room)
    assert room.strike
    room.wait(5)
    assert not room.strike


# --- a wrong let-in ------------------------------------------------------------------------------


def test_open_release_taken_back_is_stopped() -> None:
    room = shut_room()
    ask(room, "access_door", 2)
    assert undoable(room) == []  # `release_cancel` is the way
    effects = undo(room)
    assert names(effects) == ["undone", "release_cancelled", "access_not_taken"]
    assert note(effects, "undone") == {"id": "a", "command": "access_door", "cause": "page"}
    assert note(effects, "release_cancelled") == {"party": 2, "cause": "page"}
    assert not room.strike
    assert refused(room) == Reason.NOTHING_TO_UNDO


def test_stopped_release_is_not_taken_back_as_well() -> None:
    room = shut_room()
    ask(room, "access_door", 2)
    room.door(True)
    ask(room, "release_cancel", id_="stop")
    assert refused(room) == Reason.NOTHING_TO_UNDO


@pytest.mark.parametrize("sees_door", [False, True])
def test_wrong_let_in_by_hand_asks_how_many_came_in(sees_door: bool) -> None:
    lines = frozenset({"door_contact"} if sees_door else ())
    room = Room(counting="manual", lines=lines)
    room.now_ms = 5000.0
    room.door(False)
    ask(room, "access_door", 3)
    room.door(True)
    room.wait(5)
    room.door(False)
    assert inside(room) == (3, 3, 3, True)
    assert undoable(room) == [("a", "access_door")]
    session = room.state.session
    effects = undo(room)
    assert inside(room) == (0, 0, 3, False)
    assert note(effects, "question_asked") == {
        "kind": "party", "id": "10000", "expected": 3, "seen": 0, "answers": (0, 1, 2, 3),
        "counted": False,
    }  # fmt: skip
    assert room.state.session == session  # who is inside came with it
    assert room.command("answer_question", 2) is None
    assert inside(room) == (2, 2, 2, True)
    assert room.state.session == session


def test_wrong_let_in_by_hand_becomes_one_with_the_question_that_stands() -> None:
    room = Room(counting="manual", lines=frozenset())
    ask(room, "access_door", 1, "stopped")
    ask(room, "release_cancel", id_="stop")
    ask(room, "access_door", 2)
    room.wait(5)
    assert inside(room) == (2, 2, 3, False)
    effects = undo(room)
    assert names(effects) == [
        "undone", "count_adjusted", "question_ended", "count_adjusted", "question_asked",
    ]  # fmt: skip
    assert note(effects, "question_ended")["how"] == "merged"
    asked = note(effects, "question_asked")
    assert (asked["expected"], asked["answers"]) == (3, (0, 1, 2, 3))
    assert inside(room) == (0, 0, 3, False)


def test_question_that_only_the_wrong_let_in_has_ended_stands_again() -> None:
    room = Room(counting="manual", lines=frozenset())
    ask(room, "access_door", 1, "stopped")
    ask(room, "release_cancel", id_="stop")
    ask(room, "access_door", 2)
    room.wait(5)
    ask(room, "answer_question", 1, "answer")
    effects = undo(room, "answer")
    assert note(effects, "question_asked")["answers"] == (0, 1)
    assert inside(room) == (2, 2, 3, False)


def test_wrong_let_in_that_nobody_took_leaves_nothing_to_take_back() -> None:
    room = Room(counting="manual", lines=frozenset({"door_contact"}))
    room.door(False)
    ask(room, "access_door", 2)
    room.wait(5)
    assert inside(room) == (0, 0, 0, True)
    assert refused(room) == Reason.NOTHING_TO_UNDO


def test_button_let_in_is_taken_back_by_its_time() -> None:
    room = Room(counting="manual", lines=frozenset({"release_button"}))
    room.contact("release_button", False)
    room.now_ms = 7_000.4
    room.contact("release_button", True)
    room.wait(5)
    assert undoable(room) == [("7000", "access_door")]
    undo(room, "7000")
    assert inside(room) == (0, 0, 1, False)


# --- what is not a count -------------------------------------------------------------------------


def test_staff_pass_is_disarmed() -> None:
    room = shut_room()
    ask(room, "staff_pass")
    undo(room)
    assert not room.state.staff_pass
    room.passes(1)
    assert inside(room) == (1, 1, 1, True)


def test_staff_pass_that_was_used_stays_used() -> None:
    room = shut_room()
    ask(room, "staff_pass")
    room.passes(1)
    assert refused(room) == Reason.CHANGED_SINCE


def test_hatch_waits_again_with_its_patience() -> None:
    room = shut_room()
    room.knock()
    room.wait(55)
    ask(room, "answer_hatch")
    room.wait(3)
    room.knock()
    undo(room)
    assert room.state.hatch_waiting == (0.0, 58_000.0)
    assert room.outputs["hatch_light"]
    room.wait(1.9)
    assert room.state.timers["hatch_patience"] is not None
    room.wait(0.1)
    assert room.state.timers["hatch_patience"] is None
    room.knock()  # by the same people
    assert len(room.state.hatch_waiting) == 2


def test_hatch_that_was_opened_in_between_has_nobody_waiting() -> None:
    room = shut_room()
    room.knock()
    ask(room, "answer_hatch")
    room.contact("hatch_contact", True)
    undo(room)
    assert room.state.hatch_waiting == ()
    assert not room.outputs["hatch_light"]


def test_front_door_waits_again() -> None:
    room = shut_room()
    room.knock("door", 3)
    knock = room.state.door_knock
    ask(room, "answer_door")
    undo(room)
    assert room.state.door_knock == knock


def test_front_door_that_was_opened_in_between_has_nobody_waiting() -> None:
    room = shut_room()
    room.knock("door", 3)
    ask(room, "answer_door")
    room.door(True)
    undo(room)
    assert room.state.door_knock is None


def test_each_part_is_taken_back_by_itself() -> None:
    room = shut_room(2)
    room.knock()
    ask(room, "room_empty", id_="1")
    ask(room, "answer_hatch", id_="2")
    ask(room, "staff_pass", id_="3")
    assert undoable(room) == [("3", "staff_pass"), ("2", "answer_hatch"), ("1", "room_empty")]
    undo(room, "1")
    assert (inside(room), room.state.staff_pass) == ((2, 2, 2, True), True)
    assert undoable(room) == [("3", "staff_pass"), ("2", "answer_hatch")]
    undo(room, "2")
    assert room.state.hatch_waiting == (0.0,)
    undo(room, "3")
    assert not room.state.staff_pass


@pytest.mark.parametrize("name", ["block_door", "lock_down", "lock_open", "ring_chime"])
def test_locks_and_bells_are_not_taken_back(name: str) -> None:
    """A lock has a command that ends it, and what rang has rung."""
    room = shut_room()
    ask(room, name, 1)
    assert undoable(room) == []
    assert refused(room) == Reason.NOTHING_TO_UNDO


# --- why not -------------------------------------------------------------------------------------


def test_after_ten_seconds_it_is_too_late() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    room.wait(10)
    assert undoable(room) == []
    assert refused(room) == Reason.TOO_LATE


def test_without_a_name_the_last_one_says_why_not() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    room.wait(10)
    assert room.command("undo") == Reason.TOO_LATE


def test_ten_seconds_end_without_a_tick_in_between() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    room.now_ms += 10_000
    assert refused(room) == Reason.TOO_LATE


def test_it_works_once() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    undo(room)
    assert refused(room) == Reason.NOTHING_TO_UNDO
    assert inside(room) == (2, 2, 2, True)


@pytest.mark.parametrize("name", COUNTED)
def test_newer_count_is_what_can_be_taken_back(name: str) -> None:
    room = shut_room(3)
    ask(room, "set_count", 1, "older")
    ask(room, name, 2, "newer")
    assert refused(room, "older") == Reason.CHANGED_SINCE
    undo(room, "newer")
    assert inside(room) == (1, 1, 1, True)
    assert refused(room, "older") == Reason.CHANGED_SINCE


def test_same_count_twice_is_taken_back_as_one() -> None:
    room = shut_room(3)
    ask(room, "set_count", 1, "a")
    ask(room, "set_count", 1, "again")
    assert undoable(room) == [("a", "set_count")]
    undo(room)
    assert inside(room) == (3, 3, 3, True)


@pytest.mark.parametrize(
    ("name", "number"), [("set_count", 2), ("answer_hatch", None), ("answer_door", None)]
)
def test_command_that_changed_nothing_is_not_taken_back(name: str, number: int | None) -> None:
    room = shut_room(2)
    ask(room, name, number)
    assert undoable(room) == []


@pytest.mark.parametrize("number", [None, -1, 100])
def test_refused_command_is_not_taken_back(number: int | None) -> None:
    room = shut_room(2)
    ask(room, "set_count", number)
    assert undoable(room) == []
    assert refused(room) == Reason.NOTHING_TO_UNDO


def test_refused_commands_leave_what_can_be_taken_back_as_it_is() -> None:
    room = asked_room()
    ask(room, "set_count", 4)
    assert room.command("answer_question", 3) == Reason.STALE_COMMAND
    assert room.command("access_door", 1) == Reason.CAPACITY_REACHED
    assert room.command("set_count", -1) == Reason.MALFORMED
    undo(room)
    assert inside(room) == (2, 2, 4, False)


def test_release_that_a_wrong_count_has_refused_stays_refused() -> None:
    room = shut_room(1)
    ask(room, "set_count", 4)
    assert room.command("access_door", 1) == Reason.CAPACITY_REACHED
    undo(room)
    assert (inside(room), room.state.grant, room.strike) == ((1, 1, 1, True), None, False)


def test_taking_back_one_part_leaves_the_other() -> None:
    room = shut_room(2)
    room.knock()
    ask(room, "room_empty", id_="1")
    ask(room, "answer_hatch", id_="2")
    undo(room, "2")
    undo(room, "1")
    assert inside(room) == (2, 2, 2, True)


def test_by_hand_a_party_whose_release_a_wrong_count_has_spent_may_be_inside() -> None:
    room = Room(counting="manual", lines=frozenset())
    ask(room, "access_door", 2, "let")
    room.doorway(0)
    ask(room, "set_count", 4)
    undo(room)
    room.doorway(0, busy=False)
    assert inside(room) == (0, 0, 2, False)


@pytest.mark.parametrize(
    ("before", "wrong", "then", "number"),
    [(0, 3, "self_test", None), (3, 0, "self_test", None), (4, 1, "access_door", 2)],
)
def test_command_that_would_have_been_decided_otherwise_ends_it(
    before: int, wrong: int, then: str, number: int | None
) -> None:
    room = shut_room(before)
    if not before:
        room.state.session = None
    ask(room, "room_empty" if wrong == 0 else "set_count", wrong)
    done = room.command(then, number) is None
    assert done == (wrong < before)
    expected = Reason.CHANGED_SINCE if done else None
    assert (None if not done else refused(room)) == expected


def test_button_that_would_have_been_answered_otherwise_ends_it() -> None:
    room = shut_room(0, counting="auto")
    room.contact("release_button", False)
    ask(room, "set_count", 4)
    room.contact("release_button", True)
    assert refused(room) == Reason.CHANGED_SINCE


def test_release_that_was_let_in_either_way_does_not_end_it() -> None:
    room = shut_room(1)
    ask(room, "set_count", 2)
    ask(room, "access_door", 1, "let")
    room.door(True)
    room.passes(1)
    room.door(False)
    undo(room)
    assert inside(room) == (2, 2, 2, True)


def test_unknown_name_takes_back_nothing() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    assert refused(room, "b") == Reason.NOTHING_TO_UNDO
    assert undoable(room) == [("a", "room_empty")]


def test_last_refusals_are_remembered_and_no_more() -> None:
    room = shut_room(2)
    for n in range(6):
        ask(room, "set_count", n % 2, str(n))
    assert refused(room, "0") == Reason.NOTHING_TO_UNDO
    assert [refused(room, str(n)) for n in range(1, 5)] == [Reason.CHANGED_SINCE] * 4


# --- a restart in between ------------------------------------------------------------------------


def test_restart_with_the_door_shut_leaves_it() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    room.wait(4)
    room.step(Started(room.now_ms, doubt=False))
    room.door(False)
    room.wait(5)
    undo(room)
    assert inside(room) == (2, 2, 2, True)
    assert room.state.session is not None


def test_restart_in_doubt_ends_it() -> None:
    room = shut_room(2)
    room.knock()
    ask(room, "answer_hatch", id_="hatch")
    ask(room, "room_empty")
    room.step(Started(room.now_ms, doubt=True))
    assert refused(room) == Reason.CHANGED_SINCE
    assert refused(room, "hatch") == Reason.CHANGED_SINCE


def test_restart_does_not_lengthen_the_ten_seconds() -> None:
    room = shut_room(2)
    ask(room, "room_empty")
    room.wait(9)
    room.step(Started(room.now_ms, doubt=False))
    room.wait(1)
    assert refused(room) == Reason.TOO_LATE


def test_what_is_kept_does_not_grow_with_the_taps() -> None:
    room = shut_room(2)
    for n in range(20):
        room.knock()
        ask(room, "answer_hatch", id_=f"h{n}")
        ask(room, "set_count", n % 3, f"c{n}")
        ask(room, "staff_pass", id_=f"s{n}")
        room.now_ms += 100.0
    assert len(room.state.undos) == 3
    assert not any(each.before.undos or each.before.no_undos for each in room.state.undos)


# --- as if it had never been given ---------------------------------------------------------------


Happens = Callable[[Room], object]


def _happenings() -> st.SearchStrategy[Happens]:
    """What people and sensors do that nobody asks the house for, and how time goes by."""
    passage = st.tuples(st.integers(-2, 2), st.integers(0, 1)).map(
        lambda span: lambda room: room.passes(span[0], sum(span))
    )
    door = st.booleans().map(lambda is_open: lambda room: room.door(is_open))
    doorway = st.booleans().map(lambda busy: lambda room: room.doorway(0, busy))
    knock = st.sampled_from(["hatch", "door"]).map(lambda place: lambda room: room.knock(place))
    chatter = st.booleans().map(
        lambda on: lambda room: room.step(Fault(room.now_ms, "BeamChatter", "beam_outer", on))
    )
    wait = st.sampled_from([0.5, 1.0, 3.0]).map(lambda s: lambda room: room.wait(s))
    release = st.integers(1, 3).map(lambda n: lambda room: ask(room, "access_door", n, "let"))
    stop = st.just(lambda room: ask(room, "release_cancel"))
    return st.one_of(passage, door, doorway, knock, chatter, wait, release, stop)


def refusals(room: Room) -> int:
    """Return how often the house has refused something."""
    return sum(name in ("access_denied", "command_refused") for name in names(room.all))


WRONG = [("room_empty", None), ("staff_pass", None), ("answer_hatch", None), ("answer_door", None)]


@settings(max_examples=300, deadline=None)
@given(
    manual=st.booleans(),
    age_s=st.sampled_from([0.0, 7190.0]),
    earlier=st.lists(_happenings(), max_size=6),
    wrong=st.sampled_from(WRONG)
    | st.tuples(
        st.sampled_from(["set_count", "report_wrong", "answer_question"]), st.integers(0, 5)
    ),
    since=st.lists(_happenings(), max_size=5),
)
def test_taken_back_is_as_if_it_had_never_been_given(
    manual: bool,
    age_s: float,
    earlier: list[Happens],
    wrong: tuple[str, int | None],
    since: list[Happens],
) -> None:
    with_it, without = (
        shut_room(capacity=3, counting="manual" if manual else "auto", empty_after_ms=4_000.0)
        for _ in range(2)
    )
    for room in (with_it, without):
        ask(room, "set_count", 2)
        room.wait(age_s)
        room.wait(20)
        for happens in earlier:
            happens(room)
    ask(with_it, *wrong, id_="wrong")
    for happens in since:
        happens(with_it)
        happens(without)
    strike, decided = with_it.strike, refusals(with_it) == refusals(without)
    if "undone" not in names(undo(with_it, "wrong")) or not decided:
        return  # what the wrong tap has refused stays refused
    assert not with_it.strike or strike
    now, then = with_it.state, without.state
    assert now.occupancy == then.occupancy
    assert (now.question and now.question.readings) == (then.question and then.question.readings)
    assert (now.departure, now.staff_pass) == (then.departure, then.staff_pass)
    assert (now.hatch_waiting, now.door_knock) == (then.hatch_waiting, then.door_knock)
    assert {f.name for f in now.faults} == {f.name for f in then.faults}
    assert now.over_capacity == then.over_capacity
    if then.session is not None:
        assert now.session is not None
        assert now.session.started_ms <= then.session.started_ms
        assert now.session.next_mark >= then.session.next_mark
    elif now.session is not None:  # begun by mistake, and perhaps somebody is there
        assert then.occupancy != Occupancy()
    if then.grant is not None:
        assert now.grant is not None
        seen = ("party", "entered", "opened", "counted", "most", "cancelled")
        assert all(getattr(now.grant, name) == getattr(then.grant, name) for name in seen)


# --- by its number, as in a trace ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "undone"), [(None, "answer_hatch"), (0, "answer_hatch"), (1, "room_empty")]
)
def test_without_a_name_the_number_counts_from_the_newest(number: int | None, undone: str) -> None:
    room = shut_room(2)
    room.knock()
    ask(room, "room_empty", id_="1")
    ask(room, "answer_hatch", id_="2")
    effects = room.step(Command(room.now_ms, "undo", number, cause="trace"))
    assert note(effects, "undone")["command"] == undone


@pytest.mark.parametrize("number", [-1, 1])
def test_number_that_is_none_takes_back_nothing(number: int) -> None:
    room = shut_room(2)
    ask(room, "room_empty", id_="1")
    assert room.command("undo", number) == Reason.NOTHING_TO_UNDO


def test_time_of_a_due_release_is_over_before_it_is_taken_back() -> None:
    """No tick came in between: what was due goes first, in both states."""
    room = Room(counting="manual", lines=frozenset())
    ask(room, "access_door", 2, "let")
    ask(room, "set_count", 1)
    room.now_ms += room.settings.release_ms
    effects = undo(room)
    assert names(effects) == ["count_adjusted", "access_taken", "undone", "count_adjusted"]
    assert room.state.grant is None
    assert inside(room) == (2, 2, 2, True)


def test_over_time_is_said_when_a_session_is_resumed_in_it() -> None:
    room = shut_room(2)
    room.wait(7200 + 60)
    ask(room, "room_empty")
    effects = undo(room)
    assert note(effects, "session_resumed") == {"remaining_s": -60}
    assert room.state.session is not None
    assert room.state.session.started_ms + 120 * MINUTE_MS == room.now_ms - 60_000
