"""The rules: one pure function, ``step(state, event, settings) -> (state, effects)``.

How it works
------------
Every event goes through four stages, always in this order:

1. *due*: each timer and session mark whose time has come rings, oldest first. An event carries its
   own time, so a Tick is an event that says nothing but the time.
2. *handle*: the handler of this kind of event changes the state and notes what happened. `HANDLERS`
   has one for each kind; they stand in `handlers` and `commands`.
3. *follow*: consequences that hold whatever caused them: a session starts with the first guest, a
   release is reconciled, over capacity is noticed, timers start and stop. A rule that belongs to a
   *situation* stands here, so no way into the situation can forget it.
   What can be taken back follows as well, in a state of its own (see `undo`).
4. *show*: outputs are the difference between `wanted` before and after. Only chimes, notes and
   answers are emitted by handlers.

All four work on one `Transition`: it owns a copy of the state and collects the effects.

Timers are absolute deadlines in ``State.timers``. `running` says in which situation each one runs,
a row of `TIMERS` for how long, and what happens when it rings. A timer that has rung stays as None
until its situation ends, so it rings once.

Two rules hold all this together. *Nothing turns the strike on but a release* (or walk-in): a
release whose strike went off never turns it on again. *The strike governs entry only*: the way out
is mechanical, and no event from inside is ever refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from controller.events import (
    Command,
    Contact,
    Doorway,
    Effect,
    Event,
    Fault,
    Knock,
    KnockEnded,
    Opening,
    Passage,
    Started,
    Tick,
)
from controller.rules import handlers, undo
from controller.rules.commands import handle_command
from controller.rules.reconcile import reconcile
from controller.rules.session import ring_marks, start_session
from controller.rules.state import (
    Grant,
    RuleSettings,
    State,
    lock_fault,
    release_fits,
    session_phase,
    strike_on,
    wanted,
)
from controller.rules.transition import Transition


def step(state: State, event: Event, settings: RuleSettings) -> tuple[State, tuple[Effect, ...]]:
    """Return the state after ``event`` and its effects: changed outputs come last.

    An event that claims to be older than the state is taken as happening now.
    """
    t_ms = event.t_ms if event.t_ms > state.t_ms else state.t_ms
    transition = Transition(state, t_ms, settings)
    _due(transition)
    undos = transition.state.undos
    if undos and isinstance(event, Command) and event.name == "undo":
        _follow(transition)
        undo.follow(transition, undos, Tick(transition.state.t_ms), step)
        undos = transition.state.undos
    HANDLERS[type(event)](transition, event)
    _follow(transition)
    if transition.state.undos:
        undo.follow(transition, undos, event, step)
        undo.part(transition)
    before, after = wanted(state, settings), wanted(transition.state, settings)
    if after != before:
        transition.effects += [after[line] for line in after if after[line] != before[line]]
    return transition.state, tuple(transition.effects)


def _tick(transition: Transition, event: Tick) -> None:
    """Do nothing: a Tick only lets time pass."""


HANDLERS: dict[type, Callable[[Transition, Any], None]] = {
    Tick: _tick,
    Started: handlers.started,
    Doorway: handlers.doorway,
    Passage: handlers.passage,
    Knock: handlers.knock,
    KnockEnded: handlers.knock_ended,
    Contact: handlers.contact,
    Opening: handlers.opening,
    Fault: handlers.fault,
    Command: handle_command,
}


# --- what is due --------------------------------------------------------------------------------


def _due(transition: Transition) -> None:
    """Ring the timers that time has reached, oldest first, then the session's marks.

    A journal of another version may have timers that these rules don't have: they are ignored.
    """
    timers, now_ms = transition.state.timers, transition.state.t_ms
    if timers:
        ripe = [(at, name) for name, at in timers.items() if at is not None and at <= now_ms]
        for _, name in sorted(ripe) if ripe else ():
            if name not in TIMERS:
                continue
            transition.state.timers = {**transition.state.timers, name: None}
            TIMERS[name].ring(transition)
    ring_marks(transition)
    if transition.state.undos:
        undo.expire(transition)


# --- what follows, whatever caused it -----------------------------------------------------------


def _follow(transition: Transition) -> None:
    """Apply what follows from the situation; ``state`` is changed under way, so read it anew."""
    state, settings = transition.state, transition.settings
    if state.grant is not None and state.grant.live and not release_fits(state, settings):
        _spend_grant(transition, state.grant)
    if state.grant is not None and _finished(state, state.grant):
        reconcile(transition, state.grant)
    if state.session is None and state.occupancy.count > 0:
        start_session(transition)
    if state.over_capacity != (state.occupancy.count > settings.capacity):
        _mark_over_capacity(transition)
    if state.faults and lock_fault(state) and not _bolt_disagrees(state, settings):
        transition.fault("LockNotLocked", "bolt_contact", active=False)
    _run_timers(transition)


def _spend_grant(transition: Transition, grant: Grant) -> None:
    """End a release whose strike had to go off: only another release turns it on again."""
    transition.state.grant = replace(grant, live=False, over=True, unsure=True)


def _finished(state: State, grant: Grant) -> bool:
    """Return whether nobody can come in by this release any more, through an open door neither.

    A door that began to open while the strike was on opens by this release.
    """
    still_open = state.door_opening or (grant.opened and state.door == "Open")
    return grant.over and not state.busy and not still_open


def _mark_over_capacity(transition: Transition) -> None:
    over = not transition.state.over_capacity
    transition.state.over_capacity = over
    transition.note(
        "over_capacity" if over else "over_capacity_ended", count=transition.state.occupancy.count
    )
    if over:
        transition.chime("over_capacity")


def _run_timers(transition: Transition) -> None:
    """Start the timers whose situation has begun, drop those whose situation has ended."""
    state, settings, timers = transition.state, transition.settings, transition.state.timers
    names = running(state, settings)
    if names != list(timers):
        begun = {name: state.t_ms + TIMERS[name].after_ms(settings) for name in names}
        transition.state.timers = {name: timers.get(name, begun[name]) for name in names}


def running(state: State, settings: RuleSettings) -> list[str]:
    """Return the names of the timers whose situation holds."""
    names = []
    if state.grant is not None and not state.grant.opened:
        names.append("release")
    if state.staff_pass:
        names.append("staff_pass")
    if state.session is not None and _looks_empty(state):
        names.append("empty")
    if _seems_deserted(state, settings):
        names.append("everybody_left")
    if state.hatch_waiting:
        names.append("hatch_patience")
    if state.door == "Open" and not state.locked_open and settings.entry != "walk_in":
        names += ["door_pre_alarm", "door_alarm"]
    if _bolt_disagrees(state, settings):
        names.append("bolt")
    return names


def _looks_empty(state: State) -> bool:
    nobody = state.occupancy.max == 0 and state.occupancy.certain
    return nobody and not state.busy and state.door != "Open"


def _seems_deserted(state: State, settings: RuleSettings) -> bool:
    """Return whether the last passage of an overtime was an exit, and guests are left by count.

    Two who leave side by side leave the count too high, and the session open.
    """
    if state.departure != "Seen" or state.session is None or state.occupancy.max == 0:
        return False
    overtime = session_phase(state.session, settings) == "overtime"
    return overtime and not state.busy and state.door != "Open"


def _bolt_disagrees(state: State, settings: RuleSettings) -> bool:
    return state.bolt == "Unlocked" and state.door == "Closed" and not strike_on(state, settings)


# --- timers -------------------------------------------------------------------------------------


class _Timer(NamedTuple):
    after_ms: Callable[[RuleSettings], float]
    ring: Callable[[Transition], None]


def _staff_pass_over(transition: Transition) -> None:
    transition.state.staff_pass = False
    transition.note("staff_pass_expired")


def _door_pre_alarm(transition: Transition) -> None:
    transition.note("door_pre_alarm", alarm="DoorOpenTooLong")


def _door_open_too_long(transition: Transition) -> None:
    transition.state.alarm = "DoorOpenTooLong"
    transition.note("door_alarm", alarm="DoorOpenTooLong")


def _ask_if_everybody_left(transition: Transition) -> None:
    transition.state.departure = "Asked"
    transition.note("question_asked", kind="everybody_left")


TIMERS: dict[str, _Timer] = {
    "release": _Timer(
        lambda settings: min(settings.release_ms, settings.strike_max_on_ms),
        Transition.end_release,
    ),
    "staff_pass": _Timer(lambda settings: settings.staff_pass_ms, _staff_pass_over),
    "empty": _Timer(lambda settings: settings.empty_after_ms, Transition.end_session),
    "everybody_left": _Timer(lambda settings: settings.left_after_ms, _ask_if_everybody_left),
    "hatch_patience": _Timer(
        lambda settings: settings.hatch_patience_ms,
        lambda transition: None,  # `wanted` blinks the light once this has rung
    ),
    "door_pre_alarm": _Timer(
        lambda settings: max(settings.open_ms - settings.pre_alarm_ms, 0), _door_pre_alarm
    ),
    "door_alarm": _Timer(lambda settings: settings.open_ms, _door_open_too_long),
    "bolt": _Timer(
        lambda settings: settings.bolt_grace_ms,
        lambda transition: transition.fault("LockNotLocked", "bolt_contact", active=True),
    ),
}
