"""Commands from the wire: none that is old, repeated, retained or odd gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.codec import iso
from controller.events import COMMANDS, Command, Reason
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import PAYLOAD_LIMIT, Message

START_S = 1_800_000_000.0
NOW = Now(t_ms=60_000.0, wall_s=START_S + 60)


def take(
    inbox: Inbox | None = None,
    name: str = "access_door",
    *,
    now: Now = NOW,
    retain: bool = False,
    raw: bytes | None = None,
    **payload: Any,
) -> Command:
    told = {"id": "a1", "issued_at": iso(now.wall_s)} | payload
    body = json.dumps(told).encode() if raw is None else raw
    inbox = inbox or fresh()
    command = inbox.take(name, Message(f"x/cmd/{name}", body, retain=retain), now)
    assert command is not None
    return command


def fresh() -> Inbox:
    return Inbox(5.0, started_ms=0.0, boot="b00t")


def test_a_fresh_command_is_taken_with_its_number_and_cause() -> None:
    command = take(party=2, cause="page")
    assert command == Command(NOW.t_ms, "access_door", 2, "a1", "page", None)
    assert take(name="set_count", count=3).number == 3
    assert take(name="set_count", value=3).number == 3
    assert take(cause="a stranger").cause == "mqtt"


@pytest.mark.parametrize(
    "issued_at",
    [iso(NOW.wall_s), NOW.wall_s, NOW.wall_s * 1000, "2027-01-15T09:01:00+01:00", NOW.wall_s + 1.9],
)
def test_issued_at_may_be_iso_8601_seconds_or_milliseconds(issued_at: object) -> None:
    assert take(issued_at=issued_at).refusal is None


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [
        (4.9, None),
        (5.1, Reason.STALE_COMMAND),
        (3600, Reason.STALE_COMMAND),
        (-2.1, Reason.FROM_THE_FUTURE),
        (-1e9, Reason.FROM_THE_FUTURE),
    ],
)
def test_age(age_s: float, reason: Reason | None) -> None:
    assert take(issued_at=NOW.wall_s - age_s).refusal == reason


def test_retained_is_refused_however_fresh() -> None:
    assert take(retain=True).refusal == Reason.RETAINED


def test_the_same_id_works_once() -> None:
    inbox = fresh()
    assert take(inbox).refusal is None
    assert take(inbox).refusal == Reason.REPLAYED
    assert take(inbox, name="staff_pass").refusal == Reason.REPLAYED
    assert take(inbox, id="a2").refusal is None


def test_an_id_is_forgotten_only_when_its_command_would_be_stale() -> None:
    inbox = fresh()
    take(inbox)
    later = Now(NOW.t_ms + 6900, NOW.wall_s + 4)  # the wall clock was set back by 2.9 s
    assert take(inbox, now=later).refusal == Reason.REPLAYED
    later = Now(NOW.t_ms + 7100, NOW.wall_s + 7.1)
    assert take(inbox, now=later).refusal is None


def test_what_was_issued_before_we_started_may_have_been_used_before() -> None:
    soon = Now(1000.0, START_S + 1)
    assert take(now=soon, issued_at=START_S - 3).refusal == Reason.STALE_COMMAND


def test_a_clock_that_steps_back_does_not_make_every_command_stale() -> None:
    stepped = Now(NOW.t_ms, NOW.wall_s - 7200)
    assert take(now=stepped).refusal is None


UNSET = Now(60_000.0, 90.0, clock_set=False)


def test_without_a_clock_freshness_cannot_be_judged() -> None:
    assert take(now=UNSET).refusal == Reason.CLOCK_NOT_SET
    assert take(now=UNSET, issued_at=NOW.wall_s).refusal == Reason.CLOCK_NOT_SET
    assert take(now=UNSET, boot="another run").refusal == Reason.CLOCK_NOT_SET


def test_without_a_clock_the_page_beside_us_still_works() -> None:
    inbox = fresh()
    assert take(inbox, now=UNSET, boot="b00t").refusal is None
    assert take(inbox, now=UNSET, boot="b00t").refusal == Reason.REPLAYED
    assert take(now=UNSET, boot="b00t", issued_at=NOW.wall_s).refusal == Reason.CLOCK_NOT_SET


def test_a_flood_is_dropped_unread_and_the_bucket_refills() -> None:
    inbox = fresh()
    message = Message("x/cmd/access_door", b"nonsense")
    taken = [inbox.take("access_door", message, NOW) for _ in range(1000)]
    assert sum(command is not None for command in taken) == 200
    assert take(inbox).refusal is None  # what is right is not held up by what is wrong
    later = Now(NOW.t_ms + 1000, NOW.wall_s + 1)
    again = [inbox.take("access_door", message, later) for _ in range(10)]
    assert sum(command is not None for command in again) == 5


def test_a_flood_of_one_command_drowns_no_other() -> None:
    inbox = fresh()

    def answers(number: int) -> Command | None:
        body = b'{"id":"%d","issued_at":%f}' % (number, NOW.wall_s)
        return inbox.take("answer_door", Message("x/cmd/answer_door", body), NOW)

    assert sum(answers(number) is not None for number in range(600)) == 500
    assert take(inbox).refusal is None


def test_an_unknown_command_is_named_as_such() -> None:
    assert take(name="toggle_door").refusal == Reason.UNKNOWN_COMMAND


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"OPEN",
        b"null",
        b"[]",
        b'"open"',
        b"\xff\xfe",
        b"{",
        b'{"id":1,"issued_at":1}',
        b'{"id":"","issued_at":1}',
        b'{"id":"a\\u0000b","issued_at":1}',
        b'{"id":"a"}',
        b'{"id":"a","issued_at":NaN}',
        b'{"id":"a","issued_at":1e999}',
        b'{"id":"a","issued_at":1' + b"0" * 400 + b"}",
        b'{"id":"a","issued_at":true}',
        b'{"id":"a","issued_at":"yesterday"}',
        b'{"id":"a","issued_at":"2027-01-15T08:01:00"}',
        b'{"id":"a","issued_at":1,"party":"2"}',
        b'{"id":"a","issued_at":1,"party":1.5}',
        b'{"id":"a","issued_at":1,"party":true}',
        b'{"id":"' + b"x" * 65 + b'","issued_at":1}',
        b"[" * (PAYLOAD_LIMIT - 1),
        b" " * (PAYLOAD_LIMIT + 1),
        b"x" * 1_000_000,
    ],
)
def test_what_is_not_a_command_is_malformed(raw: bytes) -> None:
    assert take(raw=raw).refusal == Reason.MALFORMED


@pytest.mark.parametrize(
    ("raw", "id_"),
    [
        (b'{"id":"u","issued_at":1,"party":"2"}', "u"),
        (b'{"id":"u"}', "u"),
        (b'{"id":5,"issued_at":1}', "5"),
        (b'{"id":"' + b"x" * 100 + b'","issued_at":1}', "x" * 64),
        (b'{"id":', ""),
    ],
)
def test_a_malformed_command_is_answered_by_its_name_if_it_has_one(raw: bytes, id_: str) -> None:
    command = take(raw=raw)
    assert (command.refusal, command.id) == (Reason.MALFORMED, id_)


def test_a_number_is_never_overlooked() -> None:
    assert take(number=2).number == 2
    assert take(n=2).number == 2
    assert take(count=3).number == 3
    assert take(name="set_count", party=3).number == 3
    assert take(party=1, count=3).number == 1
    assert take(name="set_count", party=1, count=3).number == 3
    assert take(party=1, count=3, value=7).number == 1


def test_nesting_without_end_is_refused_one_way_or_another() -> None:
    deep = b'{"id":"a","issued_at":1,"x":' + b"[" * 8000 + b"]" * 8000 + b"}"
    assert take(raw=deep).refusal in (Reason.MALFORMED, Reason.STALE_COMMAND)


def test_the_house_rings_the_chime_by_its_tone() -> None:
    assert take(name="ring_chime", tone="overtime").number == 2
    assert take(name="ring_chime", tone="bells").number is None


def test_a_flood_of_fresh_ids_is_refused_before_it_costs_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.mqtt.inbox.IDS", 3)
    inbox = fresh()
    found = [take(inbox, id=str(n)).refusal for n in range(4)]
    assert found == [None, None, None, Reason.NOT_PERMITTED_AT_THIS_TIME]


@given(
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.sampled_from([*COMMANDS])
)
def test_no_bytes_get_past_or_break_anything(raw: bytes, name: str) -> None:
    assert take(name=name, raw=raw).refusal is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(json_values, json_values, json_values)
def test_no_json_of_odd_types_breaks_anything(id_: Any, issued_at: Any, party: Any) -> None:
    command = take(id=id_, issued_at=issued_at, party=party)
    assert command.refusal is not None or isinstance(id_, str)
