"""Errors: a plain page or JSON, never a traceback."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient


def test_error_is_a_plain_page_or_json(client: FlaskClient) -> None:
    answer = client.get("/nothing")
    assert (answer.status_code, "There is nothing here" in answer.text) == (404, True)
    answer = client.put("/")
    assert (answer.status_code, answer.allow.as_set()) == (405, {"get", "head", "options"})
    answer = client.get("/nothing", headers={"Accept": "application/json"})
    assert answer.json == {"ok": False, "reason": "NotFound", "state": "refused"}
    long = client.post("/lang", data={"csrf_token": "x" * 100_000})
    assert long.status_code == 413


def test_error_by_a_bug_shows_no_traceback(app: Flask, client: FlaskClient) -> None:
    app.extensions["backdoor"].mirror.view = None
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (500, "500: something went wrong here.\n")
    assert client.get("/api/state", headers={"Accept": "application/json"}).status_code == 500
