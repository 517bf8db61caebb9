"""The room in words: what the snapshot means for somebody with half a second.

`look` turns a snapshot into texts and drawing states by name. The template draws them the first
time (and that is all that a browser without scripting needs), the script only puts newer ones into
the same places. So every sentence is made here, once, in the language of the phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.language import _, lazy
from web.messages import Json

USUAL_CAPACITY = 4

REASONS: Mapping[str, Any] = {
    "CapacityReached": lazy("the room is full"),
    "CountUncertain": lazy("say first how many are inside"),
    "StaleCommand": lazy("it came too late"),
    "Replayed": lazy("it came twice"),
    "Retained": lazy("it was an old message"),
    "DoorFault": lazy("the door has a fault"),
    "FromTheFuture": lazy("the clocks disagree"),
    "Malformed": lazy("the door did not understand it"),
    "UnknownCommand": lazy("the door does not know it"),
    "ClockNotSet": lazy("the door's clock is not set yet"),
    "ReleaseOpen": lazy("somebody is being let in already"),
    "DoorOpen": lazy("the door is open"),
    "Blocked": lazy("the door is closed to guests"),
    "LockedDown": lazy("the door is locked down"),
    "LockedOpen": lazy("evacuation: the door is open"),
    "NotPermittedAtThisTime": lazy("not now"),
    "Offline": lazy("the door cannot be reached"),
    "NoAnswer": lazy("no answer from the door"),
}

FAULTS: Mapping[str, Any] = {
    "CountUnderflow": lazy("more left than came in"),
    "BeamStuck": lazy("a light beam is blocked"),
    "BeamDead": lazy("a light beam sees nothing"),
    "BeamChatter": lazy("a light beam flickers"),
    "LineChatter": lazy("a sensor chatters"),
    "LockNotLocked": lazy("the bolt is not where it should be"),
    "BrokerDown": lazy("the broker is away"),
    "JournalFailed": lazy("the journal cannot be written"),
    "CommandFlood": lazy("somebody sends too many commands"),
    "SafeMode": lazy("safe mode: locked, count by hand"),
}

LINES: Mapping[str, Any] = {
    "hatch_knock": lazy("hatch knock sensor"),
    "door_knock": lazy("door knock sensor"),
    "beam_outer": lazy("outer beam"),
    "beam_inner": lazy("inner beam"),
    "door_contact": lazy("door contact"),
    "bolt_contact": lazy("bolt contact"),
    "hatch_contact": lazy("hatch contact"),
    "release_button": lazy("release button"),
    "exit_button": lazy("exit button"),
    "evacuate": lazy("evacuation input"),
    "occupancy": lazy("count"),
    "mqtt": lazy("network"),
    "journal": lazy("disk"),
    # Why there is safe mode.
    "asked": lazy("asked for by hand"),
    "crashed": lazy("the controller kept crashing"),
    "hung": lazy("the controller stood still"),
    "config": lazy("the configuration is wrong"),
    "pins": lazy("the pins cannot be used"),
}


def fault_words(name: str, line: str) -> str:
    """Say a fault and where it is; what we have no words for is shown by its name."""
    return f"{FAULTS.get(name, name)} ({LINES.get(line, line)})"


def reason_words(reason: str | None) -> str:
    """Say a refusal's reason; one that we do not know is shown as it came."""
    return str(REASONS.get(reason or "", reason or _("no reason given")))


def span(seconds: float) -> str:
    """Say a length of time: ``40 s``, ``7 min``, ``1 h 12``."""
    whole = int(abs(seconds))
    if whole < 60:
        return _("%(s)s s", s=whole)
    if whole < 3600:
        return _("%(m)s min", m=whole // 60)
    return _("%(h)s h %(m)s", h=whole // 3600, m=f"{whole // 60 % 60:02d}")


#: No number of a house is larger; one from a broker that lies must not fill a page.
MOST = 1e9


def number(part: Mapping[str, Any], key: str, default: float = 0) -> float:
    """Return a number of the snapshot, or the default when it is null, absent or makes no sense."""
    value = part.get(key)
    return value if isinstance(value, int | float) and abs(value) <= MOST else default


class Room:
    """One snapshot being put into words; every part writes its texts and states."""

    def __init__(self, state: Json) -> None:
        self.state = state
        self.link: str = state["link"]
        self.known = "occupancy" in state
        self.occupancy: Json = self._part("occupancy")
        self.door: Json = self._part("door")
        self.hatch: Json = self._part("hatch")
        self.session: Json = self._part("session")
        self.grant: Json = self._part("grant")
        self.capacity = int(number(self.occupancy, "capacity", USUAL_CAPACITY))
        self.least = int(number(self.occupancy, "min"))
        self.most = int(number(self.occupancy, "max"))
        self.count = int(number(self.occupancy, "count"))
        self.certain = bool(self.occupancy.get("certain", False))
        self.mode = str(self.door.get("mode", "Unknown"))
        self.expected = max(0, int(number(self.grant, "party") - number(self.grant, "entered")))
        self.free = int(number(self.occupancy, "free_places", self.capacity - self.most))
        self.over = bool(self.state.get("over_capacity"))

    def _part(self, name: str) -> Json:
        value = self.state.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def shut(self) -> str:
        """Why nobody may be let in at all, in words; empty when the door allows it."""
        reason = {"LockedDown": "LockedDown", "LockedOpen": "LockedOpen"}.get(self.mode, "")
        if not reason and self.free <= 0:
            reason = "CapacityReached" if self.least >= self.capacity else "CountUncertain"
        if not reason and self.mode == "Blocked":
            reason = "Blocked"
        if not reason and self.grant:
            reason = "ReleaseOpen"
        if not reason and self.door.get("physical") == "Open":
            reason = "DoorOpen"
        return reason_words(reason) if reason else ""


def inside(room: Room) -> str:
    """Say how many are inside, doubt as a question."""
    if room.certain:
        if room.count == 0:
            return _("Nobody inside.")
        return _("%(n)s of %(all)s inside.", n=room.count, all=room.capacity)
    if room.most - room.least == 1:
        return _("%(a)s or %(b)s inside?", a=room.least, b=room.most)
    return _("%(a)s to %(b)s inside?", a=room.least, b=room.most)


def may_come(room: Room) -> str:
    """Say whether and how many may come in."""
    if room.mode in ("LockedOpen", "LockedDown"):
        return _("Everybody out!") if room.mode == "LockedOpen" else _("Locked down.")
    if room.over:
        return _("One too many!") if room.count - room.capacity == 1 else _("Too many!")
    if room.free <= 0:
        return _("Full.") if room.least >= room.capacity else _("Maybe full.")
    if room.mode == "Blocked":
        return _("Closed to guests.")
    return _coming(room.expected) if room.expected else _welcome(room.free)


def _coming(people: int) -> str:
    return _("One is coming in.") if people == 1 else _("%(n)s are coming in.", n=people)


def _welcome(places: int) -> str:
    words = {
        1: _("One may come in."),
        2: _("Two may come in."),
        3: _("Three may come in."),
        4: _("Four may come in."),
    }
    return words.get(places) or _("%(n)s may come in.", n=places)


def _time_left(room: Room) -> str:
    if not room.session:
        return ""
    left_s = number(room.session, "remaining_s")
    if left_s <= 0:
        return _("%(time)s over.", time=span(left_s))
    if room.session.get("phase") == "last_call":
        return _("Last call, %(time)s left.", time=span(left_s))
    return _("%(time)s left.", time=span(left_s))


def sentence(room: Room) -> str:
    """Say the whole room in one line: who is inside, who may come in, how long there is left."""
    if not room.known:
        return _("Waiting for the door.")
    return " ".join(filter(None, (inside(room), may_come(room), _time_left(room))))
