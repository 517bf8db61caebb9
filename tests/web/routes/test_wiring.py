"""The page of the wires: drawn by the server, asked for by a POST, streamed while it is open."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from controller.config.settings import WIRING
from tests.support.fake_controller import FakeController
from tests.support.openapi import fits
from tests.support.wires import every_wire


def token(client: FlaskClient) -> str:
    found = re.search(r'data-csrf="([^"]+)"', client.get("/wiring").text)
    assert found
    return found[1]


def first_event(client: FlaskClient) -> dict[str, Any]:
    """Return what the stream begins with."""
    answer = client.get("/wiring/events", buffered=False)
    assert answer.mimetype == "text/event-stream"
    events = (part.decode() for part in answer.iter_encoded())
    data = next(event for event in events if event.startswith("id: ")).partition("data: ")[2]
    answer.close()
    found: dict[str, Any] = json.loads(data)
    return found


def test_page_draws_every_wire_without_scripting(
    controller: FakeController, client: FlaskClient
) -> None:
    page = client.get("/wiring").text
    assert page.count("<circle") == 40
    assert all(page.count(f'data-wire="{line}"') == 2 for line in WIRING)
    assert 'data-live="no"' in page

    def show(*_: object) -> dict[str, Any]:
        controller.publish("wiring", every_wire(exit_button=True))
        return {"ok": True, "reason": None}

    controller.answer = show
    answer = client.post("/wiring", data={"csrf_token": token(client)})
    assert (answer.status_code, answer.location) == (303, "/wiring")
    page = client.get("/wiring").text
    assert 'data-live="yes"' in page
    assert '<g class="pin in" data-wire="exit_button" data-state="active">' in page


def test_post_asks_the_controller_by_a_command(
    controller: FakeController, client: FlaskClient
) -> None:
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    assert fits(client.post("/wiring", headers=headers), "post", "/wiring")["ok"] is True
    assert [name for name, _ in controller.commands] == ["watch_wiring"]
    controller.answer = lambda *_: {"ok": False, "reason": "UnknownCommand"}  # an older controller
    answer = fits(client.post("/wiring", headers=headers), "post", "/wiring")
    assert answer["words"] == "Refused: the door does not know it"


def test_stream_has_each_wire_and_whether_it_is_live(
    controller: FakeController, client: FlaskClient
) -> None:
    silent = first_event(client)
    assert (silent["live"], silent["says"]) == ("no", "No levels: not heard now")
    controller.publish("wiring", every_wire(release_button=True))
    heard = first_event(client)
    assert heard["live"] == "yes"
    assert heard["lines"]["release_button"]["level"] == "pressed"
    assert heard["layout"] == silent["layout"]
    assert heard["trial"] == ""


def test_looking_asks_the_controller_for_nothing(
    controller: FakeController, client: FlaskClient
) -> None:
    client.get("/wiring")
    first_event(client)
    assert controller.commands == []


def test_other_phones_are_not_woken_by_the_wires(controller: FakeController, app: Flask) -> None:
    mirror = app.extensions["backdoor"].mirror
    before = mirror.view().version
    controller.publish("wiring", every_wire())
    assert mirror.view().version == before


@pytest.mark.parametrize("asked", ["GET /wiring", "GET /wiring/events", "POST /wiring"])
def test_stranger_sees_nothing(controller: FakeController, app: Flask, asked: str) -> None:
    controller.publish("wiring", every_wire(release_button=True))
    method, _, path = asked.partition(" ")
    for headers in ({}, {"Accept": "application/json"}):
        answer = app.test_client().open(path, method=method, headers=headers)
        assert answer.status_code in (400, 403)  # 400: a POST without its token
        assert "release" not in answer.text
    assert controller.commands == []


def test_post_needs_the_pages_token(controller: FakeController, client: FlaskClient) -> None:
    assert client.post("/wiring").status_code == 400
    assert controller.commands == []


def test_too_many_streams(app: Flask, client: FlaskClient) -> None:
    app.extensions["backdoor"].streams._most = 0
    assert fits(client.get("/wiring/events"), "get", "/wiring/events")["reason"] == "TooManyStreams"
