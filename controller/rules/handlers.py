"""What the sensors say, and what the house makes of it: passages, knocks, contacts, faults.

No event from inside is ever refused: these handlers record what happened, they permit nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from controller.events import (
    Command,
    Contact,
    Doorway,
    Fault,
    Knock,
    KnockEnded,
    Passage,
    Started,
)
from controller.rules import occupancy as people
from controller.rules.commands import lock_open, obey
from controller.rules.state import DoorKnock
from controller.rules.transition import BEAM_FAULTS, Turn, count_data

#: Waiting parties that the hatch remembers: more than ever stood in front of it.
HATCH_QUEUE = 9


def started(turn: Turn, event: Started) -> None:
    """Come back with the strike off; whatever hung on the old process's sensors is over."""
    turn.note("started", doubt=event.doubt)
    if turn.state.grant is not None:
        turn.note("access_not_taken", expected=turn.state.grant.party, reason="restart")
    turn.change(grant=None, staff_pass=False, busy=False, coming_in=0, exit_asked_ms=None)
    turn.change(door="Unknown", bolt="Unknown", hatch="Unknown")
    turn.change(evacuate_input=False, buttons_up=frozenset())
    # Sensors and parts tell their faults anew; only what the count suffered is remembered.
    turn.change(faults=tuple(f for f in turn.state.faults if f.line == "occupancy"))
    if event.doubt:
        turn.doubt(turn.anybody(), "restart")


# --- passages -----------------------------------------------------------------------------------


def doorway(turn: Turn, event: Doorway) -> None:
    """Count those at the inner beam for the strike; an armed staff pass covers one of them."""
    staff = 1 if turn.state.staff_pass else 0
    turn.change(busy=event.busy, coming_in=max(event.coming_in - staff, 0))


def passage(turn: Turn, event: Passage) -> None:
    """Take one verdict: counted, covered by a staff pass, or only noted."""
    zones = {"outer_ms": round(event.outer_ms, 1), "inner_ms": round(event.inner_ms, 1)}
    if event.least == event.most == 0:
        turn.note("passage_aborted", why=event.why, **zones)
    elif turn.state.staff_pass:
        turn.change(staff_pass=False)
        turn.note("staff_passed", min=event.least, max=event.most)
    elif not turn.settings.beams:
        turn.note("passage_seen", min=event.least, max=event.most, **zones)
    else:
        _count_passage(turn, event, zones)


def _count_passage(turn: Turn, event: Passage, zones: dict[str, float]) -> None:
    before = turn.state.occupancy
    decided = max(event.most, 0)  # whoever stood at the inner beam is in the count now
    turn.change(
        occupancy=people.moved(before, event.least, event.most),
        coming_in=max(turn.state.coming_in - decided, 0),
    )
    name = {(1, 1): "entry", (-1, -1): "exit"}.get((event.least, event.most))
    if name is not None:
        turn.note(name, **count_data(turn.state.occupancy), **zones)
    else:
        after = count_data(turn.state.occupancy)
        span = {"min": event.least, "max": event.most}
        turn.note("passage_uncertain", **span, why=event.why, occupancy=after, **zones)
    if before.max + event.most < 0:
        turn.fault("CountUnderflow", "occupancy", active=True)
    grant = turn.state.grant
    if grant is not None and event.least > 0:
        turn.change_grant(entered=grant.entered + event.least)


# --- knocks -------------------------------------------------------------------------------------


def knock(turn: Turn, event: Knock) -> None:
    """Light the hatch or tell the page that somebody is at the front door; neither rings."""
    turn.note("knock", place=event.place, raps=event.raps)
    if event.place == "door":
        standing = turn.state.door_knock
        since_ms = event.t_ms if standing is None else standing.t_ms
        turn.change(door_knock=DoorKnock(since_ms, event.raps))
    elif turn.state.hatch != "Open":
        _queue_at_hatch(turn, event.t_ms)


def _queue_at_hatch(turn: Turn, t_ms: float) -> None:
    waiting = turn.state.hatch_waiting
    same_people = waiting and t_ms - turn.state.hatch_knock_ms <= turn.settings.knock_merge_ms
    if not same_people:
        waiting = (*waiting, t_ms)[:HATCH_QUEUE]
    turn.change(hatch_waiting=waiting, hatch_knock_ms=t_ms)


def knock_ended(turn: Turn, event: KnockEnded) -> None:
    """Tell the final number of raps; a known rhythm only decorates it."""
    named = {"regular": event.regular} if event.regular else {}
    turn.note("knock_ended", place=event.place, raps=event.raps, **named)
    if event.place == "door" and turn.state.door_knock is not None:
        turn.change(door_knock=replace(turn.state.door_knock, raps=event.raps))


# --- contacts, buttons, faults ------------------------------------------------------------------


def contact(turn: Turn, event: Contact) -> None:
    """Pass a settled contact to the row for its line."""
    CONTACTS[event.line](turn, event.active)


def _door_contact(turn: Turn, is_open: bool) -> None:
    was, now = turn.state.door, "Open" if is_open else "Closed"
    turn.change(door=now)
    if was in ("Unknown", now):
        if not is_open:
            _alarm_over(turn)  # it fell shut while nobody looked
        return  # a first reading tells where the door is, not that it moved
    turn.note("door_opened" if is_open else "door_closed")
    if is_open:
        _opened(turn)
    else:
        _closed(turn)


def _opened(turn: Turn) -> None:
    turn.change(door_knock=None)
    if turn.state.grant is not None:
        turn.change_grant(opened=True, live=False)
    elif _forced(turn):
        turn.change(alarm="DoorForcedOpen")
        turn.note("door_alarm", alarm="DoorForcedOpen")


def _forced(turn: Turn) -> bool:
    """Tell a forced door from an exit: only a house with an exit button can know."""
    state, settings = turn.state, turn.settings
    if "exit_button" not in settings.lines or state.locked_open or settings.entry == "walk_in":
        return False
    asked = state.exit_asked_ms
    return asked is None or state.t_ms - asked > settings.exit_grace_ms


def _closed(turn: Turn) -> None:
    state = turn.state
    _alarm_over(turn)
    turn.change_grant(over=True, live=False)
    if turn.blind():
        turn.doubt(turn.anybody(), "blind")
    elif not turn.settings.beams and state.grant is None and state.occupancy.max > 0:
        # Opened from inside and nobody counts: some may have left, the bartender knows how many.
        turn.doubt(people.unseen(state.occupancy, least=0, most=0), "opened_from_inside")


def _alarm_over(turn: Turn) -> None:
    if turn.state.alarm != "Normal":
        turn.change(alarm="Normal")
        turn.note("door_alarm", alarm="Normal")


def _bolt_contact(turn: Turn, unlocked: bool) -> None:
    turn.change(bolt="Unlocked" if unlocked else "Locked")


def _hatch_contact(turn: Turn, is_open: bool) -> None:
    was, now = turn.state.hatch, "Open" if is_open else "Closed"
    turn.change(hatch=now)
    if is_open:
        turn.change(hatch_waiting=())
    if was not in ("Unknown", now):
        turn.note("hatch_opened" if is_open else "hatch_closed")


def _pressed(turn: Turn, line: str, down: bool) -> bool:
    """Tell a press from a button that was down when we came: that one may be stuck."""
    was_up = line in turn.state.buttons_up
    up = turn.state.buttons_up - {line} if down else turn.state.buttons_up | {line}
    turn.change(buttons_up=up)
    return down and was_up


def _release_button(turn: Turn, down: bool) -> None:
    if _pressed(turn, "release_button", down):
        obey(turn, Command(turn.state.t_ms, "access_door", 1, cause="button"))


def _exit_button(turn: Turn, down: bool) -> None:
    if _pressed(turn, "exit_button", down):
        turn.change(exit_asked_ms=turn.state.t_ms)


def _evacuate(turn: Turn, active: bool) -> None:
    turn.change(evacuate_input=active)
    if active:
        lock_open(turn, Command(turn.state.t_ms, "lock_open", cause="evacuate"))


def fault(turn: Turn, event: Fault) -> None:
    """Raise or clear a fault; a beam that can't see makes the count doubtful."""
    turn.fault(event.name, event.line, active=event.active)
    if event.active and event.name in BEAM_FAULTS and turn.settings.beams:
        turn.doubt(replace(turn.state.occupancy, doubted=True), event.name)


CONTACTS: dict[str, Callable[[Turn, bool], None]] = {
    "door_contact": _door_contact,
    "bolt_contact": _bolt_contact,
    "hatch_contact": _hatch_contact,
    "release_button": _release_button,
    "exit_button": _exit_button,
    "evacuate": _evacuate,
}
