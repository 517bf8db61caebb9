"""What sensing reports, and what the rules make of it: passages, knocks, contacts, faults.

No event from inside is ever refused: these handlers record what happened, they permit nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from controller.events import (
    Command,
    Contact,
    Doorway,
    Fault,
    Knock,
    KnockEnded,
    Opening,
    Passage,
    Reason,
    Started,
)
from controller.rules import occupancy as people
from controller.rules.commands import handle_command, lock_open
from controller.rules.reconcile import compare
from controller.rules.state import DoorKnock, Grant
from controller.rules.transition import BEAM_FAULTS, Transition, count_data

#: Waiting parties that the hatch remembers: more than its place holds.
HATCH_QUEUE = 9


def started(transition: Transition, event: Started) -> None:
    """Begin with the strike off; what depended on the old process's sensors is over."""
    transition.note("started", doubt=event.doubt)
    if transition.state.grant is not None:
        _cut_off(transition, transition.state.grant)
    transition.state.staff_pass = False
    transition.state.busy = False
    transition.state.coming_in = 0
    transition.state.exit_asked_ms = None
    transition.state.door = "Unknown"
    transition.state.door_opening = False
    transition.state.bolt = "Unknown"
    transition.state.hatch = "Unknown"
    transition.state.evacuate_input = False
    transition.state.buttons_up = frozenset()
    # Sensors and parts report their faults anew; only the count's is remembered.
    transition.state.faults = tuple(f for f in transition.state.faults if f.line == "occupancy")
    if event.doubt:
        for undo in transition.state.undos:
            transition.close_undo(undo, Reason.CHANGED_SINCE)
        transition.widen_count(transition.anybody, "restart")


def _cut_off(transition: Transition, grant: Grant) -> None:
    """Close the release that a restart has cut off; what was seen until then counts."""
    transition.state.grant = None
    if grant.entered:
        data = {"expected": grant.party, "entered": grant.entered}
        transition.note("access_taken", **data, reason="restart")
    else:
        transition.note("access_not_taken", expected=grant.party, reason="restart")
    compare(transition, grant)


# --- passages -----------------------------------------------------------------------------------


def doorway(transition: Transition, event: Doorway) -> None:
    """Count those at the inner beam for the strike; an armed staff pass covers one of them."""
    staff = 1 if transition.state.staff_pass and event.coming_in else 0
    transition.state.busy = event.busy
    transition.state.coming_in = event.coming_in - staff


def passage(transition: Transition, event: Passage) -> None:
    """Count one passage, let a staff pass cover it, or only note it."""
    zones = {"outer_ms": round(event.outer_ms, 1), "inner_ms": round(event.inner_ms, 1)}
    if event.least == event.most == 0:
        transition.note("passage_aborted", why=event.why, **zones)
    elif transition.state.staff_pass:
        transition.state.staff_pass = False
        transition.note("staff_passed", min=event.least, max=event.most)
    elif not transition.settings.beams:
        transition.note("passage_seen", min=event.least, max=event.most, **zones)
    else:
        _count_passage(transition, event, zones)


def _count_passage(transition: Transition, event: Passage, zones: dict[str, float]) -> None:
    before = transition.state.occupancy
    decided = max(event.most, 0)  # whoever was at the inner beam is in the count now
    transition.move_count(event.least, event.most)
    transition.state.coming_in = max(transition.state.coming_in - decided, 0)
    _note_passage(transition, event, zones)
    if before.max + event.most < 0:
        transition.fault("CountUnderflow", "occupancy", active=True)
    if event.most > 0:
        _see_come_in(transition, event)
    if event.least != 0 and transition.state.departure != "Asked":
        transition.state.departure = "Seen" if event.least < 0 else "None"


def _note_passage(transition: Transition, event: Passage, zones: dict[str, float]) -> None:
    after = count_data(transition.state.occupancy)
    name = {(1, 1): "entry", (-1, -1): "exit"}.get((event.least, event.most))
    if name is not None:
        transition.note(name, **after, **zones)
    else:
        span = {"min": event.least, "max": event.most}
        transition.note("passage_uncertain", **span, why=event.why, occupancy=after, **zones)


def _see_come_in(transition: Transition, event: Passage) -> None:
    """Remember with the open release what the beams saw come in."""
    grant = transition.state.grant
    if grant is not None:
        transition.state.grant = replace(
            grant, entered=grant.entered + max(event.least, 0), most=grant.most + event.most
        )


# --- knocks -------------------------------------------------------------------------------------


def knock(transition: Transition, event: Knock) -> None:
    """Light the hatch, or remember who is at the front door for the page; neither rings."""
    transition.note("knock", place=event.place, raps=event.raps)
    if event.place == "door":
        standing = transition.state.door_knock
        since_ms = event.t_ms if standing is None else standing.t_ms
        transition.state.door_knock = DoorKnock(since_ms, event.raps)
    elif transition.state.hatch != "Open":
        _queue_at_hatch(transition, event.t_ms)


def _queue_at_hatch(transition: Transition, t_ms: float) -> None:
    waiting = transition.state.hatch_waiting
    same_people = (
        waiting and t_ms - transition.state.hatch_knock_ms <= transition.settings.knock_merge_ms
    )
    if not same_people:
        waiting = (*waiting, t_ms)[:HATCH_QUEUE]
    transition.state.hatch_waiting = waiting
    transition.state.hatch_knock_ms = t_ms


def knock_ended(transition: Transition, event: KnockEnded) -> None:
    """Note the final number of raps; a known rhythm only adds its name."""
    named = {"regular": event.regular} if event.regular else {}
    transition.note("knock_ended", place=event.place, raps=event.raps, **named)
    if event.place == "door" and transition.state.door_knock is not None:
        transition.state.door_knock = replace(transition.state.door_knock, raps=event.raps)


# --- contacts, buttons, faults ------------------------------------------------------------------


def contact(transition: Transition, event: Contact) -> None:
    """Pass a settled contact to the handler of its line."""
    CONTACTS[event.line](transition, event.active)


def opening(transition: Transition, event: Opening) -> None:
    """Remember that the door may be opening: a release whose time ends meanwhile waits for it."""
    transition.state.door_opening = event.active


def _door_contact(transition: Transition, is_open: bool) -> None:
    was, now = transition.state.door, "Open" if is_open else "Closed"
    transition.state.door, transition.state.door_opening = now, False
    if was in ("Unknown", now):
        if not is_open:
            _alarm_over(transition)  # it fell shut while the controller was away
        elif not transition.settings.beams:
            _use_release(transition)  # it may have opened for them, and no beam will see them
        return  # a first reading shows where the door is, not that it moved
    transition.note("door_opened" if is_open else "door_closed")
    if is_open:
        _opened(transition)
    else:
        _closed(transition)


def _opened(transition: Transition) -> None:
    transition.state.door_knock = None
    if transition.state.grant is not None:
        _use_release(transition)
    elif _forced(transition):
        transition.state.alarm = "DoorForcedOpen"
        transition.note("door_alarm", alarm="DoorForcedOpen")


def _use_release(transition: Transition) -> None:
    """End the strike's part of an open release: the door is open."""
    grant = transition.state.grant
    if grant is not None:
        transition.state.grant = replace(grant, opened=True, live=False)


def _forced(transition: Transition) -> bool:
    """Return whether this opening is no exit: only a house with an exit button can know."""
    state, settings = transition.state, transition.settings
    if "exit_button" not in settings.lines or state.locked_open or settings.entry == "walk_in":
        return False
    asked = state.exit_asked_ms
    return asked is None or state.t_ms - asked > settings.exit_grace_ms


def _closed(transition: Transition) -> None:
    state = transition.state
    _alarm_over(transition)
    transition.end_release()
    if transition.beam_faulty():
        transition.widen_count(transition.anybody, "blind")
    elif not transition.settings.beams and state.grant is None and state.occupancy.max > 0:
        # Opened from inside and nobody counts: some may have left, the bartender knows how many.
        transition.widen_count(partial(people.unseen, least=0, most=0), "opened_from_inside")


def _alarm_over(transition: Transition) -> None:
    if transition.state.alarm != "Normal":
        transition.state.alarm = "Normal"
        transition.note("door_alarm", alarm="Normal")


def _bolt_contact(transition: Transition, unlocked: bool) -> None:
    transition.state.bolt = "Unlocked" if unlocked else "Locked"


def _hatch_contact(transition: Transition, is_open: bool) -> None:
    was, now = transition.state.hatch, "Open" if is_open else "Closed"
    transition.state.hatch = now
    if is_open:
        transition.state.hatch_waiting = ()
    if was not in ("Unknown", now):
        transition.note("hatch_opened" if is_open else "hatch_closed")


def _pressed(transition: Transition, line: str, down: bool) -> bool:
    """Return whether this is a press: a button that is down from the start may be stuck."""
    was_up = line in transition.state.buttons_up
    up = transition.state.buttons_up - {line} if down else transition.state.buttons_up | {line}
    transition.state.buttons_up = up
    return down and was_up


def _release_button(transition: Transition, down: bool) -> None:
    if _pressed(transition, "release_button", down):
        handle_command(transition, Command(transition.state.t_ms, "access_door", 1, cause="button"))


def _exit_button(transition: Transition, down: bool) -> None:
    if _pressed(transition, "exit_button", down):
        transition.state.exit_asked_ms = transition.state.t_ms


def _evacuate(transition: Transition, active: bool) -> None:
    transition.state.evacuate_input = active
    if active:
        lock_open(transition, Command(transition.state.t_ms, "lock_open", cause="evacuate"))


def fault(transition: Transition, event: Fault) -> None:
    """Raise or clear a fault; beams that may have missed somebody make the count uncertain."""
    transition.fault(event.name, event.line, active=event.active, ahead_s=event.ahead_s)
    if event.active and event.name in BEAM_FAULTS and transition.may_have_missed():
        transition.widen_count(lambda count: replace(count, doubted=True), event.name)


CONTACTS: dict[str, Callable[[Transition, bool], None]] = {
    "door_contact": _door_contact,
    "bolt_contact": _bolt_contact,
    "hatch_contact": _hatch_contact,
    "release_button": _release_button,
    "exit_button": _exit_button,
    "evacuate": _evacuate,
}
