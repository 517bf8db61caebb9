"""Which Home Assistants are tried, and where each is installed: ``make test-ha``.

Each is installed once, exactly as its lock names it, and kept in the user's cache: in an
environment of a Python that this machine has, or in a Debian of its own that brings it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.installed.machine import ROOT, cached, key, lacking, run


class Release(NamedTuple):
    """The oldest Python that a release runs on, and the Debian that brings one of these."""

    python: str
    suite: str


#: The newest release, and an older one.
RELEASES = {"2025.4.4": Release("3.13.0", "trixie"), "2026.11.0": Release("3.14.2", "forky")}
#: The release under test; without one these tests are not run.
VERSION = os.environ.get("HA_VERSION", "")
#: Some packages have no wheel for the newest Python yet, and are compiled.
PACKAGES = "systemd,python3,python3-venv,python3-dev,g++,ca-certificates"
#: Where it stands in the Debian.
INSIDE = "/root/ha"
#: A Debian that is not released yet has mirrors that are weeks behind.
LATE = '--aptopt=Acquire::Check-Valid-Until "false"'
PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes")


def lock_of(version: str) -> Path:
    """Return the file that names every package of a release."""
    return Path(__file__).with_name(f"{version}.lock")


def command(version: str, config: Path) -> list[str]:
    """Return how a release is started on a configuration; it is installed if need be."""
    python = own_python(version)
    start = ("-m", "homeassistant", "--config", str(config), "--skip-pip")
    if python:
        return [str(installed(version, python) / "bin/python"), *start]
    debian = installed(version, None)
    return [*container(debian, f"--bind={config}"), f"{INSIDE}/bin/python", *start]


def container(debian: Path, *more: str) -> list[str]:
    """Return how a command is run in a Debian, on this machine's network; SIGTERM reaches it."""
    how = ("--register=no", "--keep-unit", "--console=pipe", "--kill-signal=SIGTERM")
    return ["systemd-nspawn", "-q", "-D", str(debian), *how, *more]


def own_python(version: str) -> str | None:
    """Return a Python of this machine that runs a release, if there is one."""
    oldest = RELEASES[version].python
    version_info = f"({oldest.replace('.', ', ')})"
    asks = f"import sys, ensurepip, venv; sys.exit(sys.version_info < {version_info})"
    for found in candidates(oldest.rpartition(".")[0]):
        if subprocess.run((found, "-c", asks), capture_output=True, check=False).returncode == 0:
            return found
    return None


def candidates(python: str) -> Iterator[str]:
    """Return the Pythons of this minor release: on the path, or of pyenv's."""
    if on_path := shutil.which(f"python{python}"):
        yield on_path
    yield from map(str, Path.home().glob(f".pyenv/versions/{python}.*/bin/python{python}"))


def installed(version: str, python: str | None) -> Path:
    """Return the environment, or with no Python the Debian, that has a release."""
    lock = lock_of(version).read_text()
    if python:
        name = f"ha-{version}-{key(python, lock)}"
        return cached(name, lambda folder: in_environment(version, python, folder))
    suite = RELEASES[version].suite
    name = f"ha-{version}-{suite}-{key(suite, PACKAGES, lock)}"
    return cached(name, lambda folder: in_debian(version, suite, folder))


def in_environment(version: str, python: str, folder: Path) -> None:
    """Install a release into an environment."""
    run(python, "-m", "venv", "--clear", str(folder))
    run(str(folder / "bin/python"), *PIP, "-r", str(lock_of(version)))


def in_debian(version: str, suite: str, folder: Path) -> None:
    """Install a release into a Debian, made for it."""
    if lacks := "needs root" if os.geteuid() else lacking():
        sys.exit(f"Home Assistant {version} {lacks}, or Python {RELEASES[version].python}")
    include = f"--include={PACKAGES}"
    run("mmdebstrap", "-q", "--variant=minbase", "--format=dir", LATE, include, suite, str(folder))
    locks = f"--bind-ro={lock_of(version).parent}:/mnt"
    inside = container(folder, locks, *pip_settings())
    run(*inside, "python3", "-m", "venv", INSIDE)
    run(*inside, f"{INSIDE}/bin/python", *PIP, "-r", f"/mnt/{lock_of(version).name}")


def pip_settings() -> list[str]:
    """Return the settings of this machine's pip, which are right in there as well."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    certificates = settings.get("PIP_CERT", "")
    bound = [f"--bind-ro={certificates}"] if certificates else []
    return [*bound, *(f"--setenv={name}={value}" for name, value in settings.items())]


def main(versions: list[str]) -> int:
    """Try each release; return the first exit code that is not 0."""
    codes = []
    for version in versions or RELEASES:
        print(f"--- Home Assistant {version}", flush=True)  # noqa: T201 - make's own words
        command(version, Path())  # installs it, which takes longer than a test may
        environment = os.environ | {"HA_VERSION": version}
        tests = (sys.executable, "-m", "pytest", "tests/homeassistant")
        arguments = os.environ.get("ARGS", "").split()
        done = subprocess.run((*tests, *arguments), cwd=ROOT, env=environment, check=False)
        codes.append(done.returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
