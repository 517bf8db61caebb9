"""The one loop on simulated pins: from an edge on a pin to strike, lamp, journal and wire."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from controller.clock import Clock
from controller.config.learned_rhythms import with_learned
from controller.config.loader import parse
from controller.config.settings import Config
from controller.engine import TimedEffects
from controller.events import Edge, Set
from controller.gpio.factories import PinsError
from controller.gpio.simulated import ACTS, Move
from controller.integrations.announcements import Repeat
from controller.journal.doubt import DoubtMark
from controller.journal.journal import Journal, read_last
from controller.journal.records import Row, Saved
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from controller.replay import replay, wired_by
from controller.service.assembly import World, alone, assemble, simulated
from controller.service.heartbeat import REREAD_S
from controller.service.publisher import LATE_S
from controller.trace import Row as TraceRow
from tests.support.demo import Demo, demo_config, house, times_on
from tests.support.stuck_pin import hang_blinking
from tests.support.wait import HANGS_S, eventually

STRIKE, FULL_LAMP, HATCH_LIGHT, DOOR_CONTACT, HATCH_CONTACT = 16, 21, 20, 24, 5


def test_fifth_guest_is_refused_when_four_are_inside(tmp_path: Path) -> None:
    with house(tmp_path, speed=50) as demo:
        for _ in range(4):
            demo.simulator.act("walk_in")
        eventually(lambda: demo.pin(FULL_LAMP).state)
        assert demo.mqtt.ask("access_door", party=1)["reason"] == "CapacityReached"
        assert not demo.pin(STRIKE).state
        eventually(lambda: demo.state["occupancy"]["count"] == 4)
        assert demo.state["door"]["mode"] == "Blocked"
        demo.simulator.act("walk_out")
        eventually(lambda: not demo.pin(FULL_LAMP).state)


def test_release_energises_the_strike_until_the_door_opens(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("access_door", party=2)["ok"]
        eventually(lambda: demo.pin(STRIKE).state)
        demo.simulator.act("open_door")
        eventually(lambda: not demo.pin(STRIKE).state)
        demo.simulator.act("close_door")
        eventually(lambda: demo.mqtt.events("access_taken"))
        assert demo.mqtt.events("access_taken")[0]["expected"] == 2


def test_strike_goes_off_after_the_release_time(tmp_path: Path) -> None:
    with house(tmp_path, "door.release_time=0.5") as demo:
        demo.mqtt.ask("access_door")
        eventually(lambda: times_on(demo.pin(STRIKE)))
        eventually(lambda: not demo.pin(STRIKE).state)


def test_knock_lights_the_hatch_until_it_opens(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.pin(HATCH_LIGHT).state)
        eventually(lambda: (demo.state or {}).get("hatch", {}).get("light") == "ON")
        assert [m.payload for m in demo.mqtt.messages if m.topic.endswith("hatch/light")][
            -1
        ] == b"ON"
        demo.simulator.act("open_hatch")
        eventually(lambda: not demo.pin(HATCH_LIGHT).state)


def test_session_of_two_hours_rings_two_warnings_and_one_time_up(tmp_path: Path) -> None:
    with house(tmp_path, speed=3000) as demo:
        demo.mqtt.ask("set_count", count=2)
        eventually(lambda: demo.mqtt.events("session_overtime"))
        tones = [chime["tone"] for chime in demo.mqtt.all("chime")]
        assert tones[:3] == ["warning", "warning", "time_up"]
        assert len(demo.mqtt.events("session_time_up")) == 1
        eventually(lambda: demo.state["session"]["phase"] == "overtime")


def test_trace_played_on_pins_gives_the_events_of_replay(tmp_path: Path) -> None:
    acts = ["walk_in", "knock_hatch", "walk_in", "turn_back", "walk_out", "knock_door", "walk_out"]
    moves = [
        Move(1000 + number * 4000 + move.at_ms, move.line, move.level)
        for number, act in enumerate(acts)
        for move in ACTS[act]
    ]
    rows = [TraceRow(*move) for move in moves]
    config = wired_by(parse({}, "", ["house.empty_after=3"]), rows)
    *replayed, end = [json.loads(line) for line in replay(rows, config)]
    wires = [f"lines.{line}={{pin={config.lines[line].pin}}}" for line in config.lines]
    with house(tmp_path, "house.empty_after=3", *wires, speed=200) as demo:
        demo.simulator.play(moves)
        eventually(lambda: demo.mqtt.events("session_ended"))
    live = [json.loads(row.to_json()) for row in read_last(str(tmp_path / "journal.db"), 1000)]
    shift = live[0]["t_ms"] - replayed[0]["t_ms"]
    # The house lives on until it is stopped, 200 s in each of ours: that is not of the trace.
    live = [line for line in live if line["t_ms"] - shift <= end["t_ms"]]
    assert [line["event"] for line in live] == [line["event"] for line in replayed]
    for was, is_ in zip(live, replayed, strict=True):
        assert was["t_ms"] - shift == pytest.approx(is_["t_ms"], abs=0.01)


def test_hum_and_spikes_on_pins_are_told_as_in_replay(tmp_path: Path) -> None:
    spike = [
        Move(1000 + at_ms, line, level)
        for at_ms, level in ((0, 1), (45, 0))
        for line in ("release_button", "evacuate", "door_contact", "hatch_contact")
    ]
    flicker = [
        Move(4000 + 300 * k + at_ms, "hatch_contact", level)
        for k in range(30)
        for at_ms, level in ((0, 1), (3, 0))
    ]
    knocks = [Move(8000 + m.at_ms, m.line, m.level) for m in ACTS["knock_hatch"]]
    moves = sorted([*spike, *flicker, *knocks], key=lambda move: move.at_ms)
    config = wired_by(parse({}, ""), [TraceRow(*move) for move in moves])
    replayed = [json.loads(line) for line in replay([TraceRow(*move) for move in moves], config)]
    names = [line["event"] for line in replayed if line["event"] not in ("output", "end")]
    assert sorted(names) == sorted(["fault", "fault_cleared"] * 2 + ["knock", "knock_ended"])
    wires = [f"lines.{line}={{pin={config.lines[line].pin}}}" for line in config.lines]
    with house(tmp_path, *wires, speed=50) as demo:
        demo.simulator.play(moves)
        eventually(lambda: len(demo.mqtt.events("fault_cleared")) == 2)
        faults = {(fault["name"], fault["line"]) for fault in demo.mqtt.events("fault")}
    assert faults == {("LineInterference", "inputs"), ("LineChatter", "hatch_contact")}
    live = [json.loads(row.to_json()) for row in read_last(str(tmp_path / "journal.db"), 1000)]
    assert [line["event"] for line in live if line["event"] not in ("output", "started")] == [
        line["event"] for line in replayed if line["event"] not in ("output", "end")
    ]


def test_fast_clock_keeps_edge_times_when_it_passes_the_uptime(tmp_path: Path) -> None:
    """House time passes the machine's uptime once, and an edge's moment is still its own."""
    with house(tmp_path, speed=100) as demo:
        uptime_ms = time.monotonic() * 1000
        clock = demo.running.clock
        clock._origin_ms += uptime_ms + 500 - clock.now_ms()
        demo.simulator.play([Move(400, "door_contact", 1)])
        eventually(lambda: demo.mqtt.events("door_opened"))
        assert demo.mqtt.events("door_opened")[0]["t_ms"] > uptime_ms + 500 + 400


@pytest.mark.parametrize("on_its_way", [True, False])
def test_deadline_waits_for_an_earlier_edge_still_on_its_way(
    tmp_path: Path, on_its_way: bool
) -> None:
    """The door springs shut again within its settling time, and that is heard a moment late."""
    with house(tmp_path, "sensing.contact_settle=0.05") as demo:
        eventually(lambda: demo.state["door"]["physical"] == "Closed")

        opened = Edge(demo.running.clock.now_ms(), "door_contact", level=True)
        shut = Edge(opened.t_ms + 10, "door_contact", level=False)
        asked = threading.Event()

        def behind() -> bool:
            if on_its_way and not asked.is_set():
                demo.running.loop.post(shut)
            asked.set()
            return on_its_way

        demo.running.factory.behind = behind
        demo.running.loop.post(opened)
        eventually(asked.is_set)
        demo.mqtt.ask("set_count", count=1)  # answered after all that came before it
        assert len(demo.mqtt.events("door_opened")) == (0 if on_its_way else 1)


def test_reread_finds_a_lost_edge(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with house(tmp_path) as demo, caplog.at_level(logging.WARNING):
        pin = demo.pin(DOOR_CONTACT)
        callback, pin.when_changed = pin.when_changed, None
        pin.drive_high()
        pin.when_changed = callback
        eventually(lambda: demo.state["door"]["physical"] == "Open")
        assert "door_contact: an edge was lost" in caplog.text


def test_reread_after_a_delay_is_not_repeated_at_once(tmp_path: Path) -> None:
    """Twice the same and untold is a lost edge: one that waited with us needs a moment to come."""
    with house(tmp_path) as demo:
        heartbeat = demo.running.loop._components.heartbeat
        due_s: list[tuple[float, float]] = []

        def delayed() -> None:
            now_s = time.monotonic()
            heartbeat.due_s = now_s - 5
            heartbeat.tick()
            due_s.append((heartbeat.due_s, now_s + REREAD_S / 2))

        demo.running.loop.post(delayed)
        eventually(lambda: due_s)
        assert due_s[0][0] >= due_s[0][1]


def ended_or_hatch_is_not(demo: Demo, state: bool) -> bool:
    return not demo.thread.is_alive() or demo.state["hatch"]["open"] != state


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_loop_ends_with_the_strike_off_when_pins_report_no_edges(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.mqtt.ask("access_door")
        strike = demo.pin(STRIKE)
        eventually(lambda: strike.state)
        pin = demo.pin(HATCH_CONTACT)
        pin.when_changed = None  # as when the library's one thread has died
        for _ in range(10):
            state = pin.state
            (pin.drive_low if state else pin.drive_high)()
            eventually(partial(ended_or_hatch_is_not, demo, state))
        demo.thread.join(HANGS_S)
        assert not demo.thread.is_alive()
        assert not strike.state


def test_heartbeat_comes_once_a_second(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        eventually(lambda: len(demo.mqtt.all("heartbeat")) >= 2)
        first, second = demo.mqtt.all("heartbeat")[:2]
        assert first["boot"] == second["boot"] == demo.state["boot"]
        # One a second; a machine that is busy may be late with either.
        assert 0.3 < second["uptime_s"] - first["uptime_s"] < 3


def test_heartbeat_names_the_seq_of_the_published_state(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.mqtt.events("knock_ended"))  # an event that changes no state
        beats = len(demo.mqtt.all("heartbeat"))
        eventually(lambda: len(demo.mqtt.all("heartbeat")) > beats)
        assert demo.mqtt.last("heartbeat")["seq"] == demo.state["seq"]


def test_stop_switches_the_strike_off_and_publishes_offline(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.mqtt.ask("access_door")
        strike = demo.pin(STRIKE)
        eventually(lambda: strike.state)
    assert not strike.state
    assert demo.mqtt.messages[-1].payload == b"offline"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_error_in_the_loop_switches_the_strike_off(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    with house(tmp_path) as demo:
        demo.mqtt.ask("access_door")
        strike = demo.pin(STRIKE)
        eventually(lambda: strike.state)
        demo.running.loop.post(broken)
        demo.thread.join(HANGS_S)
        assert not strike.state


def test_lamp_that_hangs_ends_no_loop_and_is_a_fault_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.gpio.pins.FAILED_S", 0.1)
    with house(tmp_path, "hatch.patience=1") as demo:
        light = demo.pin(HATCH_LIGHT)
        goes_on = hang_blinking(light, monkeypatch)
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.running.pins.driven()["hatch_light"] == (True, True))
        assert demo.mqtt.ask("answer_hatch")["ok"]
        eventually(lambda: demo.mqtt.events("fault"))
        fault = demo.mqtt.events("fault")[-1]
        assert (fault["name"], fault["line"]) == ("OutputFailed", "hatch_light")
        assert demo.mqtt.ask("access_door")["ok"]
        eventually(lambda: demo.pin(STRIKE).state)
        goes_on.set()
        eventually(lambda: demo.mqtt.events("fault_cleared"))
        assert not light.state


def test_strike_goes_off_before_a_lamp_is_driven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house(tmp_path) as demo:
        strike, seen = demo.pin(STRIKE), []
        demo.mqtt.ask("access_door")
        eventually(lambda: strike.state)
        driven = demo.running.pins.set

        def watched(line: str, level: bool, blink: bool = False) -> None:
            seen.append(line)
            driven(line, level, blink)

        monkeypatch.setattr(demo.running.pins, "set", watched)
        lamp_first: TimedEffects = [
            (0.0, Set("full_lamp", level=True)),
            (1.0, Set("strike", level=False)),
        ]
        demo.running.loop.post(lambda: demo.running.loop._perform(lamp_first))
        eventually(lambda: len(seen) == 2)
        assert seen == ["strike", "full_lamp"]
        assert not strike.state


def test_restart_restores_session_count_and_hatch(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("walk_in")
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.state["hatch"]["light"] == "ON")
        ends_at = demo.state["session"]["ends_at"]
        boot = demo.state["boot"]
    with house(tmp_path) as demo:
        eventually(lambda: demo.state and demo.mqtt.events("started"))
        assert demo.state["boot"] != boot
        assert demo.state["hatch"]["light"] == "ON"
        ends = [datetime.fromisoformat(at) for at in (ends_at, demo.state["session"]["ends_at"])]
        assert abs(ends[1] - ends[0]) <= timedelta(seconds=1)
        assert demo.state["occupancy"]["count"] == 1
        assert demo.state["occupancy"]["certain"]  # the door was shut, and away for a moment only
        seqs = [row.seq for row in read_last(str(tmp_path / "journal.db"), 1000)]
        assert seqs == list(range(1, len(seqs) + 1))


def test_clean_restart_sends_no_event_again(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.mqtt.events("knock_ended"))
        last = demo.mqtt.event_messages()[-1]
    with house(tmp_path) as demo:
        eventually(lambda: demo.mqtt.events("started"))
        seqs = [json.loads(message.payload)["seq"] for message in demo.mqtt.event_messages()]
        assert seqs[0] > json.loads(last.payload)["seq"]
        # never sent before: it says how late it is only where this machine took so long
        assert all(each.get("late_s", LATE_S) >= LATE_S for each in demo.mqtt.events("started"))


def test_question_survives_a_restart_and_its_trace_has_only_its_own_answer(tmp_path: Path) -> None:
    with house(tmp_path, speed=20) as demo:
        assert demo.mqtt.ask("access_door", party=2)["ok"]
        demo.simulator.act("walk_in")
        eventually(lambda: demo.state["question"])
        asked = demo.state["question"]
        assert (asked["expected"], asked["seen"], asked["answers"]) == (2, 1, [1, 2])
    with house(tmp_path) as demo:
        eventually(lambda: demo.state["question"] == asked | {"since": ANY})
        late = demo.mqtt.ask("answer_question", came=2, question="another")
        assert late["reason"] == "StaleCommand"
        assert demo.mqtt.ask("answer_question", came=1)["reason"] == "Malformed"
        assert demo.mqtt.ask("answer_question", came=2, question=asked["id"])["ok"]
        eventually(lambda: demo.state["question"] is None)
        assert demo.state["occupancy"]["count"] == 2
    traces = "".join(path.read_text() for path in sorted((tmp_path / "edges").glob("*.csv")))
    assert [line.split(",")[1:] for line in traces.splitlines() if "answer" in line] == [
        ["cmd:answer_question", "2"]
    ]


@contextmanager
def slow_house(folder: Path) -> Iterator[Demo]:
    """A house whose ten seconds are a hundred, so that we may be slow."""
    with house(folder, speed=0.1) as demo:
        # As old as any command: house time hardly moves, and none is from before the start.
        demo.running.loop._components.inbox._started_ms = -1e9
        yield demo


def test_what_can_be_taken_back_is_told_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow we are: it was away a moment only, and ten seconds are long.
    monkeypatch.setattr("controller.service.loop.PASSAGE_MS", 60_000.0)
    with slow_house(tmp_path) as demo:
        assert demo.mqtt.ask("set_count", count=2)["ok"]
        emptied = demo.mqtt.ask("room_empty")["id"]
        eventually(lambda: demo.state["session"] is None)
        (undoable,) = demo.state["undoable"]
        assert (undoable["id"], undoable["type"]) == (emptied, "room_empty")
    with slow_house(tmp_path) as demo:
        eventually(lambda: demo.state and demo.state["undoable"])
        assert demo.mqtt.ask("undo", undoes="another")["reason"] == "NothingToUndo"
        assert demo.mqtt.ask("undo", undoes=emptied)["ok"]
        eventually(lambda: demo.state["session"])
        assert demo.state["occupancy"]["count"] == 2
        assert demo.state["undoable"] == []
        assert demo.mqtt.ask("undo", undoes=emptied)["reason"] == "NothingToUndo"


def test_trace_has_what_was_taken_back_by_its_number(tmp_path: Path) -> None:
    with slow_house(tmp_path) as demo:
        counted = demo.mqtt.ask("set_count", count=2)["id"]
        assert demo.mqtt.ask("staff_pass")["ok"]
        assert demo.mqtt.ask("undo", undoes=counted)["ok"]
        assert not demo.mqtt.ask("undo", undoes=counted)["ok"]
        let_in = demo.mqtt.ask("access_door", party=2)["id"]
        assert demo.mqtt.ask("undo", undoes=let_in)["ok"]
        assert demo.mqtt.ask("release_cancel")["reason"] == "NoOpenRelease"
    traces = "".join(path.read_text() for path in sorted((tmp_path / "edges").glob("*.csv")))
    assert re.findall(r"cmd:(\w+,\d)", traces) == [
        "set_count,2", "staff_pass,0", "undo,1", "access_door,2", "release_cancel,0",
        "release_cancel,0",
    ]  # fmt: skip


def test_unreadable_journal_makes_the_count_uncertain(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=2)
    (tmp_path / "journal.db").write_bytes(b"not a database" * 100)
    with house(tmp_path) as demo:
        eventually(lambda: demo.state is not None)
        occupancy = demo.state["occupancy"]
        assert (occupancy["max"], occupancy["certain"]) == (4, False)
        assert demo.mqtt.ask("access_door")["reason"] == "CountUncertain"
    assert (tmp_path / "journal.db.corrupt-1").exists()


def test_unreadable_state_makes_the_count_uncertain(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=2)
    journal = Journal(tmp_path / "journal.db")
    saved = journal.saved()
    assert saved is not None
    journal.write(saved=saved._replace(state={**saved.state, "busy": "soon"}))
    journal.close()
    with house(tmp_path) as demo:
        eventually(lambda: demo.state is not None)
        assert not demo.state["occupancy"]["certain"]


def without_pins(config: Config) -> World:
    def busy(clock: Clock) -> Any:
        raise PinsError("GPIO 17 is in use")

    return World(busy, alone(InMemoryBroker()))


def test_doubt_of_a_damaged_journal_outlives_starts_that_fail(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=2)
    (tmp_path / "journal.db").write_bytes(b"not a database" * 100)
    config = demo_config(tmp_path)
    for _ in range(3):
        with pytest.raises(PinsError):
            assemble(config, without_pins(config))
    with house(tmp_path) as demo:
        assert not demo.state["occupancy"]["certain"]
        assert demo.state["occupancy"]["max"] == 4


def test_doubt_of_an_unreadable_state_outlives_starts_that_fail(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([], Saved(5.0, "boot", 1.0, 1.0, {"busy": "soon"}))
    config = demo_config(tmp_path)
    with pytest.raises(PinsError):
        assemble(config, without_pins(config))
    assert "can't be read" in DoubtMark(tmp_path / "journal.db").reason()
    with house(tmp_path) as demo:
        assert not demo.state["occupancy"]["certain"]


def test_spoilt_row_of_tonight_is_left_out_and_its_file_is_named(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        for count in (1, 2):
            assert demo.mqtt.ask("set_count", count=count)["ok"]
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        spoil = "UPDATE event SET data = replace(data, ':1', ':{') WHERE name = 'count_adjusted'"
        assert db.execute(spoil).rowcount == 2
    with house(tmp_path) as demo:
        eventually(lambda: demo.state["faults"])
        named = [(fault["name"], fault["line"]) for fault in demo.state["faults"]]
        assert named == [("FileDamaged", "journal.db")]
        assert not demo.state["occupancy"]["certain"]
        eventually(lambda: demo.mqtt.last("night"))
        names = [event["name"] for event in demo.mqtt.last("night")["last"]]
        assert "session_started" in names
        assert names.count("count_adjusted") == 1  # the spoilt ones are gone; this is the doubt's
        assert demo.mqtt.ask("set_count", count=2)["ok"]
    with house(tmp_path) as demo:
        assert not demo.state["faults"]
        assert demo.state["occupancy"]["certain"]


def test_row_of_an_older_release_that_lacks_something_is_not_on_the_chart(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        for seq, (name, data) in enumerate(
            (("entry", "{}"), ("count_adjusted", '{"after": 5}'), ("knock", '{"place": "hatch"}')),
            1,
        ):
            journal.write([Row(seq, 1.0, time.time(), name, data)])
        journal.finish()
    with house(tmp_path) as demo:
        eventually(lambda: demo.mqtt.last("night"))
        assert [event["name"] for event in demo.mqtt.last("night")["last"]] == ["knock"]


def test_other_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "regulars.toml").write_bytes(b"\xff\xfe\x00")
    damaged: list[str] = []
    config = with_learned(demo_config(tmp_path), damaged)
    assert damaged == ["regulars.toml"]
    running = assemble(config, World(partial(simulated, config), alone(InMemoryBroker())), damaged)
    running.loop.begin(running.absence)
    running.loop.stop()
    running.loop.run()
    named = [(fault.name, fault.line) for fault in running.loop.state.faults]
    assert named == [("FileDamaged", "regulars.toml")]


def test_door_works_without_a_disk_and_reports_the_fault(tmp_path: Path) -> None:
    with house(tmp_path, "house.venue=bar") as demo:
        eventually(lambda: demo.state is not None)
    (tmp_path / "journal.db").unlink()
    (tmp_path / "journal.db").mkdir()
    with house(tmp_path) as demo:
        eventually(lambda: demo.state and demo.state["faults"])
        assert demo.state["faults"][0]["name"] == "JournalFailed"
        demo.mqtt.ask("set_count", count=1)
        assert demo.mqtt.ask("access_door")["ok"]
        eventually(lambda: demo.pin(STRIKE).state)


def test_command_flood_is_dropped_and_reported(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        for number in range(3000):
            body = f'{{"id":"{number}","issued_at":1}}'.encode()
            demo.mqtt.link.publish(Message("backdoor/bar/cmd/access_door", body, retain=False))
        eventually(lambda: "CommandFlood" in {f["name"] for f in demo.state["faults"]})
        assert demo.mqtt.ask("set_count", count=1)["ok"]
        eventually(lambda: not demo.state["faults"])
        assert not demo.pin(STRIKE).state
        assert {result["reason"] for result in demo.mqtt.all("result") if not result["ok"]} == {
            "StaleCommand"
        }


def test_clock_that_is_ahead_is_a_fault_until_it_is_right(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        eventually(lambda: demo.state)
        demo.mqtt.ask("room_empty", issued_at=time.time() + 35, cause="homeassistant")
        eventually(lambda: demo.state["faults"])
        (fault,) = demo.state["faults"]
        assert (fault["name"], fault["line"]) == ("ClockDiffers", "homeassistant")
        assert 35 - HANGS_S < fault["ahead_s"] <= 35
        demo.mqtt.ask("room_empty", cause="homeassistant")
        eventually(lambda: not demo.state["faults"])
        assert [event["name"] for event in demo.mqtt.events("fault_cleared")] == ["ClockDiffers"]


def test_command_of_a_clock_that_is_ahead_works_once_though_we_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is after the start, so only its id says that it has been."""
    longest = "mqtt.command_max_age=60"
    issued_at = time.time() + 60
    monkeypatch.setattr("controller.service.loop.wall_s", lambda: issued_at - 3)
    command = {"id": "once", "issued_at": issued_at}
    with house(tmp_path, longest) as demo:
        assert demo.mqtt.ask("staff_pass", **command)["ok"]
    for _ in range(2):
        with house(tmp_path, longest) as demo:
            answer = demo.mqtt.ask("staff_pass", **command)
            assert (answer["ok"], answer["reason"]) == (False, "Replayed")
            assert demo.mqtt.ask("staff_pass", issued_at=issued_at)["ok"]


def test_unknown_and_stale_commands_are_refused(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("open_sesame")["reason"] == "UnknownCommand"
        assert demo.mqtt.ask("access_door", issued_at=1.0)["reason"] == "StaleCommand"


def test_night_is_published_and_restored_after_a_restart(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("walk_in")
        eventually(lambda: (demo.mqtt.last("night") or {}).get("points"))
    with house(tmp_path) as demo:
        eventually(lambda: (demo.mqtt.last("night") or {}).get("points"))
        night = demo.mqtt.last("night")
        assert night["points"][0][1:] == [1, 1, 1]
        assert night["totals"]["guests"] == 1


def test_disk_that_hangs_is_a_fault_and_door_and_page_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked before it was known is told as done when it is; later commands at once."""
    sync, free = Journal.sync, threading.Event()

    def hanging(journal: Journal) -> None:
        assert free.wait(HANGS_S)
        sync(journal)

    monkeypatch.setattr("controller.service.publisher.CALM_S", 0.5)
    with house(tmp_path) as demo:
        demo.running.loop.wait_until_published()
        monkeypatch.setattr(Journal, "sync", hanging)
        try:
            before = demo.mqtt.send("set_count", count=2)
            eventually(lambda: "JournalFailed" in {f["name"] for f in demo.state["faults"]})
            assert demo.state["occupancy"]["count"] == 2
            assert before not in {result["id"] for result in demo.mqtt.all("result")}
            assert demo.mqtt.ask("access_door")["ok"]
            eventually(lambda: times_on(demo.pin(STRIKE)))
            assert before not in {result["id"] for result in demo.mqtt.all("result")}
            assert not demo.mqtt.events("count_adjusted"), "it is not in the journal"
        finally:
            free.set()
        eventually(lambda: before in {result["id"] for result in demo.mqtt.all("result")})
        eventually(lambda: demo.mqtt.events("access_granted"))
        eventually(lambda: not demo.state["faults"])
        demo.running.loop.wait_until_published()
        seqs = [state["seq"] for state in demo.mqtt.all("state")]
        assert seqs == sorted(seqs)
        told = [json.loads(message.payload)["seq"] for message in demo.mqtt.event_messages()]
        assert told == sorted(told)


def test_fault_of_a_slow_disk_stays_while_it_is_slow_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Journal.sync

    def slow(journal: Journal) -> None:
        time.sleep(0.5)
        sync(journal)

    monkeypatch.setattr("controller.service.publisher.STALL_S", 0.1)
    with house(tmp_path) as demo:
        monkeypatch.setattr(Journal, "sync", slow)
        for count in (1, 2, 3):
            assert demo.mqtt.ask("set_count", count=count)["ok"]
            demo.running.loop.wait_until_published()
        eventually(lambda: demo.state["faults"])
        named = [event for event in demo.mqtt.events("fault") if event["name"] == "JournalFailed"]
        assert len(named) == 1
        assert not demo.mqtt.events("fault_cleared")


def test_edges_are_not_piled_up_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr("controller.service.publisher.STALL_S", 0.1)
    with house(tmp_path) as demo:
        monkeypatch.setattr(Journal, "sync", lambda journal: free.wait(HANGS_S))
        try:
            demo.mqtt.send("set_count", count=2)
            eventually(lambda: demo.state["faults"])
            publisher = demo.running.loop._components.publisher
            waiting = publisher._writer._queue.qsize()
            for _ in range(20):
                demo.running.loop.post(demo.running.loop._components.heartbeat.flush)
            handled = threading.Event()
            demo.running.loop.post(handled.set)
            assert handled.wait(HANGS_S)
            assert publisher._writer._queue.qsize() < waiting + 20
        finally:
            free.set()


def test_published_state_never_goes_backwards_on_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Journal.sync

    def slow(journal: Journal) -> None:
        time.sleep(0.2)
        sync(journal)

    with house(tmp_path) as demo:
        monkeypatch.setattr(Journal, "sync", slow)
        loop = demo.running.loop
        for count in (2, 3):
            body = json.dumps({"id": f"{count}", "issued_at": time.time(), "count": count})
            demo.mqtt.link.publish(Message("backdoor/bar/cmd/set_count", body.encode(), qos=1))
            loop.post(Repeat.EVERYTHING)
        eventually(lambda: demo.state["occupancy"]["count"] == 3)
        loop.wait_until_published()
        seqs = [state["seq"] for state in demo.mqtt.all("state")]
        assert seqs == sorted(seqs)
        assert demo.state["occupancy"]["count"] == 3
