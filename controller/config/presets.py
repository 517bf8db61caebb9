"""Other people's bulbs and chimes: from what the house wants to what a device is told.

The devices themselves are data, in ``presets.toml``. Nothing is retained, so no device switches
by itself after an outage; instead the light is told again when the device says that it is back.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from controller.codec import decode
from controller.config.settings import Config, Device
from controller.events import TONES
from controller.mqtt.message import Message

#: What a device of each kind can be told; ``blink`` falls back to ``on``, each tone to the first.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "hatch_light": ("on", "off", "blink"),
    "chime": (*TONES, "evacuate"),
}
NEEDED: Mapping[str, tuple[str, ...]] = {"hatch_light": ("on", "off"), "chime": ("warning",)}
FREE = ("plain", "custom")
ONLINE = ("online", "true")


@dataclass(frozen=True, slots=True)
class Gadget:
    """One device: the messages of each action, and the topics on which it says that it is back."""

    actions: Mapping[str, tuple[Message, ...]]
    back: tuple[str, ...]

    def told(self, action: str) -> list[Message]:
        """Return what the device is to be told."""
        return list(self.actions[action])


@dataclass(frozen=True, slots=True)
class Gadgets:
    """The devices of this house, either of which may be missing."""

    light: Gadget | None = None
    chime: Gadget | None = None

    def lit(self, level: bool, blink: bool) -> list[Message]:
        """Return what the bulb is told when the hatch light is at this level."""
        action = ("blink" if blink else "on") if level else "off"
        return self.light.told(action) if self.light else []

    def rung(self, tone: str) -> list[Message]:
        """Return what the chime is told when the house rings ``tone``."""
        return self.chime.told(tone) if self.chime else []

    def back(self) -> list[str]:
        """Return the topics on which the bulb says that it is back; a chime has nothing to redo."""
        return list(self.light.back) if self.light else []


def gadgets(config: Config) -> Gadgets:
    """Return the devices of a checked configuration."""
    return Gadgets(_gadget("hatch_light", config.hatch_light), _gadget("chime", config.chime))


def is_back(payload: bytes) -> bool:
    """Tell whether a device's word about itself means that it is there (again)."""
    word = payload.decode("utf-8", "replace").strip()
    try:
        told = decode(word)
    except ValueError:
        return word.lower() in ONLINE
    state = told.get("state") if isinstance(told, dict) else told
    return str(state).lower() in ONLINE


def problems(kind: str, settings: Device) -> Iterator[tuple[str, str]]:
    """Yield each key of a device's section that can't be used, and what is wrong with it."""
    if not settings.preset:
        return
    if settings.preset in FREE:
        yield from _free_problems(kind, settings)
        return
    if settings.topic or settings.payloads:
        name = "topic" if settings.topic else "payloads"
        yield name, f'preset "{settings.preset}" brings its own; leave it out, or take custom'
    if kind not in _presets()[settings.preset]:
        able = [name for name, preset in _presets().items() if kind in preset]
        yield "preset", f'"{settings.preset}" has none; take {", ".join(able)} or custom'
    elif not settings.device:
        yield "device", f'preset "{settings.preset}" needs the device\'s name, got ""; give it'


def _free_problems(kind: str, settings: Device) -> Iterator[tuple[str, str]]:
    if not settings.topic:
        yield "topic", f'preset "{settings.preset}" needs a topic, got ""; give it'
    for action in settings.payloads:
        if action not in ACTIONS[kind]:
            yield "payloads", f"unknown action {action}; known are {', '.join(ACTIONS[kind])}"
    missing = [action for action in NEEDED[kind] if action not in settings.payloads]
    if settings.preset == "custom" and missing:
        yield "payloads", f"custom needs {' and '.join(missing)}; give what to publish"


@cache
def _presets() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("presets.toml").read_text(encoding="utf-8"))


def _gadget(kind: str, settings: Device) -> Gadget | None:
    if not settings.preset:
        return None
    preset = _presets()["plain" if settings.preset in FREE else settings.preset]
    places = {
        "{topic}": settings.topic,
        "{device}": settings.device,
        "{part}": settings.part or preset.get("part", ""),
    }
    actions = {}
    for action in ACTIONS[kind]:
        said = _said(kind, action, settings, preset[kind])
        actions[action] = tuple(
            Message(_filled(topic, places), _filled(payload, places).encode(), qos=1)
            for topic, payload in said
        )
    return Gadget(actions, tuple(_filled(topic, places) for topic in preset["back"]))


def _said(kind: str, action: str, settings: Device, preset: Mapping[str, Any]) -> Any:
    """Return topics and payloads of one action: the owner's own words before the preset's."""
    own = settings.payloads
    if action in own:
        return [("{topic}", own[action])]
    if settings.preset == "custom":
        return [("{topic}", own[NEEDED[kind][0]])]
    return preset[action]


def _filled(text: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text
