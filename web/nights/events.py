"""What the store keeps of an event's message: numbers and words that are known, never a name.

Events that no question needs are only counted: their numbers show that nothing is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from controller.codec import encode
from controller.events import COMMANDS, Reason
from web.messages import json_object

#: The night begins at noon, as on *Tonight*: a bar's evening crosses midnight, nobody's noon.
NOON = 12
#: A Pi without a battery for its clock begins in 1970: until it is set, `at` means nothing.
CLOCK_SET_S = 1_577_836_800.0
#: 1 January 9000: later no hour can be added.
LAST_S = 221_845_392_000.0
LAST_SEQ = 2**53
LAST_T_MS = 1e15

CAUSES = frozenset(
    ("page", "button", "mqtt", "homeassistant", "release", "restart", "empty", "self-test",
     "terminal", "trace", "blind", "opened_from_inside", "evacuate", "telegram", "notify")
)  # fmt: skip
OTHER = "other"

Keep = Callable[[object], object]


class Event(NamedTuple):
    """One event: who sent it, its number in that run, house time, wall time, name, kept data.

    ``at_s`` (seconds since 1970) is 0 while the controller's clock was not set.
    """

    venue: str
    boot: str
    seq: int
    t_ms: float
    at_s: float
    name: str
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The kept data as JSON text."""
        return encode(self.data).decode()


def _whole(value: object) -> object:
    return value if isinstance(value, int) and abs(value) < 10**6 else None


def _number(value: object) -> object:
    return value if isinstance(value, int | float) and abs(value) < 1e9 else None


def _flag(value: object) -> object:
    return value is True


def _one_of(*words: str) -> Keep:
    known = frozenset(words)
    return lambda value: value if value in known else OTHER


def _identifier(value: object) -> object:
    """Keep a word that only the controller's own code can have written: a fault, a line."""
    return value if isinstance(value, str) and re.fullmatch("[A-Za-z_]{1,40}", value) else OTHER


def _count(value: object) -> object:
    if not isinstance(value, dict):
        return None
    return {key: _whole(value.get(key)) for key in ("count", "min", "max")}


_CAUSE: Mapping[str, Keep] = {"cause": _one_of(*CAUSES)}
_BODIES: Mapping[str, Keep] = {"count": _whole, "min": _whole, "max": _whole}
_REFUSED: Mapping[str, Keep] = {
    "reason": _one_of(*Reason), "command": _one_of(*COMMANDS), **_CAUSE,
}  # fmt: skip
_FAULT: Mapping[str, Keep] = {"name": _identifier, "line": _identifier}
_ASKED: Mapping[str, Keep] = {
    "kind": _one_of("party", "everybody_left"), "expected": _whole, "seen": _whole,
}  # fmt: skip

#: The events that are kept, and what is kept of each.
KEPT: Mapping[str, Mapping[str, Keep]] = {
    "entry": _BODIES,
    "exit": _BODIES,
    "passage_uncertain": {"min": _whole, "max": _whole, "occupancy": _count},
    "knock": {"place": _one_of("hatch", "door")},
    "door_opened": {},
    "hatch_opened": {},
    "hatch_closed": {},
    "hatch_answered": _CAUSE,
    "door_answered": _CAUSE,
    "access_granted": {"party": _whole, **_CAUSE},
    "access_denied": _REFUSED,
    "command_refused": _REFUSED,
    "count_adjusted": {"before": _count, "after": _count, **_CAUSE},
    "reported_wrong": {"was": _whole, "count": _whole, **_CAUSE},
    "tailgating": {"expected": _whole, "entered": _whole},
    "question_asked": _ASKED,
    "question_ended": {
        **_ASKED,
        "came": _whole,
        "how": _one_of(*COMMANDS, "arithmetic", "merged", "session_ended", "undo"),
    },
    "session_started": {},
    "session_time_up": {},
    "session_ended": {"lasted_s": _number, "reason": _one_of("undo")},
    "session_resumed": {},
    "undone": {"command": _one_of(*COMMANDS), **_CAUSE},
    "over_capacity": {"count": _whole},
    "over_capacity_ended": {"count": _whole},
    "door_alarm": {"alarm": _one_of("Normal", "DoorForcedOpen", "DoorOpenTooLong")},
    "door_blocked": _CAUSE,
    "door_unblocked": _CAUSE,
    "locked_down": _CAUSE,
    "lock_down_released": _CAUSE,
    "locked_open": _CAUSE,
    "lock_open_released": _CAUSE,
    "started": {"doubt": _flag},
    "fault": _FAULT,
    "fault_cleared": _FAULT,
}


def parse(venue: str, name: str, payload: bytes) -> Event:
    """Return the event of a message; raise ValueError for one that no controller of ours sends."""
    return event_of(venue, name, json_object(payload))


def event_of(venue: str, name: str, fields: Mapping[str, Any]) -> Event:
    """Return the event of a message's object, as `parse` does."""
    seq, boot, t_ms = fields.get("seq"), fields.get("boot"), fields.get("t_ms")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 < seq < LAST_SEQ:
        raise ValueError("seq is no number of an event")
    if not isinstance(boot, str) or not re.fullmatch("[!-~]{1,64}", boot):
        raise ValueError("boot is no name of a run")
    if not isinstance(t_ms, int | float) or not 0 <= t_ms < LAST_T_MS:
        raise ValueError("t_ms is no house time")
    keep = KEPT.get(name, {})
    data = {key: kept(fields[key]) for key, kept in keep.items() if key in fields}
    return Event(venue, boot, seq, float(t_ms), _wall_s(fields.get("at")), name, data)


def _wall_s(at: object) -> float:
    try:
        found = datetime.fromisoformat(str(at))
    except ValueError:
        return 0.0
    wall_s = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return wall_s if CLOCK_SET_S <= wall_s < LAST_S else 0.0


def night_of(at_s: float) -> str:
    """Return the date, ``2026-11-25``, on which the night of a moment began, by local time."""
    local = datetime.fromtimestamp(at_s).astimezone()
    day = local.date() if local.hour >= NOON else local.date() - timedelta(days=1)
    return day.isoformat()


def begin_of(night: date) -> datetime:
    """Return the noon at which a night begins, local time."""
    return datetime(night.year, night.month, night.day, NOON).astimezone()
