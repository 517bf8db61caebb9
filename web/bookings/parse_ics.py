"""Parse a calendar: iCalendar text in, the bookings between two times out, as JSON.

`calendar` runs it as a process of its own with limits on time and memory: the calendar comes from
outside, and a rule that repeats every second for a thousand years must cost a few seconds of one
process and nothing else. So it imports nothing from this repository.

    python parse_ics.py FROM TO ZONE < calendar.ics        (ISO times with offset, an IANA zone)
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

#: The page and this process share 256 MB; a Pi Zero takes some seconds for a busy year.
MEMORY_BYTES = 192 * 1024 * 1024
CPU_S = 60
#: More than any bar has: a dozen parties a night.
MAX_EVENTS = 2000

#: Time zones and all-day events move a date by a day at most.
MARGIN = timedelta(days=2)
EVENT = re.compile(rb"^BEGIN:VEVENT\r?\n.*?^END:VEVENT\r?\n", re.MULTILINE | re.DOTALL)

#: "Rossi x2", "Rossi 2x", "4p", "3 pax", "for 2", "per 4", "(2)", "2 persone".
PARTY_SIZES = (
    r"[x×]\s*(\d{1,2})\b",
    r"\b(\d{1,2})\s*[x×](?!\w)",
    r"\b(\d{1,2})\s*(?:p|pax|pers|persone?|people|persons?|guests?|ospiti)\b\.?",
    r"\b(?:for|per|da)\s+(\d{1,2})\b",
    r"\((\d{1,2})\)",
)


def parse_title(title: str) -> tuple[str, int | None]:
    """Return name and party size from an event's title; None when it has no size."""
    for pattern in PARTY_SIZES:
        match = re.search(pattern, title, re.IGNORECASE)
        if match and int(match[1]) > 0:
            name = title[: match.start()] + title[match.end() :]
            return " ".join(name.split()).strip(" -,;:·"), int(match[1])
    return " ".join(title.split()), None


def bookings(
    text: bytes, begin: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[dict[str, Any]]:
    """Yield the bookings between two times, the earliest first."""
    calendar = icalendar.Calendar.from_ical(without_distant_events(text, begin, end))
    found = recurring_ical_events.of(calendar, skip_bad_series=True).after(begin)
    for event in itertools.islice(found, MAX_EVENTS):
        booking = _booking(event, zone)
        if datetime.fromisoformat(booking["start"]) >= end:
            return
        if (
            str(event.get("STATUS", "")) != "CANCELLED"
            and str(event.get("TRANSP")) != "TRANSPARENT"
        ):
            yield booking


def without_distant_events(text: bytes, begin: datetime, end: datetime) -> bytes:
    """Return the calendar without single events that are surely over or far away.

    Years of them would have to be parsed otherwise; events that repeat are kept.
    """
    first = f"{begin - MARGIN:%Y%m%d}".encode()
    last = f"{end + MARGIN:%Y%m%d}".encode()

    def kept(match: re.Match[bytes]) -> bytes:
        days = re.findall(rb"^DT(?:START|END)[^:\r\n]*:(\d{8})", match[0], re.MULTILINE)
        may_repeat = re.search(rb"^(?:RRULE|RDATE|RECURRENCE-ID|DURATION)", match[0], re.MULTILINE)
        far = bool(days) and (max(days) < first or min(days) > last)
        return b"" if far and not may_repeat else match[0]

    return EVENT.sub(kept, text)


def _booking(event: Any, zone: ZoneInfo) -> dict[str, Any]:
    name, size = parse_title(str(event.get("SUMMARY", "")))
    attendees = event.get("ATTENDEE", [])
    if size is None and attendees:
        size = len(attendees) if isinstance(attendees, list) else 1
    start, end = event.start, event.end
    return {
        "start": _local(start, zone).isoformat(),
        "end": max(_local(end, zone), _local(start, zone)).isoformat(),
        "name": name,
        "size": size,
        "all_day": not isinstance(start, datetime),
    }


def _local(at: date, zone: ZoneInfo) -> datetime:
    """Return a time in the bar's zone; a floating time or a whole day is the bar's local time."""
    if not isinstance(at, datetime):
        return datetime(at.year, at.month, at.day, tzinfo=zone)
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)


def main(begin: str, end: str, zone: str) -> None:
    """Write the bookings to stdout; on error one line to stderr and exit code 1."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        with contextlib.suppress(
            OSError, ValueError
        ):  # systemd's unit may forbid it, and has limits of its own
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
