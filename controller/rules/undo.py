"""Taking back: what a command changed is put back as if it had never been given.

A command that can be taken back leaves the state before it, and whatever happens afterwards happens
in that state, too (`follow`). So what is put back holds all that came and went in between: guests,
releases, knocks, time. Each command changes one part of the state; only that part is put back:

| part         | commands                                    | put back                          |
|--------------|---------------------------------------------|-----------------------------------|
| `count`      | `room_empty`, `set_count`, `report_wrong`,  | count, question, session, what    |
|              | `answer_question`                           | was seen of the open release      |
| `count`      | `access_door`, where nobody counts at the   | how many came in is asked, for    |
|              | door, once it is counted                    | the door may have let them in     |
| `staff`      | `staff_pass`                                | it is not armed                   |
| `hatch`      | `answer_hatch`                              | who waits there, and since when   |
| `front_door` | `answer_door`                               | who knocked there                 |

To take back an open release is to stop it. Why not:

| reason          | when                                                                         |
|-----------------|------------------------------------------------------------------------------|
| `TooLate`       | its ten seconds are over                                                     |
| `ChangedSince`  | another command changed the same part; a later one was decided otherwise     |
|                 | than it would have been; a release ended in one of both states only; the     |
|                 | staff pass was used; the door may have moved unseen over a restart           |
| `NothingToUndo` | it was taken back already, it changed nothing, or it was never given         |

Taking back opens nothing: the strike's part of a release stays off once it is off. Nor does a
session gain by it: of two beginnings the earlier one stays, and one that has begun ends only where
surely nobody is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from controller.events import Command, Effect, Event, Note, Reason, Tick
from controller.rules.reconcile import ask_uncounted
from controller.rules.session import ring_marks
from controller.rules.state import Grant, RuleSettings, Session, State, Undo, verified_empty
from controller.rules.transition import UNDOABLE, Transition

Step = Callable[[State, Event, RuleSettings], tuple[State, tuple[Effect, ...]]]

#: Fields by which a command shows that it changed its part of the state.
CHANGED = {
    "count": ("occupancy", "question", "departure", "session", "grant", "faults"),
    "staff": ("staff_pass",),
    "hatch": ("hatch_waiting",),
    "front_door": ("door_knock",),
}
#: What the house decides about commands and buttons, by the names of its notes.
DECISIONS = ("access_granted", "access_denied", "command_refused")


# --- what can be taken back ----------------------------------------------------------------------


def undo_id(command: Command) -> str:
    """Return what `undo` calls a command: its own id, or its time where it has none."""
    return command.id or f"{command.t_ms:.0f}"


def remember(transition: Transition, before: State, command: Command) -> None:
    """Let a command be taken back that was done, if it changed anything."""
    part = CHANGED[UNDOABLE[command.name]]
    if any(getattr(before, field) != getattr(transition.state, field) for field in part):
        transition.remember(before, command.name, undo_id(command))


def expire(transition: Transition) -> None:
    """Close what has been taken back by nobody within its time."""
    for undo in transition.state.undos:
        if undo.until_ms <= transition.state.t_ms:
            transition.close_undo(undo, Reason.TOO_LATE)


def follow(transition: Transition, known: tuple[Undo, ...], event: Event, step: Step) -> None:
    """Let ``event`` happen as well where the commands were never given that can be taken back.

    Only those that were ``known`` before it: to a command that is this event itself nothing has
    happened since. An undo ends when the house would have decided otherwise.
    """
    decided, now = _decisions(transition.effects), Tick(transition.state.t_ms)
    for undo in transition.state.undos:
        new = not any(undo is old for old in known)
        happened = now if new or _means_nothing(undo, event, decided) else event
        before, effects = step(undo.before, happened, transition.settings)
        otherwise = happened is event and decided != _decisions(effects)
        if otherwise and UNDOABLE[undo.command] == "count":
            transition.close_undo(undo, Reason.CHANGED_SINCE)
        else:
            _replace(transition, undo, _kept(before, undo.before.session))


def part(transition: Transition) -> None:
    """Close what can't be told apart any more: a release is open in one of both states only."""
    grant = transition.state.grant
    for undo in transition.state.undos:
        parted = (grant is None) != (undo.before.grant is None)
        if parted and UNDOABLE[undo.command] == "count":
            transition.close_undo(undo, Reason.CHANGED_SINCE)


def _means_nothing(undo: Undo, event: Event, decided: list[str]) -> bool:
    """Return whether an event changes nothing in an undo's state.

    A refused command does not; nor one of the same part that left the undo open, for then it has
    only said again what stood already.
    """
    if not isinstance(event, Command):
        return False
    refused = bool(set(decided) - {"access_granted"})
    same_part = UNDOABLE.get(event.name) == UNDOABLE[undo.command] and event.name != "access_door"
    return refused or same_part or event.name == "undo"


def _decisions(effects: Iterable[Effect]) -> list[str]:
    return [e.name for e in effects if isinstance(e, Note) and e.name in DECISIONS]


def _kept(state: State, session: Session | None) -> State:
    """Return an undo's state: nobody there takes back, nor hears the marks of the session ring."""
    state.undos, state.no_undos, now = (), (), state.session
    if now is not None and session is not None and now.started_ms == session.started_ms:
        state.session = replace(now, next_mark=session.next_mark)
    return state


def _replace(transition: Transition, undo: Undo, before: State) -> None:
    moved = replace(undo, before=before)
    undos = transition.state.undos
    transition.state.undos = tuple(moved if other is undo else other for other in undos)


# --- taking it back ------------------------------------------------------------------------------


def take_back(transition: Transition, command: Command) -> Reason | None:
    """Put back what the named command changed.

    Without a name, as in a trace, its number counts from the newest that can be, which is 0.
    """
    state = transition.state
    undo = _named(state.undos, command)
    if undo is None:
        return _stop_release(transition, command)
    part = UNDOABLE[undo.command]
    if part == "staff" and not state.staff_pass:
        return Reason.CHANGED_SINCE
    transition.close_undo(undo, Reason.NOTHING_TO_UNDO)
    transition.note("undone", id=undo.id, command=undo.command, cause=command.cause)
    PUT_BACK[part](transition, undo, command.cause)
    return None


def _named(undos: tuple[Undo, ...], command: Command) -> Undo | None:
    number = command.number or 0
    if not command.undoes:
        return undos[number] if 0 <= number < len(undos) else None
    return next((each for each in undos if each.id == command.undoes), None)


def _stop_release(transition: Transition, command: Command) -> Reason | None:
    """Stop the open release, if that is what shall be taken back; else say why nothing can be."""
    grant, id_ = transition.state.grant, command.undoes
    if grant is None or grant.id != id_ or grant.cancelled:
        return _why_not(transition.state, id_)
    transition.note("undone", id=id_, command="access_door", cause=command.cause)
    return transition.cancel_release(command.cause)


def _why_not(state: State, id_: str) -> Reason:
    known = (Reason(each.reason) for each in state.no_undos if id_ in ("", each.id))
    return next(known, Reason.NOTHING_TO_UNDO)


def _put_back_count(transition: Transition, undo: Undo, cause: str) -> None:
    state, before = transition.state, undo.before
    if not undo.party:  # those who were let in may be inside: their two hours have begun
        _put_back_session(transition, before)
    _put_back_questions(transition, undo, cause)
    was, state.occupancy = state.occupancy, before.occupancy
    state.grant = _put_back_grant(state.grant, before.grant)
    if state.occupancy != was:
        transition.note_count(was, cause)
    if undo.party:
        ask_uncounted(transition, undo.party)
    underflow = any(fault.name == "CountUnderflow" for fault in before.faults)
    transition.fault("CountUnderflow", "occupancy", active=underflow)
    empty = {name: at for name, at in before.timers.items() if name in EMPTY_TIMERS}
    state.timers = {**state.timers, **empty}


#: Timers of a room that may be empty: they run as if the command had not been given.
EMPTY_TIMERS = ("empty", "everybody_left")


def _put_back_questions(transition: Transition, undo: Undo, cause: str) -> None:
    """Ask again what was asked, and no more what was not."""
    state, before = transition.state, undo.before
    _put_back_question(transition, undo, cause)
    asks, asked = state.departure == "Asked", before.departure == "Asked"
    state.departure = before.departure
    if asked and not asks:
        transition.note("question_asked", kind="everybody_left")
    elif asks and not asked:
        transition.note("question_ended", kind="everybody_left", how="undo", cause=cause)


def _put_back_question(transition: Transition, undo: Undo, cause: str) -> None:
    asks, asked = transition.state.question, undo.before.question
    if asks == asked:
        return
    same_name = asks is not None and asked is not None and asks.id == asked.id
    if same_name and undo.party:
        transition.state.question = asked  # it stood all the while; its answers meant more guests
        return
    transition.end_question("undo", cause=cause)
    if asked is not None:  # of two that were asked in one moment this is another one
        transition.ask(replace(asked, id=f"{asked.id}b") if same_name else asked)


def _put_back_grant(grant: Grant | None, before: Grant | None) -> Grant | None:
    """Return the release with what the beams saw of it; its strike, once off, stays off."""
    if grant is None or before is None or not before.live or grant.live:
        return before
    return replace(before, live=False, over=grant.over, unsure=True)


def _put_back_session(transition: Transition, before: State) -> None:
    """Let the session go on that the command ended, or end the one that it began."""
    state, now, old = transition.state, transition.state.session, before.session
    if old is None:
        if verified_empty(before):
            transition.end_session(reason="undo")
    elif now is None or old.started_ms < now.started_ms:
        transition.end_session(reason="undo")
        state.session = old
        ends_ms = old.started_ms + transition.settings.session_ms
        transition.note("session_resumed", remaining_s=round((ends_ms - state.t_ms) / 1000))
        ring_marks(transition)


def _disarm_staff_pass(transition: Transition, undo: Undo, cause: str) -> None:
    transition.state.staff_pass = False


def _put_back_hatch(transition: Transition, undo: Undo, cause: str) -> None:
    state, before = transition.state, undo.before
    state.hatch_waiting, state.hatch_knock_ms = before.hatch_waiting, before.hatch_knock_ms
    patience = {name: at for name, at in before.timers.items() if name == "hatch_patience"}
    state.timers = {**state.timers, **patience}


def _put_back_front_door(transition: Transition, undo: Undo, cause: str) -> None:
    transition.state.door_knock = undo.before.door_knock


PUT_BACK: dict[str, Callable[[Transition, Undo, str], None]] = {
    "count": _put_back_count,
    "staff": _disarm_staff_pass,
    "hatch": _put_back_hatch,
    "front_door": _put_back_front_door,
}
