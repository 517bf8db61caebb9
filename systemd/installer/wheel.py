"""A wheel of the release itself, made without building anything.

A build would take whatever setuptools and packaging it finds, and both have broken installations. A
wheel is an archive with a few lines of text, and ours only has to say where the code lies and how
its command is called: pip does the rest, and takes it as it is.
"""

import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path
from typing import Any

#: The date of every file in it: the same release gives the same bytes.
DATE = (1980, 1, 1, 0, 0, 0)


def make(release: Path) -> Path:
    """Write the wheel that has Python find this release's code, beside it; return its path."""
    project = tomllib.loads((release / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.pth": f"{release}\n",
        f"{info}/METADATA": _metadata(project),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: backdoor\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": _commands(project.get("scripts", {})),
    }
    files[f"{info}/RECORD"] = "".join(map(_record, files.items())) + f"{info}/RECORD,,\n"
    path = release / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(zipfile.ZipInfo(inside, DATE), text)
    return path


def _metadata(project: dict[str, Any]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    if "requires-python" in project:
        lines.append(f"Requires-Python: {project['requires-python']}")
    lines += [f"Requires-Dist: {need}" for need in project.get("dependencies", [])]
    return "\n".join(lines) + "\n"


def _commands(scripts: dict[str, str]) -> str:
    return "[console_scripts]\n" + "".join(f"{name} = {at}\n" for name, at in scripts.items())


def _record(file: tuple[str, str]) -> str:
    raw = file[1].encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
    return f"{file[0]},sha256={digest},{len(raw)}\n"
