"""JSON, named events and the state from the journal; the snapshot's parts, and which are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from controller import codec
from controller.events import Answer, Chime, Command, Note, Reason, Set
from controller.journal.records import state_of, text_of
from controller.mqtt import snapshot as payloads
from controller.mqtt.message import Topics
from controller.mqtt.snapshot import Stamp
from controller.rules.occupancy import Occupancy
from controller.rules.state import State
from tests.support.rules_driver import Room

STAMP = Stamp("bar", "b00t", 7, 60_000.0, 1_800_000_000.0)
TOPICS = Topics("backdoor/bar")


def snapshot_of(room: Room) -> dict[str, Any]:
    return payloads.snapshot(room.state, room.settings, STAMP)


def test_empty_room() -> None:
    snapshot = snapshot_of(Room())
    assert snapshot["occupancy"] == {
        "count": 0, "min": 0, "max": 0, "certain": True, "capacity": 4, "free_places": 4,
    }  # fmt: skip
    assert snapshot["session"] is None
    assert snapshot["door_knock"] is None
    assert snapshot["grant"] is None
    assert snapshot["hatch"] == {
        "light": "OFF", "blinking": False, "waiting": 0, "oldest_s": None, "open": False,
    }  # fmt: skip
    assert (snapshot["boot"], snapshot["seq"]) == ("b00t", 7)
    assert snapshot["at"] == "2027-01-15T08:00:00.000+00:00"


def test_evening_in_full_swing() -> None:
    room = Room(hatch_patience_ms=10_000.0)
    room.inside(2)
    room.now_ms = 20_000.0
    room.knock("hatch")
    room.knock("door", 3)
    room.wait(20)
    room.contact("bolt_contact", True)
    room.door(False)
    room.command("access_door", 1)
    snapshot = snapshot_of(room)
    assert snapshot["session"] == {
        "started_at": "2027-01-15T07:59:00+00:00",
        "ends_at": "2027-01-15T09:59:00+00:00",
        "remaining_s": 7140.0,
        "phase": "running",
    }
    assert snapshot["hatch"]["light"] == "ON"
    assert snapshot["hatch"]["blinking"] is True
    assert snapshot["hatch"]["oldest_s"] == 40.0
    assert snapshot["door_knock"] is None  # the release answered it
    waiting = {"party": 1, "entered": 0, "remaining_s": 0, "cancelled": False}
    assert snapshot["grant"] == waiting
    assert snapshot["door"]["mode"] == "Accessed"
    assert snapshot["door"]["strike"] is True
    room.wait(3)
    room.knock("door", 3)
    assert snapshot_of(room)["door_knock"]["age_s"] == 17.0
    room.door(True)
    assert snapshot_of(room)["grant"]["remaining_s"] is None


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [(0, "running"), (6300, "last_call"), (7199, "last_call"), (7200, "overtime")],
)
def test_phases(seconds: float, phase: str) -> None:
    room = Room()
    room.inside(1)
    room.wait(seconds)
    assert snapshot_of(room)["session"]["phase"] == phase


def test_lock_follows_the_strike_where_no_bolt_is_wired() -> None:
    room = Room(lines=frozenset())
    assert snapshot_of(room)["door"]["lock"] == "Locked"
    room.command("access_door", 1)
    assert snapshot_of(room)["door"]["lock"] == "Unlocked"


def test_state_messages_are_retained_and_named_by_the_contract() -> None:
    messages = payloads.state_messages(TOPICS, snapshot_of(Room()))
    assert {m.topic.removeprefix("backdoor/bar/") for m in messages} == {
        "state", "occupancy", "door", "session", "hatch/light",
    }  # fmt: skip
    assert all(m.retain for m in messages)
    by_topic = {m.topic: m.payload for m in messages}
    assert by_topic["backdoor/bar/hatch/light"] == b"OFF"
    assert by_topic["backdoor/bar/session"] == b"null"


def test_answers_and_chimes_are_never_retained() -> None:
    moments = [
        payloads.chime(TOPICS, "time_up"),
        payloads.result(TOPICS, Answer("x", False, Reason.CAPACITY_REACHED)),
        payloads.heartbeat(TOPICS, "b", 3, 1.26),
    ]
    assert not any(m.retain for m in moments)
    assert [json.loads(m.payload) for m in moments] == [
        {"tone": "time_up"},
        {"id": "x", "ok": False, "reason": "CapacityReached"},
        {"boot": "b", "seq": 3, "uptime_s": 1.3},
    ]
    assert payloads.status(TOPICS, "online").retain


def test_topics_know_their_own() -> None:
    assert TOPICS.name("backdoor/bar/cmd/staff_pass") == "cmd/staff_pass"
    assert TOPICS.name("backdoor/barn/cmd/staff_pass") == ""


def test_effects_become_events() -> None:
    assert codec.named_event(Note("entry", {"count": 1})) == ("entry", {"count": 1})
    assert codec.named_event(Chime("warning")) == ("chime", {"tone": "warning"})
    assert codec.named_event(Set("strike", True)) == ("output", {"line": "strike", "level": 1})
    assert codec.named_event(Set("hatch_light", True, blink=True)) == (
        "output",
        {"line": "hatch_light", "level": 1, "blink": True},
    )
    assert codec.named_event(Answer("x", True)) is None


def test_state_survives_the_journal() -> None:
    room = Room()
    room.inside(3)
    room.knock()
    room.knock("door")
    room.contact("release_button", False)
    room.contact("exit_button", False)
    room.command("access_door", 1)
    text = text_of(asdict(room.state))
    again = codec.load_state(state_of(text))
    assert again == room.state
    assert text_of(asdict(again)) == text


def asked() -> Room:
    """A room that asks how many of four came in."""
    room = Room()
    room.door(False)
    room.command("access_door", 4)
    room.door(True)
    room.inside(2)
    room.door(False)
    return room


def test_question_survives_the_journal() -> None:
    room = asked()
    room.state = codec.load_state(state_of(text_of(asdict(room.state))))
    assert room.state == asked().state
    assert room.command("answer_question", 4) is None
    assert room.state.occupancy.count == 4


def test_question_with_two_answers_survives_the_journal() -> None:
    room = asked()
    room.passes(-1)
    room.passes(-1)
    room.passes(-1)
    assert room.state.question is not None
    assert room.state.question.answers == (3, 4)
    assert codec.load_state(state_of(text_of(asdict(room.state)))) == room.state


def test_journal_of_a_version_without_questions_is_read() -> None:
    room = Room()
    room.inside(2)
    room.command("access_door", 1)
    fields = state_of(text_of(asdict(room.state)))
    for name in ("question", "departure"):
        del fields[name]
    for name in ("counted", "most"):
        del fields["grant"][name]
    assert codec.load_state(fields) == room.state


def test_journal_of_a_version_without_undo_is_read() -> None:
    room = asked()
    room.command("access_door", 1)
    room.state.undos = ()
    fields = state_of(text_of(asdict(room.state)))
    del fields["undos"], fields["no_undos"], fields["question"]["counted"]
    assert codec.load_state(fields) == room.state


def test_what_can_be_taken_back_survives_the_journal() -> None:
    room = asked()
    was = room.state.occupancy, room.state.question, room.state.session
    room.command("room_empty")
    room.command("staff_pass")
    loaded = codec.load_state(state_of(text_of(asdict(room.state))))
    assert loaded == room.state
    room.state = loaded
    room.command("undo")
    room.command("undo")
    assert (room.state.occupancy, room.state.question, room.state.session) == was


def test_what_only_a_newer_version_can_take_back_is_left_out() -> None:
    room = asked()
    room.command("room_empty")
    room.command("set_count", 1)
    text = text_of(asdict(room.state))
    newer = text.replace('"set_count"', '"tidy_up"').replace('"ChangedSince"', '"TidiedUp"')
    loaded = codec.load_state(state_of(newer))
    assert (loaded.undos, loaded.no_undos) == ((), ())
    assert loaded.occupancy == room.state.occupancy


def test_state_with_nonsense_to_take_back_is_none() -> None:
    room = asked()
    room.command("room_empty")
    fields = state_of(text_of(asdict(room.state)))
    fields["undos"][0]["before"]["t_ms"] = -1.0
    with pytest.raises(ValueError, match="t_ms"):
        codec.load_state(fields)


def test_what_is_kept_to_take_back_passes_the_gate() -> None:
    room = asked()
    room.command("room_empty")
    text = text_of(asdict(room.state)).replace(
        '"count":2,"min":2,"max":4', '"count":7,"min":9,"max":4'
    )
    (undo,) = codec.load_state(state_of(text)).undos
    assert undo.before.occupancy == Occupancy(9, 9, 9, doubted=True)
    assert undo.before.question is None


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"came":3', '"came":2'),
        ('"max":3', '"max":300'),
        ('"readings":[{', '"readings":[{"came":0,"occupancy":{"count":0,"min":0,"max":0}},{'),
        ('"min":2,"max":4', '"min":2,"max":3'),
    ],
)
def test_restored_question_that_makes_no_sense_is_dropped(was: str, becomes: str) -> None:
    text = text_of(asdict(asked().state))
    assert was in text
    assert codec.load_state(state_of(text.replace(was, becomes))).question is None


def test_restored_question_has_two_answers() -> None:
    fields = state_of(text_of(asdict(asked().state)))
    fields["question"]["readings"] = fields["question"]["readings"][:1]
    assert codec.load_state(fields).question is None


def test_snapshot_of_both_questions() -> None:
    room = asked()
    assert snapshot_of(room)["question"] == {
        "kind": "party",
        "id": "0",
        "expected": 4,
        "seen": 2,
        "answers": (2, 3, 4),
        "counted": True,
        "since": "2027-01-15T07:59:00.000+00:00",
    }
    room.command("set_count", 2)
    assert snapshot_of(room)["question"] is None
    room.wait(7200)
    room.passes(-1)
    room.wait(120)
    assert snapshot_of(room)["question"] == {"kind": "everybody_left"}


def test_snapshot_of_what_can_be_taken_back() -> None:
    room = asked()
    room.command("room_empty")
    room.now_ms = 5_000.0
    room.knock()
    room.step(Command(room.now_ms, "answer_hatch", id="hatch-7"))
    assert snapshot_of(room)["undoable"] == [
        {"id": "hatch-7", "type": "answer_hatch", "until": "2027-01-15T07:59:15.000+00:00"},
        {"id": "x", "type": "room_empty", "until": "2027-01-15T07:59:10.000+00:00"},
    ]


def test_snapshot_of_a_stopped_release() -> None:
    room = Room(counting="manual", lines=frozenset({"door_contact"}))
    room.door(False)
    room.command("access_door", 2)
    room.door(True)
    room.command("release_cancel")
    stopped = {"party": 2, "entered": 0, "remaining_s": None, "cancelled": True}
    assert snapshot_of(room)["grant"] == stopped
    room.door(False)
    assert snapshot_of(room)["question"]["counted"] is False


@pytest.mark.parametrize("name", ["count", "min", "max"])
@pytest.mark.parametrize("number", ["111227", "-1", "1"])
def test_restored_count_passes_its_gate(name: str, number: str) -> None:
    """What has to be bent is doubted, too."""
    text = text_of(asdict(State())).replace(f'"{name}":0', f'"{name}":{number}')
    after = codec.load_state(state_of(text)).occupancy
    assert 0 <= after.min <= after.count <= after.max <= 99
    assert not after.certain


def test_restored_count_that_makes_sense_is_as_it_was() -> None:
    text = text_of(asdict(State(occupancy=Occupancy(2, 1, 3))))
    assert codec.load_state(state_of(text)).occupancy == Occupancy(2, 1, 3)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"session":null', '"session":{"started_ms":9e9,"next_mark":0}'),
        ('"session":null', '"session":{"started_ms":0,"next_mark":-5}'),
        ('"timers":{}', '"timers":{"release":-1e9}'),
        ('"t_ms":0.0', '"t_ms":1e300'),
    ],
)
def test_state_with_a_number_that_cannot_be_is_refused(was: str, becomes: str) -> None:
    """Types are right, and yet every start ended in a traceback, or rang marks for hours."""
    text = text_of(asdict(State()))
    assert was in text
    with pytest.raises(ValueError, match="has a number that cannot be"):
        codec.load_state(state_of(text.replace(was, becomes)))


@given(st.text(max_size=50))
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a state"):
        codec.load_state(state_of(text))


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        codec.decode(payload)


def test_second_snapshot_sends_the_parts_that_differ_and_the_whole() -> None:
    before = snapshot_of(Room())
    later = before | {"seq": 2, "occupancy": before["occupancy"] | {"count": 2}}
    topics = [m.topic for m in payloads.state_messages(TOPICS, later, before)]
    assert topics == ["backdoor/bar/occupancy", "backdoor/bar/state"]
