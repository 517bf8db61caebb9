"""Tonight's timeline for the chart: people inside, sessions, knocks, totals, the last events.

A fold over the journal's events, so a restart has it again by reading tonight's rows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

#: The night begins at noon: a bar's evening crosses midnight, nobody's crosses noon.
NOON = 12
#: A full evening has some 700 changes of the count; what is more old falls off the chart.
POINTS = 2000
KNOCKS = 500
SESSIONS = 50
LAST = 20
#: Events that say nothing to a person reading the evening.
SILENT = frozenset({"output", "chime", "passage_aborted", "knock_ended"})


class Night:
    """Collects events since ``since`` (ISO 8601) into what the page draws."""

    def __init__(self, since: str) -> None:
        self.since = since
        self.changed = True
        self._points: deque[list[object]] = deque(maxlen=POINTS)
        self._sessions: deque[dict[str, object]] = deque(maxlen=SESSIONS)
        self._knocks: deque[list[object]] = deque(maxlen=KNOCKS)
        self._last: deque[dict[str, object]] = deque(maxlen=LAST)
        self._totals = dict.fromkeys(("guests", "sessions", "knocks", "denied", "uncertain"), 0)

    def add(self, at: str, name: str, data: Mapping[str, Any]) -> None:
        """Take one event: its time (ISO 8601), name and data."""
        if name in FOLDS:
            FOLDS[name](self, at, data)
        if name not in SILENT:
            self._last.append({"at": at, "name": name, "data": dict(data)})
        self.changed = True

    def as_dict(self) -> dict[str, Any]:
        """Return the timeline as it is published."""
        return {
            "since": self.since,
            "points": list(self._points),
            "sessions": list(self._sessions),
            "knocks": list(self._knocks),
            "totals": dict(self._totals),
            "last": list(self._last),
        }

    def _point(self, at: str, data: Mapping[str, Any]) -> None:
        self._points.append([at, data["count"], data["min"], data["max"]])

    def _entry(self, at: str, data: Mapping[str, Any]) -> None:
        self._totals["guests"] += 1
        self._point(at, data)

    def _uncertain(self, at: str, data: Mapping[str, Any]) -> None:
        self._totals["uncertain"] += 1
        self._point(at, data["occupancy"])

    def _adjusted(self, at: str, data: Mapping[str, Any]) -> None:
        self._point(at, data["after"])

    def _knock(self, at: str, data: Mapping[str, Any]) -> None:
        self._totals["knocks"] += 1
        self._knocks.append([at, data["place"]])

    def _denied(self, at: str, data: Mapping[str, Any]) -> None:
        self._totals["denied"] += 1

    def _session_started(self, at: str, data: Mapping[str, Any]) -> None:
        self._totals["sessions"] += 1
        self._sessions.append({"started_at": at, "ended_at": None})

    def _session_ended(self, at: str, data: Mapping[str, Any]) -> None:
        if not self._sessions:
            return
        if data.get("reason") == "undo":  # it should not have begun
            self._sessions.pop()
            self._totals["sessions"] -= 1
        else:
            self._sessions[-1]["ended_at"] = at

    def _session_resumed(self, at: str, data: Mapping[str, Any]) -> None:
        if self._sessions:
            self._sessions[-1]["ended_at"] = None


FOLDS: dict[str, Callable[[Night, str, Mapping[str, Any]], None]] = {
    "entry": Night._entry,
    "exit": Night._point,
    "passage_uncertain": Night._uncertain,
    "count_adjusted": Night._adjusted,
    "knock": Night._knock,
    "access_denied": Night._denied,
    "session_started": Night._session_started,
    "session_ended": Night._session_ended,
    "session_resumed": Night._session_resumed,
}


def noon_before(wall_s: float) -> float:
    """Return the last noon by the local clock, in seconds since 1970."""
    now = time.localtime(wall_s)
    day = now.tm_mday if now.tm_hour >= NOON else now.tm_mday - 1
    # -1: the C library knows whether that noon was in summer time.
    return time.mktime((now.tm_year, now.tm_mon, day, NOON, 0, 0, 0, 0, -1))
