"""What the controller publishes: the snapshot, its retained parts, answers, the heartbeat.

These functions only make messages; nothing here sends. Retained messages are latest values, which
may be lost and are sent again. Events happen once, have a unique ``seq`` and are never retained.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from controller.codec import encode, iso
from controller.events import Answer
from controller.mqtt.message import Message, Topics
from controller.rules.state import (
    ActiveFault,
    RuleSettings,
    Session,
    State,
    door_mode,
    full,
    hatch_late,
    lock_state,
    session_phase,
    strike_on,
    wanted,
)

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Stamp(NamedTuple):
    """Origin and time of a message: house time, and the wall clock at the same moment."""

    venue: str
    boot: str
    seq: int
    t_ms: float
    wall_s: float

    def at_s(self, t_ms: float) -> float:
        """Return the wall time of house time ``t_ms``, seconds since 1970."""
        return self.wall_s + (t_ms - self.t_ms) / 1000

    def at(self, t_ms: float) -> str:
        """Return the wall time of house time ``t_ms``, ISO 8601 in UTC."""
        return iso(self.at_s(t_ms))

    def about(self, t_ms: float) -> str:
        """Return the same rounded to a second, so that two readings of the clocks give one text."""
        seconds = round(self.wall_s + (t_ms - self.t_ms) / 1000)
        return datetime.fromtimestamp(seconds, UTC).isoformat()


def snapshot(state: State, settings: RuleSettings, stamp: Stamp) -> dict[str, Any]:
    """Return the whole state as it is published."""
    occupancy = state.occupancy
    return {
        "venue": stamp.venue,
        "boot": stamp.boot,
        "seq": stamp.seq,
        "at": iso(stamp.wall_s),
        "occupancy": {
            "count": occupancy.count,
            "min": occupancy.min,
            "max": occupancy.max,
            "certain": occupancy.certain,
            "capacity": settings.capacity,
            "free_places": max(settings.capacity - occupancy.max, 0),
        },
        "door": _door(state, settings),
        "session": _session(state, settings, stamp),
        "hatch": _hatch(state, settings, stamp),
        "door_knock": _door_knock(state, stamp),
        "grant": _grant(state, stamp),
        "question": _question(state, stamp),
        "undoable": [
            {"id": undo.id, "type": undo.command, "until": stamp.at(undo.until_ms)}
            for undo in state.undos
        ],
        "counting": "auto" if settings.beams else "manual",
        "staff_pass": state.staff_pass,
        "full": full(state, settings),
        "over_capacity": state.over_capacity,
        "faults": [_fault(fault, stamp) for fault in state.faults],
        "lines": sorted(settings.lines),
    }


def _fault(fault: ActiveFault, stamp: Stamp) -> dict[str, Any]:
    ahead = {} if fault.ahead_s is None else {"ahead_s": fault.ahead_s}
    since = stamp.at(fault.since_ms)
    return {"name": fault.name, "line": fault.line, "since": since, **ahead}


def _door(state: State, settings: RuleSettings) -> dict[str, Any]:
    return {
        "mode": door_mode(state, settings),
        "physical": state.door,
        "lock": lock_state(state, settings),
        "alarm": state.alarm,
        "strike": strike_on(state, settings),
    }


def _session(state: State, settings: RuleSettings, stamp: Stamp) -> dict[str, Any] | None:
    session: Session | None = state.session
    if session is None:
        return None
    end_ms = session.started_ms + settings.session_ms
    return {
        "started_at": stamp.about(session.started_ms),
        "ends_at": stamp.about(end_ms),
        "remaining_s": round((end_ms - stamp.t_ms) / 1000, 1),
        "phase": session_phase(session, settings),
    }


def _hatch(state: State, settings: RuleSettings, stamp: Stamp) -> dict[str, Any]:
    light = wanted(state, settings)["hatch_light"]
    waiting = state.hatch_waiting
    return {
        "light": "ON" if light.level else "OFF",
        "blinking": hatch_late(state),
        "waiting": len(waiting),
        "oldest_s": round((stamp.t_ms - waiting[0]) / 1000, 1) if waiting else None,
        "open": state.hatch == "Open",
    }


def _door_knock(state: State, stamp: Stamp) -> dict[str, Any] | None:
    knock = state.door_knock
    if knock is None:
        return None
    age_s = round((stamp.t_ms - knock.t_ms) / 1000, 1)
    return {"at": stamp.at(knock.t_ms), "age_s": age_s, "raps": knock.raps}


def _grant(state: State, stamp: Stamp) -> dict[str, Any] | None:
    if state.grant is None:
        return None
    until_ms = state.timers.get("release")
    left_s = None if until_ms is None else round(max(until_ms - stamp.t_ms, 0) / 1000, 1)
    return {
        "party": state.grant.party,
        "entered": state.grant.entered,
        "remaining_s": left_s,
        "cancelled": state.grant.cancelled,
    }


def _question(state: State, stamp: Stamp) -> dict[str, Any] | None:
    """Return what the house asks: how many came in goes before whether everybody has left."""
    question = state.question
    if question is not None:
        more = {"counted": question.counted, "since": stamp.at(question.since_ms)}
        return {"kind": "party", **question.asked, **more}
    return {"kind": "everybody_left"} if state.departure == "Asked" else None


# --- messages out --------------------------------------------------------------------------------


def state_messages(
    topics: Topics, current: Mapping[str, Any], before: Mapping[str, Any] = NOTHING
) -> list[Message]:
    """Return the retained messages of a snapshot: some parts on topics of their own, and all of it.

    Parts that are equal in the snapshot ``before`` are left out; the broker still has them.
    """
    messages = [
        Message(topics(name), encode(current[name]), retain=True)
        for name in ("occupancy", "door", "session")
        if name not in before or current[name] != before[name]
    ]
    light = str(current["hatch"]["light"])
    if "hatch" not in before or light != before["hatch"]["light"]:
        messages.insert(0, Message(topics("hatch/light"), light.encode(), retain=True))
    return [*messages, Message(topics("state"), encode(current), retain=True)]


def heartbeat(topics: Topics, boot: str, seq: int, uptime_s: float, **more: object) -> Message:
    """Return the heartbeat of the rules loop; ``seq`` is that of the newest snapshot."""
    beat = {"boot": boot, "seq": seq, "uptime_s": round(uptime_s, 1), **more}
    return Message(topics("heartbeat"), encode(beat))


def status(topics: Topics, word: str) -> Message:
    """Return the retained ``online`` or ``offline``."""
    return Message(topics("status"), word.encode(), qos=1, retain=True)


def result(topics: Topics, answer: Answer) -> Message:
    """Return the answer to a command; its id is null if it could not be read."""
    body = {"id": answer.id or None, "ok": answer.ok, "reason": answer.reason}
    if answer.detail:
        body["detail"] = answer.detail
    return Message(topics("result"), encode(body), qos=1)


def chime(topics: Topics, tone: str) -> Message:
    """Return the message that the chime rings now; never retained."""
    return Message(topics("chime"), encode({"tone": tone}), qos=1)
