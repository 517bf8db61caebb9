"""Other people's bulbs and chimes: what each is told, by its own documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.config.loader import ConfigError, parse
from controller.config.presets import ACTIONS, Gadgets, gadgets, is_back
from controller.mqtt.message import Message

Said = list[tuple[str, str]]


def house(section: str, **keys: Any) -> Gadgets:
    return gadgets(parse({section: keys}, "x"))


def said(messages: list[Message]) -> Said:
    assert not any(message.retain for message in messages), "a ghost would switch it later"
    return [(message.topic, message.payload.decode()) for message in messages]


def light(preset: str, **keys: str) -> tuple[Said, Said, Said]:
    """What the bulb ``lamp`` is told for on, off and blinking."""
    bulb = house("hatch_light", preset=preset, device="lamp", **keys)
    return said(bulb.lit(True, False)), said(bulb.lit(False, False)), said(bulb.lit(True, True))


def test_zigbee2mqtt_as_its_guide_to_topics_says() -> None:
    on, off, blink = light("zigbee2mqtt")
    assert on == [("zigbee2mqtt/lamp/set", '{"state":"ON"}')]
    assert off == [("zigbee2mqtt/lamp/set", '{"state":"OFF"}')]
    assert blink == [*on, ("zigbee2mqtt/lamp/set", '{"effect":"blink"}')]
    siren = house("chime", preset="zigbee2mqtt", device="Bar siren")
    ((topic, payload),) = said(siren.rung("time_up"))
    assert topic == "zigbee2mqtt/Bar siren/set"
    warning = json.loads(payload)["warning"]
    assert warning == {"duration": 4, "mode": "emergency", "strobe": False}


def test_tasmota_as_its_commands_and_buzzer_say() -> None:
    on, off, blink = light("tasmota")
    assert on == [("cmnd/lamp/POWER", "ON")]
    assert off == [("cmnd/lamp/POWER", "OFF")]
    assert blink == [("cmnd/lamp/BlinkCount", "0"), ("cmnd/lamp/POWER", "BLINK")]
    assert light("tasmota", part="2")[0] == [("cmnd/lamp/POWER2", "ON")]
    buzzer = house("chime", preset="tasmota", device="bell")
    assert said(buzzer.rung("warning")) == [("cmnd/bell/Buzzer", "2,2,2")]
    assert said(buzzer.rung("evacuate")) == [("cmnd/bell/Buzzer", "20,5,3")]


def test_shelly_of_the_second_generation_as_its_rpc_says() -> None:
    on, off, blink = light("shelly2")
    call = {"id": 1, "src": "backdoor", "method": "Switch.Set", "params": {"id": 0, "on": True}}
    assert [(topic, json.loads(payload)) for topic, payload in on] == [("lamp/rpc", call)]
    assert json.loads(off[0][1])["params"] == {"id": 0, "on": False}
    assert blink == on
    assert json.loads(light("shelly2", part="Light")[0][0][1])["method"] == "Light.Set"
    bell = said(house("chime", preset="shelly2", device="bell").rung("overtime"))
    assert json.loads(bell[0][1])["params"] == {"id": 0, "on": True, "toggle_after": 2}


def test_shelly_of_the_first_generation() -> None:
    on, off, _ = light("shelly1")
    assert on == [("shellies/lamp/relay/0/command", "on")]
    assert off == [("shellies/lamp/relay/0/command", "off")]
    assert light("shelly1", part="color")[0] == [("shellies/lamp/color/0/command", "on")]


def test_wled_as_its_json_api_says() -> None:
    on, off, blink = light("wled")
    assert [(t, json.loads(p)) for t, p in on] == [
        ("wled/lamp/api", {"on": True, "seg": {"fx": 0}})
    ]
    assert off == [("wled/lamp", "OFF")]
    assert json.loads(blink[0][1]) == {"on": True, "seg": {"fx": 1}}


def test_esphome_as_its_mqtt_light_says() -> None:
    on, off, blink = light("esphome", part="bulb")
    assert on[0][0] == "lamp/light/bulb/command"
    assert [json.loads(told[0][1]) for told in (on, off, blink)] == [
        {"state": "ON", "effect": "None"},
        {"state": "OFF"},
        {"state": "ON", "effect": "Blink"},
    ]
    ((topic, tune),) = said(house("chime", preset="esphome", device="bell").rung("warning"))
    assert topic == "bell/rtttl"
    assert tune.startswith("warning:d=8,o=5,b=120:")


def test_plain_says_words_on_one_topic() -> None:
    bulb = house("hatch_light", preset="plain", topic="bar/lamp", payloads={"blink": "2"})
    assert said(bulb.lit(True, False)) == [("bar/lamp", "ON")]
    assert said(bulb.lit(True, True)) == [("bar/lamp", "2")]
    bell = house("chime", preset="plain", topic="bar/bell")
    assert said(bell.rung("time_up")) == [("bar/bell", "time_up")]


def test_custom_says_what_its_owner_says() -> None:
    payloads = {"on": '{"{part}": 1}', "off": '{"{part}": 0}'}
    keys = {"topic": "x/{device}/set", "device": "lamp", "part": "lit", "payloads": payloads}
    bulb = house("hatch_light", preset="custom", **keys)
    assert said(bulb.lit(True, False)) == [("x/lamp/set", '{"lit": 1}')]
    assert bulb.lit(True, True) == bulb.lit(True, False)
    bell = house("chime", preset="custom", topic="ding", payloads={"warning": "1"})
    assert said(bell.rung("evacuate")) == [("ding", "1")]


def test_without_a_preset_nobody_is_told() -> None:
    nobody = gadgets(parse({}, "x"))
    assert nobody == Gadgets()
    assert nobody.lit(True, False) == nobody.rung("warning") == nobody.back() == []


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
def test_where_each_says_that_it_is_back(preset: str, topics: list[str]) -> None:
    assert house("hatch_light", preset=preset, device="lamp").back() == topics


@pytest.mark.parametrize("word", [b"online", b"Online", b"true", b'{"state":"online"}', b"true\n"])
def test_back_in_every_dialect(word: bytes) -> None:
    assert is_back(word)


@pytest.mark.parametrize("word", [b"offline", b"", b"false", b"{}", b"[1]", b"\xff", b"null"])
def test_not_back(word: bytes) -> None:
    assert not is_back(word)


@pytest.mark.parametrize("section", ACTIONS)
@pytest.mark.parametrize("preset", ["zigbee2mqtt", "tasmota", "shelly2", "shelly1", "esphome"])
def test_every_preset_can_all_that_its_kind_can(section: str, preset: str) -> None:
    found = house(section, preset=preset, device="x")
    gadget = found.light or found.chime
    assert gadget is not None
    for action in ACTIONS[section]:
        for message in gadget.told(action):
            assert not {"+", "#", "{"} & set(message.topic)


@pytest.mark.parametrize(
    ("section", "keys", "says"),
    [
        ("hatch_light", {"preset": "hue"}, 'preset: must be "" or "zigbee2mqtt"'),
        ("hatch_light", {"preset": "tasmota"}, 'device: preset "tasmota" needs the device'),
        ("hatch_light", {"device": "a/b"}, "device: must be a device's name without"),
        ("hatch_light", {"device": "+"}, "device: must be a device's name without"),
        ("chime", {"preset": "wled", "device": "x"}, 'preset: "wled" has none; take zigbee2mqtt'),
        ("chime", {"preset": "plain"}, 'topic: preset "plain" needs a topic'),
        ("chime", {"topic": "a/#"}, 'topic: must be "" or a topic without'),
        ("hatch_light", {"preset": "custom", "topic": "x"}, "payloads: custom needs on and off"),
        ("hatch_light", {"payloads": 3}, "payloads: must be a table of texts"),
        (
            "chime",
            {"preset": "plain", "topic": "x", "payloads": {"ding": "1"}},
            "payloads: unknown action ding; known are warning",
        ),
        (
            "chime",
            {"preset": "tasmota", "device": "x", "payloads": {"warning": "1"}},
            'payloads: preset "tasmota" brings its own',
        ),
    ],
)
def test_each_mistake_says_where_and_what(section: str, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({section: keys}, "b.toml")
    (problem,) = caught.value.problems
    assert problem.startswith(f"b.toml: [{section}] {says}")
