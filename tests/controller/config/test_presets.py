"""The section of a bulb or a chime: each mistake says where it is and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config.loader import ConfigError, parse


@pytest.mark.parametrize(
    ("section", "keys", "says"),
    [
        ("hatch_light", {"preset": "hue"}, 'preset: must be "" or "zigbee2mqtt"'),
        ("hatch_light", {"preset": "tasmota"}, 'device: preset "tasmota" needs the device'),
        ("hatch_light", {"device": "/b"}, "device: must be a device's name without"),
        ("hatch_light", {"device": "+"}, "device: must be a device's name without"),
        ("hatch_light", {"part": "a/b"}, 'part: must be a name without "/"'),
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
def test_mistake_names_section_key_and_value(section: str, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({section: keys}, "b.toml")
    (problem,) = caught.value.problems
    assert problem.startswith(f"b.toml: [{section}] {says}")
