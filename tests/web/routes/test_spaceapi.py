"""GET /spaceapi.json: true, valid by SpaceAPI v15, open to all, and nobody's name in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft7Validator

from controller.config.settings import BookSettings, Space
from tests.support.fake_controller import FakeController, joiner, now_iso, settings
from web import create_app

#: What SpaceAPI v15 asks of the parts that we fill in (https://schema.spaceapi.io/15.json).
V15: dict[str, Any] = {
    "type": "object",
    "required": ["api_compatibility", "space", "logo", "url", "contact"],
    "properties": {
        "api_compatibility": {
            "type": "array",
            "items": {"type": "string"},
            "contains": {"const": "15"},
        },
        "space": {"type": "string"},
        "logo": {"type": "string"},
        "url": {"type": "string"},
        "contact": {"type": "object", "properties": {"email": {"type": "string"}}},
        "state": {
            "type": "object",
            "properties": {
                "open": {"type": "boolean"},
                "lastchange": {"type": "number"},
                "message": {"type": "string"},
            },
        },
        "sensors": {
            "type": "object",
            "properties": {
                "people_now_present": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["value"],
                        "properties": {"value": {"type": "integer", "minimum": 0}},
                    },
                }
            },
        },
    },
    "patternProperties": {"^ext_": {}},
    "additionalProperties": False,
}
EVENING = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


class Clock:
    now = EVENING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.inside(3)
    return controller


def app_of(controller: FakeController, tmp_path: Path, clock: Clock, *hours: str) -> Flask:
    space = Space("The Back Door", "https://bar.example", "https://bar.example/logo.png", "b@x.y")
    book = BookSettings(open=hours, timezone="Europe/Rome")
    config = replace(settings(tmp_path), space=space, book=book)
    app = create_app(config, link=joiner(controller.bus), wall=clock)
    app.extensions["backdoor"].mirror.start()
    controller.heartbeat()
    return app


def asked(app: Flask) -> dict[str, Any]:
    answer = app.test_client().get("/spaceapi.json")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    found = answer.json
    assert isinstance(found, dict)
    Draft7Validator(V15).validate(found)
    return found


def test_spaceapi_says_open_full_and_free_places(
    controller: FakeController, tmp_path: Path
) -> None:
    app = app_of(controller, tmp_path, Clock())
    found = asked(app)
    assert found["space"] == "The Back Door"
    assert found["state"]["open"] is True
    assert found["state"]["message"] == "1 free"
    assert found["sensors"] == {"people_now_present": [{"value": 3}]}
    assert (found["ext_free_places"], found["ext_full"]) == (1, False)
    controller.inside(4)
    found = asked(app)
    assert (found["state"]["message"], found["ext_full"]) == ("full", True)


def test_spaceapi_is_closed_while_a_person_keeps_guests_out(
    controller: FakeController, tmp_path: Path
) -> None:
    clock = Clock()
    app = app_of(controller, tmp_path, clock)
    opened_at = asked(app)["state"]["lastchange"]
    clock.now = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
    controller.show(door={"mode": "LockedDown"})
    found = asked(app)
    assert (found["state"]["open"], found["state"]["message"]) == (False, "closed")
    assert found["state"]["lastchange"] == opened_at + 3600


def test_spaceapi_is_closed_outside_opening_hours(
    controller: FakeController, tmp_path: Path
) -> None:
    clock = Clock()
    app = app_of(controller, tmp_path, clock, "Sun 18:00-01:00")
    assert asked(app)["state"]["open"] is True
    clock.now = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)  # half past one in Rome
    assert asked(app)["state"]["open"] is False


def test_spaceapi_leaves_out_what_is_not_known(controller: FakeController, tmp_path: Path) -> None:
    app = app_of(controller, tmp_path, Clock())
    controller.crash()
    found = asked(app)
    assert set(found["state"]) == {"lastchange"}
    assert "sensors" not in found


def test_spaceapi_has_no_name_and_nothing_else(controller: FakeController, tmp_path: Path) -> None:
    app = app_of(controller, tmp_path, Clock())
    controller.show(door_knock={"at": now_iso(), "age_s": 1.0, "raps": 2})
    assert set(asked(app)) <= set(V15["properties"]) | {
        "ext_full", "ext_free_places", "ext_capacity",
    }  # fmt: skip
    assert app.test_client().get("/api/state").status_code == 403


def test_spaceapi_is_off_by_default(controller: FakeController, tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), link=joiner(controller.bus))
    assert app.test_client().get("/spaceapi.json").status_code == 404
