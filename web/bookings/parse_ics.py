"""Read a calendar: iCalendar text in, the bookings of a stretch of time out, as JSON.

A program of its own, run by `book` with a limit on time and memory: a calendar comes from outside,
and a rule that repeats every second for a thousand years must cost a few seconds of one process
and nothing else. So it imports nothing of ours.

    python agenda.py FROM TO ZONE < calendar.ics        (ISO times with offset, an IANA zone)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]

#: Beside the page in its 256 MB; a Pi Zero takes some seconds for a busy year.
MEMORY_BYTES = 192 * 1024 * 1024
CPU_S = 60
#: A bar has a dozen parties a night at the very most.
MOST = 2000

#: Zones and all-day events shift a date by a day at the most.
MARGIN = timedelta(days=2)
EVENT = re.compile(rb"^BEGIN:VEVENT\r?\n.*?^END:VEVENT\r?\n", re.MULTILINE | re.DOTALL)

#: "Rossi x2", "Rossi 2x", "4p", "3 pax", "for 2", "per 4", "(2)", "2 persone".
SIZES = (
    r"[x×]\s*(\d{1,2})\b",
    r"\b(\d{1,2})\s*[x×](?!\w)",
    r"\b(\d{1,2})\s*(?:p|pax|pers|persone?|people|persons?|guests?|ospiti)\b\.?",
    r"\b(?:for|per|da)\s+(\d{1,2})\b",
    r"\((\d{1,2})\)",
)


def sized(title: str) -> tuple[str, int | None]:
    """Return a title's name and the number of guests that it gives, if it does."""
    for pattern in SIZES:
        match = re.search(pattern, title, re.IGNORECASE)
        if match and int(match[1]) > 0:
            name = title[: match.start()] + title[match.end() :]
            return " ".join(name.split()).strip(" -,;:·"), int(match[1])
    return " ".join(title.split()), None


def bookings(
    text: bytes, begin: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[dict[str, Any]]:
    """Yield what is booked between two moments, the earliest first."""
    calendar = icalendar.Calendar.from_ical(near(text, begin, end))
    found = recurring_ical_events.of(calendar, skip_bad_series=True).after(begin)
    for event in itertools.islice(found, MOST):
        told = _told(event, zone)
        if datetime.fromisoformat(told["start"]) >= end:
            return
        if (
            str(event.get("STATUS", "")) != "CANCELLED"
            and str(event.get("TRANSP")) != "TRANSPARENT"
        ):
            yield told


def near(text: bytes, begin: datetime, end: datetime) -> bytes:
    """Return the calendar without what is surely over or far away: years of single bookings."""
    first = f"{begin - MARGIN:%Y%m%d}".encode()
    last = f"{end + MARGIN:%Y%m%d}".encode()

    def kept(match: re.Match[bytes]) -> bytes:
        days = re.findall(rb"^DT(?:START|END)[^:\r\n]*:(\d{8})", match[0], re.MULTILINE)
        may_repeat = re.search(rb"^(?:RRULE|RDATE|RECURRENCE-ID|DURATION)", match[0], re.MULTILINE)
        far = bool(days) and (max(days) < first or min(days) > last)
        return b"" if far and not may_repeat else match[0]

    return EVENT.sub(kept, text)


def _told(event: Any, zone: ZoneInfo) -> dict[str, Any]:
    name, size = sized(str(event.get("SUMMARY", "")))
    attendees = event.get("ATTENDEE", [])
    if size is None and attendees:
        size = len(attendees) if isinstance(attendees, list) else 1
    start, end = event.start, event.end
    return {
        "start": _moment(start, zone).isoformat(),
        "end": max(_moment(end, zone), _moment(start, zone)).isoformat(),
        "name": name,
        "size": size,
        "all_day": not isinstance(start, datetime),
    }


def _moment(at: date, zone: ZoneInfo) -> datetime:
    """Return a moment in the house's zone; what floats or lasts all day is the house's own time."""
    if not isinstance(at, datetime):
        return datetime(at.year, at.month, at.day, tzinfo=zone)
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)


def main(begin: str, end: str, zone: str) -> None:
    """Answer on stdout; what can't be read is said in one line, with exit code 1."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        with contextlib.suppress(OSError, ValueError):  # the unit may forbid it, and has its own
            resource.setrlimit(limit, (most, most))
    with contextlib.suppress(OSError):
        os.nice(10)
    text = sys.stdin.buffer.read()
    try:
        since, until = datetime.fromisoformat(begin), datetime.fromisoformat(end)
        found = list(bookings(text, since, until, ZoneInfo(zone)))
    except MemoryError:
        sys.exit("it is too large, or repeats too often")
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        sys.exit(f"not a calendar: {(str(error) or 'empty').splitlines()[0][:120]}")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
