"""Calendars in iCalendar text around one evening in Rome, and a clock that stands on it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 22, 20, 50, tzinfo=ROME)


def event(start: str, title: str, *more: str) -> str:
    """Return an event of two hours in Rome; ``more`` are further lines."""
    return "\r\n".join(
        [
            "BEGIN:VEVENT",
            f"UID:{title}{start}",
            f"DTSTART;TZID=Europe/Rome:{start}",
            "DURATION:PT2H",
            f"SUMMARY:{title}",
            *more,
            "END:VEVENT",
        ]
    )


def calendar(*events: str) -> bytes:
    """Return a calendar with these events."""
    text = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *events, "END:VCALENDAR", ""]
    return "\r\n".join(text).encode()


TONIGHT = calendar(event("20261122T210000", "Rossi x2"), event("20261122T231500", "Verdi 4p"))


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now
