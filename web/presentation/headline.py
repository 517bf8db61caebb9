"""What matters most, in one line, and the lines below it: the worst fact leads.

`FACTS` is the order. The first fact that holds is the headline; the others, where they have words
of their own for it, are notices. A headline that is no alarm also says who may come in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from web.language import _, lazy, plural
from web.messages import number
from web.mirror import MirrorView
from web.presentation.labels import fault_words, refusal_words, span
from web.presentation.page_view import Notice, Rank, Severity
from web.presentation.snapshot import Room

#: For so long a refusal of the button behind the counter stands on the page.
REFUSAL_SHOWN_S = 6.0


class Fact(NamedTuple):
    """Something that holds: its name, how serious it is, its headline, its line below another."""

    name: str
    severity: Severity
    holds: Callable[[Room], bool]
    headline: Callable[[Room], str]
    notice: Callable[[Room], str] | None = None
    detail: Callable[[Room], str] | None = None  # a line below, also when it is the headline


def inside(room: Room) -> str:
    """Return how many are inside in words; doubt is a question."""
    if room.certain:
        if room.count == 0:
            return _("Nobody inside.")
        return _("%(n)s of %(all)s inside.", n=room.count, all=room.capacity)
    if room.most == room.least:
        return _("%(n)s inside?", n=room.most)
    if room.most - room.least == 1:
        return _("%(a)s or %(b)s inside?", a=room.least, b=room.most)
    return _("%(a)s to %(b)s inside?", a=room.least, b=room.most)


def count_words(room: Room) -> str:
    """Return the count in large figures: ``3/4``, ``3?/4`` in doubt, or a range for the 3."""
    if not room.known:
        return "–"
    if room.certain:
        return f"{room.count}/{room.capacity}"
    most = f"{room.most}?" if room.most == room.least else f"{room.least}–{room.most}"
    return f"{most}/{room.capacity}"


def may_come(room: Room) -> str:
    """Return in words whether and how many may come in."""
    if room.free <= 0:
        return _("Full.") if room.least >= room.capacity else _("Maybe full.")
    if room.mode == "Blocked":
        return _("Closed to guests.")
    return _coming(room.expected) if room.expected else _welcome(room.free)


def _coming(people: int) -> str:
    return plural("One is coming in.", "%(n)s are coming in.", people)


def _welcome(places: int) -> str:
    words = {
        1: _("One may come in."),
        2: _("Two may come in."),
        3: _("Three may come in."),
        4: _("Four may come in."),
    }
    return words.get(places) or _("%(n)s may come in.", n=places)


def _too_many(room: Room) -> str:
    over = room.most - room.capacity
    return plural("One too many inside!", "%(n)s too many inside!", max(over, 1))


def _over(room: Room) -> str:
    return _("%(n)s inside: the house takes %(all)s.", n=room.most, all=room.capacity)


def _time_up(room: Room) -> str:
    return _("Time is up: %(time)s over.", time=span(room.left_s))


def _last_call(room: Room) -> str:
    return _("Last call: %(time)s left.", time=span(room.left_s))


def _door(name: str, alarm: str, words: object) -> Fact:
    """Return an alarm of the door: the same words stand above all, or below a worse one."""

    def said(room: Room) -> str:
        return str(words)

    return Fact(name, Severity.ALARM, lambda room: room.door.get("alarm") == alarm, said, said)


FACTS: tuple[Fact, ...] = (
    Fact(
        "evacuation",
        Severity.ALARM,
        lambda room: room.mode == "LockedOpen",
        lambda room: _("Evacuation: everybody out!"),
        detail=lambda room: _("The inside handle opens; nobody is let in until somebody ends it."),
    ),
    Fact(
        "lock",
        Severity.ALARM,
        lambda room: room.lock_fault,
        lambda room: _("Nobody can be let in: the lock is not locked."),
        notice=lambda room: _("The lock is not locked."),
    ),
    _door("forced", "DoorForcedOpen", lazy("The door was forced open.")),
    Fact(
        "over",
        Severity.ALARM,
        lambda room: room.over,
        _too_many,
        notice=_over,
    ),
    _door("open", "DoorOpenTooLong", lazy("The door has been open too long.")),
    Fact(
        "overtime",
        Severity.ALARM,
        lambda room: room.phase == "overtime",
        _time_up,
    ),
    Fact(
        "lockdown",
        Severity.WARN,
        lambda room: room.mode == "LockedDown",
        lambda room: _("Locked down: nobody comes in."),
        detail=lambda room: _("Everybody may leave."),
    ),
    Fact(
        "doubt",
        Severity.WARN,
        lambda room: not room.certain,
        inside,
    ),
    Fact(
        "last_call",
        Severity.WARN,
        lambda room: room.phase == "last_call",
        _last_call,
    ),
    Fact(
        "full",
        Severity.WARN,
        lambda room: room.free <= 0 or room.mode == "Blocked",
        lambda room: "",
    ),
)


def worst(room: Room) -> Fact | None:
    """Return the worst fact that holds; None when all is well or nothing is known."""
    return next((fact for fact in FACTS if room.known and fact.holds(room)), None)


def severity(room: Room) -> str:
    """Return the headline's colour: `alarm`, `warn` or `calm`."""
    fact = worst(room)
    return str(fact.severity if fact else Severity.CALM)


def headline(room: Room) -> str:
    """Return the worst fact in words; one that is no alarm also says who may come in."""
    if not room.known:
        return _("Waiting for the door.")
    fact = worst(room)
    words = fact.headline(room) if fact else ""
    if fact is not None and (fact.severity is Severity.ALARM or fact.name == "lockdown"):
        return words
    return f"{words} {may_come(room)}".strip()


def notices(room: Room, mirror_view: MirrorView) -> Iterator[Notice]:
    """Return what else somebody should read: the facts that the headline does not say, knocks."""
    yield from _refusal(mirror_view)
    yield from _facts(room)
    knock = room.state.get("door_knock")
    if isinstance(knock, dict):
        age = span(number(knock, "age_s"))
        words = _("Somebody knocked at the front door %(age)s ago.", age=age)
        yield Notice(Severity.KNOCK, words, Rank.KNOCK)
    if room.state.get("staff_pass"):
        yield Notice(Severity.CALM, _("The next one through the door is staff."))
    for fault in room.faults:
        yield from _fault(room, fault)


def _refusal(mirror_view: MirrorView) -> Iterator[Notice]:
    """Whoever pressed the button behind the counter looks at the page to learn why."""
    refusal = mirror_view.refusal
    if refusal and number(refusal, "age_s", REFUSAL_SHOWN_S) < REFUSAL_SHOWN_S:
        words = _("The button let nobody in: %(reason)s.", reason=refusal_words(refusal))
        yield Notice(Severity.WARN, words, Rank.REFUSAL)


def _facts(room: Room) -> Iterator[Notice]:
    leading = worst(room)
    for fact in FACTS:
        if not room.known or not fact.holds(room):
            continue
        if fact.notice and fact is not leading:
            yield Notice(fact.severity, fact.notice(room), Rank.ALARM)
        if fact.detail:
            yield Notice(fact.severity, fact.detail(room), Rank.ALARM)


def _fault(room: Room, fault: object) -> Iterator[Notice]:
    if not isinstance(fault, dict):
        yield Notice(Severity.WARN, str(fault))
        return
    name = str(fault.get("name"))
    if name == "LockNotLocked" and room.lock_fault:
        return  # it leads already
    what = fault_words(name, str(fault.get("line")), number(fault, "ahead_s"))
    words = _("Fault: %(what)s.", what=what)
    yield Notice(Severity.WARN, words)
