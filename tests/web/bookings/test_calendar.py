"""The calendar: what it says, downloads and files, and what happens when it cannot be read."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.mqtt.message import Topics
from tests.support.asyncapi import mistakes
from tests.support.ics import NOW, ROME, TONIGHT, Clock, calendar, event
from web.bookings.calendar import STALE_S, Calendar, CalendarSettings, time_zone

SITTINGS = (("20261122T190000", "Ferrari x2"), ("20261122T210000", "Bruno x3"),
            ("20261122T230000", "Greco x4"))  # fmt: skip


def reader(path: Path | str, clock: Clock, **more: Any) -> Calendar:
    return Calendar(CalendarSettings(str(path), ("Mon-Sun 18:00-01:00",), ROME, **more), clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "book.ics"
    path.write_bytes(TONIGHT)
    return path


def test_calendar_view_has_next_party_and_next_free_slot(file: Path) -> None:
    clock = Clock()
    found = reader(file, clock)
    found.read()
    view = found.view(None, None)
    assert view.party is not None
    assert (view.party.name, view.party.size) == ("Rossi", 2)
    assert view.due
    assert view.free == datetime(2026, 11, 23, 18, tzinfo=ROME)
    clock.now = NOW + timedelta(minutes=15)
    view = found.view(clock.now, clock.now + timedelta(hours=2))
    assert view.party is not None
    assert view.party.name == "Verdi", "the first party is inside"


def test_calendar_reads_rules_exceptions_zones_and_cancelled_events(tmp_path: Path) -> None:
    path = tmp_path / "book.ics"
    path.write_bytes(
        calendar(
            event("20261015T220000", "Weekly x3", "RRULE:FREQ=WEEKLY;BYDAY=SU,TH",
                  "EXDATE;TZID=Europe/Rome:20261122T220000"),
            event("20261122T230000", "Gone x2", "STATUS:CANCELLED"),
            event("20261122T230000", "Ours", "TRANSP:TRANSPARENT"),
            "BEGIN:VEVENT\r\nUID:z\r\nDTSTART:20261123T200000Z\r\nDTEND:20261123T220000Z\r\n"
            "SUMMARY:In UTC\r\nATTENDEE:mailto:a@b.c\r\nATTENDEE:mailto:d@e.f\r\nEND:VEVENT",
        )
    )  # fmt: skip
    found = reader(path, Clock())
    found.read()
    party = found.view(None, None).party
    assert party is not None
    assert (party.name, party.size) == ("In UTC", 2)
    assert party.start == datetime(2026, 11, 23, 21, tzinfo=ROME)


def test_calendar_message_has_a_name_only_if_allowed(file: Path) -> None:
    for names in (False, True):
        found = reader(file, Clock(), names=names)
        found.read()
        message = found.message(Topics("backdoor/bar"), found.view(None, None))
        assert (message.topic, message.retain) == ("backdoor/bar/book/next", True)
        booking = json.loads(message.payload)
        assert booking["at"] == "2026-11-22T20:00:00.000+00:00"
        assert (booking["party"], booking["stale"]) == (2, False)
        assert ("Rossi" in message.payload.decode()) == names
        assert mistakes(message) == []


@pytest.mark.parametrize("reachable", [True, False])
def test_names_leave_memory_a_day_after_their_time(file: Path, reachable: bool) -> None:
    clock = Clock()
    found = reader(file, clock)
    unreadable = event("20261122T210000", "Bianchi x2", "EXDATE:never")
    file.write_bytes(calendar(event("20261122T210000", "Rossi x2"), unreadable))
    found.read()
    assert "Rossi" in kept_by(found)
    assert "Bianchi" in kept_by(found)
    clock.now = NOW + timedelta(hours=30)
    if reachable:
        file.write_bytes(calendar(event("20261122T210000", "Rossi x2")))
    else:
        file.unlink()
    found.read()
    found.forget_guests()
    assert "Rossi" not in kept_by(found)
    assert "Bianchi" not in kept_by(found)


def kept_by(thing: object, seen: frozenset[int] = frozenset()) -> str:
    """All texts that an object of ours holds, at any depth."""
    if id(thing) in seen or isinstance(thing, type):
        return ""
    if isinstance(thing, str | bytes):
        return repr(thing)
    inner = thing.values() if isinstance(thing, dict) else thing
    if not isinstance(thing, list | tuple | set | dict):
        if not type(thing).__module__.startswith("web."):
            return ""
        slots = getattr(type(thing), "__slots__", ())
        inner = [*getattr(thing, "__dict__", {}).values()]
        inner += [getattr(thing, slot) for slot in slots if hasattr(thing, slot)]
    return " ".join(kept_by(each, seen | {id(thing)}) for each in inner)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a calendar"),
        (b"hello", "not a calendar"),
        (b"\xff\xfe\x00", "not a calendar"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "not a calendar"),
        (b"x" * (5 * 1024 * 1024 + 1), "larger than 5 MB"),
    ],
)
def test_calendar_that_cannot_be_parsed_keeps_the_last_good_copy(
    file: Path, text: bytes, says: str
) -> None:
    found = reader(file, Clock())
    found.read()
    file.write_bytes(text)
    found.read()
    view = found.view(None, None)
    assert says in view.problem
    assert view.party is not None
    assert view.party.name == "Rossi"
    file.write_bytes(TONIGHT)
    found.read()
    assert not found.view(None, None).problem


def test_calendar_that_repeats_every_second_costs_a_moment(file: Path) -> None:
    """There used to be no book at all then; now one entry of it is unreadable."""
    found = reader(file, Clock())
    bomb = event("10260101T213000", "Bomb x2", "RRULE:FREQ=SECONDLY")
    file.write_bytes(calendar(bomb, event("20261122T210000", "Rossi x2")))
    began = time.monotonic()
    found.read()
    assert time.monotonic() - began < 30
    view = found.view(None, None)
    assert (view.problem, view.unreadable, view.titles) == ("", 1, ("Bomb x2",))
    assert view.party is not None
    assert view.party.name == "Rossi"
    assert view.free == datetime(2026, 11, 23, 18, tzinfo=ROME), "its time is not offered"


def test_calendar_that_takes_too_long_keeps_the_last_good_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reader(file, Clock())
    found.read()
    file.write_bytes(calendar(event("20261122T220000", "Other x2")))
    monkeypatch.setattr("web.bookings.calendar.PARSE_LIMIT_S", 0.001)
    found.read()
    view = found.view(None, None)
    assert "takes too long" in view.problem
    assert view.party is not None
    assert view.party.name == "Rossi"


def test_calendar_claims_nothing_before_it_was_read(tmp_path: Path) -> None:
    found = reader(tmp_path / "none.ics", Clock())
    for _ in range(2):
        view = found.view(None, None)
        assert (view.read, view.party, view.free) == (False, None, None)
        assert json.loads(found.message(Topics("a/b"), view).payload)["stale"]
        found.read()


def test_calendar_of_one_uid_for_all_sittings_keeps_them_all(file: Path) -> None:
    """There used to be one kept, and the tables of the others were offered."""
    sittings = [event(at, title).replace(f"UID:{title}{at}", "UID:one") for at, title in SITTINGS]
    for text in (calendar(*sittings), calendar(*(event(at, title) for at, title in SITTINGS))):
        file.write_bytes(text)
        found = reader(file, Clock())
        found.read()
        assert [b.name for b in found._bookings] == ["Ferrari", "Bruno", "Greco"]
        assert found.view(None, None).free == datetime(2026, 11, 23, 18, tzinfo=ROME)


def test_calendar_logs_what_it_cannot_read_once_and_without_names(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(calendar(event("20261122T2100", "Bianchi x2"), event("x", "Neri")))
    found = reader(file, Clock())
    for _ in range(2):
        found.read()
    assert found.view(None, None).unreadable == 2
    assert [record.getMessage()[:62] for record in caplog.records] == [
        "bookings: entries of the calendar that can't be read: 2; the p"
    ]
    assert "Bianchi" not in caplog.text


def test_calendar_in_another_charset_is_read_by_what_its_server_says(
    server: tuple[str, type[Calendars]],
) -> None:
    url, handler = server
    handler.text = calendar(event("20261122T210000", "Müller x2")).decode().encode("latin-1")
    for kind, guessed in (("text/calendar; charset=ISO-8859-1", False), ("text/calendar", True)):
        handler.kind = kind
        found = reader(url, Clock())
        found.read()
        view = found.view(None, None)
        assert view.party is not None
        assert (view.party.name, view.letters_guessed) == ("Müller", guessed)


def test_calendar_copy_is_stale_after_a_while(file: Path) -> None:
    clock = Clock()
    found = reader(file, clock)
    assert found.view(None, None).free is None, "nothing is known yet"
    found.read()
    assert not found.view(None, None).stale
    clock.now += timedelta(seconds=STALE_S + 1)
    assert found.view(None, None).stale


class Calendars(BaseHTTPRequestHandler):
    """A calendar server that knows what a caller has already."""

    asked: list[str]
    status = 200
    text = TONIGHT
    kind = "text/calendar"

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("If-None-Match", ""))
        same = self.headers.get("If-None-Match") == '"one"'
        self.send_response(304 if same and self.status == 200 else self.status)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Type", self.kind)
        self.end_headers()
        if not same:
            self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[Calendars]]]:
    class Handler(Calendars):
        asked: list[str] = []  # noqa: RUF012 - a class of its own for each test

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/secret.ics", Handler
        httpd.shutdown()
        thread.join()


def test_download_asks_only_for_what_is_new(server: tuple[str, type[Calendars]]) -> None:
    url, handler = server
    found = reader(url, Clock())
    for _ in range(2):
        found.read()
        assert found.view(None, None).party is not None
    assert handler.asked == ["", '"one"']
    handler.status = 500
    found.read()
    assert found.view(None, None).problem == "its server answers 500 Internal Server Error"
    handler.status = 200
    found.read()
    assert handler.asked[-1] == "", "after a failure all of it"
    assert not found.view(None, None).problem


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("America/New_York", "America/New_York"),
        (":America/New_York", "America/New_York"),
        (":/usr/share/zoneinfo/America/New_York", "America/New_York"),
        ("/no/such/file", None),
        (":/etc/localtime", None),
        ("CET-1CEST,M3.5.0,M10.5.0/3", None),
        ("", None),
    ],
)
def test_time_zone_of_the_environment_or_else_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, said: str, zone: str | None
) -> None:
    """There used to be a traceback with ``TZ=:/etc/localtime``, which systemd writes so."""
    monkeypatch.delenv("TZ", raising=False)
    ours = time_zone("").key
    monkeypatch.setenv("TZ", said)
    assert time_zone("").key == (zone or ours)
    assert time_zone("Europe/Rome") == ROME


@pytest.mark.parametrize(
    ("tz", "key"),
    [
        (":Europe/Rome", "Europe/Rome"),
        (" Europe/Rome ", "Europe/Rome"),
        ("/usr/share/zoneinfo/Europe/Rome", "Europe/Rome"),
        (":/usr/share/zoneinfo/Europe/Rome", "Europe/Rome"),
    ],
)
def test_time_zone_of_a_tz_in_any_form_that_names_one(
    monkeypatch: pytest.MonkeyPatch, tz: str, key: str
) -> None:
    monkeypatch.setenv("TZ", tz)
    assert time_zone("").key == key


ODD = (":/etc/localtime", "/etc/localtime", "CET-1CEST,M3.5.0,M10.5.0/3", "nonsense", "../x", ":")


@pytest.mark.parametrize("tz", [*ODD, "/", "Europe", "é", "x" * 5000])
def test_time_zone_of_a_tz_that_names_none_is_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tz: str
) -> None:
    monkeypatch.setenv("TZ", tz)
    link = tmp_path / "zoneinfo" / "Europe" / "Rome"
    monkeypatch.setattr("web.bookings.calendar.LOCALTIME", link)
    named = tz.endswith("localtime") and time_zone("").key
    assert named or time_zone("").key == "Europe/Rome"


def test_time_zone_of_a_machine_with_a_copy_is_the_one_that_debian_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TZ", "")
    for name in ("LOCALTIME", "TIMEZONE"):
        monkeypatch.setattr(f"web.bookings.calendar.{name}", tmp_path / name)
    assert time_zone("").key == "UTC"
    (tmp_path / "LOCALTIME").write_bytes(b"TZif2")
    (tmp_path / "TIMEZONE").write_text("Europe/Rome\n")
    assert time_zone("").key == "Europe/Rome"
