"""Tonight: the retained `night` message as a step chart, totals, and the last events in words.

The chart is drawn in a fixed frame; the controller's wall times are shown in this machine's zone,
which is the bar's. Anything in the message that makes no sense is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from web.language import _, lazy
from web.messages import Json
from web.presentation.labels import fault_words, number, reason_words, span

WIDTH, HEIGHT = 360.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 20.0, 352.0, 12.0, 108.0
SHORTEST = timedelta(hours=1)
LEAD = timedelta(minutes=10)
EVENTS_SHOWN = 12
#: More people no room holds, and no night is longer: the drawing is bounded, whatever is heard.
MOST_PEOPLE = 99
LONGEST = timedelta(hours=36)
#: A Pi without a clock begins in 1970; near the calendar's own ends no hour can be added.
YEARS = (1969, 9000)
Point = tuple[datetime, int, int, int]  # when, and count, least, most inside
TOTALS = ("guests", "sessions", "knocks", "denied", "uncertain")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a moment and a number of people lie in the drawing."""

    begin: datetime
    end: datetime
    most: int

    def x(self, moment: datetime) -> float:
        """Return the horizontal place, kept inside the frame."""
        part = (moment - self.begin) / (self.end - self.begin)
        return round(LEFT + (RIGHT - LEFT) * min(max(part, 0.0), 1.0), 1)

    def y(self, people: float) -> float:
        """Return the vertical place of so many people inside."""
        return round(BOTTOM - (BOTTOM - TOP) * people / self.most, 1)


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone()
    except (ValueError, OverflowError):
        return None
    return found if YEARS[0] <= found.year <= YEARS[1] else None


def _is_people(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MOST_PEOPLE


def _rows(night: Mapping[str, Any], key: str) -> Iterable[Any]:
    rows = night.get(key)
    return rows if isinstance(rows, list) else []


def _points(night: Mapping[str, Any]) -> list[Point]:
    found = []
    for row in _rows(night, "points"):
        if isinstance(row, list) and len(row) == 4 and all(map(_is_people, row[1:])):
            moment = _moment(row[0])
            if moment is not None:
                found.append((moment, row[1], row[2], row[3]))
    return found


def _steps(frame: Frame, points: list[tuple[datetime, int]]) -> str:
    """Return the path of a line that keeps each value until the next."""
    path = ""
    for moment, people in points:
        x, y = frame.x(moment), frame.y(people)
        path += f"M{x} {y}" if not path else f"H{x}V{y}"
    return path + f"H{frame.x(frame.end)}" if path else ""


def _band(frame: Frame, points: list[Point]) -> str:
    """Return the area between the least and the most that may have been inside."""
    path = ""
    ends = [*(point[0] for point in points[1:]), frame.end]
    for (moment, _count, least, most), end in zip(points, ends, strict=False):
        if most > least:
            x, until = frame.x(moment), frame.x(end)
            path += f"M{x} {frame.y(least)}V{frame.y(most)}H{until}V{frame.y(least)}Z"
    return path


def _hours(frame: Frame) -> list[tuple[float, str]]:
    """Return at most seven full hours with their places."""
    hours = (frame.end - frame.begin) / timedelta(hours=1)
    step = next((s for s in (1, 2, 3, 4, 6) if hours / s <= 7), 12)
    at = frame.begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    marks = []
    while at <= frame.end:
        if at.hour % step == 0 and LEFT + 8 < frame.x(at) < RIGHT - 4:
            marks.append((frame.x(at), f"{at.hour:02d}"))
        at += timedelta(hours=1)
    return marks


def _sessions(night: Json, frame: Frame) -> list[tuple[float, float]]:
    bars = []
    for row in _rows(night, "sessions"):
        begin = _moment(row.get("started_at")) if isinstance(row, dict) else None
        if begin is not None:
            end = _moment(row.get("ended_at")) or frame.end
            bars.append((frame.x(begin), max(round(frame.x(end) - frame.x(begin), 1), 2.0)))
    return bars


def _knocks(night: Json, frame: Frame) -> list[tuple[float, str]]:
    found = []
    for row in _rows(night, "knocks"):
        moment = _moment(row[0]) if isinstance(row, list) and len(row) == 2 else None
        if moment is not None:
            found.append((frame.x(moment), "hatch" if row[1] == "hatch" else "door"))
    return found


def _beginning(night: Json, points: list[Point], now: datetime) -> datetime:
    """Return where the drawing begins: a little before the first thing that happened."""
    knocks = (row[0] for row in _rows(night, "knocks") if isinstance(row, list) and row)
    moments = [point[0] for point in points] + list(filter(None, map(_moment, knocks)))
    first = min(moments, default=now - SHORTEST).astimezone() - LEAD
    return min(max(first, now.astimezone() - LONGEST), now.astimezone())


def chart(night: Json, now: datetime, capacity: int) -> Json:
    """Return what the template draws: paths, hours, levels, session bars and knock marks."""
    points = _points(night)
    begin = _beginning(night, points, now)
    capacity = min(max(capacity, 1), MOST_PEOPLE)
    most = max([p[3] for p in points] + [capacity])
    frame = Frame(begin, max(now.astimezone(), begin + SHORTEST), most)
    counts = [(point[0], point[1]) for point in points]
    line = _steps(frame, counts)
    area = f"{line}V{BOTTOM}H{frame.x(counts[0][0])}Z" if line else ""
    return {
        "line": line,
        "area": area,
        "band": _band(frame, points),
        "hours": _hours(frame),
        "levels": [(frame.y(n), n) for n in range(most + 1)],
        "limit": frame.y(capacity),
        "sessions": _sessions(night, frame),
        "knocks": _knocks(night, frame),
        "most": max((p[3] for p in points), default=0),
    }


def totals(night: Json) -> list[tuple[str, int]]:
    """Return the night's totals with their names, in the order of the contract."""
    words = {
        "guests": _("guests"),
        "sessions": _("sessions"),
        "knocks": _("knocks"),
        "denied": _("refused"),
        "uncertain": _("in doubt"),
    }
    found = night.get("totals")
    found = found if isinstance(found, dict) else {}
    return [(words[key], int(number(found, key))) for key in TOTALS]


# --- events in words --------------------------------------------------------------------------

CAUSES: Mapping[str, Any] = {
    "page": lazy("from the page"),
    "button": lazy("by the button"),
    "mqtt": lazy("from the house"),
    "trace": lazy("by the trace"),
    "restart": lazy("after a restart"),
    "empty": lazy("verified empty"),
    "self-test": lazy("by the self-test"),
    "terminal": lazy("in the terminal"),
}

#: Name of the event -> sentence; the names in it are those of `_details`.
WORDS: Mapping[str, Any] = {
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
    "hatch_answered": lazy("Hatch answered"),
    "door_answered": lazy("Front door answered"),
    "access_granted": lazy("Let in %(party)s"),
    "access_taken": lazy("%(entered)s of %(expected)s came in"),
    "access_not_taken": lazy("Nobody came in"),
    "access_denied": lazy("Not let in: %(reason)s"),
    "command_refused": lazy("Refused: %(reason)s"),
    "count_adjusted": lazy("Count set to %(after)s"),
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
    "self_tested": lazy("Self-test: %(proven)s wires proven"),
}

ALARMS: Mapping[str, Any] = {
    "DoorForcedOpen": lazy("forced open"),
    "DoorOpenTooLong": lazy("open too long"),
    "Normal": lazy("over"),
}


class _Gaps(dict[str, object]):
    """Details for a sentence; what an event does not carry reads as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


def _details(data: Mapping[str, Any]) -> _Gaps:
    after = data.get("after")
    name, alarm = str(data.get("name")), str(data.get("alarm"))
    return _Gaps(
        dict(data)
        | {
            "reason": reason_words(data.get("reason")),
            "after": after.get("count", "?") if isinstance(after, dict) else "?",
            "remaining": span(number(data, "remaining_s")),
            "over": span(number(data, "over_s")),
            "what": fault_words(name, str(data.get("line"))),
            "alarm": str(ALARMS.get(alarm, alarm)),
        }
    )


def event_words(name: str, data: Mapping[str, Any]) -> str:
    """Say one event and who or what caused it; an unknown one is shown by its name."""
    key = f"{name}_{data.get('place')}" if name == "knock" else name
    sentence = str(WORDS[key]) % _details(data) if key in WORDS else name.replace("_", " ")
    cause = data.get("cause") or (data.get("reason") if name == "access_not_taken" else None)
    return f"{sentence}, {CAUSES.get(str(cause), cause)}" if cause else sentence


def last_events(night: Json) -> list[tuple[str, str]]:
    """Return the newest events, newest first, as time of day and words."""
    found = []
    for row in _rows(night, "last"):
        if isinstance(row, dict) and isinstance(row.get("data"), dict | None):
            moment = _moment(row.get("at"))
            words = event_words(str(row.get("name")), row.get("data") or {})
            found.append((moment, words))
    found.sort(key=lambda row: row[0] or datetime.min.replace(tzinfo=UTC), reverse=True)
    return [(f"{at:%H:%M}" if at else "–", words) for at, words in found[:EVENTS_SHOWN]]
