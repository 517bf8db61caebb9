"""Print what a bare Home Assistant with MQTT needs beside itself, by its own manifests.

Run with the Python that has Home Assistant: it would fetch these itself, while it starts.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path


def needs() -> list[str]:
    """Return the requirements of all integrations that a new Home Assistant sets up, and MQTT."""
    bootstrap = import_module("homeassistant.bootstrap")
    folder = Path(import_module("homeassistant.components").__path__[0])
    todo = {*bootstrap.DEFAULT_INTEGRATIONS, *bootstrap.CORE_INTEGRATIONS}
    todo |= {"api", "automation", "hassio", "isal", "mqtt", "system_log"}
    done: set[str] = set()
    found: set[str] = set()
    while todo:
        domain = todo.pop()
        done.add(domain)
        manifest = json.loads((folder / domain / "manifest.json").read_text())
        found |= set(manifest.get("requirements", ()))
        todo |= set(manifest.get("dependencies", ())) - done
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(needs()))  # noqa: T201 - read by make
