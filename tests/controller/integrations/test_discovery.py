"""Home Assistant's discovery: one device, or one message for each entity, and nothing left behind.

That Home Assistant makes of it what it should is tried on a real one: ``make test-ha``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.config.loader import parse
from controller.config.settings import Config
from controller.events import COMMANDS
from controller.integrations.discovery import (
    Host,
    discovery_messages,
    node_id,
    stale_topics,
)
from controller.integrations.entities import components
from controller.mqtt.message import Topics

DEVICE = "homeassistant/device/backdoor_bar/config"
EVERYTHING = parse({}, "x")
ASKED = parse({"homeassistant": {"commands": True}}, "x")
SMALLEST = parse({"lines": {"hatch_knock": 17, "door_contact": 24, "strike": 16}}, "x")


def messages(config: Config) -> dict[str, Any]:
    """The message of each topic as JSON."""
    messages = discovery_messages(config, "1.2")
    assert all(m.retain and m.qos == 1 for m in messages)
    return {m.topic: json.loads(m.payload) for m in messages}


def device(config: Config) -> Any:
    return messages(config)[DEVICE]


def test_device_mode_is_one_retained_message() -> None:
    assert list(messages(EVERYTHING)) == [DEVICE]
    found = device(EVERYTHING)
    assert found["origin"] == {"name": "backdoor", "sw_version": "1.2"}
    assert found["device"]["identifiers"] == ["backdoor_bar"]
    assert found["device"]["name"] == "Backdoor bar"
    assert found["availability_mode"] == "all"
    assert [part["topic"] for part in found["availability"]] == [
        "backdoor/bar/status",
        "backdoor/bar/state",
    ]


def test_entities_have_unique_ids_and_a_platform() -> None:
    parts = shown(ASKED)
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)
    assert {part["platform"] for part in parts.values()} == {
        "lock", "event", "sensor", "binary_sensor", "number", "button", "select", "siren",
    }  # fmt: skip


def test_unwired_entities_are_removed() -> None:
    parts = device(SMALLEST)["components"]
    gone = {key for key, part in parts.items() if list(part) == ["platform"]}
    assert {"bolt", "door_knock", "door_raps", "door_waiting", "siren", "hatch"} <= gone
    assert "unique_id" in parts["lock_state"]
    assert "unique_id" in parts["question"]  # it asks by the door: has everybody left?


def test_siren_exists_for_a_chime_device_without_a_line() -> None:
    config = parse(
        {
            "lines": {"strike": 16},
            "chime": {"preset": "tasmota", "device": "bell"},
            "homeassistant": {"commands": True},
        },
        "x",
    )
    assert "unique_id" in device(config)["components"]["siren"]


def test_component_is_an_old_word_for_device_and_its_messages_are_cleared() -> None:
    config = parse({"homeassistant": {"discovery": "component"}}, "x")
    assert list(messages(config)) == [DEVICE]
    stale = stale_topics(config)
    assert "homeassistant/lock/backdoor_bar_lock/config" in stale
    assert "homeassistant/sensor/backdoor_bar_uptime/config" in stale
    assert DEVICE not in stale


def test_off_clears_everything() -> None:
    config = parse({"homeassistant": {"discovery": "off", "prefix": "ha"}}, "x")
    assert messages(config) == {}
    stale = stale_topics(config)
    assert "ha/device/backdoor_bar/config" in stale
    assert all(topic.startswith("ha/") for topic in stale)


def shown(config: Config) -> dict[str, Any]:
    parts = device(config)["components"]
    return {key: part for key, part in parts.items() if list(part) != ["platform"]}


def test_nothing_asks_until_the_owner_says_so() -> None:
    found = shown(EVERYTHING)
    assert not [key for key, part in found.items() if "command_topic" in part]
    assert "lock_state" in found
    asking = shown(ASKED)
    assert {"lock", "let_in_4", "undo", "evacuate", "siren"} <= set(asking)
    assert "lock_state" not in asking
    assert "let_in_5" not in asking


@pytest.mark.parametrize("capacity", [1, 4, 20])
def test_bounds_follow_the_capacity_and_what_is_too_much_is_removed(capacity: int) -> None:
    config = parse({"house": {"capacity": capacity}, "homeassistant": {"commands": True}}, "x")
    found = shown(config)
    assert found["count"]["max"] == capacity
    assert found["answer"]["options"][-1] == str(capacity)
    assert sum(key.startswith("let_in_") for key in found) == capacity
    assert len([key for key in device(config)["components"] if key.startswith("let_in_")]) == 20
    (message,) = discovery_messages(config, "1.2")
    assert len(message.payload) < 65_536 // 2  # half of what the installer's broker takes


def test_names_are_in_the_language_of_the_house() -> None:
    for web, notify, name in (
        ("it", "en", "Ospiti"),
        ("auto", "it", "Ospiti"),
        ("auto", "en", "Guests"),
        ("en", "it", "Guests"),
    ):
        config = parse({"web": {"language": web}, "notify": {"language": notify}}, "x")
        assert shown(config)["guests"]["name"] == name


def test_every_entity_but_the_lock_has_a_name_of_its_own_in_both_languages() -> None:
    for italian in (False, True):
        parts = components(Topics("backdoor/bar"), 20, italian=italian)
        names = [part["name"] for key, part in parts.items() if key != "lock"]
        assert None not in names
        assert len(set(names)) == len(names)


def test_booking_is_there_only_with_a_calendar() -> None:
    assert "next_booking" not in shown(EVERYTHING)
    config = parse({"book": {"url": "https://example.org/a.ics"}}, "x")
    assert "next_booking" in shown(config)


@pytest.mark.parametrize("name", ["caffè", "bar.2", "mag", "MAG"])
def test_node_id_is_valid_for_any_venue(name: str) -> None:
    config = parse({"house": {"venue": name}}, "x")
    id_ = node_id(config)
    assert id_.isascii()
    assert id_.replace("_", "").replace("-", "").isalnum()
    other = parse({"house": {"venue": name + "!"}}, "x")
    assert node_id(other) != id_


def test_device_links_the_page_when_its_address_is_known() -> None:
    assert "configuration_url" not in device(EVERYTHING)["device"]
    (message,) = discovery_messages(EVERYTHING, "1.2", Host("backdoor", "10000000abcd"))
    found = json.loads(message.payload)
    assert found["device"]["configuration_url"] == "http://backdoor.local:8080"
    assert found["origin"]["support_url"] == "http://backdoor.local:8080"
    assert found["device"]["serial_number"] == "10000000abcd"
    alone = parse({"web": {"host": "127.0.0.1"}}, "x")
    (message,) = discovery_messages(alone, "1.2", Host("backdoor"))
    assert "configuration_url" not in json.loads(message.payload)["device"]
    config = parse({"web": {"public_url": "http://backdoor.local:8080"}}, "x")
    assert device(config)["device"]["configuration_url"] == "http://backdoor.local:8080"


PARTS = components(Topics("backdoor/bar"))
ASKING = {key: part for key, part in PARTS.items() if "command_topic" in part}


def test_entities_use_no_deprecated_keys() -> None:
    assert not any("object_id" in part for part in device(ASKED)["components"].values())


@pytest.mark.parametrize("language", ["en", "it"])
def test_entity_ids_are_the_same_in_every_language(language: str) -> None:
    config = parse({"web": {"language": language}, "homeassistant": {"commands": True}}, "x")
    found = shown(config)
    assert found["lock"]["default_entity_id"] == "lock.backdoor_bar"
    assert found["guests"]["default_entity_id"] == "sensor.backdoor_bar_guests"
    assert len({part["default_entity_id"] for part in found.values()}) == len(found)


def test_commands_carry_id_and_time_and_are_never_retained_or_optimistic() -> None:
    commands = {part["command_topic"].rpartition("/")[2] for part in ASKING.values()}
    assert commands == set(COMMANDS) - {"watch_wiring"}
    for part in ASKING.values():
        assert part["retain"] is False
        assert part.get("optimistic", False) is False
        for word in ('"id": "', '"issued_at": "', '"cause": "homeassistant"'):
            assert word in part["command_template"]


def test_states_expire() -> None:
    """What is neither command nor moment is told anew, and believed no longer than that."""
    for key, part in PARTS.items():
        said_when_it_happens = ("knock_ended", "night", "book/next", "self_test")
        if part.get("state_topic", "").endswith(said_when_it_happens):
            assert "expire_after" not in part, key
        elif part["platform"] in ("sensor", "binary_sensor"):
            assert part["expire_after"] == (5 if "heartbeat" in part["state_topic"] else 35), key


def test_every_topic_is_below_our_prefix() -> None:
    for part in PARTS.values():
        for key, value in part.items():
            if key.endswith("topic"):
                assert value.startswith("backdoor/bar/")
