"""Home Assistant's discovery: one device, or one message for each entity, and nothing left behind.

That Home Assistant makes of it what it should is tried on a real one: ``make test-ha``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.config.loader import parse
from controller.config.settings import Config
from controller.integrations.discovery import discovery_messages, node_id, stale_topics
from controller.integrations.entities import components
from controller.mqtt.message import Topics

DEVICE = "homeassistant/device/backdoor_bar/config"
EVERYTHING = parse({}, "x")
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
    parts = device(EVERYTHING)["components"]
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)
    assert {part["platform"] for part in parts.values()} == {
        "lock", "event", "sensor", "binary_sensor", "number", "button", "siren",
    }  # fmt: skip


def test_unwired_entities_are_removed() -> None:
    parts = device(SMALLEST)["components"]
    gone = {key for key, part in parts.items() if list(part) == ["platform"]}
    assert gone == {"bolt", "door_knock", "question", "siren"}
    assert "unique_id" in parts["lock"]


def test_siren_exists_for_a_chime_device_without_a_line() -> None:
    config = parse({"lines": {"strike": 16}, "chime": {"preset": "tasmota", "device": "bell"}}, "x")
    assert "unique_id" in device(config)["components"]["siren"]


def test_component_mode_is_one_message_each_and_clears_the_device() -> None:
    config = parse({"lines": {"strike": 16}, "homeassistant": {"discovery": "component"}}, "x")
    found = messages(config)
    assert DEVICE not in found
    lock = found["homeassistant/lock/backdoor_bar_lock/config"]
    assert lock["unique_id"] == "backdoor_bar_lock"
    assert lock["origin"]["name"] == "backdoor"
    assert lock["availability_mode"] == "all"
    bell = "homeassistant/event/backdoor_bar_hatch_knock/config"
    assert bell not in found
    assert {bell, DEVICE} <= set(stale_topics(config))


def test_stale_topics_cover_every_other_mode() -> None:
    ways = [
        parse({"homeassistant": {"discovery": way, "prefix": "ha"}}, "x")
        for way in ("device", "component", "off")
    ]
    for config in ways:
        own, stale = set(messages(config)), set(stale_topics(config))
        assert own | stale == set(stale_topics(ways[2]))
        assert not own & stale
        assert all(topic.startswith("ha/") for topic in own | stale)
    assert messages(ways[2]) == {}


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
    config = parse({"web": {"public_url": "http://backdoor.local:8080"}}, "x")
    assert device(config)["device"]["configuration_url"] == "http://backdoor.local:8080"


PARTS = components(Topics("backdoor/bar"))
ASKING = {key: part for key, part in PARTS.items() if "command_topic" in part}


def test_entities_use_no_deprecated_keys() -> None:
    assert not any({"object_id", "default_entity_id"} & set(part) for part in PARTS.values())


def test_commands_carry_id_and_time_and_are_never_retained_or_optimistic() -> None:
    assert set(ASKING) == {"lock", "count", "room_empty", "hatch_answered", "siren"}
    for part in ASKING.values():
        assert part["retain"] is False
        assert part.get("optimistic", False) is False
        for word in ('"id": "', '"issued_at": "', '"cause": "homeassistant"'):
            assert word in part["command_template"]


def test_states_expire() -> None:
    """What is neither command nor moment is told anew, and believed no longer than that."""
    for key, part in PARTS.items():
        if part["platform"] in ("sensor", "binary_sensor"):
            assert part["expire_after"] == (5 if "heartbeat" in part["state_topic"] else 35), key


def test_every_topic_is_below_our_prefix() -> None:
    for part in PARTS.values():
        for key, value in part.items():
            if key.endswith("topic"):
                assert value.startswith("backdoor/bar/")
