"""What is published, byte for byte: each name, number and limit."""

from __future__ import annotations

import pytest

from controller import codec
from controller.events import Answer, Chime, Effect, Fault, Reason, Set
from controller.mqtt import snapshot as payloads
from controller.mqtt.message import Message, Topics
from controller.mqtt.snapshot import Stamp
from controller.rules.state import State
from tests.support.rules_driver import Room

STAMP = Stamp("bar", "b00t", 7, 60_000.0, 1_800_000_000.0)
TOPICS = Topics("backdoor/bar")


def full_swing() -> Room:
    """An evening in which every part of the snapshot has something to tell."""
    room = Room(capacity=3, hatch_patience_ms=90_000.0)
    room.door(False)
    room.inside(2)
    room.now_ms = 20_033.0
    room.knock("hatch")
    room.knock("door", 3)
    room.contact("hatch_contact", False)
    room.command("staff_pass")
    room.wait(10)
    room.passes(0, 0)
    return room


def test_snapshot_with_every_part() -> None:
    room = full_swing()
    room.step(_fault(room))
    stamp = Stamp("bar", "b00t", 7, 30_266.0, 1_800_000_000.0)
    assert payloads.snapshot(room.state, room.settings, stamp) == {
        "venue": "bar",
        "boot": "b00t",
        "seq": 7,
        "at": "2027-01-15T08:00:00.000+00:00",
        "occupancy": {
            "count": 2, "min": 2, "max": 2, "certain": False, "capacity": 3, "free_places": 1,
        },
        "door": {
            "mode": "Locked", "physical": "Closed", "lock": "Unknown", "alarm": "Normal",
            "strike": False,
        },
        "session": {
            "started_at": "2027-01-15T07:59:30+00:00",
            "ends_at": "2027-01-15T09:59:30+00:00",
            "remaining_s": 7169.7,
            "phase": "running",
        },
        "hatch": {
            "light": "ON", "blinking": False, "waiting": 1, "oldest_s": 10.2, "open": False,
        },
        "door_knock": {"at": "2027-01-15T07:59:49.767+00:00", "age_s": 10.2, "raps": 3},
        "grant": None,
        "question": None,
        "undoable": [],
        "counting": "auto",
        "staff_pass": True,
        "full": False,
        "over_capacity": False,
        "faults": [
            {"name": "BeamDead", "line": "beam_inner", "since": "2027-01-15T07:59:59.767+00:00"}
        ],
        "lines": sorted(room.settings.lines),
    }  # fmt: skip


def _fault(room: Room) -> Fault:
    return Fault(room.now_ms, "BeamDead", "beam_inner", active=True)


def test_snapshot_of_open_hatch_manual_count_and_full_room() -> None:
    room = Room(capacity=1, counting="manual")
    room.contact("hatch_contact", True)
    room.command("set_count", 3)
    snapshot = payloads.snapshot(room.state, room.settings, STAMP)
    assert snapshot["hatch"]["open"] is True
    assert snapshot["counting"] == "manual"
    assert (snapshot["full"], snapshot["over_capacity"]) == (True, True)
    assert snapshot["occupancy"]["free_places"] == 0


def test_long_ages_are_exact_to_a_tenth_of_a_second() -> None:
    room = Room(release_ms=900_000.0, strike_max_on_ms=900_000.0)
    room.knock("hatch")
    room.knock("door")
    snapshot = payloads.snapshot(
        room.state, room.settings, Stamp("bar", "b00t", 7, 900_000.0, 1.8e9)
    )
    assert (snapshot["hatch"]["oldest_s"], snapshot["door_knock"]["age_s"]) == (900.0, 900.0)
    room.command("access_door", 1)
    snapshot = payloads.snapshot(room.state, room.settings, Stamp("bar", "b00t", 7, 0.0, 1.8e9))
    assert snapshot["grant"]["remaining_s"] == 900.0


@pytest.mark.parametrize(
    ("waited_ms", "left_s"), [(0.0, 5.0), (1_000.0, 4.0), (1_266.0, 3.7), (9_000.0, 0.0)]
)
def test_grant_has_remaining_seconds(waited_ms: float, left_s: float) -> None:
    room = Room()
    room.command("access_door", 2)
    stamp = Stamp("bar", "b00t", 7, waited_ms, 1_800_000_000.0)
    grant = payloads.snapshot(room.state, room.settings, stamp)["grant"]
    assert grant == {"party": 2, "entered": 0, "remaining_s": left_s, "cancelled": False}


def test_messages_byte_for_byte() -> None:
    base = "backdoor/bar/"
    assert payloads.heartbeat(TOPICS, "b00t", 7, 12.34) == Message(
        f"{base}heartbeat", b'{"boot":"b00t","seq":7,"uptime_s":12.3}'
    )
    assert payloads.status(TOPICS, "online") == Message(f"{base}status", b"online", 1, retain=True)
    assert payloads.result(TOPICS, Answer("a", False, Reason.BLOCKED)) == Message(
        f"{base}result", b'{"id":"a","ok":false,"reason":"Blocked"}', 1
    )
    malformed = Answer("a", False, Reason.MALFORMED, "party must be 1 or more")
    assert payloads.result(TOPICS, malformed).payload == (
        b'{"id":"a","ok":false,"reason":"Malformed","detail":"party must be 1 or more"}'
    )
    assert payloads.chime(TOPICS, "time_up") == Message(f"{base}chime", b'{"tone":"time_up"}', 1)
    snapshot = payloads.snapshot(State(), Room().settings, STAMP)
    messages = payloads.state_messages(TOPICS, snapshot)
    assert {message.topic.removeprefix(base): message.payload for message in messages} == {
        "hatch/light": b"OFF",
        **{name: codec.encode(snapshot[name]) for name in ("occupancy", "door", "session")},
        "state": codec.encode(snapshot),
    }
    assert all((message.qos, message.retain) == (0, True) for message in messages)


def test_effects_become_events_with_times_and_answers_do_not() -> None:
    effects: list[tuple[float, Effect]] = [
        (5.0, Set("strike", True)),
        (6.0, Answer("a", True, None)),
        (7.5, Chime("warning")),
    ]
    assert codec.named_events(effects) == [
        (5.0, "output", {"line": "strike", "level": 1}),
        (7.5, "chime", {"tone": "warning"}),
    ]
