"""What people may ask for, and every reason why not.

A command is absolute: there is no toggle and nothing that prolongs a session. Each handler does
what was asked and returns None, or changes nothing and returns the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.events import (
    TONES,
    USUAL_PARTY,
    Answer,
    Command,
    Reason,
    StartSelfTest,
    WatchWiring,
)
from controller.rules import occupancy as people
from controller.rules import undo
from controller.rules.question import Question
from controller.rules.session import start_session
from controller.rules.state import Grant, RuleSettings, State, lock_fault, promised_max
from controller.rules.transition import UNDOABLE, Transition

#: What the number of a command must be.
NUMBERS = {
    "access_door": "party must be 1 or more",
    "set_count": f"count must be a whole number from 0 to {people.MOST_PEOPLE}",
    "report_wrong": f"count must be a whole number from 0 to {people.MOST_PEOPLE}",
    "answer_question": "came must be one of the question's answers",
    "ring_chime": f"tone must be {' or '.join(TONES)}",
}


def handle_command(transition: Transition, command: Command) -> None:
    """Do what was asked, or refuse: a refusal is noted and answered with its reason."""
    before = len(transition.effects)
    reason = command.refusal
    if reason is None:
        reason = _do(transition, command)
    if reason is not None:
        _note_refusal(transition, command, reason)
    if command.by:
        transition.sign_notes(before, command.by)
    if command.id or command.refusal is not None:
        transition.effects.append(
            Answer(command.id, reason is None, reason, _detail(command, reason))
        )


def _detail(command: Command, reason: Reason | None) -> str:
    """Return what of a malformed command is wrong: for the author of whatever sent it."""
    if reason is not Reason.MALFORMED:
        return ""
    return command.detail or NUMBERS.get(command.name, "")


def _do(transition: Transition, command: Command) -> Reason | None:
    """Do what was asked; what can be taken back is remembered."""
    handler = HANDLERS.get(command.name)
    if handler is None:
        return Reason.UNKNOWN_COMMAND
    before = transition.before()
    reason = handler(transition, command)
    if reason is None and command.name in UNDOABLE and command.name != "access_door":
        undo.remember(transition, before, command)
    return reason


def _note_refusal(transition: Transition, command: Command, reason: Reason) -> None:
    """Note a refusal with its reason; an open question that stands in the way is named."""
    denied = "access_denied" if command.name == "access_door" else "command_refused"
    data: dict[str, object] = {"command": command.name, "reason": reason.value}
    question = transition.state.question
    if question is not None and reason is Reason.COUNT_UNCERTAIN:
        data["question"] = {"expected": question.expected, "seen": question.seen}
    if command.age_s is not None:
        data["age_s"] = command.age_s
    transition.note(denied, **data, cause=command.cause)


def _access_door(transition: Transition, command: Command) -> Reason | None:
    party = USUAL_PARTY if command.number is None else command.number
    reason = _why_no_access(transition.state, transition.settings, party)
    if reason is None:
        transition.state.grant = Grant(party, id=undo.undo_id(command))
        transition.state.door_knock = None
        transition.note("access_granted", party=party, cause=command.cause)
    return reason


def _release_cancel(transition: Transition, command: Command) -> Reason | None:
    return transition.cancel_release(command.cause)


def _why_no_access(state: State, settings: RuleSettings, party: int) -> Reason | None:
    """Return the first reason against letting ``party`` guests in."""
    against = (
        (party < 1, Reason.MALFORMED),
        (state.locked_open, Reason.LOCKED_OPEN),
        (state.locked_down, Reason.LOCKED_DOWN),
        (state.blocked, Reason.BLOCKED),
        (state.grant is not None, Reason.RELEASE_OPEN),
        (lock_fault(state), Reason.DOOR_FAULT),
        (promised_max(state) + party > settings.capacity, _why_full(state, settings, party)),
        (state.door == "Open", Reason.DOOR_OPEN),
    )
    return next((reason for stands, reason in against if stands), None)


def _why_full(state: State, settings: RuleSettings, party: int) -> Reason:
    """Return the reason for a room that is full, or for one that only may be."""
    sure = state.occupancy.count + state.coming_in + party
    doubt = not state.occupancy.certain and sure <= settings.capacity
    return Reason.COUNT_UNCERTAIN if doubt else Reason.CAPACITY_REACHED


def _block_door(transition: Transition, command: Command) -> Reason | None:
    if transition.state.locked_open or transition.state.locked_down:
        return Reason.LOCKED_OPEN if transition.state.locked_open else Reason.LOCKED_DOWN
    transition.state.blocked = command.name == "block_door"
    transition.note(
        "door_blocked" if transition.state.blocked else "door_unblocked", cause=command.cause
    )
    return None


def _lock_down(transition: Transition, command: Command) -> Reason | None:
    if transition.state.locked_open:
        return Reason.LOCKED_OPEN
    transition.state.locked_down = command.name == "lock_down"
    name = "locked_down" if transition.state.locked_down else "lock_down_released"
    transition.note(name, cause=command.cause)
    return None


def lock_open(transition: Transition, command: Command) -> Reason | None:
    """Evacuate: always accepted, also in a lock-down; only `lock_open_release` ends it."""
    if not transition.state.locked_open:
        transition.state.locked_open = True
        transition.note("locked_open", cause=command.cause)
        transition.chime("evacuate")
    return None


def _lock_open_release(transition: Transition, command: Command) -> Reason | None:
    if transition.state.evacuate_input:
        return Reason.LOCKED_OPEN  # the alarm that asked for it is still on
    transition.state.locked_open = False
    transition.note("lock_open_released", cause=command.cause)
    return None


def _set_count(transition: Transition, command: Command) -> Reason | None:
    if command.number is None or not 0 <= command.number <= people.MOST_PEOPLE:
        return Reason.MALFORMED
    question = transition.state.question
    transition.settle(command.number, command.name, command.cause)
    _begin_session(transition, question)
    grant = transition.state.grant
    if grant is not None:
        counted = grant.entered  # whoever was seen come in is in this number
        transition.state.grant = replace(grant, unsure=True, counted=counted, most=0)
    transition.fault("CountUnderflow", "occupancy", active=False)
    return None


def _answer_question(transition: Transition, command: Command) -> Reason | None:
    """Settle the open question: ``number`` guests came in all told; other doubts remain.

    A command that names no question answers the one that is open.
    """
    question = transition.state.question
    if question is None or command.question not in ("", question.id):
        return Reason.STALE_COMMAND
    if command.number is None or command.number not in question.answers:
        return Reason.MALFORMED
    transition.end_question(command.name, came=command.number, cause=command.cause)
    transition.recount(question.answered(command.number), command.cause)
    _begin_session(transition, question)
    return None


def _begin_session(transition: Transition, question: Question | None) -> None:
    """Let the two hours of guests begin when it was asked how many came, not when it was said."""
    state = transition.state
    if question is not None and state.session is None and state.occupancy.count > 0:
        start_session(transition, question.since_ms)


def _report_wrong(transition: Transition, command: Command) -> Reason | None:
    """Set the count and note when it was wrong: the flight recorder has what led to it."""
    was = transition.state.occupancy.count
    refused = _set_count(transition, command)
    if refused is None:
        transition.note("reported_wrong", was=was, count=command.number, cause=command.cause)
    return refused


def _room_empty(transition: Transition, command: Command) -> Reason | None:
    _set_count(transition, replace(command, number=0))
    transition.end_session()
    return None


def _staff_pass(transition: Transition, command: Command) -> Reason | None:
    transition.state.staff_pass = True
    transition.state.timers = _without(transition.state, "staff_pass")
    transition.note("staff_pass", cause=command.cause)
    return None


def _without(state: State, timer: str) -> dict[str, float | None]:
    """Return the timers without one, so that it starts anew with this step."""
    return {name: at for name, at in state.timers.items() if name != timer}


def _answer_hatch(transition: Transition, command: Command) -> Reason | None:
    transition.state.hatch_waiting = ()
    transition.note("hatch_answered", cause=command.cause)
    return None


def _answer_door(transition: Transition, command: Command) -> Reason | None:
    transition.state.door_knock = None
    transition.note("door_answered", cause=command.cause)
    return None


def _ring_chime(transition: Transition, command: Command) -> Reason | None:
    if command.number is None or not 0 <= command.number < len(TONES):
        return Reason.MALFORMED
    transition.chime(TONES[command.number])
    return None


def _self_test(transition: Transition, command: Command) -> Reason | None:
    """Start the self-test in an empty room only: hands in the beams count as guests."""
    if transition.state.occupancy.max > 0 or transition.state.session is not None:
        return Reason.NOT_PERMITTED_AT_THIS_TIME
    transition.note("self_test_started", cause=command.cause)
    transition.effects.append(StartSelfTest())
    return None


def _watch_wiring(transition: Transition, command: Command) -> Reason | None:
    """Let the wires be shown; it changes nothing, so it is permitted at any time."""
    transition.effects.append(WatchWiring())
    return None


HANDLERS: dict[str, Callable[[Transition, Command], Reason | None]] = {
    "access_door": _access_door,
    "release_cancel": _release_cancel,
    "block_door": _block_door,
    "unblock_door": _block_door,
    "lock_down": _lock_down,
    "lock_down_release": _lock_down,
    "lock_open": lock_open,
    "lock_open_release": _lock_open_release,
    "set_count": _set_count,
    "report_wrong": _report_wrong,
    "answer_question": _answer_question,
    "staff_pass": _staff_pass,
    "answer_hatch": _answer_hatch,
    "answer_door": _answer_door,
    "room_empty": _room_empty,
    "undo": undo.take_back,
    "ring_chime": _ring_chime,
    "self_test": _self_test,
    "watch_wiring": _watch_wiring,
}
