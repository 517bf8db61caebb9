"""Home Assistant: the bar as one device that appears there by itself.

Pure: configuration in, MQTT discovery messages out. Every key is written out in full: Home
Assistant ignores an unknown one in silence, so there is nothing to gain from its abbreviations.
What is not wired has no entity; one that was there before is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from controller.codec import encode
from controller.config.settings import Config
from controller.integrations.entities import Component, components
from controller.mqtt.message import Message, Topics

#: Which lines an entity is about: with none of them wired there is no such entity.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "lock": ("strike",),
    "refused": ("strike",),
    "door": ("door_contact",),
    "bolt": ("bolt_contact",),
    "question": ("beam_outer", "beam_inner"),
    "hatch_knock": ("hatch_knock",),
    "hatch_light": ("hatch_knock",),
    "hatch_answered": ("hatch_knock",),
    "door_knock": ("door_knock",),
    "siren": ("chime",),
}


def discovery_messages(config: Config, version: str) -> list[Message]:
    """Return the retained messages that describe us to Home Assistant."""
    shared = _shared(config, version)
    entities, prefix, node = _entities(config), config.homeassistant.prefix, node_id(config)
    present = {key: part for key, part in entities.items() if _wired(config, key)}
    match config.homeassistant.discovery:
        case "device":
            # a component of which only the platform is left is removed
            gone = {key: {"platform": part["platform"]} for key, part in entities.items()}
            return [_message(_device_topic(prefix, node), shared | {"components": gone | present})]
        case "component":  # for Home Assistant before devices came (2024.11)
            return [
                _message(_component_topic(prefix, node, key, part), shared | part)
                for key, part in present.items()
            ]
        case _:
            return []


def stale_topics(config: Config) -> list[str]:
    """Return the topics of other discovery modes; what is found retained there is to be cleared.

    Only what is found: Home Assistant complains when an entity is removed that it has not got.
    """
    prefix, node = config.homeassistant.prefix, node_id(config)
    entities = _entities(config).items()
    possible = [_device_topic(prefix, node)]
    possible += [_component_topic(prefix, node, key, part) for key, part in entities]
    current = {message.topic for message in discovery_messages(config, "")}
    return [topic for topic in possible if topic not in current]


def node_id(config: Config) -> str:
    """Return the device's id, of letters, digits, ``_`` and ``-`` only, and still its own."""
    name = f"{config.mqtt.prefix}_{config.venue}"
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    if plain == name:
        return plain
    return f"{plain}_{sha256(name.encode()).hexdigest()[:6]}"


def _entities(config: Config) -> dict[str, Component]:
    """Return every entity that a bar can have, with an id of its own."""
    names, node = Topics.of(config), node_id(config)
    return {key: {"unique_id": f"{node}_{key}", **part} for key, part in components(names).items()}


def _device_topic(prefix: str, node: str) -> str:
    return f"{prefix}/device/{node}/config"


def _component_topic(prefix: str, node: str, key: str, part: Component) -> str:
    return f"{prefix}/{part['platform']}/{node}_{key}/config"


def _message(topic: str, payload: Component) -> Message:
    return Message(topic, encode(payload), qos=1, retain=True)


def _wired(config: Config, key: str) -> bool:
    if key == "siren" and config.chime.preset:
        return True
    needed = NEEDS.get(key, ())
    return not needed or any(line in config.lines for line in needed)


def _shared(config: Config, version: str) -> Component:
    names = Topics.of(config)
    device = {
        "identifiers": [node_id(config)],
        "name": f"Backdoor {config.venue}",
        "manufacturer": "backdoor",
        "model": "Door, hatch and guest counter",
        "sw_version": version,
    }
    if config.web.public_url:
        device["configuration_url"] = config.web.public_url
    pins = (
        "{{ 'offline' if value_json.faults | selectattr('line', 'eq', 'pins') | list "
        "else 'online' }}"
    )
    return {
        "device": device,
        "origin": {"name": "backdoor", "sw_version": version},
        "availability_mode": "all",
        "availability": [
            {"topic": names("status")},
            {"topic": names("state"), "value_template": pins},
        ],
    }
