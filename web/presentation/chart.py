"""Tonight: the retained `night` message as a step chart, totals, and the last events in words.

The chart has a fixed frame; times are shown in this machine's time zone, which is the bar's. What
makes no sense in the message is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from web.language import _, plural
from web.messages import Json, number
from web.presentation.labels import event_words

LEFT, RIGHT, TOP, BOTTOM = 20.0, 352.0, 12.0, 108.0
SHORTEST_NIGHT = timedelta(hours=1)
BEFORE_FIRST = timedelta(minutes=10)
EVENTS_SHOWN = 12
#: With more people than this not every line of the chart has room for its number.
LEVELS_SHOWN = 7
#: Limits of the drawing, whatever the message says.
MAX_PEOPLE = 99
LONGEST_NIGHT = timedelta(hours=36)
#: A Pi whose clock is not set begins in 1970; in the last years no hour can be added.
VALID_YEARS = (1969, 9000)
Point = tuple[datetime, int, int, int]  # time; count, least and most inside
TOTALS = ("guests", "sessions", "knocks", "denied", "uncertain")


@dataclass(frozen=True, slots=True)
class Frame:
    """The drawing's scale: from times and numbers of people to coordinates."""

    begin: datetime
    end: datetime
    most: int

    def x(self, moment: datetime) -> float:
        """Return the x coordinate of a time, kept inside the frame."""
        part = (moment - self.begin) / (self.end - self.begin)
        return round(LEFT + (RIGHT - LEFT) * min(max(part, 0.0), 1.0), 1)

    def y(self, people: float) -> float:
        """Return the y coordinate of so many people inside."""
        return round(BOTTOM - (BOTTOM - TOP) * people / self.most, 1)


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone()
    except (ValueError, OverflowError):
        return None
    return found if VALID_YEARS[0] <= found.year <= VALID_YEARS[1] else None


def _is_people(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_PEOPLE


def _rows(night: Mapping[str, Any], key: str) -> Iterable[Any]:
    rows = night.get(key)
    return rows if isinstance(rows, list) else []


def _points(night: Mapping[str, Any]) -> list[Point]:
    found = []
    for row in _rows(night, "points"):
        if isinstance(row, list) and len(row) == 4 and all(map(_is_people, row[1:])):
            moment = _time(row[0])
            if moment is not None:
                found.append((moment, row[1], row[2], row[3]))
    return found


def _steps(frame: Frame, points: list[tuple[datetime, int]]) -> str:
    """Return the SVG path of a line that keeps each value until the next."""
    path = ""
    for moment, people in points:
        x, y = frame.x(moment), frame.y(people)
        path += f"M{x} {y}" if not path else f"H{x}V{y}"
    return path + f"H{frame.x(frame.end)}" if path else ""


def _band(frame: Frame, points: list[Point]) -> str:
    """Return the SVG path of the area between the least and the most that may be inside."""
    path = ""
    ends = [*(point[0] for point in points[1:]), frame.end]
    for (moment, _count, least, most), end in zip(points, ends, strict=False):
        if most > least:
            x, until = frame.x(moment), frame.x(end)
            path += f"M{x} {frame.y(least)}V{frame.y(most)}H{until}V{frame.y(least)}Z"
    return path


def _hours(frame: Frame) -> list[tuple[float, str]]:
    """Return at most seven full hours with their x coordinates."""
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
        begin = _time(row.get("started_at")) if isinstance(row, dict) else None
        if begin is not None:
            end = _time(row.get("ended_at")) or frame.end
            bars.append((frame.x(begin), max(round(frame.x(end) - frame.x(begin), 1), 2.0)))
    return bars


def _knocks(night: Json, frame: Frame) -> list[tuple[float, str]]:
    found = []
    for row in _rows(night, "knocks"):
        moment = _time(row[0]) if isinstance(row, list) and len(row) == 2 else None
        if moment is not None:
            found.append((frame.x(moment), "hatch" if row[1] == "hatch" else "door"))
    return found


def _beginning(night: Json, points: list[Point], now: datetime) -> datetime:
    """Return the time at which the drawing begins: a little before the first event."""
    knocks = (row[0] for row in _rows(night, "knocks") if isinstance(row, list) and row)
    moments = [point[0] for point in points] + list(filter(None, map(_time, knocks)))
    first = min(moments, default=now - SHORTEST_NIGHT).astimezone() - BEFORE_FIRST
    return min(max(first, now.astimezone() - LONGEST_NIGHT), now.astimezone())


def chart(night: Json, now: datetime, capacity: int) -> Json:
    """Return what the template draws: paths, hours, levels, session bars and knock marks."""
    points = _points(night)
    begin = _beginning(night, points, now)
    capacity = min(max(capacity, 1), MAX_PEOPLE)
    most = max([p[3] for p in points] + [capacity])
    frame = Frame(begin, max(now.astimezone(), begin + SHORTEST_NIGHT), most)
    counts = [(point[0], point[1]) for point in points]
    line = _steps(frame, counts)
    area = f"{line}V{BOTTOM}H{frame.x(counts[0][0])}Z" if line else ""
    return {
        "line": line,
        "area": area,
        "band": _band(frame, points),
        "hours": _hours(frame),
        "levels": [(frame.y(n), n) for n in range(0, most + 1, most // LEVELS_SHOWN + 1)],
        "limit": frame.y(capacity),
        "sessions": _sessions(night, frame),
        "knocks": _knocks(night, frame),
        "most": max((p[3] for p in points), default=0),
    }


def totals(night: Json) -> list[tuple[str, int]]:
    """Return the night's totals with their names, in the order of the contract."""
    found = night.get("totals")
    found = found if isinstance(found, dict) else {}
    counts = {key: int(number(found, key)) for key in TOTALS}
    words = {
        "guests": plural("guest", "guests", counts["guests"]),
        "sessions": plural("session", "sessions", counts["sessions"]),
        "knocks": plural("knock", "knocks", counts["knocks"]),
        "denied": plural("refused", "refused", counts["denied"]),
        "uncertain": _("in doubt"),
    }
    return [(words[key], counts[key]) for key in TOTALS]


def last_events(night: Json) -> list[tuple[str, str]]:
    """Return the last events, newest first, as time of day and words."""
    found = []
    for row in _rows(night, "last"):
        if isinstance(row, dict) and isinstance(row.get("data"), dict | None):
            moment = _time(row.get("at"))
            words = event_words(str(row.get("name")), row.get("data") or {})
            found.append((moment, words))
    found.sort(key=lambda row: row[0] or datetime.min.replace(tzinfo=UTC), reverse=True)
    return [(f"{at:%H:%M}" if at else "–", words) for at, words in found[:EVENTS_SHOWN]]
