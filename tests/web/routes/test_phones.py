"""The page of the paired phones, and what else a phone may and may not do with its pairing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.fake_controller import FakeController, page_of, paired
from web.security.phones import INVITED_S, Phones

IPHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1"}


def phones_of(app: Flask) -> Phones:
    found: Phones = app.extensions["backdoor"].phones
    return found


def token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/phones").text)
    assert found
    return found[1]


def post(client: FlaskClient, path: str, **fields: Any) -> TestResponse:
    return client.post(path, data={"csrf_token": token(client), **fields})


def invited(client: FlaskClient) -> str:
    """Return the path of a new invitation's link."""
    answer = post(client, "/phones/invite")
    assert answer.status_code == 200
    assert re.search(r'<svg [^>]*class="qr"', answer.text)
    found = re.search(r"<code[^>]*>https?://[^/]+(/pair/[^<]+)</code>", answer.text)
    assert found
    return found[1]


def test_paired_phone_is_in_the_list_with_the_name_of_its_device(app: Flask) -> None:
    client = app.test_client()
    client.get(f"/pair/{app.extensions['backdoor'].pairing.secret}", headers=IPHONE)
    page = client.get("/phones").text
    assert 'value="iPhone"' in page
    assert "this phone" in page


def test_phone_that_pairs_again_stays_the_phone_that_it_is(app: Flask, client: FlaskClient) -> None:
    [before] = phones_of(app).all()
    client.get(f"/pair/{app.extensions['backdoor'].pairing.secret}")
    assert [phone.id for phone in phones_of(app).all()] == [before.id]


def test_command_says_whose_phone_asks(
    app: Flask, client: FlaskClient, controller: FakeController
) -> None:
    [phone] = phones_of(app).all()
    post(client, f"/phones/{phone.id}/name", name="Anna's phone")
    post(client, "/command/access_door", party=2)
    assert controller.commands[-1][1]["by"] == "Anna's phone"


def test_command_with_a_name_of_its_own_choice_is_refused(
    client: FlaskClient, controller: FakeController
) -> None:
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    answer = client.post("/command/access_door", json={"party": 1, "by": "Bea"}, headers=headers)
    assert answer.status_code == 400
    assert controller.commands == []


def test_phone_that_is_removed_is_out_at_once_and_alone(app: Flask, client: FlaskClient) -> None:
    lost = paired(app)
    with lost.session_transaction() as session:
        lost_id = session["phone"]
    assert post(client, f"/phones/{lost_id}/remove").location == "/phones"
    assert "is not paired any more" in client.get("/phones").text
    assert lost.get("/").status_code == 403
    assert lost.post("/command/staff_pass").status_code == 403
    assert client.get("/").status_code == 200
    assert post(client, f"/phones/{lost_id}/remove").status_code == 404
    assert post(client, f"/phones/{lost_id}/name", name="x").status_code == 404
    lost.get(f"/pair/{app.extensions['backdoor'].pairing.secret}")
    assert lost.get("/").status_code == 200


def test_phone_may_remove_itself(app: Flask, client: FlaskClient) -> None:
    [phone] = phones_of(app).all()
    assert post(client, f"/phones/{phone.id}/remove").location == "/"
    assert client.get_cookie("backdoor") is None
    assert client.get("/").status_code == 403


def test_phone_is_added_by_a_code_that_works_once(app: Flask, client: FlaskClient) -> None:
    path, new, thief = invited(client), app.test_client(), app.test_client()
    assert new.head(path).status_code == 405
    assert new.get(path, headers=IPHONE).status_code == 200
    assert new.get("/").status_code == 200
    assert {phone.name for phone in phones_of(app).all()} == {"Phone", "iPhone"}
    assert thief.get(path).status_code == 403
    assert thief.get("/").status_code == 403


def test_code_ends_after_two_minutes(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, phones = invited(client), phones_of(app)
    later_s = phones._monotonic() + INVITED_S
    monkeypatch.setattr(phones, "_monotonic", lambda: later_s)
    assert app.test_client().get(path).status_code == 403


@pytest.mark.parametrize(
    ("public", "host", "base"),
    [
        ("", "192.168.1.20:8080", "http://192.168.1.20:8080"),
        ("https://page.example/", "192.168.1.20", "https://page.example"),
    ],
)
def test_code_leads_to_an_address_that_another_phone_reaches(
    controller: FakeController, tmp_path: Path, public: str, host: str, base: str
) -> None:
    app = page_of(controller, tmp_path, public_url=public)
    client = app.test_client()
    answers = [
        client.get(path, base_url=f"http://{host}")
        for path in (f"/pair/{app.extensions['backdoor'].pairing.secret}", "/phones")
    ]
    found = re.search(r'name="csrf_token" value="([^"]+)"', answers[1].text)
    assert found
    data = {"csrf_token": found[1]}
    answer = client.post("/phones/invite", data=data, base_url=f"http://{host}")
    assert f">{base}/pair/" in answer.text


def test_code_asked_for_on_this_machine_leads_to_its_address(
    controller: FakeController, tmp_path: Path
) -> None:
    client = paired(page_of(controller, tmp_path, host="192.168.1.9", port=8080))
    answer = post(client, "/phones/invite")
    assert ">http://192.168.1.9:8080/pair/" in answer.text


@pytest.mark.parametrize("path", ["/phones/invite", "/phones/x/name", "/phones/x/remove"])
def test_phones_are_changed_by_a_form_of_the_page_only(
    app: Flask, client: FlaskClient, path: str
) -> None:
    assert client.get(path).status_code == 405
    assert client.post(path).status_code == 400
    assert app.test_client().post(path).status_code == 403
    assert len(phones_of(app).all()) == 1


def test_names_are_text_and_no_markup(app: Flask, client: FlaskClient) -> None:
    [phone] = phones_of(app).all()
    post(client, f"/phones/{phone.id}/name", name='"><script>x</script>')
    page = client.get("/phones").text
    assert "<script" not in page
    assert not re.search(r"\sstyle=|\son\w+=", page + post(client, "/phones/invite").text)


def test_cookie_of_an_older_version_stays_good_and_can_be_thrown_out(
    app: Flask, client: FlaskClient
) -> None:
    """Such a cookie says `paired` and no phone; several requests may carry it at once."""
    sessions: Any = app.session_interface
    old = app.test_client()
    cookie = sessions.get_signing_serializer(app).dumps({"paired": True, "_permanent": True})
    old.set_cookie("backdoor", cookie)
    phones_of(app)._takes_up = True
    answer = old.get("/api/state", headers=IPHONE)
    assert answer.status_code == 200
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert old.get("/").status_code == 200
    late = app.test_client()
    late.set_cookie("backdoor", cookie)
    assert late.get("/api/state").status_code == 200
    [iphone] = [phone for phone in phones_of(app).all() if phone.name == "iPhone"]
    assert len(phones_of(app).all()) == 2
    post(client, f"/phones/{iphone.id}/remove")
    assert old.get("/").status_code == 403
    again = app.test_client()
    again.set_cookie("backdoor", cookie)
    assert again.get("/").status_code == 403


def test_last_seen_is_told_without_trust_in_the_clock(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired(app)
    phones = phones_of(app)
    assert "there now" in client.get("/phones").text
    for later_s, words in ((300.0, "seen 5 min ago"), (90_000.0, "last seen on 20")):
        then_s = phones._monotonic() + later_s
        monkeypatch.setattr(phones, "_monotonic", lambda then_s=then_s: then_s)
        assert words in client.get("/phones").text
