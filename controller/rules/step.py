"""The house rules: one pure function, ``step(state, event, house) -> (state, effects)``.

How it works
------------
Every event goes through four stages, always in this order:

1. *due*: each timer and session mark that has been reached rings, oldest first. An event carries
   its own time, so a Tick is nothing but an event that says only "it is now t".
2. *said*: the handler of this kind of event records what the house was told (`HANDLERS`; the
   handlers are in `said` and `commands`).
3. *follow*: consequences that hold whatever caused them: a session starts with the first guest, a
   release is reconciled, over capacity is noticed, timers start and stop. A rule that belongs to a
   *situation* lives here, so no way into the situation can forget it.
4. *show*: outputs are the difference between `wanted` before and after. Only moments (chimes,
   notes, answers) are emitted by hand.

Timers are absolute deadlines in ``State.timers``. `running` says in which situation one runs, a
row of `TIMERS` for how long and what its ringing does. A timer that has rung stays as None until
its situation ends, so it rings once.

Two rules hold all this together. *Nothing opens the strike but a release* (or walk-in): a release
whose strike went off never turns it on again. *The way out is no business of ours*: no event from
inside is ever refused.
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
    Passage,
    Started,
    Tick,
)
from controller.rules import handlers
from controller.rules import occupancy as people
from controller.rules.commands import obey
from controller.rules.state import (
    Grant,
    RuleSettings,
    Session,
    State,
    lock_fault,
    mark_ms,
    release_fits,
    strike_on,
    wanted,
)
from controller.rules.transition import Turn


def step(state: State, event: Event, settings: RuleSettings) -> tuple[State, tuple[Effect, ...]]:
    """Return the state after ``event`` and its effects: moments first, then changed outputs.

    An event that claims to be older than the state is taken as happening now.
    """
    turn = Turn(state, max(state.t_ms, event.t_ms), settings)
    _due(turn)
    HANDLERS[type(event)](turn, event)
    _follow(turn)
    before, after = wanted(state, settings), wanted(turn.state, settings)
    if after != before:
        turn.moments += [after[line] for line in after if after[line] != before[line]]
    return turn.state, tuple(turn.moments)


def _tick(turn: Turn, event: Tick) -> None:
    """Nothing but the time."""


HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    Tick: _tick,
    Started: handlers.started,
    Doorway: handlers.doorway,
    Passage: handlers.passage,
    Knock: handlers.knock,
    KnockEnded: handlers.knock_ended,
    Contact: handlers.contact,
    Fault: handlers.fault,
    Command: obey,
}


# --- what is due --------------------------------------------------------------------------------


def _due(turn: Turn) -> None:
    """Ring the timers that time has reached, oldest first, then the session's marks.

    A journal of another version may know timers that these rules don't: they end unheard.
    """
    timers, now_ms = turn.state.timers, turn.state.t_ms
    if timers:
        ripe = [(at, name) for name, at in timers.items() if at is not None and at <= now_ms]
        for _, name in sorted(ripe):
            if name not in TIMERS:
                continue
            turn.change(timers={**turn.state.timers, name: None})
            TIMERS[name].ring(turn)
    _ring_marks(turn)


def _ring_marks(turn: Turn) -> None:
    """Note every mark that time has reached; after a long absence only the last one rings."""
    tone = ""
    while (session := turn.state.session) is not None:
        at_ms = mark_ms(session, turn.settings, session.next_mark)
        if at_ms > turn.state.t_ms:
            break
        tone = _mark(turn, session, at_ms)
        turn.change(session=replace(session, next_mark=session.next_mark + 1))
    if tone:
        turn.chime(tone)


def _mark(turn: Turn, session: Session, at_ms: float) -> str:
    left_s = round((session.started_ms + turn.settings.session_ms - at_ms) / 1000)
    past = session.next_mark - len(turn.settings.warnings_ms)
    if past < 0:
        turn.note("session_warning", remaining_s=left_s)
        return "warning"
    if past == 0:
        turn.note("session_time_up")
        return "time_up"
    turn.note("session_overtime", over_s=-left_s)
    return "overtime"


# --- what follows, whatever caused it -----------------------------------------------------------


def _follow(turn: Turn) -> None:
    """Look for every situation that asks for something; ``state`` is the draft, always as it is."""
    state, settings = turn.state, turn.settings
    if state.grant is not None and state.grant.live and not release_fits(state, settings):
        _spend_grant(turn)
    if state.grant is not None and state.grant.over and not state.busy:
        _reconcile(turn, state.grant)
    if state.session is None and state.occupancy.count > 0:
        _start_session(turn)
    if state.over_capacity != (state.occupancy.count > settings.capacity):
        _mark_over_capacity(turn)
    if state.faults and lock_fault(state) and not _bolt_disagrees(state, settings):
        turn.fault("LockNotLocked", "bolt_contact", active=False)
    _run_timers(turn)


def _spend_grant(turn: Turn) -> None:
    """A release whose strike had to go off is over: only another one turns it on again."""
    turn.change_grant(live=False, over=True, unsure=True)


def _reconcile(turn: Turn, grant: Grant) -> None:
    """Close a release when the door is shut again (or its time is over) and nobody is in it."""
    believed = not turn.settings.beams and (grant.opened or not turn.settings.sees_door)
    entered = grant.party if believed else grant.entered
    turn.change(grant=None)
    if believed:
        _believe(turn, grant)
    if grant.opened or entered:
        turn.note("access_taken", expected=grant.party, entered=entered)
    else:
        turn.note("access_not_taken", expected=grant.party)


def _believe(turn: Turn, grant: Grant) -> None:
    """Count a party that nobody saw, or doubt, if it may be inside or not."""
    before, party = turn.state.occupancy, grant.party
    if grant.unsure:
        turn.doubt(people.unseen(before, least=before.min, most=before.max + party), "release")
    else:
        turn.recount(people.moved(before, party, party), "release")


def _start_session(turn: Turn) -> None:
    """The first guest into a room verified empty starts the two hours."""
    skipped = sum(warning >= turn.settings.session_ms for warning in turn.settings.warnings_ms)
    turn.change(session=Session(turn.state.t_ms, skipped))
    turn.note("session_started")


def _mark_over_capacity(turn: Turn) -> None:
    over = not turn.state.over_capacity
    turn.change(over_capacity=over)
    turn.note("over_capacity" if over else "over_capacity_ended", count=turn.state.occupancy.count)
    if over:
        turn.chime("over_capacity")


def _run_timers(turn: Turn) -> None:
    """Start the timers whose situation has begun, forget those whose situation has ended."""
    state, settings, timers = turn.state, turn.settings, turn.state.timers
    names = running(state, settings)
    if names != list(timers):
        begun = {name: state.t_ms + TIMERS[name].after_ms(settings) for name in names}
        turn.change(timers={name: timers.get(name, begun[name]) for name in names})


def running(state: State, settings: RuleSettings) -> list[str]:
    """Name the timers whose situation holds."""
    names = []
    if state.grant is not None and not state.grant.opened:
        names.append("release")
    if state.staff_pass:
        names.append("staff_pass")
    if state.session is not None and _looks_empty(state):
        names.append("empty")
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


def _bolt_disagrees(state: State, settings: RuleSettings) -> bool:
    return state.bolt == "Unlocked" and state.door == "Closed" and not strike_on(state, settings)


# --- timers -------------------------------------------------------------------------------------


class _Timer(NamedTuple):
    after_ms: Callable[[RuleSettings], float]
    ring: Callable[[Turn], None]


def _release_over(turn: Turn) -> None:
    turn.change_grant(live=False, over=True)


def _staff_pass_over(turn: Turn) -> None:
    turn.change(staff_pass=False)
    turn.note("staff_pass_expired")


def _door_pre_alarm(turn: Turn) -> None:
    turn.note("door_pre_alarm", alarm="DoorOpenTooLong")


def _door_open_too_long(turn: Turn) -> None:
    turn.change(alarm="DoorOpenTooLong")
    turn.note("door_alarm", alarm="DoorOpenTooLong")


TIMERS: dict[str, _Timer] = {
    "release": _Timer(
        lambda settings: min(settings.release_ms, settings.strike_max_on_ms), _release_over
    ),
    "staff_pass": _Timer(lambda settings: settings.staff_pass_ms, _staff_pass_over),
    "empty": _Timer(lambda settings: settings.empty_after_ms, Turn.end_session),
    "hatch_patience": _Timer(
        lambda settings: settings.hatch_patience_ms,
        lambda turn: None,  # `wanted` blinks the light once this has rung
    ),
    "door_pre_alarm": _Timer(
        lambda settings: max(settings.open_ms - settings.pre_alarm_ms, 0), _door_pre_alarm
    ),
    "door_alarm": _Timer(lambda settings: settings.open_ms, _door_open_too_long),
    "bolt": _Timer(
        lambda settings: settings.bolt_grace_ms,
        lambda turn: turn.fault("LockNotLocked", "bolt_contact", active=True),
    ),
}
