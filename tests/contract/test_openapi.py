"""The OpenAPI document is true: it has every route and no other; each answer is as it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from werkzeug.test import TestResponse

from controller.config.settings import Space
from controller.events import PAGE_COMMANDS
from tests.support.fake_controller import FakeController, joiner, page_of, paired, settings
from tests.support.openapi import DOCUMENT, fits
from web import create_app
from web.nights.feed import Feed

ROOT = Path(__file__).parents[2]
ASYNC = yaml.safe_load((ROOT / "controller" / "mqtt" / "asyncapi.yaml").read_text())
SNAPSHOT = ASYNC["components"]["schemas"]["Snapshot"]


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    return controller


@pytest.fixture
def app(controller: FakeController, tmp_path: Path) -> Flask:
    return page_of(controller, tmp_path)


def token(client: Any) -> str:
    found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
    assert found
    return found[1]


def test_routes_served_are_the_routes_documented(
    controller: FakeController, tmp_path: Path
) -> None:
    config = settings(tmp_path)
    config = replace(config, space=Space("Bar"), web=replace(config.web, venues="+"))
    app = create_app(config, link=joiner(controller.bus), feed=Feed(config, joiner(controller.bus)))
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) & {"GET", "POST"}
    }
    declared = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert declared == served


def test_documented_commands_are_the_pages_commands() -> None:
    name = DOCUMENT["paths"]["/command/{name}"]["post"]["parameters"][0]
    assert tuple(name["schema"]["enum"]) == PAGE_COMMANDS


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/state", "/api/night", "/metrics"])
def test_answers_to_a_paired_phone_and_to_a_stranger_fit(app: Flask, path: str) -> None:
    fits(paired(app).get(path), "get", path)
    json_only = {"Accept": "application/json"}
    for headers in ({}, json_only):
        answer = app.test_client().get(path, headers=headers)
        fits(answer, "get", path)
        is_open = DOCUMENT["paths"][path]["get"].get("security") == []
        assert (answer.status_code == 200) == is_open


def test_state_is_the_snapshot_with_link_age_and_self_test(app: Flask) -> None:
    client = paired(app)
    state = fits(client.get("/api/state"), "get", "/api/state")
    assert set(state) == {*SNAPSHOT["properties"], "link", "age_ms", "self_test"}
    whole = fits(client.get("/api/state?page=1"), "get", "/api/state")
    assert set(whole) == {*state, "page"}


def test_pairing(app: Flask) -> None:
    client = app.test_client()
    for secret in ("wrong", app.extensions["backdoor"].pairing.secret):
        fits(client.get(f"/pair/{secret}"), "get", "/pair/{secret}")
    answers = [client.get("/pair/wrong").status_code for _ in range(20)]
    assert answers[-1] == 429


def test_each_outcome_of_a_command_fits(app: Flask, controller: FakeController) -> None:
    client = paired(app)
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    path = "/command/{name}"

    def ask(name: str, **data: object) -> TestResponse:
        return client.post(f"/command/{name}", data=data, headers=headers)

    assert fits(ask("access_door", party=2), "post", path)["ok"] is True
    controller.answer = lambda *_: {"ok": False, "reason": "CapacityReached"}
    assert fits(ask("access_door", party=2), "post", path)["reason"] == "CapacityReached"
    assert ask("set_count", count="x").status_code == 400
    fits(ask("set_count", count="x"), "post", path)
    fits(ask("open_sesame"), "post", path)
    fits(client.post("/command/staff_pass", data={"csrf_token": token(client)}), "post", path)
    fits(client.post("/command/staff_pass", headers={"Accept": "application/json"}), "post", path)
    fits(app.test_client().post("/command/staff_pass"), "post", path)
    controller.crash()
    assert fits(ask("access_door", party=1), "post", path)["state"] == "not_answered"


def test_language(app: Flask) -> None:
    client = paired(app)
    for language in ("it", "xx"):
        data = {"language": language, "csrf_token": token(client)}
        fits(client.post("/lang", data=data), "post", "/lang")
