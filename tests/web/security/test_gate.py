"""The gate: who is let through, under which names, and the headers of every answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner

from tests.support.fake_controller import FakeController, FakeSimulator, page_of, paired
from web.security.pairing import Pairing

PAIRED_ONLY = ("/", "/api/state", "/api/night", "/events")


@pytest.mark.parametrize("path", PAIRED_ONLY)
def test_unpaired_phone_sees_only_how_to_pair(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    assert answer.status_code == 403
    assert "backdoor pair" in answer.text
    assert "inside" not in answer.text
    answer = app.test_client().get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json) == (403, {"ok": False, "reason": "NotPaired"})


@pytest.mark.parametrize("path", ["/command/access_door", "/lang", "/bench/walk_in"])
def test_unpaired_phone_moves_nothing(
    app: Flask, controller: FakeController, simulator: FakeSimulator, path: str
) -> None:
    assert app.test_client().post(path, data={"party": 1}).status_code == 403
    assert controller.commands == []
    assert simulator.done == []


def test_cookie_is_for_https_only_when_it_came_by_https(app: Flask) -> None:
    secret = app.extensions["backdoor"].pairing.secret
    answer = app.test_client().get(f"/pair/{secret}", base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_new_secret_throws_out_every_phone_of_a_running_page(
    app: Flask, client: FlaskClient
) -> None:
    old = app.extensions["backdoor"].pairing.secret
    Pairing(Path(app.extensions["backdoor"].pairing._path)).rotate()
    assert client.get("/").status_code == 403
    assert app.test_client().get(f"/pair/{old}").status_code == 403
    assert paired(app).get("/").status_code == 200


def test_secret_that_cannot_be_read_pairs_nobody(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    (tmp_path / "s").unlink()
    (tmp_path / "s").mkdir()
    assert client.get("/").status_code == 403
    assert client.get("/healthz").status_code == 200
    assert client.get("/pair/x").status_code == 500


@pytest.mark.parametrize("step_s", [-100 * 86_400, -3600, -1, 500 * 86_400])
def test_cookie_counts_whatever_the_clock_says(
    app: Flask, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    """A Pi has no clock of its own: after a power cut it may begin in the past."""
    client = paired(app)
    stamp = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: stamp(self) + step_s)
    assert client.get("/").status_code == 200
    csrf = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
    assert csrf
    headers = {"X-CSRFToken": csrf[1], "Accept": "application/json"}
    assert client.post("/command/staff_pass", headers=headers).status_code == 200


def test_cookie_that_is_not_ours_in_form_pairs_nobody(app: Flask) -> None:
    """Signed with our key, yet no session: what a bug or an older version may have left."""
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    for content in (["paired"], "paired", None, 1):
        client = app.test_client()
        client.set_cookie("backdoor", signer.dumps(content))
        assert client.get("/").status_code == 403


def test_session_that_was_emptied_ends_the_cookie(app: Flask, client: FlaskClient) -> None:
    with client.session_transaction() as session:
        session.clear()
    assert client.get_cookie("backdoor") is None


def test_cookie_that_is_forged_pairs_nobody(app: Flask) -> None:
    client = app.test_client()
    client.set_cookie("backdoor", "eyJwYWlyZWQiOnRydWV9.aSF0-g.aaaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert client.get("/").status_code == 403


def test_host_that_is_foreign_is_told_where_the_page_is(
    controller: FakeController, tmp_path: Path
) -> None:
    app = page_of(controller, tmp_path, public_url="https://page.example/")
    client = app.test_client()
    for language, words in (("en", "does not know the name"), ("it", "non conosce il nome")):
        headers = {"Host": "<b>.Evil.example:80", "Accept-Language": language}
        answer = client.get("/", headers=headers)
        assert answer.status_code == 421
        assert words in answer.text
        assert "https://page.example" in answer.text
        assert "allowed_hosts" in answer.text
        assert "&lt;b&gt;.evil.example" in answer.text
    answer = client.get("/", headers={"Host": "x.example", "Accept": "application/json"})
    assert (answer.status_code, answer.json) == (421, {"ok": False, "reason": "UnknownHost"})


def test_headers_forbid_what_the_page_does_not_need(client: FlaskClient) -> None:
    for path in ("/", "/api/state", "/nothing", "/static/app.js"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
    assert client.get("/api/state").headers["Cache-Control"] == "no-store"
    assert "max-age=31536000" in client.get("/static/app.js").headers["Cache-Control"]


def test_text_is_compressed_for_clients_that_accept_it(client: FlaskClient) -> None:
    zipped = client.get("/static/app.css", headers={"Accept-Encoding": "gzip, br"})
    plain = client.get("/static/app.css")
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert len(zipped.data) < len(plain.data) / 2
    assert (
        "Content-Encoding"
        not in client.get("/static/app.css", headers={"Accept-Encoding": "gzip;q=0"}).headers
    )
