"""What the page makes of self-tests: running, broken off, over, and messages that make no sense."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.fake_controller import FakeController, now_iso, page_of, paired
from web.presentation.selftest import SelfTestView


def self_test_message(*proven: bool, running: bool = True, **over: Any) -> dict[str, Any]:
    names = ("beam_outer", "beam_inner", "hatch_knock")
    return {
        "boot": "b00t",
        "at": now_iso(),
        "running": running,
        "ok": all(proven),
        "remaining_s": 70.0,
        "lines": [
            {"line": name, "proven": is_so, "edges": 2 * is_so}
            for name, is_so in zip(names, proven, strict=False)
        ],
    } | over


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    return controller


@pytest.fixture
def client(controller: FakeController, tmp_path: Path) -> FlaskClient:
    return paired(page_of(controller, tmp_path))


def whole(client: FlaskClient) -> Any:
    return client.get("/api/state?page=1").json


def test_self_test_that_was_never_done(client: FlaskClient) -> None:
    state = whole(client)
    assert state["self_test"] is None
    assert (state["page"]["s"]["test"], state["page"]["trial"]) == ("idle", [])
    assert state["page"]["t"]["tested"] == "never done yet"


def test_self_test_that_runs_shows_lines_and_next_step(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.publish("self_test", self_test_message(True, False, False))
    state = whole(client)
    page = state["page"]
    assert state["self_test"]["running"] is True
    assert page["trial"] == [
        ["proven", "outer beam"],
        ["next", "inner beam"],
        ["open", "hatch knock sensor"],
    ]
    assert page["t"]["trial"] == "Self-test: 1 of 3 wires. 1 min left."
    assert page["t"]["step"] == "Break the inner beam with your hand, and let go."
    controller.publish("self_test", self_test_message(True, True, True))
    assert whole(client)["page"]["t"]["step"] == ""


def test_self_test_is_drawn_without_scripting(
    controller: FakeController, client: FlaskClient
) -> None:
    controller.publish("self_test", self_test_message(True, False, False))
    text = client.get("/").text
    assert '<div class="now" data-s="test" data-state="testing">' in text
    assert '<li class="proven">outer beam</li><li class="next">inner beam</li>' in text
    assert '<p class="step" data-t="step">Break the inner beam' in text


def test_self_test_stored_at_the_broker_is_over(controller: FakeController, tmp_path: Path) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=4)).isoformat()
    controller.publish("self_test", self_test_message(True, False, at=at), retain=True)
    state = whole(paired(page_of(controller, tmp_path)))
    assert state["self_test"]["running"] is False
    assert state["page"]["s"]["test"] == "idle"


def test_self_test_marked_as_retained_but_fresh_runs(
    controller: FakeController, client: FlaskClient
) -> None:
    """With MQTT 5 we ask for the mark as it was published, so live ones have it too."""
    controller.publish("self_test", self_test_message(True, False), retain=True)
    assert whole(client)["self_test"]["running"] is True


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (1, 1, "The self-test counted 1 in. Nobody there?"),
        (0, 3, "The self-test counted 0–3 in. Nobody there?"),
    ],
)
def test_self_test_that_counted_somebody_offers_room_empty(
    controller: FakeController, client: FlaskClient, least: int, most: int, words: str
) -> None:
    controller.inside(least, most)
    controller.publish(
        "self_test", self_test_message(True, True, running=False, **left(least, most))
    )
    page = whole(client)["page"]
    assert (page["s"]["left"], page["t"]["left"]) == ("yes", words)
    assert (page["s"]["asked"], page["t"]["asked"], page["s"]["settle"]) == ("left", words, "calm")
    controller.inside(0)
    assert whole(client)["page"]["s"]["left"] == "no"
    controller.inside(1)  # a guest, now
    assert whole(client)["page"]["s"]["left"] == "no"


@pytest.mark.parametrize("over", [{"verified": False}, {"inside": {"min": 0, "max": 0}}])
def test_self_test_that_counted_nobody_offers_nothing(
    controller: FakeController, client: FlaskClient, over: dict[str, Any]
) -> None:
    controller.inside(0, 2)
    controller.publish(
        "self_test", self_test_message(True, True, running=False, **(left(0, 2) | over))
    )
    assert whole(client)["page"]["s"]["left"] == "no"


def left(least: int, most: int) -> dict[str, Any]:
    return {"verified": True, "inside": {"min": least, "max": most}}


def test_self_test_without_messages_is_over(controller: FakeController, tmp_path: Path) -> None:
    now_s = 0.0
    mirror = page_of(controller, tmp_path).extensions["backdoor"].mirror
    self_test = SelfTestView(mirror, monotonic=lambda: now_s)
    controller.publish("self_test", self_test_message(True, False))
    running = self_test.status()
    now_s = 3.1
    over = self_test.status()
    assert running
    assert over
    assert (running["running"], over["running"]) == (True, False)


@pytest.mark.parametrize(
    ("proven", "kind", "words"),
    [
        ((True, True), "calm", "Self-test: every wire is proven."),
        ((True, False, False), "warn",
         "Self-test: nothing that proves: inner beam, hatch knock sensor."),
    ],
)  # fmt: skip
def test_self_test_result_is_a_notice_for_ten_minutes(
    controller: FakeController, client: FlaskClient, proven: tuple[bool, ...], kind: str, words: str
) -> None:
    controller.publish("self_test", self_test_message(*proven, running=False))
    assert whole(client)["page"]["notices"] == [[kind, words]]
    at = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    controller.publish("self_test", self_test_message(*proven, running=False, at=at))
    page = whole(client)["page"]
    assert page["notices"] == []
    what = "every wire proven" if all(proven) else "not every wire proven"
    assert page["t"]["tested"] == f"{what}, 2 h 0 min ago"


def test_self_test_may_begin_only_in_an_empty_room(
    controller: FakeController, client: FlaskClient
) -> None:
    assert whole(client)["page"]["s"]["maytest"] == "yes"
    controller.inside(0, 1)
    page = whole(client)["page"]
    assert (page["s"]["maytest"], page["t"]["tested"]) == ("no", "only in an empty room")


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"[]",
        b'{"running": true}',
        b'{"running": 1, "ok": true, "lines": []}',
        b'{"running": true, "ok": true, "lines": [3]}',
        b'{"running": true, "ok": true, "lines": [{"line": "x", "proven": "no", "edges": 1}]}',
        json.dumps(
            {"running": True, "ok": True, "lines": self_test_message(True)["lines"] * 41}
        ).encode(),
        b'{"running": true, "ok": true, "lines": [], "inside": 3}',
        b'{"running": true, "ok": true, "lines": [], "inside": {"min": 0, "max": true}}',
    ],
)
def test_self_test_message_that_makes_no_sense_is_ignored(
    controller: FakeController, client: FlaskClient, odd: bytes
) -> None:
    controller.publish("self_test", odd)
    assert whole(client)["self_test"] is None


def test_self_test_line_without_words_is_shown_by_its_name(
    controller: FakeController, client: FlaskClient
) -> None:
    line = {"line": "<b>trap door</b>", "proven": False, "edges": 0}
    controller.publish("self_test", self_test_message(lines=[line], remaining_s=None, ok=False))
    assert whole(client)["page"]["trial"] == [["next", "<b>trap door</b>"]]
    assert "<b>trap" not in client.get("/").text
