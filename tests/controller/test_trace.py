"""The flight recorder: what it cuts out replays."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from controller import trace
from controller.events import Command, Edge, Reason
from controller.trace import FILES, FlightRecorder, cut, load_trace, read_trace

WALL_S = 1_800_000_000.0


def record(folder: Path, *events: Edge | Command) -> FlightRecorder:
    recorder = FlightRecorder(folder)
    for event in events:
        if isinstance(event, Edge):
            recorder.edge(event)
        else:
            recorder.command(event)
        recorder.flush(recorder.take(), WALL_S + event.t_ms / 1000, event.t_ms)
    return recorder


def edge(t_ms: float, level: bool, line: str = "beam_outer") -> Edge:
    return Edge(t_ms, line, level)


def test_stretch_is_cut_out_as_a_trace_that_begins_with_the_levels(tmp_path: Path) -> None:
    record(
        tmp_path,
        edge(0.0, False),
        edge(500.0, True, "door_contact"),
        edge(1500.25, True),
        Command(1600.0, "set_count", 2),
        Command(1700.0, "access_door", 1, refusal=Reason.STALE_COMMAND),
        edge(2500.0, False),
    )
    lines = list(cut(tmp_path, WALL_S + 1, WALL_S + 2))
    assert lines == [
        "t_ms,line,level\n",
        "0,beam_outer,0\n",
        "0,door_contact,1\n",
        "500.250,beam_outer,1\n",
        "600.000,cmd:set_count,2\n",
    ]
    assert len(read_trace(lines, "x")) == 4


def test_each_hour_is_a_trace_of_its_own_and_a_day_is_kept(tmp_path: Path) -> None:
    hours = 30
    record(tmp_path, *(edge(n * 3_700_000.0, n % 2 == 0) for n in range(hours)))
    files = sorted(tmp_path.iterdir(), key=lambda path: int(path.name.split("-")[1]))
    assert len(files) == FILES
    rows = read_trace(files[-1].read_text().splitlines(keepends=True), "x")
    assert [(row.t_ms, row.level) for row in rows] == [(0.0, 1), (0.0, 0)]


def test_storm_is_recorded_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "ROWS", 10)
    recorder = FlightRecorder(tmp_path)
    for n in range(100):
        recorder.edge(edge(float(n), n % 2 == 0))
    recorder.flush(recorder.take(), WALL_S, 100.0)
    for n in range(100, 200):
        recorder.edge(edge(float(n), n % 2 == 0))
    recorder.flush(recorder.take(), WALL_S, 200.0)
    recorder.flush(recorder.take(), WALL_S, 200.0)
    (file,) = tmp_path.iterdir()
    assert len(file.read_text().splitlines()) == 11


def test_nothing_recorded_is_an_empty_trace(tmp_path: Path) -> None:
    assert list(cut(tmp_path / "none", 0, 1e10)) == ["t_ms,line,level\n"]


def test_row_that_a_power_cut_left_half_is_skipped(tmp_path: Path) -> None:
    record(tmp_path, edge(0.0, False), edge(500.0, True))
    (file,) = tmp_path.iterdir()
    whole = list(cut(tmp_path, WALL_S, WALL_S + 10))
    for half in ("900.000,beam", "900.000,beam_outer,"):
        text = file.read_text()
        file.write_text(text + half)
        assert list(cut(tmp_path, WALL_S, WALL_S + 10)) == whole
        file.write_text(text)


@pytest.mark.parametrize(
    "spoilt",
    [
        b"9\x000.0,beam_outer,1",
        b"soon,beam_outer,1",
        b"1e300,beam_outer,1",
        b"nan,beam_outer,1",
        b"-5,beam_outer,1",
        b"900,beam\xffouter,1",
        b"900,beam_outer,7",
        b'"900,beam_outer,1',
        b"\x85",
    ],
)
def test_row_that_a_disk_has_spoilt_is_left_out_and_named(
    spoilt: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(tmp_path, edge(0.0, False), edge(500.0, True), edge(600.0, False))
    (file,) = tmp_path.iterdir()
    whole = list(cut(tmp_path, WALL_S, WALL_S + 10))
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([*lines[:2], spoilt, *lines[2:]]))
    assert list(cut(tmp_path, WALL_S, WALL_S + 10)) == whole
    assert f"{file}: left out, for they make no sense: 1 of its rows" in caplog.text


@pytest.mark.parametrize("name", ["edges-0-x.csv", "edges-nan-5.csv", "edges-5-1e300.csv"])
def test_file_whose_name_says_no_time_is_not_of_the_recorder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("in the way")
    record(tmp_path, edge(0.0, False), edge(500.0, True))
    assert len(list(cut(tmp_path, WALL_S, WALL_S + 10))) == 3


def test_over_a_restart_and_a_late_edge_the_trace_never_goes_back(tmp_path: Path) -> None:
    record(tmp_path, edge(0.7, False), edge(900.4, True), edge(899.9, False, "door_contact"))
    record(tmp_path, edge(899.95, True), edge(1200.0, False))  # the next process
    lines = list(cut(tmp_path, WALL_S - 1, WALL_S + 10))
    rows = read_trace(lines, "x")
    assert [row.t_ms for row in rows] == sorted(row.t_ms for row in rows)
    assert rows[-1].t_ms == pytest.approx(2200.0, abs=1)
    for file in tmp_path.iterdir():
        read_trace(file.read_text().splitlines(keepends=True), file.name)


def test_late_edge_is_recorded_a_moment_later_not_at_the_same_one(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    for t_ms, line in ((1000.0, "door_contact"), (990.0, "evacuate"), (1000.1, "exit_button")):
        recorder.edge(Edge(t_ms, line, level=True))
    recorder.flush(recorder.take(), 1000.0, 1100.0)
    (path,) = tmp_path.iterdir()
    times = [row.t_ms for row in load_trace(str(path))]
    assert all(b - a > 0.1 for a, b in pairwise(times))
    assert len(times) == 3


def test_release_without_a_number_is_recorded_as_what_it_means(tmp_path: Path) -> None:
    record(tmp_path, Command(0.0, "access_door"), Command(5.0, "staff_pass"))
    assert list(cut(tmp_path, WALL_S, WALL_S + 1))[1:] == [
        "0.000,cmd:access_door,1\n",
        "5.000,cmd:staff_pass,0\n",
    ]


def test_full_disk_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "edges").write_text("in the way")
    recorder = record(tmp_path / "edges", edge(0.0, False), edge(1.0, True))
    assert caplog.text.count("edges are not kept") == 1
    (tmp_path / "edges").unlink()
    recorder.edge(edge(2.0, False))
    recorder.flush(recorder.take(), WALL_S, 2.0)
    assert list(cut(tmp_path / "edges", WALL_S - 1, WALL_S + 1))
