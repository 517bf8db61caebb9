"""Other people's bulbs and chimes: from the hatch light and the chime to MQTT messages.

Nothing is retained, so no device switches by itself after an outage; instead the light is sent
again when the device reports that it is online.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.codec import decode
from controller.config.presets import ACTIONS, OWN_TOPIC, REQUIRED, presets
from controller.config.settings import Config, DeviceSettings
from controller.mqtt.message import Message

#: What a device's state topic says when it is there.
ONLINE = ("online", "true")


@dataclass(frozen=True, slots=True)
class Device:
    """One device: the messages of each action, and the topics on which it reports its state."""

    actions: Mapping[str, tuple[Message, ...]]
    state_topics: tuple[str, ...]

    def messages(self, action: str) -> list[Message]:
        """Return the messages of one of the actions of its kind, in the order to send them."""
        return list(self.actions[action])


@dataclass(frozen=True, slots=True)
class Devices:
    """The bulb and the chime of this venue; either may be missing."""

    light: Device | None = None
    chime: Device | None = None

    @classmethod
    def of(cls, config: Config) -> Devices:
        """Return the devices of a checked configuration."""
        return cls(_device("hatch_light", config.hatch_light), _device("chime", config.chime))

    def light_messages(self, level: bool, blink: bool) -> list[Message]:
        """Return the messages that bring the bulb to the state of the hatch light."""
        action = ("blink" if blink else "on") if level else "off"
        return self.light.messages(action) if self.light else []

    def chime_messages(self, tone: str) -> list[Message]:
        """Return the messages that make the chime ring ``tone``."""
        return self.chime.messages(tone) if self.chime else []

    def state_topics(self) -> list[str]:
        """Return the topics on which the bulb reports its state; the chime has none to restore."""
        return list(self.light.state_topics) if self.light else []


def is_online(payload: bytes) -> bool:
    """Return whether a device's report of its own state means that it is there (again)."""
    word = payload.decode("utf-8", "replace").strip()
    try:
        report = decode(word)
    except ValueError:
        return word.lower() in ONLINE
    state = report.get("state") if isinstance(report, dict) else report
    return str(state).lower() in ONLINE


def _device(kind: str, settings: DeviceSettings) -> Device | None:
    if not settings.preset:
        return None
    preset = presets()["plain" if settings.preset in OWN_TOPIC else settings.preset]
    values = {
        "{topic}": settings.topic,
        "{device}": settings.device,
        "{part}": settings.part or preset.get("part", ""),
        "{base}": settings.base or preset.get("base", ""),
        "{channel}": str(settings.channel),
    }
    actions = {}
    for action in ACTIONS[kind]:
        actions[action] = tuple(
            Message(_filled(topic, values), _filled(payload, values).encode(), qos=1)
            for topic, payload in _templates(kind, action, settings, preset[kind])
        )
    return Device(actions, tuple(_filled(topic, values) for topic in preset["back"]))


def _templates(kind: str, action: str, settings: DeviceSettings, preset: Mapping[str, Any]) -> Any:
    """Return topics and payloads of one action: the owner's own payload before the preset's."""
    own = settings.payloads
    if action in own:
        return [("{topic}", own[action])]
    if settings.preset == "custom":
        return [("{topic}", own[REQUIRED[kind][0]])]
    return preset[action]


def _filled(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
