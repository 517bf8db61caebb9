"""Other people's bulbs and chimes: the messages of each, after its own documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.config.loader import ConfigError, parse
from controller.config.presets import ACTIONS
from controller.integrations.devices import Devices, is_online
from controller.mqtt.message import Message

Pairs = list[tuple[str, str]]


def devices(section: str, **keys: Any) -> Devices:
    return Devices.of(parse({section: keys}, "x"))


def pairs(messages: list[Message]) -> Pairs:
    assert not any(message.retain for message in messages), "a retained one would switch it later"
    return [(message.topic, message.payload.decode()) for message in messages]


def light(preset: str, **keys: str) -> tuple[Pairs, Pairs, Pairs]:
    """Topics and payloads of the bulb ``lamp`` for on, off and blinking."""
    bulb = devices("hatch_light", preset=preset, device="lamp", **keys)
    return (
        pairs(bulb.light_messages(True, False)),
        pairs(bulb.light_messages(False, False)),
        pairs(bulb.light_messages(True, True)),
    )


def test_zigbee2mqtt_with_a_slash_in_the_name_and_a_base_topic_of_its_own() -> None:
    bulb = devices("hatch_light", preset="zigbee2mqtt", device="kitchen/floor_light", base="z2m/up")
    on = pairs(bulb.light_messages(True, False))
    assert on == [("z2m/up/kitchen/floor_light/set", '{"state":"ON"}')]
    assert bulb.state_topics() == [
        "z2m/up/bridge/state",
        "z2m/up/kitchen/floor_light/availability",
    ]


@pytest.mark.parametrize("preset", ["shelly1", "shelly2"])
@pytest.mark.parametrize("channel", [0, 3])
def test_shelly_with_several_outputs(preset: str, channel: int) -> None:
    both = (
        devices("hatch_light", preset=preset, device="home/plug", channel=channel).light_messages,
        devices("chime", preset=preset, device="home/plug", channel=channel).chime_messages,
    )
    for topic, payload in pairs([*both[0](True, False), *both[1]("warning")]):
        if preset == "shelly1":
            assert topic == f"shellies/home/plug/relay/{channel}/command"
        else:
            assert topic == "home/plug/rpc"
            assert json.loads(payload)["params"]["id"] == channel


@pytest.mark.parametrize("device", ["/lamp", "lamp/", "a+b", "a#"])
def test_device_name_that_is_no_part_of_a_topic_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="device"):
        devices("hatch_light", preset="zigbee2mqtt", device=device)


def test_messages_of_zigbee2mqtt() -> None:
    on, off, blink = light("zigbee2mqtt")
    assert on == [("zigbee2mqtt/lamp/set", '{"state":"ON"}')]
    assert off == [("zigbee2mqtt/lamp/set", '{"state":"OFF"}')]
    assert blink == [*on, ("zigbee2mqtt/lamp/set", '{"effect":"blink"}')]
    siren = devices("chime", preset="zigbee2mqtt", device="Bar siren")
    ((topic, payload),) = pairs(siren.chime_messages("time_up"))
    assert topic == "zigbee2mqtt/Bar siren/set"
    warning = json.loads(payload)["warning"]
    assert warning == {"duration": 4, "mode": "emergency", "strobe": False}


def test_messages_of_tasmota() -> None:
    on, off, blink = light("tasmota")
    assert on == [("cmnd/lamp/POWER", "ON")]
    assert off == [("cmnd/lamp/POWER", "OFF")]
    assert blink == [("cmnd/lamp/BlinkCount", "0"), ("cmnd/lamp/POWER", "BLINK")]
    assert light("tasmota", part="2")[0] == [("cmnd/lamp/POWER2", "ON")]
    buzzer = devices("chime", preset="tasmota", device="bell")
    assert pairs(buzzer.chime_messages("warning")) == [("cmnd/bell/Buzzer", "2,2,2")]
    assert pairs(buzzer.chime_messages("evacuate")) == [("cmnd/bell/Buzzer", "20,5,3")]


def test_messages_of_shelly_second_generation() -> None:
    on, off, blink = light("shelly2")
    call = {"id": 1, "src": "backdoor", "method": "Switch.Set", "params": {"id": 0, "on": True}}
    assert [(topic, json.loads(payload)) for topic, payload in on] == [("lamp/rpc", call)]
    assert json.loads(off[0][1])["params"] == {"id": 0, "on": False}
    assert blink == on
    assert json.loads(light("shelly2", part="Light")[0][0][1])["method"] == "Light.Set"
    bell = pairs(devices("chime", preset="shelly2", device="bell").chime_messages("overtime"))
    assert json.loads(bell[0][1])["params"] == {"id": 0, "on": True, "toggle_after": 2}


def test_messages_of_shelly_first_generation() -> None:
    on, off, _ = light("shelly1")
    assert on == [("shellies/lamp/relay/0/command", "on")]
    assert off == [("shellies/lamp/relay/0/command", "off")]
    assert light("shelly1", part="color")[0] == [("shellies/lamp/color/0/command", "on")]


def test_messages_of_wled() -> None:
    on, off, blink = light("wled")
    assert [(t, json.loads(p)) for t, p in on] == [
        ("wled/lamp/api", {"on": True, "seg": {"fx": 0}})
    ]
    assert off == [("wled/lamp", "OFF")]
    assert json.loads(blink[0][1]) == {"on": True, "seg": {"fx": 1}}


def test_messages_of_esphome() -> None:
    on, off, blink = light("esphome", part="bulb")
    assert on[0][0] == "lamp/light/bulb/command"
    assert [json.loads(sent[0][1]) for sent in (on, off, blink)] == [
        {"state": "ON", "effect": "None"},
        {"state": "OFF"},
        {"state": "ON", "effect": "Blink"},
    ]
    ((topic, tune),) = pairs(
        devices("chime", preset="esphome", device="bell").chime_messages("warning")
    )
    assert topic == "bell/rtttl"
    assert tune.startswith("warning:d=8,o=5,b=120:")


def test_messages_of_plain_go_to_one_topic() -> None:
    bulb = devices("hatch_light", preset="plain", topic="bar/lamp", payloads={"blink": "2"})
    assert pairs(bulb.light_messages(True, False)) == [("bar/lamp", "ON")]
    assert pairs(bulb.light_messages(True, True)) == [("bar/lamp", "2")]
    bell = devices("chime", preset="plain", topic="bar/bell")
    assert pairs(bell.chime_messages("time_up")) == [("bar/bell", "time_up")]


def test_messages_of_custom_are_the_owners() -> None:
    payloads = {"on": '{"{part}": 1}', "off": '{"{part}": 0}'}
    keys = {"topic": "x/{device}/set", "device": "lamp", "part": "lit", "payloads": payloads}
    bulb = devices("hatch_light", preset="custom", **keys)
    assert pairs(bulb.light_messages(True, False)) == [("x/lamp/set", '{"lit": 1}')]
    assert bulb.light_messages(True, True) == bulb.light_messages(True, False)
    bell = devices("chime", preset="custom", topic="ding", payloads={"warning": "1"})
    assert pairs(bell.chime_messages("evacuate")) == [("ding", "1")]


def test_no_messages_without_a_preset() -> None:
    none = Devices.of(parse({}, "x"))
    assert none == Devices()
    assert none.light_messages(True, False) == none.chime_messages("warning") == []
    assert none.state_topics() == []


@pytest.mark.parametrize(
    ("preset", "topics"),
    [
        ("zigbee2mqtt", ["zigbee2mqtt/bridge/state", "zigbee2mqtt/lamp/availability"]),
        ("tasmota", ["tele/lamp/LWT"]),
        ("shelly2", ["lamp/online"]),
        ("shelly1", ["shellies/lamp/online"]),
        ("wled", ["wled/lamp/status"]),
        ("esphome", ["lamp/status"]),
    ],
)
def test_state_topics_of_each_preset(preset: str, topics: list[str]) -> None:
    assert devices("hatch_light", preset=preset, device="lamp").state_topics() == topics


@pytest.mark.parametrize("word", [b"online", b"Online", b"true", b'{"state":"online"}', b"true\n"])
def test_is_online_in_every_format(word: bytes) -> None:
    assert is_online(word)


@pytest.mark.parametrize("word", [b"offline", b"", b"false", b"{}", b"[1]", b"\xff", b"null"])
def test_is_online_is_false_for_anything_else(word: bytes) -> None:
    assert not is_online(word)


@pytest.mark.parametrize("section", ACTIONS)
@pytest.mark.parametrize("preset", ["zigbee2mqtt", "tasmota", "shelly2", "shelly1", "esphome"])
def test_every_preset_has_all_actions_of_its_kind(section: str, preset: str) -> None:
    found = devices(section, preset=preset, device="x")
    device = found.light or found.chime
    assert device is not None
    for action in ACTIONS[section]:
        for message in device.messages(action):
            assert not {"+", "#", "{"} & set(message.topic)
