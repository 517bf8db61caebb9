"""`backdoor run` as a process of its own, on mock pins, with a real broker."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.support.controller_process import Controller, on
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually


def test_evening_on_the_broker(
    controller: Callable[..., Controller], broker: Broker, mqtt: Subscriber
) -> None:
    house = controller(on(broker))
    eventually(lambda: mqtt.status() == "online")
    assert mqtt.ask("set_count", count=3)["ok"]
    assert mqtt.ask("access_door", party=2)["reason"] == "CapacityReached"
    assert mqtt.ask("access_door", party=1)["ok"]
    eventually(lambda: mqtt.last("door")["strike"])
    eventually(lambda: mqtt.last("occupancy")["count"] == 3)
    assert not [message for message in mqtt.event_messages() if message.retain]
    assert house.end() == 0
    eventually(lambda: mqtt.status() == "offline")


#: Says what of garbage is looked for once the controller works, instead of working on.
GARBAGE = """
import gc, sys
from controller.cli.main import main
from controller.service.loop import Loop
Loop.run = lambda self: print(gc.isenabled(), gc.get_freeze_count() > 10_000)
begin = Loop.begin
def said(self, absence):
    print(gc.isenabled())
    begin(self, absence)
Loop.begin = said
main(sys.argv[1:])
"""


def test_garbage_is_looked_for_once_it_works_and_not_before(tmp_path: Path) -> None:
    sets = ("pins.factory=mock", "mqtt.host=", f"journal.path={tmp_path}/journal.db")
    asked = ["run", *(word for each in sets for word in ("--set", each))]
    config = tmp_path / "backdoor.toml"
    config.write_text("")
    done = subprocess.run(
        [sys.executable, "-c", GARBAGE, *asked, "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=HANGS_S,
    )  # fmt: skip
    assert done.stdout.split("\n") == ["False", "True True", ""], done.stderr


def test_kill_9_with_three_inside(
    controller: Callable[..., Controller], broker: Broker, mqtt: Subscriber
) -> None:
    house = controller(on(broker), "door.release_time=30", "door.strike_max_on=30")
    eventually(lambda: mqtt.status() == "online")
    mqtt.ask("set_count", count=3)
    mqtt.ask("access_door", party=1)  # still open when the process is killed, however busy we are
    eventually(lambda: mqtt.last("state")["door"]["strike"])
    before = mqtt.last("state")
    house.end(signal.SIGKILL)
    eventually(lambda: mqtt.status() == "offline")
    house.start()
    eventually(lambda: mqtt.status() == "online" and mqtt.last("state")["boot"] != before["boot"])
    state = mqtt.last("state")
    ended, ends = (datetime.fromisoformat(s["session"]["ends_at"]) for s in (before, state))
    assert abs(ends - ended) < timedelta(seconds=2)
    assert state["occupancy"]["count"] == 3
    assert not state["occupancy"]["certain"] or state["occupancy"]["max"] == 3
    assert not state["door"]["strike"]
    eventually(lambda: mqtt.all("event/access_not_taken"))
    assert mqtt.all("event/access_not_taken")[-1]["reason"] == "restart"


def test_retained_stale_and_repeated_commands_open_nothing(
    controller: Callable[..., Controller], broker: Broker, mqtt: Subscriber
) -> None:
    mqtt.send("access_door", retain=True, id="kept")
    controller(on(broker))
    eventually(lambda: any(result["id"] == "kept" for result in mqtt.all("result")))
    assert mqtt.last("result")["reason"] == "Retained"
    mqtt.clear("cmd/access_door")
    assert mqtt.ask("access_door", issued_at=time.time() - 60)["reason"] == "StaleCommand"
    assert mqtt.ask("set_count", count=0, id="once")["ok"]
    mqtt.send("set_count", count=4, id="once")
    eventually(lambda: len([r for r in mqtt.all("result") if r["id"] == "once"]) == 2)
    assert mqtt.last("result")["reason"] == "Replayed"
    assert not any(door["strike"] for door in mqtt.all("door"))


def test_broker_restart_loses_no_event_and_opens_nothing(
    controller: Callable[..., Controller], broker: Broker, mqtt: Subscriber
) -> None:
    controller(on(broker), "house.session_length='1 min'", "house.session_warnings=['59 s']")
    eventually(lambda: mqtt.status() == "online")
    mqtt.ask("set_count", count=1)
    broker.kill()
    # the session warns a second after its start, while the broker is away
    time_of_warning = threading.Event()
    time_of_warning.wait(1.5)
    broker.start()
    eventually(lambda: mqtt.all("event/session_warning"))
    eventually(lambda: mqtt.status() == "online")
    mqtt.ask("set_count", count=2)
    eventually(lambda: len(mqtt.all("event/count_adjusted")) >= 2)
    events = [json.loads(message.payload)["seq"] for message in mqtt.event_messages()]
    assert sorted(set(events)) == list(range(min(events), max(events) + 1))
    first_heard = list(dict.fromkeys(events))
    assert first_heard == sorted(first_heard)
    assert not any(door["strike"] for door in mqtt.all("door"))


def test_run_without_a_broker_starts_and_works(
    controller: Callable[..., Controller], tmp_path: Path
) -> None:
    house = controller("mqtt.port=1")
    eventually(lambda: "BrokerDown" in house.log())
    assert house.process is not None
    assert house.process.poll() is None
    assert "Traceback" not in house.log()
    assert house.end() == 0


def test_systemd_gets_ready_then_watchdog_then_stopping(
    controller: Callable[..., Controller], tmp_path: Path
) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0.1)
        house = controller("mqtt.host=''", NOTIFY_SOCKET=str(tmp_path / "notify"))

        def listen() -> bool:
            try:
                heard.append(systemd.recv(1000).decode())
            except TimeoutError:
                return False
            return heard.count("WATCHDOG=1") >= 2

        eventually(listen)
        assert heard[0] == "READY=1"
        assert "STATUS=0 of 4 inside, door Locked, 0 faults" in heard
        assert house.end(signal.SIGQUIT) == 0  # as systemd ends a self-test
        eventually(lambda: listen() or "STOPPING=1" in heard)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "--config", "/nowhere.toml"], "/nowhere.toml: can't be read"),
        (["run", "--config", "CONFIG", "--set", "pins.factory=lgpio"], 'pin factory "lgpio"'),
        (["run", "--config", "CONFIG", "--set", "lines.strike=3"], "[lines] strike: pin 3 is"),
        (["web", "--config", "CONFIG", "--set", "mqtt.host=''"], "[mqtt] host: the page needs"),
        (["check-config", "--config", "CONFIG", "--set", "x.y=1"], "[x]: unknown section"),
        (["journal", "--config", "CONFIG", "--set", "journal.path=/nope"], "/nope: no journal"),
        (["demo", "--mqtt", ":1"], '--mqtt: must be HOST or HOST:PORT, got ":1"'),
        (["demo", "--trace", "/nope.csv"], "/nope.csv: No such file"),
        (["replay", "/nope.csv"], "/nope.csv: No such file"),
        (["replay", "BINARY"], "binary:1: the first line must be"),
    ],
)
def test_user_error_is_one_line_and_exit_code_2(args: list[str], says: str, tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    files = {"CONFIG": str(tmp_path / "backdoor.toml"), "BINARY": str(tmp_path / "binary")}
    done = subprocess.run(
        controller.command(*[files.get(arg, arg) for arg in args]),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
