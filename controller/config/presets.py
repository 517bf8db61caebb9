"""Presets of other people's bulbs and chimes: the table of them, and the checks of a section.

The devices themselves are data, in ``presets.toml``; `controller.integrations.devices` makes MQTT
messages of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from controller.config.settings import DeviceSettings
from controller.events import TONES

#: The actions of each kind of device; ``blink`` falls back to ``on``, each tone to the first.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "hatch_light": ("on", "off", "blink"),
    "chime": (*TONES, "evacuate"),
}
#: The actions that the owner must give for a custom device; the first is also the fall-back.
REQUIRED: Mapping[str, tuple[str, ...]] = {"hatch_light": ("on", "off"), "chime": ("warning",)}
#: Presets whose topic the owner gives.
OWN_TOPIC = ("plain", "custom")


@cache
def presets() -> dict[str, Any]:
    """Return the table of presets, by name."""
    return tomllib.loads(Path(__file__).with_name("presets.toml").read_text(encoding="utf-8"))


def problems(kind: str, settings: DeviceSettings) -> Iterator[tuple[str, str]]:
    """Yield each key of a device's section that can't be used, and what is wrong with it."""
    if not settings.preset:
        return
    if settings.preset in OWN_TOPIC:
        yield from _own_topic_problems(kind, settings)
        return
    if settings.topic or settings.payloads:
        name = "topic" if settings.topic else "payloads"
        yield name, f'preset "{settings.preset}" brings its own; leave it out, or take custom'
    if kind not in presets()[settings.preset]:
        able = [name for name, preset in presets().items() if kind in preset]
        yield "preset", f'"{settings.preset}" has none; take {", ".join(able)} or custom'
    elif not settings.device:
        yield "device", f'preset "{settings.preset}" needs the device\'s name, got ""; give it'


def _own_topic_problems(kind: str, settings: DeviceSettings) -> Iterator[tuple[str, str]]:
    if not settings.topic:
        yield "topic", f'preset "{settings.preset}" needs a topic, got ""; give it'
    for action in settings.payloads:
        if action not in ACTIONS[kind]:
            yield "payloads", f"unknown action {action}; known are {', '.join(ACTIONS[kind])}"
    missing = [action for action in REQUIRED[kind] if action not in settings.payloads]
    if settings.preset == "custom" and missing:
        yield "payloads", f"custom needs {' and '.join(missing)}; give what to publish"
