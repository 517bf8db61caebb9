"""The self-test: what proves a line and what does not, in the controller and in the terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from controller.cli import selftest
from controller.cli.selftest import Options, run_in_units_place, run_self_test
from controller.config.learned_rhythms import keep, learned_file, with_learned
from controller.config.settings import WIRING, Config, input_lines
from controller.events import INPUT_LINES, Edge, Reason, StartSelfTest
from controller.gpio.simulated import ACTS, Move, SimulatedPins, Simulator
from controller.journal.journal import read_last
from controller.rules.state import verified_empty
from controller.service import selftest as proving_module
from controller.service.selftest import NOT_ASKED, PAGE_LIMIT_S, STEPS, Checklist
from tests.support.demo import Demo, demo_config, house
from tests.support.rules_driver import Room
from tests.support.wait import HANGS_S, eventually


def edges(line: str, *times_ms: float) -> Iterable[Edge]:
    return [Edge(t_ms, line, number % 2 == 0) for number, t_ms in enumerate(times_ms)]


def proven(test: Checklist, edges: Iterable[Edge]) -> list[str]:
    return [name for edge in edges if (name := test.edge(edge))]


def test_every_input_line_has_a_step() -> None:
    assert set(STEPS) | NOT_ASKED == set(INPUT_LINES)


@pytest.mark.parametrize("line", ["beam_outer", "door_contact", "release_button"])
def test_line_is_proven_by_a_pulse_of_a_hands_length(line: str) -> None:
    test = Checklist(WIRING)
    assert proven(test, edges(line, 0, 5, 100, 104)) == []  # glitches
    assert proven(test, edges(line, 1000, 1200)) == [line]
    assert proven(test, edges(line, 2000, 2200)) == []  # once is enough
    assert line not in test.missing()


def test_line_that_only_opens_is_not_proven() -> None:
    test = Checklist(WIRING)
    assert proven(test, edges("door_contact", 0)) == []
    assert test.lines["door_contact"].edges == 1


@pytest.mark.parametrize("line", ["hatch_knock", "door_knock"])
def test_knock_sensor_is_proven_by_two_raps(line: str) -> None:
    test = Checklist(WIRING)
    rap = (0, 1.4, 2.6, 3.5, 5.1, 5.8)
    assert proven(test, edges(line, *rap)) == []
    assert proven(test, edges(line, *(9000 + t for t in rap))) == []  # another one, much later
    assert proven(test, edges(line, *(9260 + t for t in rap))) == [line]
    (burst, *_) = test.lines[line].bursts
    assert (burst.pulses, burst.span_ms) == (3, 5.8)
    assert burst.active_ms == pytest.approx(3.0)


def test_checklist_leaves_out_unwired_lines_and_evacuation() -> None:
    assert Checklist({"hatch_knock": 1, "evacuate": 1, "strike": 1}).missing() == ["hatch_knock"]
    assert Checklist({"hatch_knock": 1}).edge(Edge(0, "door_knock", True)) == ""


def test_table_shows_levels_counts_and_burst_shapes() -> None:
    test = Checklist({"hatch_knock": 1, "door_contact": 1})
    proven(test, [*edges("hatch_knock", 0, 1.4, 2.6, 3.5), *edges("door_contact", 10)])
    assert test.table() == [
        "line          level  edges  last burst: pulses, length, active",
        "door_contact      1      1    1      0.0 ms      0.0 ms",
        "hatch_knock       0      4    2      3.5 ms      2.3 ms",
    ]
    assert len(Checklist({}).table()) == 1


def test_line_keeps_only_the_last_bursts() -> None:
    test = Checklist(WIRING)
    proven(test, edges("hatch_knock", *range(0, 100_000, 100)))
    assert len(test.lines["hatch_knock"].bursts) == 20


# --- in the running controller, beside the rules --------------------------------------------------


def pressed(line: str) -> list[Any]:
    return [Move(0, line, 1), Move(120, line, 0)]


def test_self_test_begins_by_command_and_moves_no_strike(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("self_test")["ok"]
        assert demo.mqtt.ask("self_test")["ok"]  # it runs already, and goes on as it is
        (started, *_) = demo.mqtt.events("self_test_started")
        assert started["cause"] == "mqtt"
        demo.simulator.play(pressed("beam_outer"))
        eventually(lambda: proven_of(demo.mqtt.last("self_test")) == ["beam_outer"])
        progress = demo.mqtt.last("self_test")
        assert (progress["running"], progress["ok"], len(progress["lines"])) == (
            True,
            False,
            len(STEPS),
        )
        assert 0 < progress["remaining_s"] <= PAGE_LIMIT_S
        for line in [line for line in STEPS if line != "beam_outer" and "knock" not in line]:
            demo.simulator.play(pressed(line))
        strikes = [e["level"] for e in demo.mqtt.events("output") if e["line"] == "strike"]
        assert strikes[0] == 1  # by the release that a hand pressed
        demo.simulator.act("knock_hatch")
        demo.simulator.act("knock_door")
        eventually(lambda: not demo.mqtt.last("self_test")["running"])
        assert demo.mqtt.last("self_test")["ok"]
        eventually(lambda: demo.mqtt.events("self_tested"))
        assert demo.mqtt.events("self_tested")[-1]["ok"] is True


def proven_of(progress: Any) -> list[str]:
    return [line["line"] for line in progress["lines"] if line["proven"]]


def test_self_test_ends_at_its_time_limit(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.running.loop.post(lambda: demo.running.self_test.begin(0.5))
        eventually(lambda: demo.mqtt.events("self_tested"))
        assert demo.mqtt.events("self_tested")[0]["missing"] == list(STEPS)
        eventually(lambda: demo.mqtt.last("self_test")["running"] is False)
        demo.running.loop.post(demo.running.self_test.end)  # there is none: nothing happens
        demo.simulator.play(pressed("beam_outer"))
        assert len(demo.mqtt.events("self_tested")) == 1


def prove_all(demo: Demo, *but: str) -> None:
    for line in [line for line in STEPS if line not in but]:
        if "knock" in line:
            demo.simulator.act("knock_hatch" if line == "hatch_knock" else "knock_door")
        else:
            demo.simulator.play(pressed(line))


def ended(demo: Demo) -> Any:
    eventually(lambda: (demo.mqtt.last("self_test") or {}).get("running") is False, 20)
    eventually(lambda: demo.mqtt.events("self_tested"))  # told behind the journal, as all events
    return demo.mqtt.last("self_test")


def adjusted(demo: Demo) -> list[Any]:
    return [event["cause"] for event in demo.mqtt.events("count_adjusted")]


def at_once() -> list[Any]:
    """Somebody breaks both beams at the same time, in the open door: nobody can say who passed."""
    beams = [(300, "beam_outer", 1), (300.2, "beam_inner", 1)]
    beams += [(700, "beam_outer", 0), (700.2, "beam_inner", 0)]
    moves = [(0, "door_contact", 1), *beams, (1200, "door_contact", 0)]
    return [Move(at, line, level) for at, line, level in moves]


RELEASE_AND_DOOR = [
    Move(0, "release_button", 1),
    Move(150, "release_button", 0),
    Move(900, "door_contact", 1),
    Move(1500, "door_contact", 0),
]


def test_manual_count_takes_back_the_guests_of_the_tests_own_releases(tmp_path: Path) -> None:
    with house(tmp_path, "house.counting=manual") as demo:
        assert demo.mqtt.ask("self_test")["ok"]
        demo.simulator.play(RELEASE_AND_DOOR)
        eventually(lambda: demo.running.loop.state.session)  # so the rules must believe
        prove_all(demo, "release_button", "door_contact")
        result = ended(demo)
        assert (result["verified"], result["inside"]) == (True, {"min": 0, "max": 0})
        eventually(lambda: demo.mqtt.events("self_tested"))
        assert demo.mqtt.events("self_tested")[0]["inside"] == {"min": 0, "max": 0}
        assert verified_empty(demo.running.loop.state)
        assert adjusted(demo) == ["release", "self-test"]
        assert demo.mqtt.ask("self_test")["ok"]


def test_manual_count_waits_for_the_tests_own_release(tmp_path: Path) -> None:
    """The last wire is the release; the rules believe in a guest only when the door is shut."""
    with house(tmp_path, "house.counting=manual") as demo:
        assert demo.mqtt.ask("self_test")["ok"]
        prove_all(demo, "release_button")
        demo.simulator.play(RELEASE_AND_DOOR[:3])
        assert demo.mqtt.last("self_test")["ok"]
        demo.running.loop.post(demo.running.self_test.tick)
        demo.simulator.play(RELEASE_AND_DOOR[3:])
        assert ended(demo)["inside"] == {"min": 0, "max": 0}
        assert adjusted(demo) == ["release", "self-test"]
        assert verified_empty(demo.running.loop.state)


def test_manual_count_keeps_a_guest_released_from_the_page(tmp_path: Path) -> None:
    with house(tmp_path, "house.counting=manual") as demo:
        assert demo.mqtt.ask("self_test")["ok"]
        demo.simulator.play(RELEASE_AND_DOOR)
        eventually(lambda: demo.running.loop.state.occupancy.max == 1)
        assert demo.mqtt.ask("access_door", party=2)["ok"]
        demo.simulator.play(RELEASE_AND_DOOR[2:])
        eventually(lambda: demo.running.loop.state.occupancy.max == 3)
        demo.running.loop.post(demo.running.self_test.end)
        assert ended(demo)["inside"] == {"min": 3, "max": 3}
        assert "self-test" not in adjusted(demo)


@pytest.mark.parametrize("entry", ["release", "walk_in"])
def test_beam_count_stays_as_it_is_at_the_end(tmp_path: Path, entry: str) -> None:
    with house(tmp_path, f"door.entry={entry}", "house.capacity=3") as demo:
        demo.running.loop.post(demo.running.self_test.begin)
        demo.simulator.play(at_once())
        eventually(lambda: demo.running.loop.state.occupancy.max == 3)
        was = demo.running.loop.state.occupancy
        demo.running.loop.post(demo.running.self_test.end)
        result = ended(demo)
        assert (result["verified"], result["inside"]) == (True, {"min": 0, "max": 3})
        demo.running.loop.wait_until_published()
        assert demo.running.loop.state.occupancy == was
        assert demo.state["door"]["strike"] is False
        assert adjusted(demo) == []


def test_count_underflow_stays_after_the_test(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.running.loop.post(demo.running.self_test.begin)
        demo.simulator.act("walk_out")
        eventually(lambda: demo.running.loop.state.faults)
        demo.running.loop.post(demo.running.self_test.end)
        assert ended(demo)["inside"] == {"min": 0, "max": 1}
        demo.running.loop.wait_until_published()
        assert [fault["name"] for fault in demo.state["faults"]] == ["CountUnderflow"]


def test_self_test_ends_after_the_last_passage_is_decided(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("self_test")["ok"]
        prove_all(demo, "beam_outer", "beam_inner")
        busy: list[bool] = []
        demo.running.self_test._on_progress = lambda result: (
            None if result["running"] else busy.append(demo.running.loop.state.busy)
        )
        demo.simulator.play(at_once())
        result = ended(demo)
        assert (busy, result["inside"]) == ([False], {"min": 0, "max": 3})


def test_self_test_ends_though_a_beam_stays_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving_module, "SETTLE_MS", 500.0)
    with house(tmp_path) as demo:
        demo.simulator.play([Move(0, "beam_outer", 1)])
        demo.running.loop.post(lambda: demo.running.self_test.begin(0.1))
        assert ended(demo)["ok"] is False
        assert demo.running.loop.state.busy


def test_self_test_ends_when_the_controller_stops(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("self_test")["ok"]
    assert demo.mqtt.last("self_test")["running"] is False
    assert len(demo.mqtt.events("self_tested")) == 1


def test_self_test_is_refused_with_guests_inside() -> None:
    room = Room()
    assert room.command("self_test") is None
    assert any(isinstance(effect, StartSelfTest) for effect in room.all)
    room.inside(1)
    assert room.command("self_test") == Reason.NOT_PERMITTED_AT_THIS_TIME
    room.passes(-1)
    assert room.command("self_test") == Reason.NOT_PERMITTED_AT_THIS_TIME  # the session goes on
    assert room.command("room_empty") is None
    assert room.command("self_test") is None


# --- in the terminal, in its house ---------------------------------------------------------------


class Bar:
    """A self-test that runs in its own thread, and hands on its simulated pins."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, options: Options, yes: bool = False
    ) -> None:
        self.lines: list[str] = []
        self.yes = yes
        self.stop: Callable[[], None] = lambda: None
        self.result: bool | None = None
        self.config: Config = demo_config(folder)
        self._pins: list[SimulatedPins] = []
        rest = SimulatedPins.rest

        def rested(pins: SimulatedPins) -> None:
            rest(pins)
            self._pins.append(pins)

        monkeypatch.setattr(SimulatedPins, "rest", rested)
        self._thread = Thread(target=self._run, args=(options,))
        self._thread.start()
        eventually(lambda: self._pins and (self.lines or options.watch))

    def _run(self, options: Options) -> None:
        def on_stop_signal(stop: Callable[[], None]) -> None:
            self.stop = stop

        self.result = run_self_test(
            self.config,
            options,
            echo=self.lines.append,
            on_stop_signal=on_stop_signal,
            ask=lambda question: self.yes,
        )

    def play(self, moves: Iterable[Move]) -> None:
        (pins,) = self._pins
        Simulator(pins._clock, pins, lambda command: None).play(moves)

    def ended(self) -> bool | None:
        self._thread.join(HANGS_S)
        assert not self._thread.is_alive()
        return self.result

    def journal(self) -> list[Any]:
        rows = read_last(self.config.journal.path, 50)
        return [json.loads(row.to_json()) for row in rows if row.name == "self_tested"]


def raps(*times_ms: float) -> list[Move]:
    return [Move(t + late, "hatch_knock", 1 - late // 2) for t in times_ms for late in (0, 2)]


def press(line: str) -> list[Move]:
    return [Move(0, line, 1), Move(150, line, 0)]


def test_terminal_test_with_every_line_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options())
    assert bar.lines[0].startswith("1. beam_outer: break the outer beam")
    for line in STEPS:
        if line in input_lines(bar.config):
            bar.play(ACTS[f"knock_{line.split('_')[0]}"] if "knock" in line else press(line))
    assert bar.ended() is True
    assert bar.lines[-1] == "every wire is proven"
    (kept,) = bar.journal()
    assert (kept["ok"], kept["proven"], kept["missing"]) == (True, len(STEPS), [])


def test_terminal_test_names_missing_lines_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options(limit_s=3.0))
    bar.play(press("beam_outer"))
    bar.play([Move(0, "door_contact", 1)])
    assert bar.ended() is False
    missing = [line.split()[1] for line in bar.lines if "MISSING" in line]
    assert missing == [f"{line}:" for line in STEPS if line != "beam_outer"]
    (kept,) = bar.journal()
    assert (kept["ok"], kept["proven"]) == (False, 1)


def test_terminal_test_with_an_unknown_count_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal.db").write_bytes(b"x" * 5000)  # damaged: who is inside?
    bar = Bar(tmp_path, monkeypatch, Options(limit_s=1.0))
    assert bar.ended() is False
    assert any("the count stays as it is, 0 to 4 inside" in line for line in bar.lines)
    (kept,) = bar.journal()
    assert (kept["verified"], kept["inside"]) == (False, {"min": 0, "max": 4})
    rows = {row.name: json.loads(row.to_json()) for row in read_last(bar.config.journal.path, 50)}
    assert rows["command_refused"]["cause"] == "terminal"
    assert rows["count_adjusted"]["cause"] == "restart"  # and nothing after it


def test_terminal_test_reports_guests_that_it_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options(limit_s=4.0))
    bar.play(at_once())
    assert bar.ended() is False
    assert "   COUNTED  0 to 3 inside since it began: say so if the room is empty" in bar.lines
    rows = [row.name for row in read_last(bar.config.journal.path, 50)]
    assert "self_test_started" in rows
    assert "count_adjusted" not in rows


@pytest.mark.parametrize("yes", [True, False])
def test_terminal_test_after_a_restart_asks_for_the_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yes: bool
) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("set_count", count=4)["ok"]
    bar = Bar(tmp_path, monkeypatch, Options(), yes)
    assert any("the release may be refused" in line for line in bar.lines) is not yes
    eventually(lambda: any(line.startswith("9. ") for line in bar.lines))
    bar.play(press("release_button"))
    bar.stop()
    assert bar.ended() is False
    names = [row.name for row in read_last(bar.config.journal.path, 50)]
    assert ("access_granted" in names, "access_denied" in names) == (yes, not yes)


def test_terminal_test_stopped_early_records_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options())
    bar.stop()
    assert bar.ended() is False
    assert len(bar.journal()) == 1


def test_watch_shows_the_lines_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options(watch=True))
    eventually(lambda: bar.lines)
    bar.play(press("release_button"))
    eventually(lambda: any("release_button      0      2" in line for line in bar.lines))
    assert bar.lines[-1].startswith("\x1b[")
    bar.stop()
    assert bar.ended() is True
    assert bar.journal() == []


def test_learn_keeps_a_rhythm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "RHYTHM_ENDS_S", 2.0)
    file = tmp_path / "regulars.toml"
    bar = Bar(tmp_path, monkeypatch, Options(learn="Anna", learned=file))
    bar.play(raps(0, 200, 600))
    assert bar.ended() is True
    assert bar.lines[-1] == f"Anna knocks [0.5, 1]: kept in {file}"
    assert learned_file(bar.config) == file
    assert with_learned(bar.config).sensing.regulars == (("Anna", (0.5, 1.0)),)


def test_learn_refuses_a_name_with_a_line_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(tmp_path, monkeypatch, Options(learn="An\nna"))
    assert bar.ended() is False
    assert "line breaks" in bar.lines[0]


def test_learned_rhythms_are_added_to_the_configured_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = demo_config(tmp_path, "knocks.regulars={ Bo = [1, 0.5] }")
    file = learned_file(config)
    assert with_learned(config).sensing.regulars == (("Bo", (1.0, 0.5)),)
    for name in ("Bo", 'Zoë "☕" \\', "Anna", "Anna"):
        keep(file, name, (0.25, 1.0) if name == "Bo" else (0.5, 1.0))
    found = with_learned(config).sensing.regulars
    assert found == (("Bo", (1.0, 0.5)), ('Zoë "☕" \\', (0.5, 1.0)), ("Anna", (0.5, 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["regulars.toml"]
    for broken in ("Anna = ", "Anna = [2, 1]", "Anna = 3"):
        file.write_text(broken)
        assert with_learned(config).sensing.regulars == (("Bo", (1.0, 0.5)),)
    assert "can't be read" in caplog.text


@pytest.mark.parametrize("number", [0, 2])
def test_learn_refuses_fewer_than_three_raps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(selftest, "RHYTHM_ENDS_S", 0.5)
    bar = Bar(tmp_path, monkeypatch, Options(learn="Anna", limit_s=1.0))
    bar.play(raps(*range(0, 200 * number, 200)))
    assert bar.ended() is False
    assert "three raps" in bar.lines[-1]


# --- in the service's place ----------------------------------------------------------------------


def test_run_in_units_place_stops_and_starts_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    unit = tmp_path / "backdoor-controller.service"
    monkeypatch.setattr(selftest, "UNIT", unit)
    assert run_in_units_place(["backdoor", "self-test"]) is None
    unit.touch()
    assert run_in_units_place(["backdoor", "self-test"]) == 1
    assert ran[0][0] == "systemd-run"
    assert ran[0][-2:] == ["backdoor", "self-test"]
    assert "--property=User=backdoor" in ran[0]
    assert ran[1] == ["systemctl", "start", "backdoor-controller"]
    monkeypatch.setenv(selftest.IN_UNIT, "1")
    assert run_in_units_place(["backdoor", "self-test"]) is None


def test_terminal_test_reports_a_controller_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(selftest, "SILENT_S", 0.2)
    monkeypatch.setattr(
        proving_module.SelfTest, "_publish", lambda self_test, checklist, running=True: None
    )
    config = demo_config(tmp_path)
    assert not run_self_test(config, Options(), echo=lines.append, on_stop_signal=lambda stop: None)
    assert lines == ["   the house said nothing for 0.2 s: it hangs; its log may say why"]
