"""The Debian package: what is in it, and when it waits; the rest is in ``tests/installed``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controller.config.settings import Config
from controller.rules.state import State
from controller.service.heartbeat import summary

DEB = Path("systemd/deb")
SOME_FILES = (
    "usr/lib/backdoor/systemd/install",
    "usr/lib/backdoor/requirements-notify.lock",
    "usr/lib/backdoor/web/server.py",
    "usr/lib/sysusers.d/backdoor.conf",
    "usr/lib/systemd/system/backdoor-upgrade.service",
    "etc/default/backdoor",
)
SYSTEMD = Path(__file__).parents[2] / "systemd"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(SYSTEMD)
    from installer import executor, machine, release, waiting

    yield SimpleNamespace(executor=executor, machine=machine, release=release, waiting=waiting)
    for name in [name for name in sys.modules if name.split(".")[0] == "installer"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a package without any wheels in it."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is missing: only Debian has it")
    folder = tmp_path_factory.mktemp("deb")
    command = (sys.executable, DEB / "build.py", "--arch", "arm64", "--version", "1.2~3")
    where = ("--wheels", str(folder), "--out", str(folder))
    subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
    return folder / "backdoor_1.2~3_arm64.deb"


def dpkg(*command: str | Path) -> str:
    return subprocess.run(["dpkg-deb", *command], check=True, capture_output=True, text=True).stdout


def test_package_says_its_version_and_architecture(package: Path) -> None:
    fields = dpkg("-f", package, "Package", "Version", "Architecture").splitlines()
    assert fields == ["Package: backdoor", "Version: 1.2~3", "Architecture: arm64"]


def test_package_has_the_release_and_is_roots(package: Path) -> None:
    listed = dpkg("-c", package).splitlines()
    assert {line.split()[1] for line in listed} == {"root/root"}
    names = {line.split()[5] for line in listed}
    for name in SOME_FILES:
        assert f"./{name}" in names
    assert not [line for line in listed if re.match(r"-....w|-.......w", line)]


def test_same_source_makes_the_same_package(package: Path, tmp_path: Path) -> None:
    command = (sys.executable, DEB / "build.py", "--arch", "arm64", "--version", "1.2~3")
    where = ("--wheels", str(tmp_path), "--out", str(tmp_path))
    subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / package.name).read_bytes() == package.read_bytes()


@pytest.mark.slow
def test_package_passes_lintian_without_an_error(package: Path) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["lintian", "--no-cfg", "--allow-root", "--fail-on", "error", str(package)],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["preinst", "postinst", "prerm", "postrm"])
def test_maintainer_script_is_a_sound_shell_script(name: str) -> None:
    assert (DEB / name).read_text().startswith("#!/bin/sh\n")
    checker = ["shellcheck", "-e", "SC1091"] if shutil.which("shellcheck") else ["sh", "-n"]
    done = subprocess.run([*checker, DEB / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_python_of_the_system_makes_the_release_anew(
    package: Path, parts: Any, tmp_path: Path
) -> None:
    assert "interest-noawait /usr/bin/python3\n" in dpkg("-I", package, "triggers")
    for name, here in (
        (f"python{sys.version_info[0]}.{sys.version_info[1]}", True),
        ("python3.9", False),
    ):
        (tmp_path / name / ".venv/lib" / name).mkdir(parents=True)
        assert parts.release.can_start(tmp_path / name) is here


def test_sysusers_makes_the_installers_users(parts: Any) -> None:
    lines = (DEB / "sysusers.conf").read_text().splitlines()
    users = tuple(line.split()[1] for line in lines if line.startswith("u "))
    assert users == parts.machine.USERS
    assert {line.split()[2] for line in lines if line.startswith("u ")} == {"-:backdoor"}


def test_waiting_reads_the_controllers_own_line(parts: Any) -> None:
    empty = summary(State(), Config().rules)
    assert not parts.waiting.may_be_inside(empty)
    assert parts.waiting.may_be_inside(empty.replace("0 of", "2 of"))


@pytest.mark.parametrize(
    ("line", "waits"),
    [
        ("0 of 4 inside, door Locked, 0 faults\n", False),
        ("1 of 4 inside, door Locked, 0 faults\n", True),
        ("0? of 4 inside, door Locked, 0 faults\n", True),
        ("10 of 20 inside, door Locked, 0 faults\n", True),
        ("", False),
        ("starting\n", False),
    ],
)
def test_upgrade_waits_for_whoever_may_be_inside(parts: Any, line: str, waits: bool) -> None:
    assert parts.waiting.may_be_inside(line) is waits


def test_missing_pin_library_is_named_with_the_way_out(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.machine, "_installed", lambda _: False)
    parts.machine.demand(None)
    with pytest.raises(parts.executor.StopError, match="sudo apt install python3-lgpio, then"):
        parts.machine.demand("lgpio")
