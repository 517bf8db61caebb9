"""Safe mode: whatever made the controller fail, a locked door, a count by hand, and a why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from controller.config.credentials import with_history_login, with_login
from controller.config.loader import ConfigError
from controller.config.settings import Config
from controller.events import OUTPUT_LINES, Command
from controller.rules.state import State, door_mode, strike_on
from controller.service.assembly import Running, assemble, real_world
from controller.service.safe_mode import FAULT, assemble_safely, safe_config, set_fault
from tests.support.demo import demo_config
from tests.support.wait import HANGS_S, eventually


def as_it_is(config: Config) -> Config:
    return config


@contextmanager
def at_work(running: Running) -> Iterator[Callable[[], State]]:
    thread = Thread(target=running.loop.run)
    running.loop.begin(running.absence)
    thread.start()
    try:
        yield lambda: running.loop.state
    finally:
        running.loop.stop()
        thread.join(HANGS_S)
        assert not thread.is_alive()


def whys(state: State) -> list[str]:
    return [fault.line for fault in state.faults if fault.name == FAULT]


def test_safe_config_is_locked_manual_and_without_sensors(tmp_path: Path) -> None:
    running = assemble_safely(lambda: demo_config(tmp_path, "door.entry=walk_in"), as_it_is)
    house = running.loop.settings
    assert (house.counting, house.beams, house.entry) == ("manual", False, "release")
    assert not house.lines & {"beam_outer", "beam_inner", "hatch_knock", "door_knock"}
    assert {"door_contact", "release_button", "evacuate"} <= house.lines
    with at_work(running) as state:
        eventually(lambda: whys(state()) == ["asked"])
        assert door_mode(state(), house) == "Locked"
        assert not strike_on(state(), house)


def test_safe_config_keeps_the_outputs() -> None:
    assert set(OUTPUT_LINES) <= set(safe_config(Config().wired(Config().lines)).lines)


def test_safe_mode_lets_the_bartender_release_and_count(tmp_path: Path) -> None:
    running = assemble_safely(lambda: demo_config(tmp_path), as_it_is)
    with at_work(running) as state:
        for name, number in (("set_count", 1), ("access_door", 2)):
            now_ms = running.clock.now_ms()
            running.loop.post(Command(now_ms, name, number, id=name, cause="page"))
        eventually(lambda: strike_on(state(), running.loop.settings))


def test_safe_mode_keeps_count_and_session_and_asks_for_the_count(tmp_path: Path) -> None:
    config = demo_config(tmp_path)
    before = assemble(config, real_world(config))
    with at_work(before) as state:
        now_ms = before.clock.now_ms()
        before.loop.post(Command(now_ms, "set_count", 3, id="a", cause="page"))
        before.loop.post(Command(now_ms, "answer_hatch", None, id="b", cause="page"))
        eventually(lambda: state().session is not None)
        session = state().session
    safe = assemble_safely(lambda: config, as_it_is)
    with at_work(safe) as state:
        eventually(lambda: whys(state()))
        assert (state().occupancy.count, state().occupancy.certain) == (3, False)
        assert state().session == session


def test_normal_start_clears_the_safe_mode_fault(tmp_path: Path) -> None:
    config = demo_config(tmp_path)
    safe = assemble_safely(lambda: config, as_it_is)
    with at_work(safe) as state:
        eventually(lambda: whys(state()))
    normal = assemble(config, real_world(config))
    assert whys(normal.loop.state)
    set_fault(normal)
    with at_work(normal) as state:
        eventually(lambda: not whys(state()))


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"MONITOR_SERVICE_RESULT": "watchdog"}, "hung"),
        ({"MONITOR_SERVICE_RESULT": "start-limit-hit", "MONITOR_EXIT_STATUS": "ABRT"}, "hung"),
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "1"}, "crashed"),
        ({"MONITOR_SERVICE_RESULT": "start-limit-hit", "MONITOR_EXIT_STATUS": "1"}, "crashed"),
        ({"MONITOR_SERVICE_RESULT": "start-limit-hit", "MONITOR_EXIT_STATUS": "SEGV"}, "crashed"),
        ({"MONITOR_SERVICE_RESULT": "start-limit-hit", "MONITOR_EXIT_STATUS": "0"}, "restarted"),
        ({"MONITOR_SERVICE_RESULT": "start-limit-hit"}, "restarted"),
        ({"MONITOR_SERVICE_RESULT": "timeout", "MONITOR_EXIT_STATUS": "TERM"}, "hung"),
        ({"MONITOR_SERVICE_RESULT": "oom-kill", "MONITOR_EXIT_STATUS": "KILL"}, "memory"),
    ],
)
def test_cause_is_read_from_systemds_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], why: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with at_work(assemble_safely(lambda: demo_config(tmp_path), as_it_is)) as state:
        eventually(lambda: whys(state()) == [why])


def test_safe_mode_with_a_wrong_configuration_runs_without_pins(tmp_path: Path) -> None:
    def wrong() -> Config:
        raise ConfigError(["backdoor.toml: [door] release_time: must be 0.5 to 30 s"])

    def here(config: Config) -> Config:
        nowhere = replace(config.mqtt, host="")
        return replace(
            config, mqtt=nowhere, journal=replace(config.journal, path=str(tmp_path / "j.db"))
        )

    running = assemble_safely(wrong, here)
    assert not running.loop.settings.lines
    with at_work(running) as state:
        eventually(lambda: whys(state()) == ["config"])


def test_safe_mode_without_pins_reports_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.gpio.factories.DEV", tmp_path)
    config = replace(demo_config(tmp_path), factory="gpiod")
    with at_work(assemble_safely(lambda: config, as_it_is)) as state:
        eventually(lambda: whys(state()) == ["pins"])


# --- the login that each service has for itself --------------------------------------------------


def test_login_is_read_from_the_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_login(Config()) == Config()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert with_login(Config()) == Config()
    (tmp_path / "broker").write_text("backdoor-web:se:cret\n")
    mqtt = with_login(Config()).mqtt
    assert (mqtt.username, mqtt.password) == ("backdoor-web", "se:cret")


def test_login_that_cannot_be_read_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "broker").write_bytes(b"backdoor\xe8:secret")
    assert with_login(Config()) == Config()
    assert "broker: can't be read" in caplog.text
    assert "secret" not in caplog.text


def test_login_of_the_configuration_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "broker").write_text("backdoor-web:secret\n")
    own = replace(Config(), mqtt=replace(Config().mqtt, username="me", password="mine"))
    assert with_login(own) == own
    (tmp_path / "nights").write_text("backdoor-nights:other\n")
    assert with_history_login(own) == own


def test_history_has_a_login_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "broker").write_text("backdoor-web:secret\n")
    page = with_login(Config())
    assert with_history_login(page) == page  # of a unit of before
    (tmp_path / "nights").write_text("backdoor-nights:other\n")
    mqtt = with_history_login(page).mqtt
    assert (mqtt.username, mqtt.password) == ("backdoor-nights", "other")
