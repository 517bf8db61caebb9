"""Which times a calendar takes: what its events say, and what can be read of broken ones."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.ics import NOW, ROME, calendar, event
from web.bookings import parse_ics
from web.bookings.parse_ics import NotACalendar, Query, read

QUERY = Query(NOW - timedelta(days=1), NOW + timedelta(days=10), ROME)
GOOD = event("20261122T210000", "Rossi x2")


def raw(*lines: str) -> str:
    """Return an event with just these lines."""
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def found(*events: str, charset: str = "") -> dict[str, Any]:
    return read(calendar(*events), charset, QUERY)


def times(reading: dict[str, Any], title: str = "") -> list[str]:
    """Return the times that are taken by bookings of this title, as "22 21:00-23:00"."""
    return [
        f"{datetime.fromisoformat(row['start']):%d %H:%M}-"
        f"{datetime.fromisoformat(row['end']):%H:%M}"
        for row in reading["bookings"]
        if title in row["title"]
    ]


TZ = "DTSTART;TZID=Europe/Rome:"
TONIGHT = f"{TZ}20261122T190000"
TAKEN = ["22 19:00-21:00"]


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        ((f"{TZ}2026-11-22T19:00:00", "DTEND:2026-11-22T21:00:00"), TAKEN),
        ((f"{TZ}20261122T1900", "DTEND:20261122T2100"), TAKEN),
        ((f"{TZ}2026-11-22 19:00",), TAKEN),
        (("DTSTART:2026-11-22T18:00:00+00:00",), TAKEN),
        ((f"{TZ}20261122T250000",), ["22 00:00-00:00"]),
        ((f"{TZ}20261122Txx",), ["22 00:00-00:00"]),
        (("DTSTART:20261345T190000",), []),
        (("DTSTART:tomorrow",), []),
        (("DTSTART:",), []),
        (("DTEND:20261122T210000Z",), []),
        (("DTSTART;TZID=Nowhere/Atall:20261122T190000",), TAKEN),
        (("DTSTART;TZID=:20261122T190000",), TAKEN),
        ((TONIGHT, "DTEND;TZID=Nowhere/Atall:20261122T213000"), ["22 19:00-21:30"]),
        ((TONIGHT, "DURATION:2H"), TAKEN),
        ((TONIGHT, "DURATION:P99999999999D"), TAKEN),
        ((TONIGHT, "DURATION:P" + "9" * 5000 + "D"), TAKEN),
        ((TONIGHT, "DURATION:P3000W"), TAKEN),
        ((TONIGHT, "DURATION:-PT2H"), TAKEN),
        ((TONIGHT, "DTEND;TZID=Europe/Rome:20261122T180000"), TAKEN),
        ((TONIGHT, "DTEND:99991231T235959Z"), TAKEN),
        ((TONIGHT, "DTEND:00010101T000000Z"), TAKEN),
        ((TONIGHT, "DTEND:20261123"), ["22 19:00-00:00"]),
        ((TONIGHT, "DTSTART;TZID=Europe/Rome:20261122T220000"),
         ["22 19:00-21:00", "22 22:00-00:00"]),
        ((TONIGHT, "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=XX"), TAKEN),
        ((TONIGHT, "RRULE:FREQ=WEEKLY;UNTIL=tomorrow"), [*TAKEN, "29 19:00-21:00"]),
        ((TONIGHT, "RRULE:FREQ=FORTNIGHTLY;BYDAY=SU"), [*TAKEN, "29 19:00-21:00"]),
        ((TONIGHT, "RRULE:FREQ=WEEKLY;COUNT=1", "EXDATE:never"), TAKEN),
        ((TONIGHT, "RDATE:never"), TAKEN),
        ((TONIGHT, "RRULE:FREQ=DAILY;UNTIL=20251125T000000Z"), TAKEN),
        ((TONIGHT, "RECURRENCE-ID:never"), TAKEN),
        ((TONIGHT, f"EXDATE:{'20261122T190000Z,' * 9000}"), TAKEN),
    ],
)  # fmt: skip
def test_unreadable_event_is_counted_and_its_time_is_taken(
    lines: tuple[str, ...], taken: list[str]
) -> None:
    """There used to be silence, and its table was offered; or no book at all."""
    reading = found(raw("UID:a", "SUMMARY:Broken x2", *lines), GOOD)
    assert (reading["unreadable"], reading["titles"]) == (1, ["Broken x2"])
    assert times(reading, "Broken") == taken
    assert times(reading, "Rossi") == ["22 21:00-23:00"], "the others stay"
    assert [row["unreadable"] for row in reading["bookings"] if "Rossi" in row["title"]] == [False]


@pytest.mark.parametrize("rule", ["FREQ=FORTNIGHTLY", "garbage", "FREQ=SECONDLY", "=;=", ""])
def test_unreadable_rule_may_repeat_on_any_day(rule: str) -> None:
    reading = found(raw(f"{TZ}10261104T190000", "DURATION:PT2H", f"RRULE:{rule}", "SUMMARY:S"))
    assert reading["unreadable"] == 1
    assert times(reading)[1:3] == ["22 19:00-21:00", "23 19:00-21:00"]
    assert len(times(reading)) == 12, "each evening from yesterday's to the last"
    elsewhere = replace(QUERY, begin=QUERY.begin.astimezone(UTC), end=QUERY.end.astimezone(UTC))
    again = calendar(raw(f"{TZ}10261104T190000", "DURATION:PT2H", f"RRULE:{rule}", "SUMMARY:S"))
    assert times(read(again, "", elsewhere)) == times(reading), "evenings of the bar, not of UTC"


def test_booking_in_the_hour_that_comes_twice_keeps_its_length() -> None:
    night = datetime(2026, 10, 24, 20, tzinfo=ROME)
    query = replace(QUERY, begin=night, end=night + timedelta(days=1))
    text = calendar(raw("DTSTART:20261025T001500Z", "DTEND:20261025T011000Z", "SUMMARY:S"))
    assert times(read(text, "", query)) == ["25 02:15-02:10"]


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        ((TONIGHT,), TAKEN),
        ((TONIGHT, "DTEND;TZID=Europe/Rome:20261122T190000"), TAKEN),
        ((TONIGHT, "DURATION:PT0S"), TAKEN),
        (("DTSTART;VALUE=DATE:20261123", "DTEND;VALUE=DATE:20261123"), ["23 00:00-00:00"]),
        (("DTSTART;VALUE=DATE:20261123",), ["23 00:00-00:00"]),
        (("DTSTART:20261123",), ["23 00:00-00:00"]),
        (("dtstart:20261122T190000", "dtend:20261122T200000"), ["22 19:00-20:00"]),
        ((TONIGHT, "STATUS:cancelled"), []),
        ((TONIGHT, "STATUS: Cancelled "), []),
        ((TONIGHT, "Status:CANCELLED", "DURATION:nonsense"), []),
        ((TONIGHT, "TRANSP:Transparent"), []),
        ((TONIGHT, "STATUS:tentative"), TAKEN),
        ((TONIGHT, "SEQUENCE:many", "DESCRIPTION:x", "no colon here", "X-;:;,"), TAKEN),
        ((TONIGHT, "BEGIN:VALARM", "DTSTART:x", "DURATION:PT15M", "STATUS:CANCELLED", "END:VALARM"),
         TAKEN),
        (("DTSTART;TZID=W. Europe Standard Time:20261122T190000",), TAKEN),
        (('DTSTART;TZID="Europe/Rome";X-A="b:c;d":20261122T190000',), TAKEN),
        (("DTSTART:00010101T000000",), []),
        (("DTSTART:99991231T235959Z", "DURATION:P9999W"), []),
        (("DTSTART:20190101T190000", "DURATION:nonsense"), []),
        (("DTSTART;TZID=Europe/Rome:20261120T190000", "DURATION:P5D"), ["20 19:00-19:00"]),
    ],
)  # fmt: skip
def test_readable_event_takes_its_time(lines: tuple[str, ...], taken: list[str]) -> None:
    reading = found(raw("UID:a", "SUMMARY:S", *lines))
    assert (times(reading), reading["unreadable"]) == (taken, 0)


def test_events_of_one_uid_stay_apart_unless_they_are_versions() -> None:
    sittings = [raw("UID:a", f"{TZ}202611{day}T190000", f"SUMMARY:{day}") for day in (22, 23, 24)]
    assert times(found(*sittings)) == ["22 19:00-21:00", "23 19:00-21:00", "24 19:00-21:00"]
    nameless = [text.replace("UID:a\r\n", "") for text in sittings]
    assert len(times(found(*nameless))) == 3
    old, new = (raw("UID:a", TONIGHT, f"SUMMARY:{n}", f"SEQUENCE:{n}") for n in (1, 2))
    assert [row["title"] for row in found(new, old)["bookings"]] == ["2"]
    gone = raw("UID:a", TONIGHT, "STATUS:CANCELLED", "SEQUENCE:3")
    assert found(new, gone, old)["bookings"] == []


def test_series_with_changes_and_an_expanded_series() -> None:
    def change(of: str, to: str, *more: str) -> str:
        start = f"{TZ}202611{to}0000"
        return raw("UID:a", f"RECURRENCE-ID;TZID=Europe/Rome:202611{of}0000", start, *more)

    series = raw("UID:a", f"{TZ}20261115T190000", "RRULE:FREQ=DAILY;UNTIL=20261125T000000Z",
                 "EXDATE;TZID=Europe/Rome:20261123T190000")  # fmt: skip
    moved, gone = change("22T19", "22T22"), change("24T19", "24T19", "STATUS:cancelled")
    assert times(found(series, moved, gone))[-2:] == ["21 19:00-21:00", "22 22:00-00:00"]
    other = raw("UID:a", f"{TZ}20261124T120000", "SUMMARY:Lunch")
    assert times(found(series, moved, gone, other))[-1] == "24 12:00-14:00"
    expanded = [change(f"{day}T19", f"{day}T19") for day in (22, 23)]
    assert times(found(*expanded)) == ["22 19:00-21:00", "23 19:00-21:00"]
    assert times(found(raw("UID:a", TONIGHT), *expanded)) == ["22 19:00-21:00", "23 19:00-21:00"]
    twice = [change("22T19", "22T19"), change("22T19", "22T21")]
    assert times(found(*twice)) == ["22 19:00-21:00", "22 21:00-23:00"]
    broken = series.replace("FREQ=DAILY;UNTIL", "FREQ=SECONDLY;UNTIL")
    assert "22 22:00-00:00" in times(found(broken, moved)), "the change can be read without it"


def test_zone_that_the_calendar_defines_itself() -> None:
    zone = ("BEGIN:VTIMEZONE\r\nTZID:Bar time\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
            "TZOFFSETFROM:+0300\r\nTZOFFSETTO:+0300\r\nEND:STANDARD\r\nEND:VTIMEZONE")  # fmt: skip
    at = raw("DTSTART;TZID=Bar time:20261122T210000", "SUMMARY:S")
    assert times(found(zone, at)) == TAKEN
    broken = zone.replace("Bar time", "Foo time").replace("+0300", "soon")
    reading = found(broken, at.replace("Bar", "Foo"), GOOD)
    assert (reading["unreadable"], times(reading, "Rossi")) == (1, ["22 21:00-23:00"])


def test_busy_times_without_titles_take_the_table() -> None:
    busy = ("BEGIN:VFREEBUSY\r\nDTSTART:20261101T000000Z\r\nFREEBUSY:20261122T180000Z/PT2H,"
            "20261123T180000Z/20261123T190000Z,nonsense\r\nFREEBUSY;FBTYPE=FREE:20261124T180000Z/PT2H"
            "\r\nEND:VFREEBUSY")  # fmt: skip
    reading = found(busy)
    assert times(reading) == [*TAKEN, "23 19:00-20:00"]
    assert reading["unreadable"] == 1


@pytest.mark.parametrize(
    "text", [b"a" * 3_000_000, b"\r" * 3_000_000, b"BEGIN:X\n" * 300_000, b'DTSTART;A="' * 200_000,
             b"\n " * 1_000_000, b"BEGIN:VTIMEZONE\n" * 200_000, b"BEGIN:VEVENT\n" * 20_000]
)  # fmt: skip
def test_text_made_to_cost_hours_costs_seconds(text: bytes) -> None:
    began = time.process_time()
    read(b"BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + text + b"\nEND:VEVENT\nEND:VCALENDAR\n", "", QUERY)
    assert time.process_time() - began < 60


def test_calendars_in_one_file_are_all_read() -> None:
    """There used to be an error when the second one began."""
    first, second = calendar(raw(TONIGHT, "SUMMARY:A")), calendar(GOOD)
    floating = calendar("X-WR-TIMEZONE:America/New_York", raw("DTSTART:20261122T130000"))
    assert times(read(first + second + floating, "", QUERY)) == TAKEN * 2 + ["22 21:00-23:00"]


@pytest.mark.parametrize(
    ("encoding", "charset", "guessed"),
    [
        ("utf-8", "", False),
        ("utf-8-sig", "iso-8859-1", False),
        ("utf-16", "", False),
        ("utf-16", "utf-8", False),
        ("utf-16-le", "", False),
        ("utf-16-be", "utf-16", False),
        ("utf-32", "", False),
        ("iso-8859-1", "ISO-8859-1", False),
        ("iso-8859-15", "latin9", False),
        ("iso-8859-1", "", True),
        ("cp1252", "utf-8", True),
        ("cp1252", "no-such-charset", True),
        ("utf-8", "zlib", False),
        ("utf-8", "utf-16", False),
        ("utf-8", "us-ascii", False),
        ("mac-roman", "macintosh", False),
    ],
)
def test_text_is_read_by_its_mark_or_what_the_server_says(
    encoding: str, charset: str, guessed: bool
) -> None:
    text = calendar(event("20261122T210000", "Müller x2")).decode().encode(encoding)
    reading = read(text, charset, QUERY)
    assert [row["title"] for row in reading["bookings"]] == ["Müller x2"]
    assert reading["letters"] == guessed


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\r\r\n"])
def test_lines_may_be_folded_inside_a_letter_and_end_in_any_way(end: bytes) -> None:
    text = calendar(event("20261122T210000", "Müller x2")).replace(b"\xc3\xbc", b"\xc3\r\n \xbc")
    assert [row["title"] for row in read(text.replace(b"\r\n", end), "", QUERY)["bookings"]] == [
        "Müller x2"
    ]


def test_title_is_short_and_without_what_a_page_would_follow() -> None:
    """There used to be 1 MB in every state."""
    reading = found(event("20261122T210000", "A\u202eB\x00C\x1b[31m\\, D\\n" + "E" * 1_000_000))
    title = reading["bookings"][0]["title"]
    assert title.startswith("A BC[31m, D E")
    assert len(title) == parse_ics.TITLE_CHARACTERS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "it is empty"),
        (b"\n <!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (b"BEGIN:VCARD\r\nEND:VCARD\r\n", "it has no VCALENDAR"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "cut off"),
        (calendar(GOOD)[:-20], "cut off"),
        (calendar(GOOD) + calendar(GOOD)[:-20], "cut off"),
        (b"\x00" * 1000, "is not a calendar"),
    ],
)
def test_text_that_is_no_calendar_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(NotACalendar, match=says):
        read(text, "", QUERY)


def test_too_many_bookings_leave_no_table_after_those_that_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parse_ics, "MAX_BOOKINGS", 3)
    reading = found(*(event(f"202611{day}T210000", f"{day}") for day in range(22, 28)))
    assert times(reading)[:3] == ["22 21:00-23:00", "23 21:00-23:00", "24 21:00-23:00"]
    assert (len(reading["bookings"]), reading["unreadable"]) == (4, 3)
    rest = reading["bookings"][3]
    assert (rest["start"][:10], rest["end"] > QUERY.end.isoformat()) == ("2026-11-25", True)


def test_series_that_never_ends_takes_its_time_on_any_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand years of days, none of which fits: seconds for each, so only some are tried."""
    monkeypatch.setattr(parse_ics, "READING_S", 0.5)
    rule = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
    endless = [raw(f"UID:{n}", f"{TZ}10000101T190000", rule) for n in range(30)]
    began = time.process_time()
    reading = found(*endless, GOOD)
    assert time.process_time() - began < 20
    assert reading["unreadable"] == 30
    assert "22 19:00-21:00" in times(reading)
    assert "22 21:00-23:00" in times(reading, "Rossi")


NASTY = st.sampled_from([
    "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VALARM", "END:VALARM",
    "BEGIN:VTIMEZONE", "END:VTIMEZONE", "TZID:x", "BEGIN:STANDARD", "END:STANDARD", "UID:a",
    "SUMMARY:Rossi x2", "SUMMARY", "SUMMARY:", "STATUS:CANCELLED", "SEQUENCE:1", "SEQUENCE:-1",
    "X-WR-TIMEZONE:America/New_York", "X-WR-TIMEZONE:Nowhere", "RECURRENCE-ID:20261122T190000",
    "RECURRENCE-ID;RANGE=THISANDFUTURE:20261122T190000", "RDATE;VALUE=PERIOD:x/y", "", " folded",
    "RDATE;VALUE=PERIOD:20261122T190000Z/PT1H", "ATTENDEE:mailto:a@b", "\ufeff", "\x00",
])  # fmt: skip
DATES = st.sampled_from([
    "20261122T190000", "20261122T190000Z", "20261122", "2026-11-22T19:00", "00010101T000000",
    "00010101", "99991231T235959Z", "99991231", "20261332T990000", "P1D", "PT1H", "-PT1H", "P9999W",
    "20261122T190000/PT1H", "20261122T190000,20261123T190000", "20261029T023000", "now", "",
])  # fmt: skip
DATED = st.builds(
    "{}{}:{}".format,
    st.sampled_from(["DTSTART", "DTEND", "DURATION", "EXDATE", "RDATE", "RECURRENCE-ID"]),
    st.sampled_from(
        ["", ";TZID=Europe/Rome", ";TZID=x", ";VALUE=DATE", ";VALUE=PERIOD", ';A="b', ";TZID="]
    ),
    DATES,
)
RULES = st.builds(
    "RRULE:FREQ={};{}={}".format,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY", "SECONDLY", "NEVER", ""]),
    st.sampled_from(["COUNT", "INTERVAL", "BYDAY", "UNTIL", "BYMONTHDAY", "BYSETPOS", "X"]),
    st.sampled_from(["0", "1", "-1", "99", "MO", "5SU", "20261122T190000Z", "20261122", "1,2", ""]),
)
LINES = st.lists(st.one_of(NASTY, DATED, RULES, st.text(max_size=20)), max_size=12)


@settings(max_examples=150, deadline=None)
@given(events=st.lists(LINES, max_size=4), charset=st.sampled_from(["", "utf-8", "latin-1", "x"]))
def test_any_lines_are_read_or_counted_and_the_good_one_stays(
    events: list[list[str]], charset: str
) -> None:
    text = calendar(*(raw(*lines) for lines in events), GOOD)
    reading = read(text, charset, QUERY)
    assert reading["unreadable"] >= 0
    for row in reading["bookings"]:
        assert datetime.fromisoformat(row["end"]) > datetime.fromisoformat(row["start"])
        assert len(row["title"]) <= parse_ics.TITLE_CHARACTERS


DAMAGE = st.one_of(RULES, DATED.filter(lambda line: not line.startswith(("DTSTART", "EXDATE"))))


@settings(max_examples=150, deadline=None)
@example(lines=[], after=["RECURRENCE-ID:P1D"])
@example(lines=[], after=["RECURRENCE-ID;TZID=Europe/Rome:00010101T000000"])
@example(lines=[], after=["RRULE:FREQ=DAILY;COUNT=0", "RECURRENCE-ID:20261122T190000"])
@given(lines=st.lists(DAMAGE, max_size=4), after=st.lists(DAMAGE, max_size=2))
def test_table_of_an_event_that_says_its_begin_is_never_offered(
    lines: list[str], after: list[str]
) -> None:
    text = raw("UID:a", *lines, "DTSTART;TZID=Europe/Rome:20261122T190000", *after, "SUMMARY:S")
    begin, end = (datetime(2026, 11, 22, hour, tzinfo=ROME) for hour in (19, 21))
    assert any(
        datetime.fromisoformat(row["start"]) < end and datetime.fromisoformat(row["end"]) > begin
        for row in found(text)["bookings"]
    )


@settings(max_examples=150, deadline=None)
@given(text=st.binary(max_size=300), frame=st.booleans(), charset=st.text(max_size=8))
def test_any_bytes_are_a_calendar_or_refused(text: bytes, frame: bool, charset: str) -> None:
    if frame:
        text = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + text + b"\nEND:VEVENT\nEND:VCALENDAR\n"
    with contextlib.suppress(NotACalendar):
        assert read(text, charset, QUERY)["unreadable"] >= 0
