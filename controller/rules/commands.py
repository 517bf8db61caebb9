"""What people may ask for, and every reason why not.

A command is absolute: there is no toggle and nothing that prolongs a session. Each handler does
what was asked and returns None, or changes nothing and returns the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.events import TONES, Answer, Command, Prove, Reason
from controller.rules import occupancy as people
from controller.rules.state import Grant, RuleSettings, State, lock_fault, promised_max
from controller.rules.transition import Turn


def obey(turn: Turn, command: Command) -> None:
    """Do what was asked or say why not; every refusal is noted and answered with its reason."""
    reason = command.refusal
    if reason is None:
        handler = COMMANDS.get(command.name)
        reason = Reason.UNKNOWN_COMMAND if handler is None else handler(turn, command)
    if reason is not None:
        denied = "access_denied" if command.name == "access_door" else "command_refused"
        turn.note(denied, command=command.name, reason=reason.value, cause=command.cause)
    if command.id or command.refusal is not None:
        turn.moments.append(Answer(command.id, reason is None, reason))


def _access_door(turn: Turn, command: Command) -> Reason | None:
    party = 1 if command.number is None else command.number
    reason = _why_no_access(turn.state, turn.settings, party)
    if reason is None:
        turn.change(grant=Grant(party), door_knock=None)
        turn.note("access_granted", party=party, cause=command.cause)
    return reason


def _why_no_access(state: State, settings: RuleSettings, party: int) -> Reason | None:
    """Return the first reason that stands against letting ``party`` guests in."""
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
    """Tell a room that is full from a room that only may be."""
    sure = state.occupancy.count + state.coming_in + party
    doubt = not state.occupancy.certain and sure <= settings.capacity
    return Reason.COUNT_UNCERTAIN if doubt else Reason.CAPACITY_REACHED


def _block_door(turn: Turn, command: Command) -> Reason | None:
    if turn.state.locked_open or turn.state.locked_down:
        return Reason.LOCKED_OPEN if turn.state.locked_open else Reason.LOCKED_DOWN
    turn.change(blocked=command.name == "block_door")
    turn.note("door_blocked" if turn.state.blocked else "door_unblocked", cause=command.cause)
    return None


def _lock_down(turn: Turn, command: Command) -> Reason | None:
    if turn.state.locked_open:
        return Reason.LOCKED_OPEN
    turn.change(locked_down=command.name == "lock_down")
    name = "locked_down" if turn.state.locked_down else "lock_down_released"
    turn.note(name, cause=command.cause)
    return None


def lock_open(turn: Turn, command: Command) -> Reason | None:
    """Evacuate: always accepted, also in a lock-down; only a person's release ends it."""
    if not turn.state.locked_open:
        turn.change(locked_open=True)
        turn.note("locked_open", cause=command.cause)
        turn.chime("evacuate")
    return None


def _lock_open_release(turn: Turn, command: Command) -> Reason | None:
    if turn.state.evacuate_input:
        return Reason.LOCKED_OPEN  # the alarm that asked for it is still on
    turn.change(locked_open=False)
    turn.note("lock_open_released", cause=command.cause)
    return None


def _set_count(turn: Turn, command: Command) -> Reason | None:
    if command.number is None or not 0 <= command.number <= people.MOST_PEOPLE:
        return Reason.MALFORMED
    turn.recount(people.settled(command.number), command.cause)
    turn.change_grant(unsure=True)
    turn.fault("CountUnderflow", "occupancy", active=False)
    return None


def _report_wrong(turn: Turn, command: Command) -> Reason | None:
    """Stamp the moment at which the count was wrong; the flight recorder has what led to it."""
    was = turn.state.occupancy.count
    refused = _set_count(turn, command)
    if refused is None:
        turn.note("reported_wrong", was=was, count=command.number, cause=command.cause)
    return refused


def _room_empty(turn: Turn, command: Command) -> Reason | None:
    _set_count(turn, replace(command, number=0))
    turn.end_session()
    return None


def _staff_pass(turn: Turn, command: Command) -> Reason | None:
    turn.change(staff_pass=True, timers=_without(turn.state, "staff_pass"))
    turn.note("staff_pass", cause=command.cause)
    return None


def _without(state: State, timer: str) -> dict[str, float | None]:
    """Return the timers without one, so that it starts anew with this step."""
    return {name: at for name, at in state.timers.items() if name != timer}


def _answer_hatch(turn: Turn, command: Command) -> Reason | None:
    turn.change(hatch_waiting=())
    turn.note("hatch_answered", cause=command.cause)
    return None


def _answer_door(turn: Turn, command: Command) -> Reason | None:
    turn.change(door_knock=None)
    turn.note("door_answered", cause=command.cause)
    return None


def _ring_chime(turn: Turn, command: Command) -> Reason | None:
    if command.number is None or not 0 <= command.number < len(TONES):
        return Reason.MALFORMED
    turn.chime(TONES[command.number])
    return None


def _self_test(turn: Turn, command: Command) -> Reason | None:
    """Hands in the beams would be guests: only in an empty room."""
    if turn.state.occupancy.max > 0 or turn.state.session is not None:
        return Reason.NOT_PERMITTED_AT_THIS_TIME
    turn.note("self_test_started", cause=command.cause)
    turn.moments.append(Prove())
    return None


COMMANDS: dict[str, Callable[[Turn, Command], Reason | None]] = {
    "access_door": _access_door,
    "block_door": _block_door,
    "unblock_door": _block_door,
    "lock_down": _lock_down,
    "lock_down_release": _lock_down,
    "lock_open": lock_open,
    "lock_open_release": _lock_open_release,
    "set_count": _set_count,
    "report_wrong": _report_wrong,
    "staff_pass": _staff_pass,
    "answer_hatch": _answer_hatch,
    "answer_door": _answer_door,
    "room_empty": _room_empty,
    "ring_chime": _ring_chime,
    "self_test": _self_test,
}
