"""Commands from MQTT: none that is old, repeated, retained or malformed is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.codec import iso
from controller.events import COMMANDS, Command, Reason
from controller.mqtt.inbox import KEPT_IDS, Inbox, Now
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
    fields = {"id": "a1", "issued_at": iso(now.wall_s)} | payload
    body = json.dumps(fields).encode() if raw is None else raw
    inbox = inbox or fresh()
    command = inbox.take(name, Message(f"x/cmd/{name}", body, retain=retain), now)
    assert command is not None
    return command


def fresh() -> Inbox:
    return Inbox(5.0, started_ms=0.0, boot="b00t")


def test_fresh_command_is_accepted_with_number_and_cause() -> None:
    command = take(party=2, cause="page")
    assert command == Command(NOW.t_ms, "access_door", 2, "a1", "page", None)
    assert take(name="set_count", count=3).number == 3
    assert take(name="set_count", value=3).number == 3
    assert take(cause="a stranger").cause == "mqtt"


@pytest.mark.parametrize(
    ("by", "kept"),
    [
        ("Anna's phone", "Anna's phone"),
        (" Ärmel 📱 ", "Ärmel 📱"),
        ("x" * 40, "x" * 40),
        ("x" * 41, ""),
        ("a\nb", ""),
        ("a\u202eb", ""),
        ("  ", ""),
        (7, ""),
        (None, ""),
        (["Anna"], ""),
        ({"name": "Anna"}, ""),
    ],
)
def test_command_keeps_the_name_of_a_phone_and_nothing_else(by: object, kept: str) -> None:
    command = take(party=2, by=by)
    assert (command.by, command.refusal) == (kept, None)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"x", "JSON is malformed: invalid character (byte 0)"),
        (b'{"issued_at": 1}', "Object missing required field `id`"),
        (b'{"id": 5, "issued_at": 1}', "Expected `str`, got `int` - at `$.id`"),
        (b'{"id": "a", "issued_at": 1, "party": "2"}', "got `str` - at `$.party`"),
        (b'{"id": "", "issued_at": 1}', "id must have 1 to 64 printable characters"),
        (b'{"id": "a", "issued_at": "noon"}', "issued_at must be ISO 8601 with an offset"),
        (b'{"id": "a", "issued_at": "2026-11-26T11:00:00"}', "issued_at must be ISO 8601"),
        (b'{"id": "\xff", "issued_at": 1}', "UTF-8"),
        (b" " * (PAYLOAD_LIMIT + 1), f"longer than {PAYLOAD_LIMIT} bytes"),
    ],
)
def test_malformed_command_says_which_key_and_what_it_must_be(raw: bytes, detail: str) -> None:
    command = take(raw=raw)
    assert command.refusal == Reason.MALFORMED
    assert detail in command.detail


def test_brackets_in_brackets_without_end_are_malformed() -> None:
    """How many it reads before it gives up depends on the Python, and so do its words."""
    command = take(raw=b'{"id": "a", "x": ' + b"[" * 9999)
    assert command.refusal == Reason.MALFORMED
    words = ("brackets in brackets without end", "Input data was truncated")
    assert command.detail.endswith(words)


def test_missing_reference_is_named_and_a_sound_command_has_no_detail() -> None:
    assert take(name="undo").detail.startswith("undoes must be the id of")
    assert take(name="answer_question", came=2).detail.startswith("question must be the id of")
    assert take(party=2).detail == ""
    assert take(party=2, retain=True).detail == ""


def test_answer_names_its_question() -> None:
    command = take(name="answer_question", came=4, question="8792")
    assert (command.number, command.question, command.refusal) == (4, "8792", None)
    assert take(name="answer_question", came=4).refusal == Reason.MALFORMED
    assert take(name="answer_question", came=4, question="").refusal == Reason.MALFORMED
    assert take(name="answer_question", came=4, question=8792).refusal == Reason.MALFORMED


def test_undo_names_what_it_takes_back() -> None:
    command = take(name="undo", undoes="a1b2")
    assert (command.undoes, command.refusal) == ("a1b2", None)
    assert take(name="undo").refusal == Reason.MALFORMED
    assert take(name="undo", undoes="").refusal == Reason.MALFORMED
    assert take(name="undo", undoes=7).refusal == Reason.MALFORMED
    assert take(name="undo", question="a1b2").refusal == Reason.MALFORMED


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
        (-4.9, None),
        (-5.1, Reason.FROM_THE_FUTURE),
        (-1e9, Reason.FROM_THE_FUTURE),
    ],
)
def test_age_against_the_limit(age_s: float, reason: Reason | None) -> None:
    assert take(issued_at=NOW.wall_s - age_s).refusal == reason


def test_retained_command_is_refused_even_if_fresh() -> None:
    assert take(retain=True).refusal == Reason.RETAINED


def test_same_id_is_accepted_once() -> None:
    inbox = fresh()
    assert take(inbox).refusal is None
    assert take(inbox).refusal == Reason.REPLAYED
    assert take(inbox, name="staff_pass").refusal == Reason.REPLAYED
    assert take(inbox, id="a2").refusal is None


def test_id_is_remembered_until_its_command_would_be_stale() -> None:
    inbox = fresh()
    take(inbox)
    later = Now(NOW.t_ms + 9900, NOW.wall_s + 4)  # the wall clock was set back by 5.9 s
    assert take(inbox, now=later).refusal == Reason.REPLAYED
    later = Now(NOW.t_ms + 10_100, NOW.wall_s + 10.1)
    assert take(inbox, now=later).refusal is None


def test_command_issued_before_start_is_stale() -> None:
    soon = Now(1000.0, START_S + 1)
    assert take(now=soon, issued_at=START_S - 3).refusal == Reason.STALE_COMMAND


def test_clock_stepping_back_does_not_make_commands_stale() -> None:
    stepped = Now(NOW.t_ms, NOW.wall_s - 7200)
    assert take(now=stepped).refusal is None


UNSET = Now(60_000.0, 90.0, clock_set=False)


def test_command_is_refused_while_clock_is_not_set() -> None:
    assert take(now=UNSET).refusal == Reason.CLOCK_NOT_SET
    assert take(now=UNSET, issued_at=NOW.wall_s).refusal == Reason.CLOCK_NOT_SET
    assert take(now=UNSET, boot="another run").refusal == Reason.CLOCK_NOT_SET


def test_command_with_our_boot_is_accepted_while_clock_is_not_set() -> None:
    inbox = fresh()
    assert take(inbox, now=UNSET, boot="b00t").refusal is None
    assert take(inbox, now=UNSET, boot="b00t").refusal == Reason.REPLAYED
    assert take(now=UNSET, boot="b00t", issued_at=NOW.wall_s).refusal == Reason.CLOCK_NOT_SET


def test_flood_is_dropped_and_bucket_refills() -> None:
    inbox = fresh()
    message = Message("x/cmd/access_door", b"nonsense")
    taken = [inbox.take("access_door", message, NOW) for _ in range(1000)]
    assert sum(command is not None for command in taken) == 200
    assert take(inbox).refusal is None  # what is right is not held up by what is wrong
    later = Now(NOW.t_ms + 1000, NOW.wall_s + 1)
    again = [inbox.take("access_door", message, later) for _ in range(10)]
    assert sum(command is not None for command in again) == 5


def test_flood_of_one_command_does_not_block_another() -> None:
    inbox = fresh()

    def answers(number: int) -> Command | None:
        body = b'{"id":"%d","issued_at":%f}' % (number, NOW.wall_s)
        return inbox.take("answer_door", Message("x/cmd/answer_door", body), NOW)

    assert sum(answers(number) is not None for number in range(600)) == 500
    assert take(inbox).refusal is None


def test_unknown_command_is_refused_as_unknown() -> None:
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
def test_payload_that_is_no_command_is_malformed(raw: bytes) -> None:
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
def test_malformed_command_keeps_its_id(raw: bytes, id_: str) -> None:
    command = take(raw=raw)
    assert (command.refusal, command.id) == (Reason.MALFORMED, id_)


def test_number_under_any_key_is_used() -> None:
    assert take(number=2).number == 2
    assert take(n=2).number == 2
    assert take(count=3).number == 3
    assert take(name="set_count", party=3).number == 3
    assert take(party=1, count=3).number == 1
    assert take(name="set_count", party=1, count=3).number == 3
    assert take(party=1, count=3, value=7).number == 1


def test_deeply_nested_payload_is_refused() -> None:
    deep = b'{"id":"a","issued_at":1,"x":' + b"[" * 8000 + b"]" * 8000 + b"}"
    assert take(raw=deep).refusal in (Reason.MALFORMED, Reason.STALE_COMMAND)


def test_chime_command_has_its_tone_as_number() -> None:
    assert take(name="ring_chime", tone="overtime").number == 2
    assert take(name="ring_chime", tone="bells").number is None


def test_flood_of_fresh_ids_is_refused_at_the_memory_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.mqtt.inbox.MAX_IDS", 3)
    inbox = fresh()
    found = [take(inbox, id=str(n)).refusal for n in range(4)]
    assert found == [None, None, None, Reason.NOT_PERMITTED_AT_THIS_TIME]


@given(
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.sampled_from([*COMMANDS])
)
def test_any_bytes_are_refused_without_an_error(raw: bytes, name: str) -> None:
    assert take(name=name, raw=raw).refusal is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(json_values, json_values, json_values)
def test_any_json_types_are_handled_without_an_error(id_: Any, issued_at: Any, party: Any) -> None:
    command = take(id=id_, issued_at=issued_at, party=party)
    assert command.refusal is not None or isinstance(id_, str)


# --- the limits, exactly --------------------------------------------------------------------------

WALL_S = 1_800_000_000.0
#: House time at which the inbox began: an hour after the house's first day.
BEGAN_MS = 3_600_000.0


def take_aged(
    name: str = "set_count", *, up_s: float = 600.0, age_s: float = 0.0, **payload: Any
) -> Any:
    return send(Inbox(5.0, BEGAN_MS, "b00t"), name, up_s=up_s, age_s=age_s, **payload)


def send(
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


def test_command_exactly_at_the_age_limit_is_accepted() -> None:
    assert take_aged(age_s=5.0).refusal is None
    assert take_aged(age_s=5.01).refusal == Reason.STALE_COMMAND
    assert take_aged(age_s=-5.0).refusal is None
    assert take_aged(age_s=-5.01).refusal == Reason.FROM_THE_FUTURE


@pytest.mark.parametrize(
    ("age_s", "told"),
    [(7.24, 7.2), (-7.24, -7.2), (4.9, None), (-4.9, None), (1e18, 3e9), (-1e300, -3e9)],
)
def test_command_refused_by_its_time_tells_its_age(age_s: float, told: float | None) -> None:
    assert take_aged(age_s=age_s).age_s == told


def test_command_refused_for_another_reason_tells_no_age() -> None:
    assert take_aged(age_s=9.0, id="x" * 65).age_s is None
    assert take_aged("no_such_command", age_s=9.0).age_s is None
    assert take_aged(up_s=0.5, age_s=0.6).age_s is None  # issued before this start


def test_command_issued_before_this_run_is_stale() -> None:
    assert take_aged(up_s=0.5, age_s=0.5).refusal is None
    assert take_aged(up_s=0.5, age_s=0.51).refusal == Reason.STALE_COMMAND


def test_id_is_accepted_again_once_its_command_would_be_stale() -> None:
    inbox = Inbox(5.0, BEGAN_MS, "b00t")
    assert send(inbox, id="first").refusal is None
    assert send(inbox, up_s=603, id="second").refusal is None
    assert send(inbox, up_s=610.0, id="first").refusal == Reason.REPLAYED
    assert send(inbox, up_s=610.1, id="first").refusal is None
    assert send(inbox, up_s=610.1, id="second").refusal == Reason.REPLAYED


def test_newest_ids_outlive_a_restart() -> None:
    inbox = Inbox(5.0, BEGAN_MS, "b00t")
    for number in range(KEPT_IDS + 20):
        send(inbox, up_s=600 + number / 10, id=f"a{number}")
    now_ms = BEGAN_MS + 613_000
    kept = inbox.recent(now_ms)
    assert list(kept) == [f"a{number}" for number in range(30, KEPT_IDS + 20)], "of 10 s"
    assert len(inbox.recent(BEGAN_MS + 612_000)) == KEPT_IDS
    again = Inbox(5.0, now_ms, "b00t", kept)
    assert send(again, up_s=614, age_s=-4, id="a119").refusal == Reason.REPLAYED
    assert send(again, up_s=614, age_s=-4, id="a29").refusal is None
    assert again.recent(BEGAN_MS + 700_000) == {}


def test_longest_id_and_largest_payload_are_accepted() -> None:
    assert take_aged(id="x" * 64).refusal is None
    assert take_aged(id="x" * 65).refusal == Reason.MALFORMED
    body = b'{"id":"a","issued_at":1800000000}'
    inbox, now = Inbox(5.0, BEGAN_MS, "b00t"), Now(BEGAN_MS + 600_000, WALL_S)
    for size, refusal in ((PAYLOAD_LIMIT + 1, Reason.MALFORMED), (PAYLOAD_LIMIT, None)):
        taken = inbox.take("staff_pass", Message("x", body.ljust(size)), now)
        assert taken is not None
        assert (taken.t_ms, taken.name) == (now.t_ms, "staff_pass")
        assert taken.refusal == refusal


def test_issued_at_is_in_milliseconds_from_1e11() -> None:
    assert take_aged(issued_at=WALL_S * 1000).refusal is None
    assert take_aged(issued_at=1e11).refusal == Reason.FROM_THE_FUTURE


@pytest.mark.parametrize(
    ("tone", "number"), [("warning", 0), ("overtime", 2), ("evacuate", None), ("bells", None)]
)
def test_chime_command_knows_all_tones_but_evacuation(tone: str, number: int | None) -> None:
    assert take_aged("ring_chime", tone=tone).number == number
