"""The wire to the letter, and the inbox to the edge: each name, number and limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller import codec
from controller.events import Answer, Chime, Reason, Set
from controller.mqtt import snapshot as payloads
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import PAYLOAD_LIMIT, Message, Topics
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


def test_the_whole_snapshot() -> None:
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
        "counting": "auto",
        "staff_pass": True,
        "full": False,
        "over_capacity": False,
        "faults": [
            {"name": "BeamStuck", "line": "beam_inner", "since": "2027-01-15T07:59:59.767+00:00"}
        ],
        "lines": sorted(room.settings.lines),
    }  # fmt: skip


def _fault(room: Room) -> Any:
    from controller.events import Fault

    return Fault(room.now_ms, "BeamStuck", "beam_inner", active=True)


def test_an_open_hatch_a_manual_house_and_a_full_one() -> None:
    room = Room(capacity=1, counting="manual")
    room.contact("hatch_contact", True)
    room.command("set_count", 3)
    told = payloads.snapshot(room.state, room.settings, STAMP)
    assert told["hatch"]["open"] is True
    assert told["counting"] == "manual"
    assert (told["full"], told["over_capacity"]) == (True, True)
    assert told["occupancy"]["free_places"] == 0


def test_long_ages_are_true_to_a_tenth_of_a_second() -> None:
    room = Room(release_ms=900_000.0, strike_max_on_ms=900_000.0)
    room.knock("hatch")
    room.knock("door")
    told = payloads.snapshot(room.state, room.settings, Stamp("bar", "b00t", 7, 900_000.0, 1.8e9))
    assert (told["hatch"]["oldest_s"], told["door_knock"]["age_s"]) == (900.0, 900.0)
    room.command("access_door", 1)
    told = payloads.snapshot(room.state, room.settings, Stamp("bar", "b00t", 7, 0.0, 1.8e9))
    assert told["grant"]["remaining_s"] == 900.0


@pytest.mark.parametrize(
    ("waited_ms", "left_s"), [(0.0, 5.0), (1_000.0, 4.0), (1_266.0, 3.7), (9_000.0, 0.0)]
)
def test_a_release_tells_what_is_left_of_it(waited_ms: float, left_s: float) -> None:
    room = Room()
    room.command("access_door", 2)
    stamp = Stamp("bar", "b00t", 7, waited_ms, 1_800_000_000.0)
    grant = payloads.snapshot(room.state, room.settings, stamp)["grant"]
    assert grant == {"party": 2, "entered": 0, "remaining_s": left_s}


def test_every_message_to_the_letter() -> None:
    base = "backdoor/bar/"
    assert payloads.heartbeat(TOPICS, "b00t", 7, 12.34) == Message(
        f"{base}heartbeat", b'{"boot":"b00t","seq":7,"uptime_s":12.3}'
    )
    assert payloads.status(TOPICS, "online") == Message(f"{base}status", b"online", 1, retain=True)
    assert payloads.result(TOPICS, Answer("a", False, Reason.BLOCKED)) == Message(
        f"{base}result", b'{"id":"a","ok":false,"reason":"Blocked"}', 1
    )
    assert payloads.chime(TOPICS, "time_up") == Message(f"{base}chime", b'{"tone":"time_up"}', 1)
    told = payloads.snapshot(State(), Room().settings, STAMP)
    messages = payloads.state_messages(TOPICS, told)
    assert {message.topic.removeprefix(base): message.payload for message in messages} == {
        "hatch/light": b"OFF",
        **{name: codec.encode(told[name]) for name in ("occupancy", "door", "session")},
        "state": codec.encode(told),
    }
    assert all((message.qos, message.retain) == (0, True) for message in messages)


# --- the inbox, to the edge ----------------------------------------------------------------------

WALL_S = 1_800_000_000.0
#: House time at which the inbox began: an hour after the house's first day.
BEGAN_MS = 3_600_000.0


def take(
    name: str = "set_count", *, up_s: float = 600.0, age_s: float = 0.0, **payload: Any
) -> Any:
    return ask(Inbox(5.0, BEGAN_MS, "b00t"), name, up_s=up_s, age_s=age_s, **payload)


def ask(
    inbox: Inbox,
    name: str = "set_count",
    *,
    up_s: float = 600.0,
    age_s: float = 0.0,
    **payload: Any,
) -> Any:
    body = {"id": "a", "issued_at": WALL_S - age_s} | payload
    raw = json.dumps(body).encode()
    now = Now(BEGAN_MS + up_s * 1000, WALL_S)
    return inbox.take(name, Message(f"backdoor/bar/cmd/{name}", raw), now)


def test_the_age_that_is_just_young_enough() -> None:
    assert take(age_s=5.0).refusal is None
    assert take(age_s=5.01).refusal == Reason.STALE_COMMAND
    assert take(age_s=-2.0).refusal is None
    assert take(age_s=-2.01).refusal == Reason.FROM_THE_FUTURE


def test_what_was_issued_before_this_run_is_stale() -> None:
    assert take(up_s=0.5, age_s=0.5).refusal is None
    assert take(up_s=0.5, age_s=0.51).refusal == Reason.STALE_COMMAND


def test_an_id_works_again_only_when_it_could_not_pass_for_fresh() -> None:
    inbox = Inbox(5.0, BEGAN_MS, "b00t")
    assert ask(inbox, id="first").refusal is None
    assert ask(inbox, up_s=603, id="second").refusal is None
    assert ask(inbox, up_s=607.0, id="first").refusal == Reason.REPLAYED
    assert ask(inbox, up_s=607.1, id="first").refusal is None
    assert ask(inbox, up_s=607.1, id="second").refusal == Reason.REPLAYED


def test_the_longest_id_and_the_largest_payload() -> None:
    assert take(id="x" * 64).refusal is None
    assert take(id="x" * 65).refusal == Reason.MALFORMED
    body = b'{"id":"a","issued_at":1800000000}'
    inbox, now = Inbox(5.0, BEGAN_MS, "b00t"), Now(BEGAN_MS + 600_000, WALL_S)
    for size, refusal in ((PAYLOAD_LIMIT + 1, Reason.MALFORMED), (PAYLOAD_LIMIT, None)):
        taken = inbox.take("staff_pass", Message("x", body.ljust(size)), now)
        assert taken is not None
        assert (taken.t_ms, taken.name) == (now.t_ms, "staff_pass")
        assert taken.refusal == refusal


def test_milliseconds_begin_where_seconds_would_be_the_year_5138() -> None:
    assert take(issued_at=WALL_S * 1000).refusal is None
    assert take(issued_at=1e11).refusal == Reason.FROM_THE_FUTURE


@pytest.mark.parametrize(
    ("tone", "number"), [("warning", 0), ("overtime", 2), ("evacuate", None), ("bells", None)]
)
def test_a_tone_is_a_number_and_evacuation_is_none_that_anybody_may_ring(
    tone: str, number: int | None
) -> None:
    assert take("ring_chime", tone=tone).number == number


def test_effects_are_told_with_their_times_and_answers_are_no_events() -> None:
    effects = [(5.0, Set("strike", True)), (6.0, Answer("a", True, None)), (7.5, Chime("warning"))]
    assert codec.named_events(effects) == [
        (5.0, "output", {"line": "strike", "level": 1}),
        (7.5, "chime", {"tone": "warning"}),
    ]
