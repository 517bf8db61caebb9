"""Home Assistant: the bar as one device that appears there by itself.

Pure: configuration in, MQTT discovery messages out. Every key is written out in full: Home
Assistant ignores an unknown one in silence, so there is nothing to gain from its abbreviations.
What is not wired has no entity; one that was there before is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from controller.codec import encode
from controller.config.settings import Config
from controller.integrations.entities import MOST_PLACES, Component, components
from controller.integrations.names import name_of
from controller.mqtt.message import Message, Topics

#: Which lines an entity is about: with none of them wired there is no such entity.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "lock": ("strike",),
    "refused": ("strike",),
    "door": ("door_contact",),
    "bolt": ("bolt_contact",),
    "question": ("beam_outer", "beam_inner", "strike", "door_contact"),
    "answer": ("beam_outer", "beam_inner", "strike"),
    "letting_in": ("strike",),
    "door_waiting": ("door_knock",),
    "hatch_knock": ("hatch_knock",),
    "hatch_light": ("hatch_knock",),
    "hatch_answered": ("hatch_knock",),
    "door_knock": ("door_knock",),
    "siren": ("chime",),
    "hatch": ("hatch_contact",),
    "hatch_raps": ("hatch_knock",),
    "door_raps": ("door_knock",),
    "door_answered": ("door_knock",),
    "lock_state": ("strike",),
    "forced": ("door_contact",),
    "open_too_long": ("door_contact",),
    "guests_tonight": ("beam_outer", "beam_inner"),
    "knocks_tonight": ("hatch_knock", "door_knock"),
    "release_cancel": ("strike",),
}
#: What older releases announced and this one does not: their platforms.
FORMER: Mapping[str, str] = {
    "uptime": "sensor",
    **{f"let_in_{n}": "button" for n in range(1, MOST_PLACES + 1)},
}
#: What a house keeps at the broker, below its own name.
RETAINED = ("state", "occupancy", "door", "session", "hatch/light", "self_test", "night",
            "book/next")  # fmt: skip


class Host(NamedTuple):
    """The machine that we run on: its mDNS name, ``""`` if unknown, and a Pi's serial number."""

    name: str = ""
    serial: str = ""


NO_HOST = Host()


def discovery_messages(config: Config, version: str, host: Host = NO_HOST) -> list[Message]:
    """Return the retained message that describes us to Home Assistant, 2024.11 and later."""
    if config.homeassistant.discovery == "off":
        return []
    entities = _entities(config)
    present = {key: part for key, part in entities.items() if _shown(config, key, part)}
    # a component of which only the platform is left is removed
    gone = {key: {"platform": platform} for key, platform in _platforms(entities).items()}
    topic = _device_topic(config.homeassistant.prefix, node_id(config))
    return [_message(topic, _shared(config, version, host) | {"components": gone | present})]


def stale_topics(config: Config) -> list[str]:
    """Return the topics on which we no longer announce; what is found retained there goes.

    Only what is found: Home Assistant complains when an entity is removed that it has not got.
    """
    prefix, node = config.homeassistant.prefix, node_id(config)
    possible = [_device_topic(prefix, node)] if config.homeassistant.discovery == "off" else []
    return possible + [
        f"{prefix}/{platform}/{node}_{key}/config"
        for key, platform in _platforms(_entities(config)).items()
    ]


def retained_topics(config: Config) -> list[str]:
    """Return every topic on which a house of this name leaves something at the broker."""
    names = Topics.of(config)
    device = _device_topic(config.homeassistant.prefix, node_id(config))
    own = [names("status"), device, *(names(name) for name in RETAINED)]
    return [*own, *(topic for topic in stale_topics(config) if topic != device)]


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
    italian = _language(config) == "it"
    found = components(names, config.rules.capacity, italian=italian)
    return {
        key: {
            "unique_id": f"{node}_{key}",
            "default_entity_id": _entity_id(config, key, str(part["platform"])),
            **part,
        }
        for key, part in found.items()
    }


def _entity_id(config: Config, key: str, platform: str) -> str:
    """Return an id that is the same in every language, release and area of Home Assistant."""
    words = f"Backdoor {config.venue} {name_of(key, italian=False) or ''}"
    return f"{platform}.{re.sub('[^a-z0-9]+', '_', words.lower()).strip('_')}"


def _platforms(entities: Mapping[str, Component]) -> dict[str, str]:
    """Return the platform of every entity that we announce, or once did."""
    return {**FORMER, **{key: str(part["platform"]) for key, part in entities.items()}}


def _language(config: Config) -> str:
    """Return the house's language: the page's, or where each phone has its own the messages'."""
    return config.notify.language if config.web.language == "auto" else config.web.language


def _device_topic(prefix: str, node: str) -> str:
    return f"{prefix}/device/{node}/config"


def _message(topic: str, payload: Component) -> Message:
    return Message(topic, encode(payload), qos=1, retain=True)


def _shown(config: Config, key: str, part: Component) -> bool:
    """Return whether there is such an entity: wired, and what asks only where it may."""
    if key in ("lock", "lock_state") and config.homeassistant.commands != (key == "lock"):
        return False
    if "command_topic" in part and not config.homeassistant.commands:
        return False
    return bool(config.book.url) if key == "next_booking" else _wired(config, key)


def _wired(config: Config, key: str) -> bool:
    if key == "siren" and config.chime.preset:
        return True
    if key.startswith("let_in_"):
        return "strike" in config.lines
    needed = NEEDS.get(key, ())
    return not needed or any(line in config.lines for line in needed)


def _page(config: Config, host: Host) -> str:
    """Return the page's address as the owner gives it, or by this machine's name; "" for none."""
    web = config.web
    if web.public_url:
        return web.public_url
    name = f"{host.name}.local" if web.host in ("0.0.0.0", "::", "") else web.host
    if not host.name or web.host in ("127.0.0.1", "::1", "localhost"):
        return ""
    return f"{'https' if web.tls_cert else 'http'}://{name}:{web.port}"


def _shared(config: Config, version: str, host: Host) -> Component:
    names = Topics.of(config)
    device = {
        "identifiers": [node_id(config)],
        "name": f"Backdoor {config.venue}",
        "manufacturer": "backdoor",
        "model": "Door, hatch and guest counter",
        "sw_version": version,
        "suggested_area": config.venue.replace("_", " ").title(),
    }
    origin = {"name": "backdoor", "sw_version": version}
    page = _page(config, host)
    if page:
        device["configuration_url"] = page
        origin["support_url"] = page
    if host.serial:
        device["serial_number"] = host.serial
    pins = (
        "{{ 'offline' if value_json.faults | selectattr('line', 'eq', 'pins') | list "
        "else 'online' }}"
    )
    return {
        "device": device,
        "origin": origin,
        "availability_mode": "all",
        "availability": [
            {"topic": names("status")},
            {"topic": names("state"), "value_template": pins},
        ],
    }
