"""The rules made finite: a state up to what no rule can tell apart.

Time is the only thing without bound. The rules use it in three ways: a timer runs or has rung, a
session stands before its next mark, and two moments (the exit button, the last knock at the hatch)
are recent or not. So a state is put at ``t_ms`` 0 with every running deadline at `AHEAD_MS`, and
time passes as separate moves: each running timer may ring alone and in any order. That is more than
real clocks can do, so what holds here holds there.

Further bounds, each with its reason:

* the count goes to one above capacity: beyond, every comparison of the rules has the same answer.
  A step beyond is checked, but not walked on from;
* ``next_mark`` stops at the second overtime: every later one is like it;
* of a release the rules ask whether anybody came, and while it can open how many are still to
  come; its size and ``unsure`` only where nobody counts by beams. What the beams saw of it is
  walked in a slice of its own, up to one body more than were let in;
* of a question they ask what each of its answers would mean, not what it is called;
* of what can be taken back they ask what it is and how things would stand without it, of what can't
  be any more only why.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from msgspec import structs

from controller.events import Event, Tick
from controller.rules.question import Question
from controller.rules.state import (
    DoorKnock,
    Grant,
    RuleSettings,
    Session,
    State,
    Undo,
    mark_ms,
)

#: Where deadlines stand that are running: after everything that one step could start.
AHEAD_MS = 1e9
#: Where moments stand that are not recent any more.
LONG_AGO_MS = -1e9

#: Every release, and one that became what can be taken back in the last step.
LET_IN, JUST_COUNTED = "let in", "just counted"

Forget = Callable[[State], State]
#: A move takes a state to the state in which it happens, and says what happens.
Move = Callable[[State, RuleSettings], tuple[State, Event] | None]


def last_mark(settings: RuleSettings) -> int:
    """Return the mark from which on all are alike."""
    return len(settings.warnings_ms) + 2


def standing(session: Session, settings: RuleSettings, at_ms: float) -> Session:
    """Return the session moved in time so that its next mark is due at ``at_ms``."""
    mark = min(session.next_mark, last_mark(settings))
    return Session(at_ms - mark_ms(Session(0.0), settings, mark), mark)


def normal(state: State, settings: RuleSettings) -> State:
    """Return the one state that stands for all that the rules can't tell from this one."""
    now_ms, session, knock = state.t_ms, state.session, state.door_knock
    asked, waiting = state.exit_asked_ms, len(state.hatch_waiting)
    recent = asked is not None and now_ms - asked <= settings.exit_grace_ms
    merges = waiting > 0 and now_ms - state.hatch_knock_ms <= settings.knock_merge_ms
    return structs.replace(
        state,
        t_ms=0.0,
        grant=_normal_grant(state.grant, settings),
        exit_asked_ms=0.0 if recent else None,
        session=None if session is None else standing(session, settings, AHEAD_MS),
        hatch_waiting=(0.0,) * waiting,
        hatch_knock_ms=0.0 if merges else LONG_AGO_MS,
        door_knock=None if knock is None else DoorKnock(0.0, 0),
        faults=tuple(
            replace(fault, since_ms=0.0)
            for fault in sorted(state.faults, key=lambda fault: (fault.name, fault.line))
        ),
        undos=tuple(_normal_undo(undo, settings) for undo in state.undos),
        no_undos=(),
        timers={name: None if at is None else AHEAD_MS for name, at in state.timers.items()},
    )


def _normal_undo(undo: Undo, settings: RuleSettings) -> Undo:
    id_ = JUST_COUNTED if undo.id == LET_IN else "x"
    return replace(undo, id=id_, until_ms=AHEAD_MS, before=normal(undo.before, settings))


def _normal_grant(grant: Grant | None, settings: RuleSettings) -> Grant | None:
    """Return a release as the rules see it: what is said about it in notes they never ask."""
    if grant is None:
        return None
    grant = replace(grant, id=LET_IN)
    if compared(settings):
        forgotten = 0 if grant.live else grant.counted
        entered, counted = grant.entered - forgotten, grant.counted - forgotten
        return replace(grant, entered=entered, counted=counted, unsure=False)
    return unseen(grant, settings)


def compared(settings: RuleSettings) -> bool:
    """Return whether a release is held against what the beams saw."""
    return settings.beams and settings.entry == "release"


def unseen(grant: Grant, settings: RuleSettings) -> Grant:
    """Return a release without what the beams saw of it: did anybody come, how many may still."""
    some = min(grant.entered, 1)
    grant = replace(grant, counted=0, most=0)
    if not settings.beams:
        return replace(grant, entered=some)
    left = grant.places_left if grant.live or settings.entry == "walk_in" else 0
    return replace(grant, party=left + some, entered=some, unsure=False)


def plain(question: Question) -> Question:
    """Return a question with its answers counted from the first one: they are only told apart."""
    least = question.answers[0]
    readings = tuple(replace(each, came=each.came - least) for each in question.readings)
    return Question("", 0, 0, 0.0, readings)


def key(state: State) -> Hashable:
    """Return what tells one normal state from another."""
    people, grant = state.occupancy, state.grant
    return (
        (people.count, people.min, people.max, people.doubted),
        (state.busy, state.coming_in, state.door, state.door_opening, state.bolt, state.hatch),
        (state.buttons_up, state.evacuate_input, state.blocked),
        (state.locked_down, state.locked_open, state.staff_pass, state.exit_asked_ms),
        grant and (grant.party, grant.entered, grant.live, grant.opened, grant.over, grant.unsure),
        grant and (grant.counted, grant.most, grant.cancelled),
        (state.question, state.departure),
        state.session and state.session.next_mark,
        (len(state.hatch_waiting), state.hatch_knock_ms, state.door_knock is None),
        (state.alarm, state.over_capacity, tuple((f.name, f.line) for f in state.faults)),
        frozenset(state.timers.items()),
        tuple((undo.command, undo.party, key(undo.before)) for undo in state.undos),
        tuple(getattr(state, name) for name in state.__struct_fields__[len(FIELDS) + 1 :]),
    )


def exactly(state: State) -> Hashable:
    """Return all of a state as something that can be looked up."""
    timers = frozenset(state.timers.items())
    names = (name for name in state.__struct_fields__ if name not in ("timers", "undos"))
    undos = tuple((undo.id, undo.command, exactly(undo.before)) for undo in state.undos)
    return (*[getattr(state, name) for name in names], timers, undos)


FIELDS = tuple(name for name in State.__struct_fields__ if name != "timers")


def beyond(state: State, settings: RuleSettings) -> bool:
    """Return whether a state lies beyond the bounds: it is looked at, but not walked on from."""
    grant = state.grant
    if grant is not None and grant.most > grant.party + 1:
        return True
    return state.occupancy.max > settings.capacity + 1


# --- time as moves -------------------------------------------------------------------------------


def ring(timer: str) -> Move:
    """Let one running timer ring, and no other."""

    def move(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
        if state.timers.get(timer) is None:
            return None
        return structs.replace(state, timers={**state.timers, timer: 0.0}), Tick(0.0)

    return move


def next_mark(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Let the session reach its next mark."""
    if state.session is None:
        return None
    return structs.replace(state, session=standing(state.session, settings, 0.0)), Tick(0.0)


def exit_grows_old(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Let the press of the exit button be long ago."""
    asked = None if state.exit_asked_ms is None else LONG_AGO_MS
    return (structs.replace(state, exit_asked_ms=asked), Tick(0.0)) if asked is not None else None


def undos_grow_old(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Let the time be over in which anything could be taken back."""
    if not state.undos:
        return None
    over = tuple(replace(undo, until_ms=0.0) for undo in state.undos)
    return structs.replace(state, undos=over), Tick(0.0)


def knock_grows_old(state: State, settings: RuleSettings) -> tuple[State, Event] | None:
    """Let the last knock at the hatch be long ago."""
    if not state.hatch_waiting or state.hatch_knock_ms == LONG_AGO_MS:
        return None
    return structs.replace(state, hatch_knock_ms=LONG_AGO_MS), Tick(0.0)
