"""Parse a calendar: iCalendar text in, the bookings between two times out, as JSON.

`calendar` runs it as a process of its own with limits on time and memory: the calendar comes from
outside, and a rule that repeats every second for a thousand years must cost a few seconds of one
process and nothing else. So it imports nothing from this repository.

    python parse_ics.py FROM TO ZONE LENGTH_S CHARSET < calendar.ics
    (ISO times with offset, an IANA zone, how long a party stays, what the server calls the text)

Each event stands alone: one that the libraries refuse is *unreadable*. It is counted and named, and
whatever of its time can be read is taken: the day, if not the hour; every day, if not the rule.
Better a free table that is not offered than a taken one that is.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import os
import re
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]
from icalendar.timezone import tzp

#: The page and this process share 256 MB; a Pi Zero takes some seconds for a busy year.
MEMORY_BYTES = 192 * 1024 * 1024
CPU_S = 60
#: CPU time for one series, and for all: what is left is read roughly.
SERIES_S = 2.0
READING_S = 25.0
#: More than any bar has: a dozen parties a night.
MAX_BOOKINGS = 2000
#: A rule that gives more between two times is no rule of a bar.
MAX_REPEATS = 2000
#: No party stays longer; what says so was mistyped.
LONGEST = timedelta(days=366)
#: So many of the unreadable ones are named.
MAX_TITLES = 3
TITLE_CHARACTERS = 200
#: A line longer than this (a year of exceptions in one line has 6,000) is not read.
LINE_CHARACTERS = 50_000
#: Time zones and all-day events move a date by a day at most.
MARGIN = timedelta(days=2)
#: The exit code that says: the line on stderr is for the reader.
TOLD = 3

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"B\0E\0", "utf-16-le"),
    (b"\0B\0E", "utf-16-be"),
)
FOLD = re.compile(rb"(?:\r{0,2}\n|\r)[ \t]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]+")
CALENDAR = re.compile(r"^BEGIN:VCALENDAR[ \t]*$", re.MULTILINE | re.IGNORECASE)
CALENDAR_END = re.compile(r"^END:VCALENDAR[ \t]*$", re.MULTILINE | re.IGNORECASE)
BLOCK = re.compile(
    r"^BEGIN:(VEVENT|VFREEBUSY|VTIMEZONE)[ \t]*\n(.*?)"
    r"(?=^(?:END:\1|BEGIN:VEVENT|END:VCALENDAR)[ \t]*$|\Z)",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
ZONE_OF_ALL = re.compile(r"^X-WR-TIMEZONE:(.+)$", re.MULTILINE)
#: A line's name, its parameters and its value.
LINE = re.compile(r'([A-Za-z-]+)((?:;[^:"\n]*(?:"[^"\n]*"[^:"\n]*)*)?):(.*)')
TZID = re.compile(r';TZID="?([^";:]*)"?', re.IGNORECASE)

TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
WORDS = ("UID", "SEQUENCE", "STATUS", "TRANSP", "SUMMARY", "ATTENDEE")
KEPT = frozenset(TIMES + WORDS)

DAY = re.compile(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)")
DURATION = re.compile(
    r"\+?P(?:(\d{1,3})W)?(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?"
)
#: The parts of a rule that are used when another part of it can't be read.
RULE_PARTS = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "BYDAY": r"(?:[+-]?\d{0,2}(?:MO|TU|WE|TH|FR|SA|SU),?)+",
    "INTERVAL": r"0*[1-9]\d{0,2}",
    "COUNT": r"0*[1-9]\d{0,3}",
    "BYMONTH": r"(?:0?[1-9]|1[0-2])(?:,(?:0?[1-9]|1[0-2]))*",
    "BYMONTHDAY": r"-?(?:[1-9]|[12]\d|3[01])(?:,-?(?:[1-9]|[12]\d|3[01]))*",
    "UNTIL": r"\d{8}T\d{6}Z",
}


class NotACalendar(Exception):
    """The whole text is of no use; the message says why."""


class Unreadable(Exception):
    """One event, or one part of it, can't be read."""


class TimeUp(BaseException):
    """One series takes too long. The libraries catch Exception in places, so it is none."""


@dataclass(frozen=True, slots=True)
class Query:
    """Between which times, in which zone, and how long a party stays that doesn't say it."""

    begin: datetime
    end: datetime
    zone: ZoneInfo
    length: timedelta = timedelta(hours=2)
    cpu_end_s: float = math.inf


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A time that is taken. ``guests`` is the number of attendees, 0 when none is named."""

    start: datetime
    end: datetime
    title: str = ""
    guests: int = 0
    all_day: bool = False
    unreadable: bool = False


@dataclass(slots=True)
class Entry:
    """The lines of one event that matter here, by name, each as (parameters, value)."""

    lines: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    zone: str = ""

    def value(self, name: str) -> str:
        """Return the first value of this name, or ""."""
        found = self.lines.get(name)
        return found[0][1].strip() if found else ""

    @property
    def title(self) -> str:
        text = re.sub(r"\\[nN]", " ", self.value("SUMMARY")[: 4 * TITLE_CHARACTERS])
        return clean(re.sub(r"\\(.)", r"\1", text))

    @property
    def sequence(self) -> int:
        text = self.value("SEQUENCE")
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0

    @property
    def repeats(self) -> bool:
        rule = self.lines.get("RRULE") or self.lines.get("RDATE")
        return bool(rule) and not self.lines.get("RECURRENCE-ID")

    @property
    def takes_the_table(self) -> bool:
        """False for what is cancelled, or marked as "show me as available"."""
        return (
            self.value("STATUS").upper() != "CANCELLED"
            and self.value("TRANSP").upper() != "TRANSPARENT"
        )


def clean(title: str) -> str:
    """Return a title in one line, without characters that a page can't show or would follow."""
    shown = "".join(letter if letter.isprintable() else " " for letter in title)
    return " ".join(shown.split())[:TITLE_CHARACTERS]


# Text to entries


def decode(raw: bytes, charset: str) -> tuple[str, bool]:
    """Return the text, and whether some letters of it were guessed.

    Its own mark comes first, then what the server says, then UTF-8.
    """
    named = next((name for mark, name in MARKS if raw.startswith(mark)), charset)
    if named.lower().startswith(("utf", "ucs")) and b"BEGIN:VCALENDAR" not in raw:
        with contextlib.suppress(LookupError, UnicodeError):
            return raw.decode(named), False
    unfolded = FOLD.sub(b"", raw)  # while it is bytes: some programs fold inside a letter
    for name in (named, "utf-8"):
        with contextlib.suppress(LookupError, UnicodeError, ValueError):
            return unfolded.decode(name or "utf-8"), False
    return unfolded.decode("cp1252", "replace"), True


def tidy(text: str) -> str:
    """Return the text unfolded, its lines ended by one character each, without other controls."""
    text = re.sub(r"(?:\r{0,2}\n|\r)[ \t]", "", text)
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def check_frame(text: str) -> None:
    """Raise NotACalendar for what is none, or only the beginning of one."""
    begins = [match.start() for match in CALENDAR.finditer(text)]
    if not begins:
        if re.match(r"\s*<", text):
            raise NotACalendar("is a web page, not a calendar: [book] url must be its iCal address")
        raise NotACalendar(f"is not a calendar: {'it has no VCALENDAR' if text else 'it is empty'}")
    if not CALENDAR_END.search(text, begins[-1]):
        raise NotACalendar("is not a calendar: its end is missing, so it was cut off on its way")


def entries_of(text: str, query: Query) -> Iterator[Entry]:
    """Yield the events of all calendars in a text; learn the time zones that they define."""
    for calendar in CALENDAR.split(text)[1:]:
        zone = ZONE_OF_ALL.search(calendar)
        known = zone[1].strip() if zone and tzp.timezone(zone[1].strip()) else ""
        for block in BLOCK.finditer(calendar):
            if block[1].upper() == "VTIMEZONE":
                _learn_zone(block[2], query)
            elif block[1].upper() == "VFREEBUSY":
                yield from _busy_times(block[2], known)
            else:
                yield _entry(block[2], known)


def _learn_zone(lines: str, query: Query) -> None:
    with contextlib.suppress(Exception, TimeUp), time_limit(query):  # then its TZID stays unknown
        icalendar.Timezone.from_ical(f"BEGIN:VTIMEZONE\n{lines}END:VTIMEZONE\n")


def _entry(block: str, zone: str) -> Entry:
    """Return an event's own lines; an alarm inside it has a duration and a title of its own."""
    entry, depth = Entry(zone=zone), 0
    for line in block.split("\n"):
        match = LINE.match(line)
        name = match[1].upper() if match else ""
        if name in ("BEGIN", "END"):
            depth = max(depth + (1 if name == "BEGIN" else -1), 0)
        elif match and name in KEPT and not depth:
            entry.lines[name].append((match[2], match[3]))
    return entry


def _busy_times(block: str, zone: str) -> Iterator[Entry]:
    """Yield the times of a VFREEBUSY: what a calendar shows that keeps its titles to itself."""
    for line in block.split("\n"):
        match = LINE.match(line)
        if match and match[1].upper() == "FREEBUSY" and "FBTYPE=FREE" not in match[2].upper():
            for period in match[3].split(","):
                begin, _, end = period.strip().partition("/")
                entry = Entry(zone=zone)
                entry.lines["DTSTART"].append(("", begin))
                entry.lines["DURATION" if end.startswith("P") else "DTEND"].append(("", end))
                yield entry


def wanted(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """Return the events that may matter between the two times, without superseded versions.

    A feed may give all sittings of an evening one UID, so only what has the same UID *and* the same
    time is a version of the same thing.
    """
    near = [entry for entry in entries if _may_matter(entry, query)]
    newest: dict[tuple[str, ...], int] = {}
    for entry in near:
        newest[_version_of(entry)] = max(entry.sequence, newest.get(_version_of(entry), 0))
    return [
        entry
        for entry in near
        if entry.sequence == newest[_version_of(entry)]
        and (entry.takes_the_table or entry.lines.get("RECURRENCE-ID"))
    ]


def _version_of(entry: Entry) -> tuple[str, ...]:
    change = entry.value("RECURRENCE-ID")
    return (
        (entry.value("UID"), change) if change else (entry.value("UID"), "", entry.value("DTSTART"))
    )


def _may_matter(entry: Entry, query: Query) -> bool:
    change = entry.lines.get("RECURRENCE-ID")
    if entry.repeats or (change and "RANGE" in change[0][0].upper()):
        return True
    spans = [rough_span(entry, n, query) for n in range(len(entry.lines.get("DTSTART", ())))]
    if change:
        changed = rough_time(entry, "RECURRENCE-ID", 0)
        spans.append((changed, changed) if changed else None)
    begin, end = query.begin - MARGIN, query.end + MARGIN
    return not spans or any(s is None or _meet(s, begin, end, query.zone) for s in spans)


def _meet(span: tuple[date, date], begin: datetime, end: datetime, zone: ZoneInfo) -> bool:
    with contextlib.suppress(OverflowError):
        return local(span[0], zone) < end and local(span[1], zone) > begin
    return False  # beyond the years that a clock knows


# Entries as the standard has them


def strict_event(entry: Entry, query: Query) -> Any:
    """Return the event as the library reads it; raise some exception if it can't."""
    for name in TIMES:
        for parameters, value in entry.lines.get(name, ()):
            if len(value) > LINE_CHARACTERS:
                raise Unreadable(f"{name} is too long")
            zone = TZID.search(parameters)
            if zone and tzp.timezone(zone[1]) is None:
                raise Unreadable(f"{name} is of an unknown time zone")
    lines = [
        f"{name}{parameters}:{value}"
        for name in TIMES
        for parameters, value in entry.lines.get(name, ())
    ]
    event: Any = icalendar.Event.from_ical("\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""]))
    if event.errors:
        raise Unreadable(str(event.errors[0][0]))
    _bound(event, query.length)
    if "RECURRENCE-ID" in event:
        _instant(event["RECURRENCE-ID"].dt)
        for name in ("RRULE", "RDATE", "EXDATE"):
            event.pop(name, None)  # it is one repetition, though some servers repeat the rule here
    event.add("SEQUENCE", entry.sequence)
    return event


def _bound(event: Any, length: timedelta) -> None:
    """Give an event without an end one; raise Unreadable for an impossible end or rule."""
    start, end = event.start, event.end
    said = event.get("DURATION")
    if (said is not None and said.dt < timedelta()) or end < start or end - start > LONGEST:
        raise Unreadable("it ends before it begins, or years later")
    if end == start:
        event.pop("DTEND", None)
        event.pop("DURATION", None)
        event.add("DURATION", length if isinstance(start, datetime) else timedelta(days=1))
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if not rule.get("FREQ") or {"SECONDLY", "MINUTELY"} & set(rule["FREQ"]):
            raise Unreadable("it repeats too often, or doesn't say how often")
        for until in rule.get("UNTIL", ()):
            if _day(until) < _day(start) - timedelta(days=1):
                raise Unreadable("its rule is over before it begins")


def _day(at: date) -> date:
    return at.date() if isinstance(at, datetime) else at


#: An entry, and the library's event of it.
Part = tuple[Entry, Any]


@dataclass(slots=True)
class Series:
    """An event with the changes of its repetitions, or one of these alone."""

    parts: list[Part]

    @property
    def entry(self) -> Entry:
        return self.parts[0][0]


def series_of(read: Iterable[Part]) -> Iterator[Series]:
    """Join what belongs together by its UID; events that only share one stay apart."""
    by_uid: dict[str, list[Part]] = defaultdict(list)
    for entry, event in read:
        by_uid[entry.value("UID")].append((entry, event))
    for same in by_uid.values():
        changes = [part for part in same if "RECURRENCE-ID" in part[1]]
        first, others = _one_for_each(changes)
        for part in same:
            if part[0].repeats and "RECURRENCE-ID" not in part[1]:
                yield Series([part, *first.values()])
            elif "RECURRENCE-ID" not in part[1] and _instant(part[1].start) not in first:
                yield Series([part])
        if not any(part[0].repeats for part in same):
            others.extend(first.values())
        yield from (Series([part]) for part in others)


def _one_for_each(
    changes: Iterable[Part],
) -> tuple[dict[str, Part], list[Part]]:
    """Return the first change of each repetition, and the others."""
    first: dict[str, Part] = {}
    others = []
    for part in changes:
        at = _instant(part[1]["RECURRENCE-ID"].dt)
        if at in first:
            others.append(part)
        else:
            first[at] = part
    return first, others


def _instant(at: date) -> str:
    """Return equal times as the same text; raise some exception for what is no time."""
    return (at.astimezone(UTC) if isinstance(at, datetime) and at.tzinfo else at).isoformat()


def rows_of(series: Series, query: Query) -> list[Row]:
    """Return the times that a series takes; raise some exception if it can't be worked out."""
    calendar = icalendar.Calendar()
    if series.entry.zone:
        calendar.add("X-WR-TIMEZONE", series.entry.zone)
    for number, (_, event) in enumerate(series.parts):
        event["UID"] = "1"
        event["X-PART"] = str(number)
        calendar.add_component(event)
    found = recurring_ical_events.of(calendar).between(query.begin, query.end)
    if len(found) > MAX_REPEATS:
        raise Unreadable("it repeats too often")
    rows = [(series.parts[int(event["X-PART"])][0], event) for event in found]
    return [_row(entry, event, query) for entry, event in rows if entry.takes_the_table]


def _row(entry: Entry, event: Any, query: Query) -> Row:
    start, end = local(event.start, query.zone), local(event.end, query.zone)
    if end.astimezone(UTC) <= start.astimezone(UTC):  # by the clock on the wall an hour comes twice
        end = (start.astimezone(UTC) + query.length).astimezone(query.zone)
    guests = len(entry.lines.get("ATTENDEE", ()))
    return Row(start, end, entry.title, guests, not isinstance(event.start, datetime))


def local(at: date, zone: ZoneInfo) -> datetime:
    """Return a time in the bar's zone; a floating time or a whole day is the bar's local time."""
    if not isinstance(at, datetime):
        return datetime(at.year, at.month, at.day, tzinfo=zone)
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)


# Entries that can't be read: whatever they say of a time


def rough_rows(entry: Entry, query: Query) -> Iterator[Row]:
    """Yield the times that an unreadable event may take, as far as any of it can be read."""
    for number in range(len(entry.lines.get("DTSTART", ()))):
        with contextlib.suppress(Exception):
            span = rough_span(entry, number, query)
            if span is not None:
                yield from _rough_repeats(entry, span, query)


def rough_span(entry: Entry, number: int, query: Query) -> tuple[date, date] | None:
    """Return begin and end by the entry's DTSTART of this number, or None."""
    start = rough_time(entry, "DTSTART", number)
    if start is None:
        return None
    whole_day = not isinstance(start, datetime)
    end = rough_time(entry, "DTEND", number)
    with contextlib.suppress(OverflowError, TypeError):
        if end is None:
            end = start + (rough_duration(entry) or timedelta())
        if whole_day and local(end, query.zone) > local(start, query.zone):
            return start, min(end, start + 2 * LONGEST)
        if timedelta() < local(end, query.zone) - local(start, query.zone) <= LONGEST:
            return start, end
    with contextlib.suppress(OverflowError):
        return start, start + (timedelta(days=1) if whole_day else query.length)
    return start, start  # the end of all time


def rough_time(entry: Entry, name: str, number: int) -> date | None:
    """Return a time that ISO 8601 allows and iCalendar doesn't, or else its day, or None."""
    found = entry.lines.get(name, ())
    if number >= len(found):
        return None
    parameters, value = found[number][0], found[number][1].strip()[:40]
    day = DAY.match(value)
    with contextlib.suppress(ValueError):
        if day and len(value) > len(day[0]):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else at.replace(tzinfo=_zone_of(parameters))
    with contextlib.suppress(ValueError):
        return date(int(day[1]), int(day[2]), int(day[3])) if day else None
    return None


def _zone_of(parameters: str) -> tzinfo | None:
    named = TZID.search(parameters)
    zone: tzinfo | None = tzp.timezone(named[1]) if named else None
    return zone


def rough_duration(entry: Entry) -> timedelta | None:
    """Return the duration, or None for a negative, a huge and an unreadable one."""
    match = DURATION.fullmatch(entry.value("DURATION"))
    if not match:
        return None
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(days, seconds, minutes=minutes, hours=hours, weeks=weeks)


def _rough_repeats(entry: Entry, span: tuple[date, date], query: Query) -> Iterator[Row]:
    """Yield the span as often as its rule may repeat it: on every day, if the rule says nothing."""
    start, end = local(span[0], query.zone), local(span[1], query.zone)
    all_day = not isinstance(span[0], datetime)
    times = [(start, end)]
    if entry.lines.get("RRULE"):
        try:
            times += _by_rule(entry, start, end, all_day, query)
        except (Exception, TimeUp):  # noqa: BLE001 - as above
            times += _every_day(start, end, query)
    for begin, until in times:
        if begin < query.end and until > query.begin:
            yield Row(begin, until, entry.title, 0, all_day, unreadable=True)


def _by_rule(
    entry: Entry, start: datetime, end: datetime, all_day: bool, query: Query
) -> list[tuple[datetime, datetime]]:
    rule = rough_rule(entry.value("RRULE"))
    event = icalendar.Event()
    event.add("DTSTART", start.date() if all_day else start)
    event.add("DTEND", end.date() if all_day else end)
    event["RRULE"] = icalendar.vRecur.from_ical(";".join("=".join(part) for part in rule.items()))
    with time_limit(query):
        found = rows_of(Series([(Entry(zone=entry.zone), event)]), query)
    return [(row.start, row.end) for row in found]


def _every_day(start: datetime, end: datetime, query: Query) -> Iterator[tuple[datetime, datetime]]:
    for number in range((query.end - query.begin).days + 2):
        day = query.begin.astimezone(query.zone) + timedelta(days=number - 1)
        begin = day.replace(hour=start.hour, minute=start.minute, second=0, microsecond=0)
        if begin > start:
            yield begin, begin + (end - start)


def rough_rule(text: str) -> dict[str, str]:
    """Return the parts of a rule that can be read: it repeats as often as the whole, or oftener."""
    parts = dict(part.upper().split("=", 1) for part in text[:1000].split(";") if "=" in part)
    rule = {
        name: parts[name].strip(", ")
        for name, pattern in RULE_PARTS.items()
        if re.fullmatch(pattern, parts.get(name, ""))
    }
    if "FREQ" in rule:
        return rule
    days = re.sub(r"[+\-\d]", "", rule.get("BYDAY", ""))
    if not days:
        raise Unreadable("nothing of the rule can be read")
    until = {name: rule[name] for name in ("UNTIL",) if name in rule}
    return {"FREQ": "WEEKLY", "BYDAY": days, **until}


# All of it


@contextlib.contextmanager
def time_limit(query: Query) -> Iterator[None]:
    """Raise TimeUp when what is inside takes more CPU time than one series may."""
    left_s = query.cpu_end_s - time.process_time()
    signal.setitimer(signal.ITIMER_PROF, max(min(SERIES_S, left_s), 0.01), 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _time_up(*_: object) -> None:
    raise TimeUp


def read(raw: bytes, charset: str, query: Query) -> dict[str, Any]:
    """Return ``bookings``, how many are ``unreadable``, and whether ``letters`` were guessed.

    ``titles`` are those of the first unreadable ones.

    Raises NotACalendar. Call it in the main thread only: it limits time by a signal.
    """
    text, guessed = decode(raw, charset)
    text = tidy(text)
    check_frame(text)
    query = replace(query, cpu_end_s=time.process_time() + READING_S)
    before = signal.signal(signal.SIGPROF, _time_up)
    try:
        rows, bad = _read(wanted(entries_of(text, query), query), query)
    finally:
        signal.signal(signal.SIGPROF, before)
    kept, left_out = _at_most(sorted(set(rows)), query)
    return {
        "bookings": [_as_dict(row) for row in kept],
        "unreadable": len(bad) + left_out,
        "titles": [entry.title for entry in bad if entry.title][:MAX_TITLES],
        "letters": guessed,
    }


def _read(entries: Iterable[Entry], query: Query) -> tuple[list[Row], list[Entry]]:
    events: list[Part] = []
    rows: list[Row] = []
    bad: list[Entry] = []
    for entry in entries:
        try:
            with time_limit(query):
                events.append((entry, strict_event(entry, query)))
        except (Exception, TimeUp):  # noqa: BLE001 - there is no list of what two libraries raise
            bad.append(entry)
    waiting = list(series_of(events))[::-1]
    while waiting:
        series = waiting.pop()
        try:
            with time_limit(query):
                rows += rows_of(series, query)
        except (Exception, TimeUp):  # noqa: BLE001
            bad.append(series.entry)
            waiting += [Series([change]) for change in series.parts[1:]]
    for entry in bad:
        rows += rough_rows(entry, query)
    return rows, bad


def _at_most(rows: Sequence[Row], query: Query) -> tuple[Sequence[Row], int]:
    """Return the first rows; from there on all is taken, for nobody could tell what is free."""
    if len(rows) <= MAX_BOOKINGS:
        return rows, 0
    kept = rows[:MAX_BOOKINGS]
    rest = Row(rows[MAX_BOOKINGS].start, query.end + LONGEST, all_day=True, unreadable=True)
    return [*kept, rest], len(rows) - MAX_BOOKINGS


def _as_dict(row: Row) -> dict[str, Any]:
    return {
        "start": row.start.isoformat(),
        "end": row.end.isoformat(),
        "title": row.title,
        "guests": row.guests,
        "all_day": row.all_day,
        "unreadable": row.unreadable,
    }


def main(begin: str, end: str, zone: str, length_s: str, charset: str) -> None:
    """Write what was read to stdout; on error one line to stderr and exit code `TOLD`."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        with contextlib.suppress(
            OSError, ValueError
        ):  # systemd's unit may forbid it, and has limits of its own
            resource.setrlimit(limit, (most, most))
    with contextlib.suppress(OSError):
        os.nice(10)
    since, until = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    query = Query(since, until, ZoneInfo(zone), timedelta(seconds=float(length_s)))
    try:
        found = read(sys.stdin.buffer.read(), charset, query)
    except NotACalendar as error:
        sys.stderr.write(str(error))
        sys.exit(TOLD)
    except MemoryError:
        sys.stderr.write("is too large, or repeats too often")
        sys.exit(TOLD)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
