"""The room: what the snapshot means for somebody with half a second, in words and states.

Every sentence about the room is made here and in `headline`, once, in the language of the phone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from web.language import _
from web.messages import Json, number
from web.mirror import ALERTS, MirrorView
from web.presentation.headline import (
    count_words,
    headline,
    inside,
    may_come,
    notices,
    severity,
    worst,
)
from web.presentation.labels import command_words, span
from web.presentation.page_view import RoomPart
from web.presentation.seats import seat_states
from web.presentation.snapshot import Room

#: A larger house has its numbers on a keypad, so that each key stays large.
KEYS_IN_A_ROW = 6
#: Keys for parties that stand in the row of a larger house, beside its keypad.
SMALL_PARTIES = 4
#: So many more than the house takes can have come in behind a party.
TAILGATERS = 4
#: A headline with more letters is set smaller, so that it keeps to its place.
LONG_HEADLINE = 36
USUAL_SESSION_S = 7200.0
#: How long a knock waits before it grows, in s: each step is larger and redder.
PATIENCE_S = (20.0, 60.0, 120.0)


def party_keys(capacity: int) -> range:
    """Return the parties that have a key in the first view."""
    return range(1, (capacity if capacity <= KEYS_IN_A_ROW else SMALL_PARTIES) + 1)


def answer_keys(capacity: int) -> range:
    """Return the answers to "how many came in" that have a key."""
    return range(capacity + TAILGATERS + 1)


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
        doing = _("letting in %(n)s", n=room.expected or room.party)
    if room.lock_fault and room.mode != "LockedOpen":
        doing = _("not locked")
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


def _patience(room: Room) -> str:
    """Return how long the oldest knock has waited, as a step from 0 to 3."""
    knock = room.state.get("door_knock")
    ages = [number(knock, "age_s")] if isinstance(knock, dict) else []
    if number(room.hatch, "waiting") and not room.hatch.get("open"):
        ages.append(number(room.hatch, "oldest_s"))
    oldest = max(ages, default=0.0)
    return str(sum(oldest >= step for step in PATIENCE_S))


def _session_s(room: Room) -> float:
    """Return the session's whole length in seconds."""
    try:
        begin, end = (
            datetime.fromisoformat(str(room.session.get(key))) for key in ("started_at", "ends_at")
        )
        return max(1.0, (end - begin).total_seconds())
    except (ValueError, TypeError):
        return USUAL_SESSION_S


def _time_left(room: Room) -> tuple[str, str, float]:
    """Return the time as it stands on the clock, the word under it, and the part still left."""
    if not room.session:
        return "–", _("no session"), 0.0
    if room.left_s <= 0:
        return f"+{span(room.left_s)}", _("over time"), 1.0
    return span(room.left_s), _("left"), min(1.0, room.left_s / _session_s(room))


def _let(room: Room) -> dict[str, str]:
    """Return for each party size what its key does: let in (`yes`, `ask`: held), `stop`, `no`."""
    # What fits while the house asks how many came in fits by the most who can have come.
    may = "yes" if room.certain or room.asked == "party" else "ask"
    fits = 0 if room.shut else room.free
    states = {f"let{n}": may if n <= fits else "no" for n in range(1, room.capacity + 1)}
    keys = party_keys(room.capacity)
    states["letmore"] = may if fits > keys[-1] else "no"
    if room.releasing:
        states[f"let{room.party}" if room.party in keys else "letmore"] = "stop"
    return states


def _let_words(room: Room) -> str:
    if room.grant and room.grant.get("cancelled"):
        return _("Stopped: shut the door")
    if room.releasing:
        return _("Letting in %(n)s, %(done)s came in", n=room.party, done=room.entered)
    return room.shut[:1].upper() + room.shut[1:]


def _asked_words(room: Room) -> str:
    if room.asked == "left":
        return _("Has everybody left? If not, how many are inside?")
    if room.asked == "none":
        return ""
    expected, seen = int(number(room.question, "expected")), int(number(room.question, "seen"))
    if room.question.get("counted") is False:
        return _("Let in %(n)s, stopped. How many came in?", n=expected)
    return _("Let in %(n)s, saw %(seen)s. How many came in?", n=expected, seen=seen)


def _answers(room: Room) -> dict[str, str]:
    """Return for each number of guests whether it can be the answer: `yes` or `no`."""
    possible = room.answers if room.asked == "party" else []
    return {f"came{n}": "yes" if n in possible else "no" for n in answer_keys(room.capacity)}


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


def _undoable(room: Room) -> Json:
    """Return the newest command that can be taken back; empty for none."""
    found = room.state.get("undoable")
    newest = found[0] if isinstance(found, list) and found else None
    return newest if isinstance(newest, dict) and isinstance(newest.get("id"), str) else {}


def _undo_words(undoable: Json) -> str:
    return command_words(str(undoable.get("type"))) if undoable else ""


def _link_words(room: Room, age_ms: object) -> str:
    if room.link == "online":
        return _("live")
    if not isinstance(age_ms, int):
        return _("not heard yet")
    return _("no connection for %(age)s", age=span(age_ms / 1000))


def _title(room: Room, hatch_words: str, hatch: str) -> str:
    if room.link != "online":
        return _("(?) Backdoor")
    if hatch in ("glow", "blink"):
        return _("(!) Hatch %(age)s", age=hatch_words)
    if room.state.get("door_knock"):
        return _("(!) Front door")
    return f"{count_words(room)} Backdoor"


def _width(figures: str) -> str:
    """Return how much room the large figures need: `no`, `yes` (a range), or `very`."""
    return "no" if len(figures) <= len("3/4") else "yes" if len(figures) <= len("2–3/4") else "very"


def _states(room: Room, hatch: str) -> dict[str, str]:
    fact = worst(room)
    return {
        **seat_states(room),
        **_let(room),
        **_answers(room),
        "link": room.link,
        "mode": room.mode,
        "door": str(room.door.get("physical", "Unknown")),
        "lock": "fault" if room.lock_fault else "ok",
        "strike": "on" if room.door.get("strike") else "off",
        "hatch": hatch,
        "patience": _patience(room),
        "waiting": "yes" if hatch in ("glow", "blink") else "no",
        "phase": room.phase,
        "house": "over" if room.over else "full" if room.free <= 0 else "free",
        "worst": severity(room),
        "fact": fact.name if fact else "calm",
        "wide": _width(count_words(room)),
        "long": "yes" if len(headline(room)) > LONG_HEADLINE else "no",
        "settle": _settle(room),
        "asked": room.asked,
        "shutby": _shut_by(room),
        "doorknock": "yes" if room.state.get("door_knock") else "no",
        "staff": "armed" if room.state.get("staff_pass") else "idle",
        "undo": "yes" if _undoable(room) else "no",
    }


def _announce(room: Room) -> str:
    """Return what a screen reader says by itself: without the time, so it changes rarely."""
    fact = worst(room)
    led = fact.headline(room) if fact and fact.name not in ("overtime", "last_call") else ""
    words = [inside(room), led or may_come(room), _asked_words(room)]
    return " ".join(dict.fromkeys(filter(None, words))) if room.known else ""


def _standing(room: Room, hatch: str) -> dict[str, bool]:
    """Return for each kind of alarm whether its reason still stands."""
    alarm = room.door.get("alarm")
    return {
        "hatch": hatch in ("glow", "blink"),
        "door": bool(room.state.get("door_knock")),
        "last_call": room.phase == "last_call",
        "time_up": room.phase == "overtime",
        "over": room.over,
        "door_alarm": alarm in ("DoorForcedOpen", "DoorOpenTooLong"),
        "evacuation": room.mode == "LockedOpen",
        "fault": bool(room.faults),
    }


def _alerts(room: Room, hatch: str, counted: Json) -> Json:
    """Return for each kind of alarm how many there were, if it stands, and if it makes no noise.

    A knock at the front door makes no noise while a party is in the room.
    """
    quiet = {"door"} if room.session else set()
    standing = _standing(room, hatch)
    return {
        kind: [int(number(counted, kind)), int(standing[kind]), int(kind in quiet)]
        for kind in alert_kinds()
    }


def alert_kinds() -> Iterable[str]:
    """Return the kinds of alarm that a phone can make noticed, each once, the mildest first."""
    return dict.fromkeys(ALERTS.values())


def room_view(mirror_view: MirrorView) -> RoomPart:
    """Return what the page shows of the room, in the language of the request."""
    room = Room(mirror_view.state)
    hatch, left = _hatch(room), _time_left(room)
    quiet = bool(room.session) and mirror_view.knock["place"] == "door"
    return RoomPart(
        texts=_texts(room, mirror_view, hatch, left),
        states=_states(room, hatch[0]),
        notices=tuple(notices(room, mirror_view)),
        ring=f"{100 * left[2]:.1f} 100",
        knock={**mirror_view.knock, "quiet": quiet},
        alerts=_alerts(room, hatch[0], mirror_view.alerts),
    )


def _texts(
    room: Room, mirror_view: MirrorView, hatch_view: tuple[str, str], left: tuple[str, str, float]
) -> dict[str, str]:
    """Return every text that changes with the room, by the name of its place on the page."""
    hatch, hatch_words = hatch_view
    time, word, _part = left
    undoable = _undoable(room)
    fact = worst(room)
    # A headline about the doubt says the numbers itself.
    led = inside(room) if room.known and not (fact and fact.name == "doubt") else ""
    return {
        "title": _title(room, hatch_words, hatch),
        "inside": led,
        "headline": headline(room),
        "sentence": f"{led} {headline(room)}".strip(),
        "count": count_words(room),
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
        "undoes": str(undoable.get("id", "")),
        "undone": _undo_words(undoable),
    }
