"""The bookings on the page: the next party, its button, and a calendar that cannot be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from controller.config.settings import BookSettings
from controller.mqtt.message import Message
from tests.support.fake_controller import FakeController, joiner, now_iso, paired, settings
from tests.support.ics import NOW, TONIGHT, calendar, event
from tests.support.wait import eventually
from web import create_app
from web.bookings.calendar import CalendarView


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    return controller


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "book.ics"
    path.write_bytes(TONIGHT)
    return path


def app_with(controller: FakeController, file: Path, tmp_path: Path, **book: Any) -> Flask:
    config = replace(
        settings(tmp_path),
        book=BookSettings(str(file), ("Mon-Sun 18:00-01:00",), "Europe/Rome", **book),
    )
    app = create_app(config, link=joiner(controller.bus), wall=lambda: NOW.astimezone(UTC))
    app.extensions["backdoor"].mirror.start()
    controller.heartbeat()
    return app


def published(controller: FakeController) -> list[Message]:
    messages: list[Message] = []
    link = controller.bus.join(
        subscriptions=["backdoor/bar/book/next"],
        on_message=messages.append,
        on_up=lambda: None,
        on_ack=lambda _: None,
    )
    link.start()
    return messages


def test_bookings_on_the_page_show_the_next_party_and_its_button(
    controller: FakeController, file: Path, tmp_path: Path
) -> None:
    app = app_with(controller, file, tmp_path)
    client = paired(app)
    eventually(lambda: "Next: Rossi, 2, at 21:00." in client.get("/").text)
    shown = client.get("/api/state?page=1").json
    assert shown is not None
    assert shown["page"]["s"]["book"] == "n2"
    assert shown["page"]["t"]["slot"] == "Next free table, for 2 h: Monday 23 November, 18:00."
    controller.show(door_knock={"at": now_iso(), "age_s": 1.0, "raps": 2})
    state = client.get("/api/state?page=1").json
    assert state is not None
    [[_, words]] = state["page"]["notices"]  # one notice: who knocks, and who that may be
    assert words.startswith("At the front door for ")
    assert words.endswith(" s: perhaps the next party, Rossi.")
    keys = {key: value for key, value in state["page"]["s"].items() if key.startswith("let")}
    assert keys == {"let1": "yes", "let2": "due", "let3": "yes", "let4": "yes", "letmore": "no"}
    controller.inside(3)
    state = client.get("/api/state?page=1").json
    assert state is not None
    assert state["page"]["s"]["let2"] == "no"  # expected, and yet there is no room
    messages = published(controller)
    eventually(lambda: messages)
    assert json.loads(messages[0].payload)["party"] == 2
    app.extensions["backdoor"].mirror.stop()


def test_bookings_with_an_unreadable_calendar_say_so(
    controller: FakeController, tmp_path: Path
) -> None:
    app = app_with(controller, tmp_path / "none.ics", tmp_path)
    client = paired(app)
    eventually(lambda: "The calendar can&#39;t be read now." in client.get("/").text)
    shown = client.get("/api/state?page=1").json
    assert shown is not None
    assert shown["page"]["s"]["book"] == "none"
    app.extensions["backdoor"].mirror.stop()


def test_bookings_of_a_party_without_size_and_of_a_distant_one(
    controller: FakeController, file: Path, tmp_path: Path
) -> None:
    file.write_bytes(calendar(event("20261124T210000", "Neri")))
    app = app_with(controller, file, tmp_path)
    client = paired(app)
    eventually(lambda: "Next: Neri at Tuesday 24 November, 21:00." in client.get("/").text)
    file.write_bytes(calendar(event("20261022T210000", "Past x2")))
    app.extensions["backdoor"].bookings._calendar.read()
    assert "Nobody is expected." in client.get("/").text
    app.extensions["backdoor"].mirror.stop()


def test_page_without_a_calendar_has_no_bookings(
    controller: FakeController, tmp_path: Path
) -> None:
    app = create_app(settings(tmp_path), link=partial(joiner(controller.bus)))
    app.extensions["backdoor"].mirror.start()
    assert 'class="group book"' not in paired(app).get("/").text


def test_bookings_that_cannot_be_read_are_counted_and_named(
    controller: FakeController, file: Path, tmp_path: Path
) -> None:
    """There used to be "Nobody is expected." and their tables were offered."""
    file.write_bytes(calendar(event("2026-11-22T21:00", "Ferrari x2")))
    app = app_with(controller, file, tmp_path)
    client = paired(app)
    one = "1 booking can&#39;t be read (Ferrari x2): look at the calendar."
    eventually(lambda: one in client.get("/").text)
    assert "Nobody is expected." not in client.get("/").text
    assert "Next free table, for 2 h: Sunday 22 November, 23:00." in client.get("/").text
    broken = [event("2026-11-22T21:00", f"{name}") for name in ("A", "B", "C", "D", "E" * 99)]
    file.write_bytes(calendar(*broken, event("20261122T190000", "Rossi x2")))
    app.extensions["backdoor"].bookings._calendar.read()
    five = "5 bookings can&#39;t be read (A, B, C, …): look at the calendar."
    assert five in client.get("/").text
    client.post("/language", data={"language": "it"})
    italian = client.get("/", headers={"Accept-Language": "it"}).text
    assert "5 prenotazioni non si leggono (A, B, C, …): guarda il calendario." in italian
    app.extensions["backdoor"].mirror.stop()


def test_bookings_before_the_first_read_claim_nothing(
    controller: FakeController, tmp_path: Path
) -> None:
    """There used to be "Nobody is expected." until the calendar came."""
    view = CalendarView(None, False, None, True, "", stale=False, read=False)
    app = app_with(controller, tmp_path / "none.ics", tmp_path)
    bookings = app.extensions["backdoor"].bookings
    with app.test_request_context():
        assert bookings._next_words(view) == "The calendar is being read."
        assert bookings._free_words(view) == ""
        known = replace(view, read=True, letters_guessed=True)
        assert bookings._next_words(known).startswith("Nobody is expected. Names may be spelt")
        assert bookings._free_words(known) == "No table is free."
    app.extensions["backdoor"].mirror.stop()


def test_bookings_of_a_party_without_a_name(
    controller: FakeController, file: Path, tmp_path: Path
) -> None:
    file.write_bytes(calendar(event("20261122T210000", "4 persone")))
    app = app_with(controller, file, tmp_path)
    client = paired(app)
    eventually(lambda: "Next: a party, 4, at 21:00." in client.get("/").text)
    app.extensions["backdoor"].mirror.stop()
