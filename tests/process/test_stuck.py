"""Ways to be stuck, a clock that lags, a flood, and the flight recorder from end to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli.main import main
from controller.codec import decode
from controller.mqtt.message import Message
from controller.replay import replay, wired_by
from controller.service.assembly import alone
from controller.trace import read_trace
from tests.support.demo import demo_config, house, times_on
from tests.support.mirror import mirror_on
from tests.support.wait import HANGS_S, eventually
from tests.support.wall_clock import WallClock

STRIKE = 16


# --- stuck --------------------------------------------------------------------------------------


def waits(let_go: threading.Event) -> None:
    """Frozen: waits for what does not come."""
    let_go.wait()


def spins(let_go: threading.Event) -> None:
    """Busy for nothing."""
    while not let_go.is_set():
        pass


def locks_itself_in(let_go: threading.Event) -> None:
    """Waits for a lock whose holder waits for ours: both are let go by the test alone."""
    ours, theirs = threading.Lock(), threading.Lock()
    has_theirs = threading.Event()

    def other() -> None:
        with theirs:
            has_theirs.set()
            while not ours.acquire(timeout=0.05):
                if let_go.is_set():
                    return
            ours.release()

    with ours:
        threading.Thread(target=other, daemon=True).start()
        has_theirs.wait(HANGS_S)
        while not theirs.acquire(timeout=0.05):
            if let_go.is_set():
                return
        theirs.release()


@pytest.mark.parametrize("stuck", [waits, spins, locks_itself_in])
def test_stuck_loop_sends_no_heartbeat_and_greys_the_page(
    stuck: Callable[[threading.Event], None], tmp_path: Path
) -> None:
    let_go = threading.Event()
    with house(tmp_path) as demo:
        mirror = mirror_on(partial(alone(demo.bus), client_id="page", on_ack=lambda _: None))
        eventually(lambda: mirror.view().link == "online")
        demo.running.loop.post(lambda: stuck(let_go))
        try:
            eventually(lambda: mirror.view().link == "stale")
            beats = len(demo.mqtt.all("heartbeat"))
        finally:
            let_go.set()
        eventually(lambda: mirror.view().link == "online")
        eventually(lambda: len(demo.mqtt.all("heartbeat")) > beats)
        mirror.stop()


# --- a clock that lags --------------------------------------------------------------------------


def test_boot_with_the_last_saved_time_recovers_when_the_clock_is_set(
    wall: WallClock, tmp_path: Path
) -> None:
    """Without a clock of its own a Pi boots hours back, with a time that looks believable."""
    wall.ahead_s = -timedelta(hours=3).total_seconds()
    with house(tmp_path) as demo:
        demo.mqtt.ask("set_count", count=1)
        eventually(lambda: demo.state["session"])
        before = demo.state["session"]
        elsewhere = demo.mqtt.ask("access_door", issued_at=time.time())
        assert elsewhere["reason"] == "FromTheFuture"
        assert demo.mqtt.ask("block_door")["ok"]  # the page beside us, with the same clock
        assert demo.mqtt.ask("unblock_door")["ok"]
        wall.ahead_s = 0.0  # the network told the time
        assert demo.mqtt.ask("access_door", issued_at=time.time())["ok"]
        eventually(lambda: demo.state["grant"])
        after = demo.state["session"]
        moved = datetime.fromisoformat(after["ends_at"]) - datetime.fromisoformat(before["ends_at"])
        assert abs(moved - timedelta(hours=3)) < timedelta(seconds=3)
        assert 0 <= before["remaining_s"] - after["remaining_s"] < 10


def test_clock_of_another_machine_may_be_ahead_by_command_max_age(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("block_door", issued_at=time.time() + 4.5)["ok"]


@pytest.mark.parametrize(
    ("ahead_s", "reason", "told"),
    [(-60, "StaleCommand", "s old"), (60, "FromTheFuture", "s ahead of our clock")],
)
def test_clock_that_differs_by_more_is_told_with_how_much(
    ahead_s: float, reason: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with house(tmp_path) as demo:
        answer = demo.mqtt.ask(
            "access_door", issued_at=time.time() + ahead_s, cause="homeassistant"
        )
        assert (answer["ok"], answer["reason"]) == (False, reason)
        (denied,) = demo.mqtt.events("access_denied")
        assert denied["age_s"] == pytest.approx(-ahead_s, abs=30)
    assert f"{told} (command_max_age is 5 s)" in caplog.text
    assert "cmd/access_door of homeassistant refused" in caplog.text


# --- a flood ------------------------------------------------------------------------------------


def test_flood_of_ten_thousand_commands_a_second_delays_no_deadline(tmp_path: Path) -> None:
    with house(tmp_path, "door.release_time=1.0") as demo:
        strike = demo.pin(STRIKE)
        over = threading.Event()
        sent = 0

        def flood() -> None:
            nonlocal sent
            stamp = datetime.now(UTC).isoformat()
            while not over.wait(0.01):
                for _ in range(100):
                    body = f'{{"id":"f{sent}","issued_at":"{stamp}","party":9}}'.encode()
                    demo.mqtt.link.publish(Message("backdoor/bar/cmd/access_door", body))
                    sent += 1

        thread = threading.Thread(target=flood)
        thread.start()
        eventually(lambda: "CommandFlood" in {f["name"] for f in demo.state["faults"]})
        demo.simulator.act("press_release")  # in the middle of the flood: it ends only afterwards
        eventually(lambda: times_on(strike))
        eventually(lambda: not strike.state)
        over.set()
        thread.join(HANGS_S)
        assert times_on(strike) == 1, "no command of the flood opened"
        eventually(lambda: "CommandFlood" not in {f["name"] for f in demo.state["faults"]})
        assert demo.mqtt.ask("set_count", count=1)["ok"]


# --- what was recorded replays ------------------------------------------------------------------


def test_cut_of_the_flight_recorder_replays_to_the_same_evening(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    with house(tmp_path, speed=20.0) as demo:
        for act in ("walk_in", "walk_in", "knock_hatch", "walk_out"):
            demo.simulator.act(act)
        eventually(lambda: demo.mqtt.events("exit"))
        demo.mqtt.ask("report_wrong", count=1)
        names = ("entry", "exit", "knock", "door_opened")
        heard = {name: len(demo.mqtt.events(name)) for name in names}
    (tmp_path / "b.toml").write_text(f'[journal]\npath = "{tmp_path / "journal.db"}"\n')
    until = datetime.now(UTC) + timedelta(hours=1)
    asked = ["journal", "--config", str(tmp_path / "b.toml"), "--trace"]
    done = CliRunner().invoke(main, [*asked, began.isoformat(), until.isoformat()])
    assert done.exit_code == 0, done.output
    rows = read_trace(done.output.splitlines(keepends=True), "cut.csv")
    replayed = [decode(line) for line in replay(rows, wired_by(demo_config(tmp_path), rows))]
    assert {name: sum(t["event"] == name for t in replayed) for name in names} == heard
    assert any(row.line == "cmd:report_wrong" for row in rows)
    assert replayed[-1]["occupancy"]["count"] == 1
