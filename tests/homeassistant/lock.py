"""Make the lock of one Home Assistant: ``make lock-ha HA_VERSION=2026.11.0``.

Home Assistant installs what its integrations need while it starts, each day what is newest. Here
all of it is named beforehand, by its own manifests, within its own constraints, with hashes.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.homeassistant.releases import RELEASES, lock_of

#: What a bare Home Assistant with MQTT sets up beside what its bootstrap names.
ALSO = frozenset({"api", "automation", "hassio", "isal", "mqtt", "recorder", "system_log"})
NAMED = ("CORE_INTEGRATIONS", "DEFAULT_INTEGRATIONS")


def integrations(release: zipfile.ZipFile) -> Iterator[str]:
    """Return what every new Home Assistant sets up: what its bootstrap names, and each platform."""
    for statement in ast.parse(release.read("homeassistant/bootstrap.py")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in NAMED:
            assert isinstance(statement.value, ast.Set)
            names = [each for each in statement.value.elts if isinstance(each, ast.Constant)]
            yield from (str(name.value) for name in names)
    for path in release.namelist():
        if re.fullmatch(r"homeassistant/components/\w+/manifest\.json", path):
            manifest = json.loads(release.read(path))
            if manifest.get("integration_type") == "entity":
                yield manifest["domain"]


def needs(release: zipfile.ZipFile) -> list[str]:
    """Return the requirements of these integrations, and of those that they depend on."""
    found: set[str] = set()
    done: set[str] = set()
    todo = {*ALSO, *integrations(release)}
    while todo:
        domain = todo.pop()
        done.add(domain)
        manifest = json.loads(release.read(f"homeassistant/components/{domain}/manifest.json"))
        found |= set(manifest.get("requirements", ()))
        todo |= set(manifest.get("dependencies", ())) - done
    return sorted(found)


def download(version: str, python: str, folder: Path) -> Path:
    """Get the release itself, without what it needs."""
    pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check")
    only = ("--no-deps", "--only-binary", ":all:", "--python-version", python)
    subprocess.run((*pip, *only, "-d", str(folder), f"homeassistant=={version}"), check=True)
    return next(folder.glob("*.whl"))


def lock(version: str) -> None:
    """Write the lock of a release."""
    python = RELEASES[version].python
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(download(version, python, folder)) as release:
            wanted = [f"homeassistant=={version}", *needs(release)]
            limits = release.read("homeassistant/package_constraints.txt")
        (folder / "needs.txt").write_text("\n".join(wanted))
        (folder / "limits.txt").write_bytes(limits)
        uv = (Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--universal")
        how = ("--generate-hashes", "--no-strip-extras", "--no-annotate", "--no-header")
        which = ("--python-version", python, "-c", folder / "limits.txt", folder / "needs.txt")
        subprocess.run((*uv, *how, *which, "-o", lock_of(version)), check=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or RELEASES:
        lock(each)
