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
from web.bookings.download import CalendarError, CalendarSource


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


def test_calendar_that_repeats_every_second_costs_a_moment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reader(file, Clock())
    found.read()
    bomb = event("10260101T210000", "Bomb x2", "RRULE:FREQ=SECONDLY")
    file.write_bytes(calendar(bomb))
    monkeypatch.setattr("web.bookings.calendar.PARSE_LIMIT_S", 2.0)
    began = time.monotonic()
    found.read()
    assert time.monotonic() - began < 10
    view = found.view(None, None)
    assert "takes too long" in view.problem
    assert view.party is not None


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

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("If-None-Match", ""))
        same = self.headers.get("If-None-Match") == '"one"'
        self.send_response(304 if same and self.status == 200 else self.status)
        self.send_header("ETag", '"one"')
        self.end_headers()
        if not same:
            self.wfile.write(TONIGHT)

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
    ("url", "says"),
    [
        ("http://127.0.0.1:1/x.ics", "can't be read"),
        ("ftp://127.0.0.1/x.ics", "no http or https address"),
        ("/no/such/file.ics", "No such file"),
        ("/", "directory"),
    ],
)
def test_download_from_an_address_that_cannot_be_used(url: str, says: str) -> None:
    with pytest.raises(CalendarError, match=says) as caught:
        CalendarSource(url).get()
    assert url not in str(caught.value), "a private address is a secret"


def test_time_zone_by_name_environment_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert time_zone("Europe/Rome") == ROME
    monkeypatch.setenv("TZ", "America/New_York")
    assert time_zone("").key == "America/New_York"
    monkeypatch.delenv("TZ")
    assert time_zone("").key
