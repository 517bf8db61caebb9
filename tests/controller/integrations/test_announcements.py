"""The house around us, with the real service: who is told again, when, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread, Timer

import pytest

from controller.events import Command
from controller.integrations.announcements import BIRTH_PAUSE_S, DelayedCall
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from controller.service.assembly import World, alone, assemble, link_maker, simulated
from tests.conftest import Broker
from tests.support.demo import demo_config, house, times_on
from tests.support.subscriber import InMemorySubscriber
from tests.support.wait import HANGS_S, eventually

STRIKE, HATCH_LIGHT = 16, 20
LAMP = ("hatch_light.preset=tasmota", "hatch_light.device=lamp")
BELL = ("chime.preset=tasmota", "chime.device=bell")


def test_discovery_is_published_at_the_start_and_after_a_birth(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        device = "homeassistant/device/backdoor_bar/config"
        eventually(lambda: demo.mqtt.payloads(device))
        before, states = (
            len(demo.mqtt.payloads(device)),
            len(demo.mqtt.payloads("backdoor/bar/state")),
        )
        born_s = time.monotonic()
        demo.mqtt.link.publish(Message("homeassistant/status", b"offline"))
        for _ in range(3):
            demo.mqtt.link.publish(Message("homeassistant/status", b"online"))
        eventually(lambda: len(demo.mqtt.payloads(device)) > before)
        assert time.monotonic() - born_s >= BIRTH_PAUSE_S[0] == 1.0
        eventually(lambda: len(demo.mqtt.payloads("backdoor/bar/state")) > states)
        assert len(demo.mqtt.payloads(device)) == before + 1, "however often it says so"


def test_discovery_off_publishes_nothing_for_home_assistant(tmp_path: Path) -> None:
    with house(tmp_path, "homeassistant.discovery=off") as demo:
        eventually(lambda: demo.state)
        assert not [m for m in demo.mqtt.messages if m.topic.startswith("homeassistant/")]


def test_stale_discovery_is_cleared_before_the_new_one(tmp_path: Path) -> None:
    bus = InMemoryBroker()
    mqtt = InMemorySubscriber(bus)
    old = "homeassistant/lock/backdoor_bar_lock/config"
    mqtt.link.publish(Message(old, b"{}", retain=True))
    config = demo_config(tmp_path)
    running = assemble(config, World(partial(simulated, config), alone(bus)))
    running.loop.begin(running.absence)
    thread = Thread(target=running.loop.run)
    thread.start()
    device = "homeassistant/device/backdoor_bar/config"
    eventually(lambda: any(m.topic == device for m in mqtt.messages))
    about = [
        (m.topic, bool(m.payload)) for m in mqtt.messages if m.topic.startswith("homeassistant")
    ]
    assert about[:3] == [(old, True), (old, False), (device, True)]
    running.loop.stop()
    thread.join(HANGS_S)


def test_bulb_follows_the_hatch_light(tmp_path: Path) -> None:
    with house(tmp_path, *LAMP) as demo:
        eventually(lambda: demo.mqtt.payloads("cmnd/lamp/POWER") == [b"OFF"])
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.mqtt.payloads("cmnd/lamp/POWER")[-1] == b"ON")
        assert demo.pin(HATCH_LIGHT).state
        assert demo.mqtt.ask("answer_hatch")["ok"]
        eventually(lambda: demo.mqtt.payloads("cmnd/lamp/POWER")[-1] == b"OFF")


def test_bulb_that_is_back_gets_the_light_again(tmp_path: Path) -> None:
    with house(tmp_path, *LAMP) as demo:
        eventually(lambda: demo.mqtt.payloads("cmnd/lamp/POWER") == [b"OFF"])
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.mqtt.payloads("cmnd/lamp/POWER")[-1:] == [b"ON"])
        before = len(demo.mqtt.payloads("cmnd/lamp/POWER"))
        demo.mqtt.link.publish(Message("tele/lamp/LWT", b"Offline"))
        demo.mqtt.link.publish(Message("tele/lamp/LWT", b"Online"))
        eventually(lambda: len(demo.mqtt.payloads("cmnd/lamp/POWER")) == before + 1)
        assert demo.mqtt.payloads("cmnd/lamp/POWER")[-1] == b"ON"


def test_chime_device_rings_on_command(tmp_path: Path) -> None:
    with house(tmp_path, *BELL) as demo:
        assert demo.mqtt.ask("ring_chime", tone="time_up")["ok"]
        eventually(lambda: demo.mqtt.payloads("cmnd/bell/Buzzer") == [b"3,8,4"])
        assert demo.mqtt.all("chime") == [{"tone": "time_up"}]
        eventually(lambda: [e["tone"] for e in demo.mqtt.events("chime")] == ["time_up"])


@pytest.mark.parametrize("payload", [{}, {"tone": "evacuate"}, {"tone": "la"}, {"value": 1}])
def test_ring_chime_refuses_other_tones(tmp_path: Path, payload: dict[str, object]) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("ring_chime", **payload)["reason"] == "Malformed"
        assert not demo.mqtt.all("chime")


def test_delayed_call_is_once_for_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Timer] = []

    class ByHand(Timer):
        def start(self) -> None:
            timers.append(self)

    monkeypatch.setattr("controller.integrations.announcements.Timer", ByHand)
    rings: list[int] = []
    later = DelayedCall(lambda: rings.append(1), (0.02, 0.03))
    for number in (1, 2):
        for _ in range(5):
            later.request()
        assert len(timers) == number
        assert 0.02 <= timers[-1].interval <= 0.03
        timers[-1].function()
        assert len(rings) == number


@pytest.mark.parametrize("protocol", [4, 5])
def test_broker_without_retain_is_reported_and_the_door_works(
    protocol: int,
    tmp_path: Path,
    make_broker: Callable[..., Broker],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = make_broker("allow_anonymous true", "retain_available false")
    sets = [f"mqtt.port={broker.port}", f"mqtt.protocol={protocol}", "door.release_time=0.5"]
    config = demo_config(tmp_path, *sets)
    config = replace(config, mqtt=replace(config.mqtt, host=broker.host))
    running = assemble(config, World(partial(simulated, config), link_maker(config)))
    running.loop.begin(running.absence)
    thread = Thread(target=running.loop.run)
    thread.start()
    try:
        eventually(lambda: any(f.name == "BrokerDown" for f in running.loop.state.faults))
        running.loop.post(Command(running.clock.now_ms(), "access_door", 1))
        eventually(lambda: times_on(running.factory.pin(STRIKE)))
        eventually(lambda: "does it keep retained messages (retain_available)?" in caplog.text)
    finally:
        running.loop.stop()
        thread.join(HANGS_S)
