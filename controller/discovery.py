"""Home Assistant: the house as one device that appears there by itself.

Pure: configuration in, MQTT discovery messages out. Every key is written out in full: Home
Assistant ignores an unknown one in silence, so there is nothing to gain from its abbreviations.
What is not wired has no entity; one that was there before is taken away again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from controller.config import Config
from controller.entities import Component, components
from controller.wire import Message, Topics, encode

#: Which lines an entity is about: with none of them wired there is no such entity.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "lock": ("strike",),
    "refused": ("strike",),
    "door": ("door_contact",),
    "bolt": ("bolt_contact",),
    "hatch_knock": ("hatch_knock",),
    "hatch_light": ("hatch_knock",),
    "hatch_answered": ("hatch_knock",),
    "door_knock": ("door_knock",),
    "siren": ("chime",),
}


def discovery_messages(config: Config, version: str) -> list[Message]:
    """Return all that Home Assistant shall be told, retained; what is stale is cleared first."""
    names = Topics(f"{config.mqtt.prefix}/{config.venue}")
    node = node_id(config)
    shared = _shared(config, names, version)
    house = {key: _named(node, key, part) for key, part in components(names).items()}
    present = {key: part for key, part in house.items() if _wired(config, key)}
    return {
        "device": _as_device,
        "component": _as_components,
        "off": _as_nothing,
    }[config.homeassistant.discovery](config.homeassistant.prefix, node, shared, (house, present))


def node_id(config: Config) -> str:
    """Return the device's id, of letters, digits, ``_`` and ``-`` only, and still its own."""
    name = f"{config.mqtt.prefix}_{config.venue}"
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    if plain == name:
        return plain
    return f"{plain}_{sha256(name.encode()).hexdigest()[:6]}"


Houses = tuple[dict[str, Component], dict[str, Component]]


def _as_device(prefix: str, node: str, shared: Component, houses: Houses) -> list[Message]:
    """One message for all; a component of which only the platform is left is taken away."""
    house, present = houses
    parts = {key: present.get(key, {"platform": part["platform"]}) for key, part in house.items()}
    clear = [_message(_component_topic(prefix, node, key, part)) for key, part in house.items()]
    return [*clear, _message(_device_topic(prefix, node), shared | {"components": parts})]


def _as_components(prefix: str, node: str, shared: Component, houses: Houses) -> list[Message]:
    """One message for each, for houses that knew them before devices came (2024.11)."""
    house, present = houses
    told = [
        _message(
            _component_topic(prefix, node, key, part),
            shared | present[key] if key in present else None,
        )
        for key, part in house.items()
    ]
    return [_message(_device_topic(prefix, node)), *told]


def _as_nothing(prefix: str, node: str, shared: Component, houses: Houses) -> list[Message]:
    house, _ = houses
    topics = [_component_topic(prefix, node, key, part) for key, part in house.items()]
    return [_message(topic) for topic in (_device_topic(prefix, node), *topics)]


def _device_topic(prefix: str, node: str) -> str:
    return f"{prefix}/device/{node}/config"


def _component_topic(prefix: str, node: str, key: str, part: Component) -> str:
    return f"{prefix}/{part['platform']}/{node}_{key}/config"


def _message(topic: str, payload: Component | None = None) -> Message:
    return Message(topic, b"" if payload is None else encode(payload), qos=1, retain=True)


def _named(node: str, key: str, part: Component) -> Component:
    return {"unique_id": f"{node}_{key}", **part}


def _wired(config: Config, key: str) -> bool:
    if key == "siren" and config.chime.preset:
        return True
    needed = NEEDS.get(key, ())
    return not needed or any(line in config.lines for line in needed)


def _shared(config: Config, names: Topics, version: str) -> Component:
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
