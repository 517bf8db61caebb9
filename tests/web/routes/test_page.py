"""The routes of the page: what it has, what a command answers, and what a GET never does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from controller.events import PAGE_COMMANDS
from tests.support.fake_controller import FakeController, page_of, paired
from web import create_app, pair_link
from web.security.pairing import FREE_ATTEMPTS


def token(client: FlaskClient) -> str:
    found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
    assert found
    return found[1]


def ask(client: FlaskClient, name: str, **fields: Any) -> TestResponse:
    """Ask as the script does: CSRF in a header, JSON back."""
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    return client.post(f"/command/{name}", data=fields, headers=headers)


def test_pairing_sets_one_lasting_cookie_and_goes_on_by_itself(app: Flask) -> None:
    client = app.test_client()
    answer = client.get(f"/pair/{app.extensions['backdoor'].pairing.secret}")
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="1; url=/">' in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert f"Max-Age={400 * 86_400}" in cookie
    assert "Expires" not in cookie, "a date of our clock, which may be years behind"
    assert client.get("/").status_code == 200


def test_pairing_slows_wrong_secrets_and_the_right_link_always_works(app: Flask) -> None:
    client = app.test_client()
    answers = [client.get(f"/pair/{'x' * 32}") for _ in range(FREE_ATTEMPTS + 3)]
    assert [answer.status_code for answer in answers] == [403] * FREE_ATTEMPTS + [429] * 3
    assert [answer.headers.get("Retry-After") for answer in answers[-3:]] == ["1", "2", "4"]
    assert "Set-Cookie" not in answers[-1].headers
    assert client.get(f"/pair/{app.extensions['backdoor'].pairing.secret}").status_code == 200


def test_page_has_no_inline_script_or_style_and_nothing_from_outside(client: FlaskClient) -> None:
    page = client.get("/").text
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", page)


# --- the state ----------------------------------------------------------------------------------


def test_state_is_the_snapshot_with_link_and_age(
    controller: FakeController, client: FlaskClient
) -> None:
    state = client.get("/api/state").json
    assert state is not None
    assert state["link"] == "online"
    assert 0 <= state["age_ms"] < 3000
    added = {"link": state["link"], "age_ms": state["age_ms"], "self_test": None}
    assert {**controller.state, **added} == state


def test_state_with_page_has_the_texts_too(client: FlaskClient) -> None:
    state = client.get("/api/state?page=1").json
    assert state is not None
    assert state["page"]["t"]["sentence"] == "Nobody inside. Four may come in."
    assert state["occupancy"]["capacity"] == 4


def test_healthz_follows_the_link_and_shows_no_more(controller: FakeController, app: Flask) -> None:
    stranger = app.test_client()
    answer = stranger.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"link": "online"})
    controller.crash()
    answer = stranger.get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"link": "offline"})


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGE_COMMANDS)
def test_command_of_each_name_reaches_the_controller(
    controller: FakeController, client: FlaskClient, name: str
) -> None:
    answer = ask(client, name)
    assert answer.json == {"ok": True, "reason": None, "state": "done", "words": "Done"}
    assert [asked for asked, _ in controller.commands] == [name]


def test_command_takes_its_number_along(controller: FakeController, client: FlaskClient) -> None:
    ask(client, "access_door", party=2)
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    client.post("/command/set_count", json={"count": 3}, headers=headers)
    assert [(name, c.get("party"), c.get("count")) for name, c in controller.commands] == [
        ("access_door", 2, None),
        ("set_count", None, 3),
    ]


def test_command_refused_says_why(controller: FakeController, client: FlaskClient) -> None:
    controller.answer = lambda name, command: {"ok": False, "reason": "CapacityReached"}
    answer = ask(client, "access_door", party=1)
    assert answer.status_code == 409
    assert answer.json == {
        "ok": False,
        "reason": "CapacityReached",
        "state": "refused",
        "words": "Refused: the room is full",
    }


def test_command_without_answer_differs_from_a_refusal(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.crash()
    answer = ask(client, "access_door", party=1)
    assert answer.status_code == 504
    assert answer.json is not None
    assert (answer.json["state"], answer.json["reason"]) == ("not_answered", "Offline")


def test_command_unknown_or_with_an_odd_number_is_not_sent(
    controller: FakeController, client: FlaskClient
) -> None:
    assert ask(client, "open_sesame").status_code == 404
    answer = ask(client, "access_door", party="two")
    assert (answer.status_code, answer.json and answer.json["reason"]) == (400, "Malformed")
    assert controller.commands == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("3", "the body must be a JSON object"),
        ('{"count": 2}', "unknown key; known are party"),
        ('{"party": 1.5}', "party must be a whole number"),
    ],
)
def test_malformed_command_says_what_is_wrong(client: FlaskClient, body: str, detail: str) -> None:
    headers = {"X-CSRFToken": token(client), "Accept": "application/json"}
    kind = "application/json"
    answer = client.post("/command/access_door", data=body, content_type=kind, headers=headers)
    assert answer.get_json()["detail"] == detail
    del headers["X-CSRFToken"]
    answer = client.post("/command/access_door", data=body, content_type=kind, headers=headers)
    assert answer.get_json()["detail"] == "The CSRF token is missing."


def test_detail_of_the_controller_reaches_the_script(
    controller: FakeController, client: FlaskClient
) -> None:
    detail = "count must be a whole number from 0 to 99"
    controller.answer = lambda *_: {"ok": False, "reason": "Malformed", "detail": detail}
    answer = ask(client, "set_count", count=500)
    assert (answer.status_code, answer.get_json()["detail"]) == (409, detail)
    controller.answer = lambda *_: {"ok": False, "reason": "CapacityReached"}
    assert "detail" not in ask(client, "access_door", party=2).get_json()


#: JSON that is no command, and numbers that only Python reads: " 2", "1_0", Arabic digits.
NO_COMMANDS = """garbage|[1,2]|"x"|null|3|{"partyy":4}|{"count":2}|{"party":1.5}|{"party":true}|\
{"party":null}|{"party":" 2"}|{"party":"1_0"}|{"party":"\\u0663"}|{"party":9999999999}"""


@pytest.mark.parametrize("body", NO_COMMANDS.split("|"))
def test_command_with_a_body_that_makes_no_sense_is_not_sent(
    controller: FakeController, client: FlaskClient, body: str
) -> None:
    answer = client.post(
        "/command/access_door",
        data=body,
        content_type="application/json",
        headers={"X-CSRFToken": token(client), "Accept": "application/json"},
    )
    assert (answer.status_code, answer.json and answer.json["reason"]) == (400, "Malformed")
    assert controller.commands == []


@pytest.mark.parametrize("wrong", [None, "", "x", "IjEi.aaaa.bbbb"])
def test_command_without_the_right_csrf_token_is_not_sent(
    controller: FakeController, client: FlaskClient, wrong: str | None
) -> None:
    token(client)
    fields = {} if wrong is None else {"csrf_token": wrong}
    assert client.post("/command/staff_pass", data=fields).status_code == 400
    assert controller.commands == []


@pytest.mark.parametrize("name", ["access_door", "staff_pass"])
def test_command_by_get_is_not_sent(
    controller: FakeController, client: FlaskClient, name: str
) -> None:
    assert client.get(f"/command/{name}").status_code == 405
    assert client.get("/lang").status_code == 405
    assert client.get("/bench/walk_in").status_code == 405
    assert controller.commands == []


# --- without scripting --------------------------------------------------------------------------


def test_command_by_form_goes_back_to_the_page_with_its_outcome(
    controller: FakeController, client: FlaskClient
) -> None:
    answer = client.post("/command/staff_pass", data={"csrf_token": token(client)})
    assert (answer.status_code, answer.location) == (303, "/")
    assert '<span class="flashed done">Done</span>' in client.get("/").text
    controller.answer = lambda name, command: {"ok": False, "reason": "DoorFault"}
    client.post("/command/staff_pass", data={"csrf_token": token(client)})
    assert "Refused: the door has a fault" in client.get("/").text


def test_page_without_scripting_refreshes_and_has_forms(client: FlaskClient) -> None:
    page = client.get("/").text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    offered = set(re.findall(r'action="/command/(\w+)"', page))
    assert offered == set(PAGE_COMMANDS)
    assert page.count("csrf_token") >= page.count('action="/command/')


def test_command_that_is_dangerous_asks_once(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.inside(1, 2)
    page = client.get("/").text
    letting = re.search(r'<form[^>]*access_door".*?</form>', page, re.S)
    assert letting
    assert 'name="ask"' in letting[0]
    fields: dict[str, object] = {"csrf_token": token(client), "party": 1}
    asked = client.post("/command/access_door", data=fields | {"ask": 1})
    assert "Let them in all the same?" in asked.text
    assert '<input type="hidden" name="party" value="1">' in asked.text
    assert controller.commands == []
    client.post("/command/access_door", data=fields)
    assert controller.commands[0][1]["party"] == 1
    fields["ask"] = 1
    assert client.post("/command/lock_open", data=fields).status_code == 303  # takes no number
    del fields["party"]
    assert "Evacuate?" in client.post("/command/lock_open", data=fields).text


def test_answer_goes_with_its_question(controller: FakeController, client: FlaskClient) -> None:
    question = {
        "kind": "party", "id": "8792", "expected": 4, "seen": 2, "answers": [2, 3, 4],
        "since": "2026-11-22T21:03:04.123+00:00",
    }  # fmt: skip
    controller.inside(2, 4, question=question)
    page = client.get("/").text
    assert "Let in 4, saw 2. How many came in?" in page
    assert '<input type="hidden" name="question" value="8792" data-v="question">' in page
    fields = {"csrf_token": token(client), "came": 3, "question": "8792"}
    assert client.post("/command/answer_question", data=fields).status_code == 303
    name, sent = controller.commands[0]
    assert (name, sent["came"], sent["question"]) == ("answer_question", 3, "8792")


@pytest.mark.parametrize("question", ["", "a b", "x" * 65, "\n"])
def test_answer_to_what_is_no_question_is_malformed(
    controller: FakeController, client: FlaskClient, question: str
) -> None:
    fields = {"came": 3, "question": question}
    headers = {"X-CSRFToken": token(client)}
    answer = client.post("/command/answer_question", json=fields, headers=headers)
    assert (answer.status_code, answer.get_json()["reason"]) == (400, "Malformed")
    assert controller.commands == []


def test_letting_in_with_a_certain_count_asks_nothing(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.inside(2)
    letting = re.search(r'<form[^>]*access_door".*?</form>', client.get("/").text, re.S)
    assert letting
    assert 'name="ask"' not in letting[0]


def test_page_of_a_silent_controller_has_its_buttons_disabled(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.crash()
    page = client.get("/").text
    keys = re.findall(r"<button[^>]*>", "".join(re.findall(r'class="act.*?</form>', page, re.S)))
    assert len(keys) > 10
    assert all(" disabled" in key for key in keys)


# --- language, theme, size, odd snapshots --------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "word"),
    [("it-IT,it;q=0.9", "Nessuno dentro."), ("en", "Nobody inside."), ("fr", "Nobody inside.")],
)
def test_language_is_the_phones(client: FlaskClient, asked: str, word: str) -> None:
    assert word in client.get("/", headers={"Accept-Language": asked}).text


def test_language_can_be_switched_and_is_kept(client: FlaskClient) -> None:
    assert (
        client.post("/lang", data={"csrf_token": token(client), "language": "it"}).location == "/"
    )
    page = client.get("/", headers={"Accept-Language": "en"}).text
    assert '<html lang="it"' in page
    assert (
        client.post("/lang", data={"csrf_token": token(client), "language": "xx"}).status_code
        == 400
    )


def test_language_can_be_fixed_by_the_owner(controller: FakeController, tmp_path: Path) -> None:
    client = paired(page_of(controller, tmp_path, language="it"))
    assert '<html lang="it"' in client.get("/", headers={"Accept-Language": "en"}).text


def test_theme_of_this_phone_is_drawn_at_once(client: FlaskClient) -> None:
    client.set_cookie("theme", "light")
    assert 'data-theme="light"' in client.get("/").text
    client.set_cookie("theme", '"><script>')
    assert 'data-theme=""' in client.get("/").text


def test_pair_link_pairs(controller: FakeController, tmp_path: Path) -> None:
    from tests.support.fake_controller import joiner, settings

    config = settings(tmp_path, public_url="http://localhost")
    link = pair_link(config)
    client = create_app(config, link=joiner(controller.bus)).test_client()
    assert client.get(link.removeprefix("http://localhost")).status_code == 200


def test_first_view_is_below_30_kb(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept-Encoding": "gzip"})
    text = client.get("/").text
    parts = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(parts) >= 4
    total = len(page.data)
    for part in parts:
        total += len(client.get(part, headers={"Accept-Encoding": "gzip"}).data)
    assert total < 30_000, f"{total} bytes"


def test_page_of_odd_snapshots(controller: FakeController, client: FlaskClient) -> None:
    odds: tuple[dict[str, Any], ...] = (
        {"session": 5},
        {"faults": {"a": 1}},
        {"faults": [3, {}]},
        {"grant": []},
        {"question": 3},
        {"question": {"kind": "party", "answers": [[], "x"], "expected": "x", "id": 5}},
        {"session": {"remaining_s": "x", "phase": 7}},
        {"door_knock": True},
        {"occupancy": {}},
        {"door": {}},
        {"hatch": {"oldest_s": "x", "light": "ON"}},
    )
    for odd in odds:
        controller.publish("state", controller.state | odd)
        assert client.get("/").status_code == 200, json.dumps(odd)
