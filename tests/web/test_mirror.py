"""The mirror: what the page knows, how old it is, and how a command ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.mqtt.message import Message, Topics
from tests.support.fake_controller import FakeController, calm, joiner, now_iso
from web.messages import advanced
from web.mirror import Mirror

BASE = Topics("backdoor/bar")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class MirrorWithoutLink:
    """A mirror that gets its messages from the test."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Hands()
        self.mirror = Mirror(BASE, monotonic=self.clock, **settings)
        self.state = calm()
        self.mirror.link_up()

    def publish(self, name: str, body: Any, *, retain: bool = False) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.mirror.receive(Message(BASE(name), payload, retain=retain))

    def alive(self) -> None:
        self.publish("status", b"online", retain=True)
        self.publish("state", self.state)
        self.heartbeat()

    def heartbeat(self, **over: Any) -> None:
        self.publish("heartbeat", {"boot": self.state["boot"], "seq": self.state["seq"]} | over)

    @property
    def link(self) -> str:
        return self.mirror.view().link


def test_mirror_without_messages_is_offline_and_has_no_age() -> None:
    view = MirrorWithoutLink().mirror.view()
    assert view.state == {"link": "offline", "age_ms": None}


def test_mirror_is_online_with_status_state_and_heartbeat() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.publish("status", b"online", retain=True)
    mirrored.publish("state", mirrored.state, retain=True)
    assert mirrored.link == "stale"
    mirrored.heartbeat()
    assert mirrored.link == "online"
    assert mirrored.mirror.view().state["age_ms"] == 0


def test_mirror_is_stale_after_three_seconds_until_a_heartbeat() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.clock.s += 2.9
    assert mirrored.link == "online"
    mirrored.clock.s += 0.2
    view = mirrored.mirror.view()
    assert (view.link, view.state["age_ms"]) == ("stale", 3100)
    mirrored.heartbeat()
    assert mirrored.link == "online"


def test_mirror_with_heartbeat_ahead_of_state_is_stale_after_a_second() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.heartbeat(seq=7)
    assert mirrored.link == "online"
    mirrored.clock.s += 1.1
    mirrored.heartbeat(seq=7)
    assert mirrored.link == "stale"
    mirrored.state["seq"] = 7
    mirrored.publish("state", mirrored.state)
    assert mirrored.link == "online"


def test_mirror_after_a_new_boot_waits_for_its_full_state() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.heartbeat(boot="other", seq=1)
    assert mirrored.link == "stale"
    mirrored.state |= {"boot": "other", "seq": 1}
    mirrored.publish("state", mirrored.state)
    assert mirrored.link == "online"


def test_mirror_with_state_of_a_new_boot_waits_for_its_heartbeat() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.state["boot"] = "other"
    mirrored.publish("state", mirrored.state)
    assert mirrored.link == "stale"
    mirrored.heartbeat()
    assert mirrored.link == "online"


def test_mirror_is_offline_at_once_by_the_will() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.publish("status", b"offline", retain=True)
    assert mirrored.link == "offline"


def test_mirror_without_broker_is_offline_until_a_message_arrives() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    mirrored.mirror.link_down("gone")
    assert mirrored.link == "offline"
    mirrored.mirror.link_up()
    assert mirrored.link == "offline"
    mirrored.alive()
    assert mirrored.link == "online"


def test_mirror_with_stored_state_is_as_old_as_it_says() -> None:
    wall = datetime(2026, 11, 22, 23, tzinfo=UTC)
    mirrored = MirrorWithoutLink(wall=lambda: wall)
    mirrored.state |= {"at": (wall - timedelta(minutes=10)).isoformat(), "session": running(1800.0)}
    mirrored.publish("state", mirrored.state, retain=True)
    assert mirrored.mirror.view().state["session"]["remaining_s"] == 1200.0


def test_mirror_advances_times_between_messages_at_the_controllers_speed() -> None:
    mirrored = MirrorWithoutLink(speed=60.0)
    mirrored.state["session"] = running(600.0)
    mirrored.alive()
    mirrored.clock.s += 2.0
    assert mirrored.mirror.view().state["session"]["remaining_s"] == 480.0


def running(left_s: float) -> dict[str, Any]:
    return {
        "started_at": now_iso(),
        "ends_at": now_iso(),
        "remaining_s": left_s,
        "phase": "running",
    }


def test_advanced_changes_only_times() -> None:
    state = calm() | {
        "session": running(10.0),
        "hatch": {"light": "ON", "oldest_s": 1.0},
        "door_knock": {"at": "x", "age_s": 2.0},
        "grant": {"party": 1, "remaining_s": 3.0},
    }
    moved = advanced(state, 5.0)
    assert moved["session"]["remaining_s"] == 5.0
    assert moved["hatch"]["oldest_s"] == 6.0
    assert moved["door_knock"]["age_s"] == 7.0
    assert moved["grant"]["remaining_s"] == 0.0
    assert state["grant"] == {"party": 1, "remaining_s": 3.0}


def test_advanced_leaves_a_calm_state_as_it_is() -> None:
    state = calm()
    assert advanced(state, 5.0) == state == advanced(state, 0.0)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("state", b"{"),
        ("state", b"[]"),
        ("state", b'{"boot": "x", "seq": 1}'),
        ("state", b'{"boot":"x","seq":1,"occupancy":1,"door":{},"hatch":{}}'),
        ("state", b'{"boot":"x","seq":"1","occupancy":{},"door":{},"hatch":{}}'),
        ("state", b" " * 300_000),
        ("state", b"[" * 100_000),
        ("state", b"\xff\xfe"),
        ("heartbeat", b"7"),
        ("heartbeat", b'{"boot": "b00t"}'),
        ("heartbeat", b'{"boot": "b00t", "seq": null}'),
        ("night", b'"x"'),
        ("result", b'{"id": 5}'),
        ("result", b'{"id": [], "ok": true}'),
        ("event/knock", b"{}"),
        ("nobody", b"listens"),
    ],
)
def test_mirror_ignores_messages_that_make_no_sense(name: str, payload: bytes) -> None:
    mirrored = MirrorWithoutLink()
    mirrored.alive()
    before = mirrored.mirror.view()
    mirrored.publish(name, payload)
    after = mirrored.mirror.view()
    assert (after.state, after.night, after.knock) == (before.state, before.night, before.knock)
    mirrored.heartbeat()
    assert mirrored.link == "online"


def test_mirror_counts_a_knock_once_and_only_when_fresh() -> None:
    mirrored = MirrorWithoutLink()
    mirrored.publish("event/knock", {"place": "hatch", "at": now_iso()})
    assert mirrored.mirror.view().knock == {"n": 1, "place": "hatch"}
    mirrored.publish("event/knock", {"place": "door", "at": now_iso(60)})
    mirrored.publish("event/knock", {"place": "door", "at": now_iso()}, retain=True)
    assert mirrored.mirror.view().knock == {"n": 1, "place": "hatch"}


def test_mirror_wait_ends_with_the_next_message_or_the_time() -> None:
    mirrored = MirrorWithoutLink()
    version = mirrored.mirror.view().version
    mirrored.mirror.wait(version, 0.01)
    threading.Timer(0.05, mirrored.alive).start()
    mirrored.mirror.wait(version, 5)
    assert mirrored.mirror.view().version > version


# --- commands, over the real in-memory link ---------------------------------------------------


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    return controller


@pytest.fixture
def mirror(controller: FakeController) -> Mirror:
    mirror = Mirror(BASE)
    mirror.connect(joiner(controller.bus))
    mirror.start()
    controller.heartbeat()
    return mirror


def test_command_carries_a_fresh_id_its_time_and_its_number(
    controller: FakeController, mirror: Mirror
) -> None:
    assert mirror.command("access_door", party=2).ok
    assert mirror.command("staff_pass").ok
    (name, first), (_, second) = controller.commands
    assert (name, first["party"], first["cause"]) == ("access_door", 2, "page")
    assert first["id"] != second["id"]
    age = datetime.now(UTC) - datetime.fromisoformat(first["issued_at"])
    assert abs(age) < timedelta(seconds=5)


def test_command_refused_keeps_its_reason(controller: FakeController, mirror: Mirror) -> None:
    controller.answer = lambda name, command: {"ok": False, "reason": "CapacityReached"}
    outcome = mirror.command("access_door", party=1)
    assert (outcome.state, outcome.reason, outcome.ok) == ("refused", "CapacityReached", False)


def test_command_without_answer_in_two_seconds_is_not_answered(
    controller: FakeController, mirror: Mirror
) -> None:
    controller.answer = lambda name, command: None
    outcome = mirror.command("staff_pass")
    assert (outcome.state, outcome.reason) == ("not_answered", "NoAnswer")


def test_command_ignores_the_result_of_another_one(
    controller: FakeController, mirror: Mirror
) -> None:
    def other(name: str, command: dict[str, Any]) -> dict[str, Any]:
        controller.publish("result", {"id": "other", "ok": True, "reason": None})
        return {"ok": False, "reason": "DoorFault"}

    controller.answer = other
    assert mirror.command("staff_pass").reason == "DoorFault"


@pytest.mark.parametrize("gone", [FakeController.crash, FakeController.stop])
def test_command_is_not_sent_to_a_controller_that_is_gone(
    controller: FakeController, mirror: Mirror, gone: Callable[[FakeController], None]
) -> None:
    gone(controller)
    assert mirror.command("access_door", party=1).state == "not_answered"
    assert controller.commands == []


def test_command_without_a_link_is_not_sent() -> None:
    mirror = Mirror(BASE)
    mirror.start()
    assert mirror.command("staff_pass").reason == "Offline"
    mirror.stop()
