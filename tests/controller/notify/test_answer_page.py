"""The link in a message: a GET shows a button and changes nothing, a POST answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.notify.answer_page import AnswerPage, AnswerServer, own_url
from tests.support.receivers import ask


class House:
    """Knows one secret, and counts who asked with which."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says = "answered"

    def answer(self, secret: str) -> str:
        self.asked.append(secret)
        return self.says if secret == "right" else "void"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def port(house: House) -> Iterator[int]:
    server = AnswerServer(AnswerPage(house.answer, "it"), "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop()


def test_a_tap_answers(port: int, house: House) -> None:
    status, headers, text = ask(port, "POST", "/answered/right")
    assert (status, house.asked) == (200, ["right"])
    assert "Risposto." in text
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing_and_tells_nothing(port: int, house: House, method: str) -> None:
    """Messengers fetch links to draw a preview."""
    seen = [ask(port, method, f"/answered/{secret}") for secret in ("right", "wrong")]
    assert [status for status, _, _ in seen] == [200, 200]
    assert seen[0][2] == seen[1][2]
    assert house.asked == []
    if method == "GET":
        assert '<form method="post"><button>Risposto</button></form>' in seen[0][2]


def test_a_wrong_secret_answers_nothing(port: int, house: House) -> None:
    status, _, text = ask(port, "POST", "/answered/wrong")
    assert status == 404
    assert "non risponde" in text


def test_a_house_that_does_not_confirm_is_told(port: int, house: House) -> None:
    house.says = "unconfirmed"
    assert ask(port, "POST", "/answered/right")[0] == 502


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/answered/", 404),
        ("POST", "/answered/right/", 404),
        ("POST", "/answered/right/x", 404),
        ("POST", "/cmd/access_door", 404),
        ("PUT", "/answered/right", 405),
        ("DELETE", "/answered/right", 405),
        ("GET", "/state", 404),
    ],
)
def test_there_is_nothing_else(
    port: int, house: House, method: str, path: str, status: int
) -> None:
    assert ask(port, method, path)[0] == status
    assert house.asked == []


def test_what_is_in_the_address_is_not_shown() -> None:
    """Nothing of a request goes into the page."""
    page = AnswerPage(lambda _: "void", "en")
    told: list[str] = []
    path = "/answered/<script>alert(1)</script>".replace("/s", "%2Fs")
    (body,) = page({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda s, _h: told.append(s))
    assert b"script" not in body


@pytest.mark.parametrize(
    ("answer_url", "public_url", "url"),
    [
        ("https://bar.example/a/", "http://x:1", "https://bar.example/a"),
        ("", "http://backdoor.local:8080", "http://backdoor.local:8090"),
        ("", "https://192.168.1.5", "http://192.168.1.5:8090"),
        ("", "http://[fd00::1]:8080", "http://[fd00::1]:8090"),
    ],
)
def test_its_address_for_phones(answer_url: str, public_url: str, url: str) -> None:
    assert own_url(answer_url, public_url, 8090) == url


def test_without_any_address_it_is_this_machines_name() -> None:
    assert own_url("", "", 8090).endswith(".local:8090")
