"""The room: what the snapshot means for somebody with half a second, in words and states.

Every sentence about the room is made here, once, in the language of the phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from web.language import _
from web.messages import Json, number
from web.mirror import MirrorView
from web.presentation.labels import fault_words, reason_words, span
from web.presentation.page_view import Notice, Rank, RoomPart, Severity

USUAL_CAPACITY = 4
SEATS_DRAWN = 4
#: Answers to the question how many came in have keys from 0 on; no release is for more.
ANSWERS_DRAWN = 9
USUAL_SESSION_S = 7200.0


class Room:
    """One snapshot, read with care: what is missing or makes no sense has its default."""

    def __init__(self, state: Json) -> None:
        self.state = state
        self.link: str = state["link"]
        self.known = "occupancy" in state
        self.occupancy: Json = self._part("occupancy")
        self.door: Json = self._part("door")
        self.hatch: Json = self._part("hatch")
        self.session: Json = self._part("session")
        self.grant: Json = self._part("grant")
        self.question: Json = self._part("question")
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
    def asked(self) -> str:
        """What the house asks: `party` (how many came in), `left` (has everybody), or `none`."""
        kinds = {"party": "party" if self.answers else "none", "everybody_left": "left"}
        return kinds.get(str(self.question.get("kind")), "none")

    @property
    def answers(self) -> list[object]:
        """The numbers of guests that can have come in."""
        answers = self.question.get("answers")
        return answers if isinstance(answers, list) else []

    @property
    def shut(self) -> str:
        """Why nobody may be let in at all, in words; "" when somebody may."""
        reason = {"LockedDown": "LockedDown", "LockedOpen": "LockedOpen"}.get(self.mode, "")
        if not reason and self.free <= 0:
            reason = "CapacityReached" if self.least >= self.capacity else "CountUncertain"
        if not reason and self.mode == "Blocked":
            reason = "Blocked"
        if not reason and self.grant:
            reason = "ReleaseOpen"
        if not reason and self.door.get("physical") == "Open":
            reason = "DoorOpen"
        if reason == "CountUncertain" and self.asked == "party":
            return _("say first how many came in")
        return reason_words(reason) if reason else ""


def inside(room: Room) -> str:
    """Return how many are inside in words; doubt is a question."""
    if room.certain:
        if room.count == 0:
            return _("Nobody inside.")
        return _("%(n)s of %(all)s inside.", n=room.count, all=room.capacity)
    if room.most - room.least == 1:
        return _("%(a)s or %(b)s inside?", a=room.least, b=room.most)
    return _("%(a)s to %(b)s inside?", a=room.least, b=room.most)


def may_come(room: Room) -> str:
    """Return in words whether and how many may come in."""
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
    """Return the room in one line: how many are inside, how many may come in, the time left."""
    if not room.known:
        return _("Waiting for the door.")
    return " ".join(filter(None, (inside(room), may_come(room), _time_left(room))))


def _seats(room: Room) -> dict[str, str]:
    states = {}
    for seat in range(1, SEATS_DRAWN + 1):
        state = "free"
        if seat <= room.least:
            state = "taken"
        elif seat <= room.most:
            state = "doubt"
        elif seat <= room.most + room.expected:
            state = "coming"
        states[f"seat{seat}"] = state
    states["extra"] = "over" if room.over else "none"
    return states


def _door_words(room: Room) -> str:
    physical = {
        "Open": _("open"),
        "Closed": _("closed"),
    }.get(str(room.door.get("physical")), "")
    doing = {
        "LockedOpen": _("evacuation"),
        "LockedDown": _("locked down"),
        "Accessed": _("unlocked"),
        "Unlocked": _("unlocked"),
        "Blocked": _("blocked"),
        "Locked": _("locked"),
    }.get(room.mode, "")
    if room.grant and room.mode == "Accessed":
        doing = _("letting in %(n)s", n=room.expected or int(number(room.grant, "party")))
    return " · ".join(filter(None, (physical, doing)))


def _hatch(room: Room) -> tuple[str, str]:
    """Return the hatch's drawing state and its words."""
    waiting = int(number(room.hatch, "waiting"))
    if room.hatch.get("open"):
        return "open", _("open now")
    if waiting:  # the light alone means nothing: in an evacuation it is on with nobody there
        age = span(number(room.hatch, "oldest_s"))
        text = f"{waiting} · {age}" if waiting > 1 else age
        return ("blink" if room.hatch.get("blinking") else "glow"), text
    return "dark", _("nobody")


def _session_s(room: Room) -> float:
    """Return the session's whole length in seconds."""
    try:
        begin, end = (
            datetime.fromisoformat(str(room.session.get(key))) for key in ("started_at", "ends_at")
        )
        return max(1.0, (end - begin).total_seconds())
    except (ValueError, TypeError):
        return USUAL_SESSION_S


def _ring(room: Room) -> tuple[str, str, str, float]:
    """Return the ring's phase, its time, the word under it, and the part still left (0 to 1)."""
    if not room.session:
        return "none", "–", _("no session"), 0.0
    left_s = number(room.session, "remaining_s")
    phase = str(room.session.get("phase", "running"))
    whole = int(abs(left_s))
    time = (
        f"{whole // 3600}:{whole // 60 % 60:02d}"
        if whole >= 3600
        else (f"{whole // 60}:{whole % 60:02d}")
    )
    if left_s <= 0:
        return "overtime", f"+{time}", _("over time"), 1.0
    return phase, time, _("left"), min(1.0, left_s / _session_s(room))


def _let(room: Room) -> dict[str, str]:
    """Return for each party size whether it may be let in: `yes`, `ask` once, or `no`."""
    # What fits while the house asks how many came in fits by the most who can have come.
    may = "yes" if room.certain or room.asked == "party" else "ask"
    fits = 0 if room.shut else room.free
    return {f"let{party}": may if party <= fits else "no" for party in range(1, SEATS_DRAWN + 1)}


def _let_words(room: Room) -> str:
    if room.grant:
        party, entered = int(number(room.grant, "party")), int(number(room.grant, "entered"))
        return _("Letting in %(n)s, %(done)s came in", n=party, done=entered)
    return room.shut[:1].upper() + room.shut[1:]


def _asked_words(room: Room) -> str:
    if room.asked == "left":
        return _("Has everybody left? If not, how many are inside?")
    if room.asked == "none":
        return ""
    expected, seen = int(number(room.question, "expected")), int(number(room.question, "seen"))
    return _("Let in %(n)s, saw %(seen)s. How many came in?", n=expected, seen=seen)


def _answers(room: Room) -> dict[str, str]:
    """Return for each number of guests whether it can be the answer: `yes` or `no`."""
    possible = room.answers if room.asked == "party" else []
    return {f"came{n}": "yes" if n in possible else "no" for n in range(ANSWERS_DRAWN)}


def _settle(room: Room) -> str:
    if room.asked != "none":
        return "calm"  # one question at a time: its answer is a count, too
    if not room.certain:
        return "ask"
    return "manual" if room.state.get("counting") == "manual" else "calm"


def _shut_by(room: Room) -> str:
    """Return which command keeps guests out until a person undoes it; `none` for none."""
    by = {"LockedOpen": "open", "LockedDown": "down", "Blocked": "block"}.get(room.mode, "none")
    return "none" if by == "block" and room.free <= 0 else by


def _fault_words(fault: object) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    name = str(fault.get("name"))
    return _("Fault: %(what)s.", what=fault_words(name, str(fault.get("line"))))


def _alarms(room: Room) -> Iterator[str]:
    if room.mode == "LockedOpen":
        yield _("Evacuation: the inside handle opens, nobody is let in, until somebody ends it.")
    if room.over:
        yield _("%(n)s inside: the house takes %(all)s.", n=room.most, all=room.capacity)
    alarm = room.door.get("alarm")
    if alarm == "DoorForcedOpen":
        yield _("The door was forced open.")
    if alarm == "DoorOpenTooLong":
        yield _("The door has been open too long.")
    if room.door.get("lock") == "Fault":
        yield _("The lock does not do what it should.")


def _notices(room: Room) -> Iterator[Notice]:
    for words in _alarms(room):
        yield Notice(Severity.ALARM, words, Rank.ALARM)
    knock = room.state.get("door_knock")
    if isinstance(knock, dict):
        age = span(number(knock, "age_s"))
        words = _("Somebody knocked at the front door %(age)s ago.", age=age)
        yield Notice(Severity.KNOCK, words, Rank.KNOCK)
    if room.mode == "LockedDown":
        words = _("Locked down: nobody comes in, everybody may leave.")
        yield Notice(Severity.WARN, words)
    if room.state.get("staff_pass"):
        yield Notice(Severity.CALM, _("The next one through the door is staff."))
    faults = room.state.get("faults")
    for fault in faults if isinstance(faults, list) else ():
        yield Notice(Severity.WARN, _fault_words(fault))


def _link_words(room: Room, age_ms: object) -> str:
    if room.link == "online":
        return _("live")
    if not isinstance(age_ms, int):
        return _("not heard yet")
    return _("last heard %(age)s ago", age=span(age_ms / 1000))


def _title(room: Room, hatch_words: str, hatch: str) -> str:
    if room.link != "online":
        return _("(?) Backdoor")
    if hatch in ("glow", "blink"):
        return _("(!) Hatch %(age)s", age=hatch_words)
    if room.state.get("door_knock"):
        return _("(!) Front door")
    return _("%(n)s/%(all)s Backdoor", n=room.most, all=room.capacity)


def _states(room: Room, hatch: str, phase: str) -> dict[str, str]:
    return {
        **_seats(room),
        **_let(room),
        **_answers(room),
        "link": room.link,
        "mode": room.mode,
        "door": str(room.door.get("physical", "Unknown")),
        "strike": "on" if room.door.get("strike") else "off",
        "hatch": hatch,
        "waiting": "yes" if hatch in ("glow", "blink") else "no",
        "phase": phase,
        "house": "over" if room.over else "full" if room.free <= 0 else "free",
        "settle": _settle(room),
        "asked": room.asked,
        "shutby": _shut_by(room),
        "doorknock": "yes" if room.state.get("door_knock") else "no",
        "staff": "armed" if room.state.get("staff_pass") else "idle",
    }


def _announce(room: Room) -> str:
    """Return what a screen reader says by itself: without the time, so it changes rarely."""
    words = [inside(room), may_come(room), _asked_words(room)]
    return " ".join(filter(None, words)) if room.known else ""


def room_view(mirror_view: MirrorView) -> RoomPart:
    """Return what the page shows of the room, in the language of the request."""
    room = Room(mirror_view.state)
    hatch, hatch_words = _hatch(room)
    phase, time, word, left = _ring(room)
    texts = {
        "title": _title(room, hatch_words, hatch),
        "sentence": sentence(room),
        "link": _link_words(room, mirror_view.state["age_ms"]),
        "door": _door_words(room),
        "hatch": hatch_words,
        "time": time,
        "word": word,
        "let": _let_words(room),
        "asked": _asked_words(room),
        "question": str(room.question.get("id", "")),
        "settle": _("By hand: how many are inside?")
        if _settle(room) == "manual"
        else _("How many are inside?"),
        "announce": _announce(room),
    }
    # A knock at the front door makes no noise while a party is in the room.
    quiet = bool(room.session) and mirror_view.knock["place"] == "door"
    return RoomPart(
        texts=texts,
        states=_states(room, hatch, phase),
        notices=tuple(_notices(room)),
        ring=f"{100 * left:.1f} 100",
        knock={**mirror_view.knock, "quiet": quiet},
    )
