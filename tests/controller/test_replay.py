"""Traces in, JSON lines out: the same bytes always, and a clear word for every malformed row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config.loader import parse
from controller.gpio.simulated import ACTS, Move
from controller.replay import replay, wired_by
from controller.trace import Row, TraceError, load_trace, read_trace

TRACES = Path(__file__).parents[1] / "traces"
HEADER = "t_ms,line,level"


def run(rows: list[Row], *sets: str, inside: int = 0) -> list[dict[str, Any]]:
    config = wired_by(parse({}, "", sets), rows)
    return [json.loads(line) for line in replay(rows, config, inside)]


def rows_of(*acts: str, every_ms: float = 5000.0) -> list[Row]:
    moves = [
        Move(number * every_ms + move.at_ms, move.line, move.level)
        for number, act in enumerate(acts)
        for move in ACTS[act]
    ]
    return [Row(*move) for move in moves]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in events]


def test_guest_walks_in_turns_back_and_walks_out() -> None:
    events = run(rows_of("walk_in", "turn_back", "walk_out"))
    assert [n for n in names(events) if n in ("entry", "exit", "passage_aborted")] == [
        "entry",
        "passage_aborted",
        "exit",
    ]
    assert events[-1]["event"] == "end"
    assert events[-1]["occupancy"] == {"count": 0, "min": 0, "max": 0, "certain": True}


def test_fourth_guest_blocks_and_a_command_is_refused_with_its_reason() -> None:
    rows = [*rows_of(*["walk_in"] * 4), Row(30_000.0, "cmd:access_door", 1)]
    events = run(rows)
    lamp = [line for line in events if line["event"] == "output" and line["line"] == "full_lamp"]
    assert [line["level"] for line in lamp] == [1]
    (denied,) = [line for line in events if line["event"] == "access_denied"]
    assert denied["reason"] == "CapacityReached"


def test_release_turns_the_strike_on_and_not_taken_is_noted() -> None:
    asked = [Row(1000.0, "cmd:access_door", 2), Row(1000.0, "cmd:set_count", 3)]
    events = run([Row(0.0, "door_contact", 0), *asked])
    strike = [line for line in events if line["event"] == "output" and line["line"] == "strike"]
    assert [(line["t_ms"], line["level"]) for line in strike] == [(1000, 1), (1000, 0)]
    assert "access_not_taken" in names(events)


@pytest.mark.parametrize("ends", ["its time", "a stop"])
@pytest.mark.parametrize("counting", ["auto", "manual"])
def test_door_that_opens_just_before_its_release_ends_lets_its_party_in(
    ends: str, counting: str
) -> None:
    """The contact bounces and settles when the release is over; nobody is inside unreckoned."""
    asked = [Row(1000.0, "cmd:access_door", 2)]
    stop = [Row(5950.0, "cmd:release_cancel", 0)] if ends == "a stop" else []
    pulled = [Row(5900.0, "door_contact", 1), Row(5910.0, "door_contact", 0)]
    opened = [Row(5915.0, "door_contact", 1), Row(9000.0, "door_contact", 0)]
    shut = [Row(0.0, line, 0) for line in ("door_contact", "exit_button", "beam_outer")]
    if counting == "auto":  # the two are one body to the beams
        beams = ("beam_outer", 1), ("beam_inner", 1), ("beam_outer", 0), ("beam_inner", 0)
        opened[1:1] = [Row(7000.0 + 80 * k, *edge) for k, edge in enumerate(beams)]
        shut.append(Row(0.0, "beam_inner", 0))
    rows = [*shut, *asked, *pulled, opened[0], *stop, *opened[1:]]
    events = run(rows, f'house.counting="{counting}"', "sensing.contact_settle=0.2")
    off = next(e for e in events if (e["event"], e.get("line")) == ("output", "strike")
               and not e["level"])  # fmt: skip
    assert off["t_ms"] == (5950 if stop else 6000)
    assert "access_not_taken" not in names(events)
    assert "access_taken" in names(events)
    assert "door_alarm" not in names(events)
    assert events[-1]["occupancy"]["max"] == 2


def test_door_that_flickers_while_its_release_ends_lets_nobody_in() -> None:
    flicker = [Row(5990.0, "door_contact", 1), Row(5993.0, "door_contact", 0)]
    rows = [Row(0.0, "door_contact", 0), Row(1000.0, "cmd:access_door", 2), *flicker]
    events = run(rows, 'house.counting="manual"')
    (not_taken,) = [line for line in events if line["event"] == "access_not_taken"]
    assert not_taken["t_ms"] == 6023  # when it is known that it was none
    assert events[-1]["occupancy"] == {"count": 0, "min": 0, "max": 0, "certain": True}


def test_door_that_opens_just_after_its_release_has_ended_was_forced() -> None:
    shut = [Row(0.0, "door_contact", 0), Row(0.0, "exit_button", 0)]
    rows = [*shut, Row(1000.0, "cmd:access_door", 2), Row(6010.0, "door_contact", 1)]
    events = run([*rows, Row(7000.0, "exit_button", 0)], 'house.counting="manual"')
    (alarm,) = [line for line in events if line["event"] == "door_alarm"]
    assert alarm["alarm"] == "DoorForcedOpen"


def test_two_hours_in_virtual_time() -> None:
    events = run([Row(0.0, "cmd:set_count", 1), Row(7_500_000.0, "cmd:answer_hatch", 0)])
    marks = [
        (line["t_ms"], line["event"]) for line in events if line["event"].startswith("session_")
    ]
    assert marks == [
        (0, "session_started"),
        (6_300_000, "session_warning"),
        (6_900_000, "session_warning"),
        (7_200_000, "session_time_up"),
        (7_500_000, "session_overtime"),
    ]


def test_guests_inside_at_the_start_have_a_session() -> None:
    events = run([Row(5.0, "door_contact", 1)], inside=2)
    assert events[-1]["occupancy"]["count"] == 2
    assert "session_started" in names(events)


def test_outputs_on_at_the_start_are_in_the_replay() -> None:
    events = run([Row(5.0, "door_contact", 0)], "door.entry=walk_in", inside=4)
    outputs = [(line["line"], line["level"]) for line in events if line["event"] == "output"]
    assert outputs == [("full_lamp", 1)]
    events = run([Row(5.0, "door_contact", 0)], "door.entry=walk_in")
    assert [line["line"] for line in events if line["event"] == "output"] == ["strike"]


def test_rows_at_time_zero_are_readings_and_a_line_without_one_begins_inactive() -> None:
    assert "door_opened" not in names(run([Row(0.0, "door_contact", 1)]))
    assert "door_opened" in names(run([Row(1000.0, "door_contact", 1)]))


def test_empty_trace_is_an_empty_evening() -> None:
    assert names(run([])) == ["end"]


def test_set_reaches_the_decoder() -> None:
    assert parse({}, "", ["sensing.beam_spacing_mm=105.6"]).sensing.beam_spacing_mm == 105.6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", 'x.csv:1: the first line must be t_ms,line,level, got ""'),
        (
            "time,pin,value\n",
            'x.csv:1: the first line must be t_ms,line,level, got "time,pin,value"',
        ),
        ("1,beam_outer\n", "x.csv:2: must have 3 fields (t_ms,line,level), has 2"),
        ("abc,beam_outer,1\n", 'x.csv:2: t_ms must be a number of milliseconds, got "abc"'),
        ("nan,beam_outer,1\n", 'x.csv:2: t_ms must be 0 or more, got "nan"'),
        ("-1,beam_outer,1\n", 'x.csv:2: t_ms must be 0 or more, got "-1"'),
        (
            "1e300,beam_outer,1\n",
            'x.csv:2: t_ms must be at most 3.2e+12, a hundred years, got "1e300"',
        ),
        ("1,cmd:set_count,1_0\n", 'x.csv:2: the number of cmd:set_count must be whole, got "1_0"'),
        ("5,beam_outer,1\n4,beam_outer,0\n", "x.csv:3: t_ms must not go back, got 4 after 5"),
        ("1,beam_middle,1\n", 'x.csv:2: unknown line "beam_middle"'),
        ("1,strike,1\n", 'x.csv:2: unknown line "strike"'),
        ("1,beam_outer,2\n", 'x.csv:2: level must be 0 or 1, got "2"'),
        ("1,cmd:open_sesame,1\n", 'x.csv:2: unknown command "cmd:open_sesame"'),
        ("1_0,beam_outer,1\n", 'x.csv:2: t_ms must be a number of milliseconds, got "1_0"'),
        ("1,cmd:set_count,\n", 'x.csv:2: the number of cmd:set_count must be whole, got ""'),
        ("1,cmd:set_count,two\n", 'x.csv:2: the number of cmd:set_count must be whole, got "two"'),
        ("\n", "x.csv:2: must have 3 fields (t_ms,line,level), has 0"),
    ],
)
def test_malformed_row_names_file_line_and_reason(text: str, says: str) -> None:
    whole = text if not text or text.startswith("time") else f"{HEADER}\n{text}"
    with pytest.raises(TraceError) as caught:
        read_trace(whole.splitlines(keepends=True), "x.csv")
    assert str(caught.value).startswith(says)


def test_file_from_a_spreadsheet_is_read_and_a_bad_byte_is_found_in_its_row(
    tmp_path: Path,
) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(b"\xef\xbb\xbft_ms,line,level\r\n1,cmd:staff_pass,\r\n")
    assert load_trace(str(file)) == [Row(1.0, "cmd:staff_pass", 0)]
    file.write_bytes(b"t_ms,line,level\n1,beam_outer,1\n2,beam_\xff,1\n")
    with pytest.raises(TraceError, match=r"trace.csv:3: unknown line"):
        load_trace(str(file))


@given(st.text(max_size=200))
def test_any_text_is_a_trace_or_a_trace_error(text: str) -> None:
    explained = "x.csv:"
    try:
        read_trace([HEADER + "\n", *text.splitlines(keepends=True)], "x.csv")
    except TraceError as error:
        explained = str(error)
    assert explained.startswith("x.csv:")


def measured(trace: Path) -> list[str]:
    """Return the distance of the beams that a trace was recorded with, as a setting."""
    truth = trace.with_suffix(".truth.json")
    spacing = json.loads(truth.read_text()).get("spacing_mm") if truth.exists() else None
    return [f"sensing.beam_spacing_mm={spacing}"] if spacing else []


@pytest.mark.parametrize("trace", sorted(TRACES.glob("*.csv")), ids=lambda path: path.stem)
def test_golden_traces_give_the_same_bytes(trace: Path) -> None:
    with trace.open(newline="") as text:
        rows = read_trace(text, trace.name)
    config = wired_by(parse({}, "", measured(trace)), rows)
    first = b"".join(replay(rows, config))
    assert first == b"".join(replay(rows, config))
    golden = trace.with_suffix(".jsonl")  # made by: backdoor replay X.csv --set ..., and read
    if golden.exists():
        assert first == golden.read_bytes()


def test_there_are_golden_traces() -> None:
    assert list(TRACES.glob("*.jsonl"))


def test_evening_by_another_generator_comes_out_as_it_was() -> None:
    truth = json.loads((TRACES / "evening.truth.json").read_text())
    with (TRACES / "evening.csv").open(newline="") as text:
        events = run(read_trace(text, "evening.csv"), *measured(TRACES / "evening.csv"))
    assert events[-1]["occupancy"]["count"] == truth["final_occupancy"]
    over = [line["t_ms"] for line in events if line["event"] == "over_capacity"]
    moments = truth["over_capacity"]
    assert len(over) == len(moments)
    for t_ms, (began_ms, ended_ms) in zip(over, moments, strict=True):
        assert began_ms <= t_ms <= ended_ms + 500
