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
    assert state["page"]["notices"][0][1] == "At the front door: perhaps the next party, Rossi."
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
