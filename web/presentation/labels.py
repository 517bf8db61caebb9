"""The page's words in tables: refusals, faults, lines, causes, events; and lengths of time.

The tables are made at import, so their texts are `lazy`: translated where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.language import _, lazy, plural, plurals
from web.messages import number

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
    "NoOpenRelease": lazy("nobody is being let in"),
    "NothingToUndo": lazy("there is nothing to take back"),
    "TooLate": lazy("it can't be taken back any more"),
    "ChangedSince": lazy("the count has changed since"),
    "Offline": lazy("the door cannot be reached"),
    "NoAnswer": lazy("no answer from the door"),
}

FAULTS: Mapping[str, Any] = {
    "CountUnderflow": lazy("more left than came in"),
    "BeamStuck": lazy("a light beam is blocked"),
    "BeamDead": lazy("a light beam sees nothing"),
    "BeamChatter": lazy("a light beam flickers"),
    "LineChatter": lazy("a sensor chatters"),
    "LineInterference": lazy("interference from another device"),
    "LockNotLocked": lazy("the bolt is not where it should be"),
    "BrokerDown": lazy("no connection to the house"),
    "ClientIdTaken": lazy("another device uses the controller's name"),
    "JournalFailed": lazy("the journal cannot be written"),
    "FileDamaged": lazy("a file on the disk was damaged; what could not be read is left out"),
    "OutputFailed": lazy("a lamp or the chime does not do what it should"),
    "CommandFlood": lazy("somebody sends too many commands"),
    "ClockDiffers": lazy("clocks differ"),
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
    "hatch_light": lazy("hatch light"),
    "full_lamp": lazy("full lamp"),
    "chime": lazy("chime"),
    "inputs": lazy("several inputs at once"),
    "occupancy": lazy("count"),
    "mqtt": lazy("network"),
    "homeassistant": "Home Assistant",
    "page": lazy("page"),
    "journal": lazy("disk"),
    # Reasons for safe mode.
    "asked": lazy("asked for by hand"),
    "crashed": lazy("the controller kept crashing"),
    "hung": lazy("the controller stood still"),
    "memory": lazy("the controller took too much memory"),
    "restarted": lazy("it was started again too often"),
    "config": lazy("the configuration is wrong"),
    "pins": lazy("the wires cannot be used"),
}


CAUSES: Mapping[str, Any] = {
    "release": lazy("by what was let in"),
    "page": lazy("from the page"),
    "button": lazy("by the button"),
    "mqtt": lazy("from the house"),
    "homeassistant": lazy("by Home Assistant"),
    "trace": lazy("by the trace"),
    "restart": lazy("after a restart"),
    "empty": lazy("verified empty"),
    "self-test": lazy("by the self-test"),
    "terminal": lazy("in the terminal"),
    "evacuate": lazy("by the fire alarm's wire"),
}

#: What a command did, in the words of its key: for the line that offers to take it back.
COMMANDS_DONE: Mapping[str, Any] = {
    "access_door": lazy("Let in"),
    "room_empty": lazy("Room empty"),
    "set_count": lazy("Count set"),
    "report_wrong": lazy("Count set"),
    "answer_question": lazy("Question answered"),
    "staff_pass": lazy("Staff pass"),
    "answer_hatch": lazy("Hatch answered"),
    "answer_door": lazy("Front door answered"),
}

#: Sentence for each event; its %(names)s are keys of `_details`.
EVENT_WORDS: Mapping[str, Any] = {
    "entry": lazy("One came in: %(count)s inside"),
    "exit": lazy("One left: %(count)s inside"),
    "passage_uncertain": lazy("Not sure who passed (%(min)s to %(max)s)"),
    "passage_aborted": lazy("Somebody turned back"),
    "staff_passed": lazy("Staff went through"),
    "staff_pass": lazy("Staff pass armed"),
    "staff_pass_expired": lazy("Staff pass not used"),
    "knock_hatch": lazy("Knock at the hatch"),
    "knock_door": lazy("Knock at the front door"),
    "door_opened": lazy("Door opened"),
    "door_closed": lazy("Door closed"),
    "hatch_opened": lazy("Hatch opened"),
    "hatch_closed": lazy("Hatch closed"),
    "hatch_answered": lazy("The hatch was answered"),
    "door_answered": lazy("The front door was answered"),
    "access_granted": lazy("Let in %(party)s"),
    "access_taken": lazy("%(entered)s of %(expected)s came in"),
    "access_not_taken": lazy("Nobody came in"),
    "access_denied": lazy("Not let in: %(reason)s"),
    "command_refused": lazy("Refused: %(reason)s"),
    "count_adjusted": lazy("Count set to %(after)s"),
    "tailgating": lazy("%(entered)s came in where %(expected)s were let in"),
    "question_asked_party": lazy("Let in %(expected)s, saw %(seen)s: how many came in?"),
    "question_asked_everybody_left": lazy("Has everybody left?"),
    "question_ended_party": lazy("Let in %(expected)s, saw %(seen)s: settled"),
    "question_ended_came": lazy("Let in %(expected)s, saw %(seen)s: %(came)s came in"),
    "question_ended_everybody_left": lazy("Whether everybody left: settled"),
    "reported_wrong": lazy("The count was wrong: %(was)s, it is %(count)s"),
    "passage_seen": lazy("Somebody passed, not counted"),
    "knock_ended": lazy("The knocking stopped"),
    "session_started": lazy("Session began"),
    "session_warning": lazy("%(remaining)s left"),
    "session_time_up": lazy("Time is up"),
    "session_overtime": lazy("%(over)s over time"),
    "session_ended": lazy("Session ended, room empty"),
    "over_capacity": lazy("Too many inside: %(count)s"),
    "over_capacity_ended": lazy("No longer too many inside"),
    "door_alarm": lazy("Door alarm: %(alarm)s"),
    "door_pre_alarm": lazy("The door stands open"),
    "door_blocked": lazy("Closed to guests"),
    "door_unblocked": lazy("Open to guests again"),
    "locked_down": lazy("Locked down"),
    "lock_down_released": lazy("Lock-down ended"),
    "locked_open": lazy("Evacuation began"),
    "lock_open_released": lazy("Evacuation ended"),
    "fault": lazy("Fault: %(what)s"),
    "fault_cleared": lazy("Fault over: %(what)s"),
    "started": lazy("Controller started"),
    "self_test_started": lazy("Self-test began"),
    "release_cancelled": lazy("Stopped: nobody more is let in"),
    "session_resumed": lazy("Session goes on: %(remaining)s left"),
    "undone": lazy("Taken back: %(command)s"),
}

#: Sentences that change with a number: one and many, and which key is the number.
EVENT_PLURALS: Mapping[str, tuple[tuple[str, str], str]] = {
    "self_tested": (
        plurals("Self-test: %(n)s wire proven", "Self-test: %(n)s wires proven"),
        "proven",
    ),
}

#: What a phone can make noticed: the names of its switches, in the order of `mirror.ALERTS`.
ALERT_WORDS: Mapping[str, Any] = {
    "hatch": lazy("Knock at the hatch"),
    "door": lazy("Knock at the front door"),
    "last_call": lazy("Last call"),
    "time_up": lazy("Time is up"),
    "over": lazy("Too many inside"),
    "door_alarm": lazy("Door forced or left open"),
    "evacuation": lazy("Evacuation"),
    "fault": lazy("Fault"),
}

ALARMS: Mapping[str, Any] = {
    "DoorForcedOpen": lazy("forced open"),
    "DoorOpenTooLong": lazy("open too long"),
    "Normal": lazy("over"),
}


def fault_words(name: str, line: str, ahead_s: float = 0.0) -> str:
    """Return a fault in words and its line; an unknown one is shown by its name.

    ``ahead_s`` is how far another clock is ahead of ours, seconds; negative: behind.
    """
    where = LINES.get(line, line)
    if ahead_s:
        off = _("%(time)s ahead of ours") if ahead_s > 0 else _("%(time)s behind ours")
        where = f"{where}: {off % {'time': span(ahead_s)}}"
    return f"{FAULTS.get(name, name)} ({where})"


def reason_words(reason: str | None) -> str:
    """Return a refusal's reason in words; an unknown one is shown as it came."""
    return str(REASONS.get(reason or "", reason or _("no reason given")))


def command_words(name: str) -> str:
    """Return a command that was done in words; an unknown one is shown by its name."""
    return str(COMMANDS_DONE.get(name, name.replace("_", " ")))


def span(seconds: float) -> str:
    """Return a length of time in words: ``40 s``, ``7 min``, ``1 h 12 min``."""
    whole = int(abs(seconds))
    if whole < 60:
        return _("%(s)s s", s=whole)
    if whole < 3600:
        return _("%(m)s min", m=whole // 60)
    return _("%(h)s h %(m)s min", h=whole // 3600, m=whole // 60 % 60)


class _EventDetails(dict[str, object]):
    """An event's details for its sentence; a missing one reads as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


def _count_words(after: object) -> object:
    """Return a count as its sentence has it; a range where it is uncertain."""
    if not isinstance(after, dict):
        return "?"
    low, high = after.get("min"), after.get("max")
    return after.get("count", "?") if low == high else f"{low}–{high}"


def refusal_words(data: Mapping[str, Any]) -> str:
    """Return a refusal's reason in words; a question that stands in the way is named."""
    question = data.get("question")
    if not isinstance(question, dict):
        return _clock_words(data) or reason_words(data.get("reason"))
    n, seen = question.get("expected", "?"), question.get("seen", "?")
    return _("say first how many came in (let in %(n)s, saw %(seen)s)", n=n, seen=seen)


def _clock_words(data: Mapping[str, Any]) -> str:
    """Return by how much a command's clock and ours differ, if that is why it was refused."""
    age_s = number(data, "age_s")
    if data.get("reason") == "FromTheFuture" and age_s < 0:
        return _("the sender's clock is %(time)s ahead of ours", time=span(age_s))
    if data.get("reason") == "StaleCommand" and age_s > 0:
        return _("it was %(time)s old, or the sender's clock is behind", time=span(age_s))
    return ""


def _details(data: Mapping[str, Any]) -> _EventDetails:
    name, alarm = str(data.get("name")), str(data.get("alarm"))
    return _EventDetails(
        dict(data)
        | {
            "reason": refusal_words(data),
            "after": _count_words(data.get("after")),
            "remaining": span(number(data, "remaining_s")),
            "command": command_words(str(data.get("command"))),
            "over": span(number(data, "over_s")),
            "what": fault_words(name, str(data.get("line")), number(data, "ahead_s")),
            "alarm": str(ALARMS.get(alarm, alarm)),
        }
    )


def _sentence_key(name: str, data: Mapping[str, Any]) -> str:
    """Return the key of an event's sentence: some events have several."""
    if name == "knock":
        return f"knock_{data.get('place')}"
    if name == "question_ended" and isinstance(data.get("came"), int):
        return "question_ended_came"
    return f"{name}_{data.get('kind')}" if name.startswith("question_") else name


def _sentence(name: str, data: Mapping[str, Any]) -> str:
    key = _sentence_key(name, data)
    if key in EVENT_PLURALS:
        (one, many), counted = EVENT_PLURALS[key]
        return plural(one, many, int(number(data, counted)))
    return str(EVENT_WORDS[key]) % _details(data) if key in EVENT_WORDS else name.replace("_", " ")


def event_words(name: str, data: Mapping[str, Any]) -> str:
    """Return one event in words and what caused it; an unknown one is shown by its name."""
    sentence = _sentence(name, data)
    cause = data.get("cause") or (data.get("reason") if name == "access_not_taken" else None)
    if data.get("by"):
        return f"{sentence}, {data['by']}"
    return f"{sentence}, {CAUSES.get(str(cause), cause)}" if cause else sentence
