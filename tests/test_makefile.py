"""The menu, and what it says on a machine where something is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

LOCKS = [Path("requirements.lock"), Path("requirements-dev.lock")]


def make(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_bare_make_prints_the_menu() -> None:
    menu = make().stdout
    for target in ("setup", "run", "test", "check", "bench"):
        assert f"make {target} " in menu


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A fresh clone as far as `make setup` can see, before it can do anything."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(name, tmp_path)
    return tmp_path


def fake_python(folder: Path, fails_at: str) -> Path:
    """A Python that cannot do one thing."""
    fake = folder / "python"
    fake.write_text(f'#!/bin/sh\ncase "$2" in *{fails_at}*) exit 1;; *) exit 0;; esac\n')
    fake.chmod(0o755)
    return fake


@pytest.mark.parametrize(
    ("fails_at", "message"),
    [
        ("version_info", "backdoor needs Python 3.11 to 3.13"),
        ("ensurepip", "the venv module is missing: sudo apt install python3-venv"),
    ],
)
def test_what_is_missing_is_one_line(bare: Path, fails_at: str, message: str) -> None:
    done = make("setup", f"PYTHON={fake_python(bare, fails_at)}", cwd=bare)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(ours) == 1
    assert message in ours[0]
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_lock_names_versions_and_hashes_and_no_place(lock: Path) -> None:
    for line in lock.read_text().splitlines():
        assert re.fullmatch(
            r"[a-z0-9._-]+==[\w.]+( ; [^\\/:]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line
        ), line


def test_locks_have_all_that_pyproject_asks_for() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [(project["dependencies"], LOCKS[0])]
    wanted += [([*project["dependencies"], *extras["dev"], *extras["pi"]], LOCKS[1])]
    for requirements, lock in wanted:
        locked = set(re.findall(r"^([a-z0-9._-]+)==", lock.read_text(), re.MULTILINE))
        names = {re.split(r"[<>=~;\s]", name)[0].lower() for name in requirements}
        assert names <= locked, f"{lock}: run `make lock`"


def test_both_locks_agree() -> None:
    first, second = (
        dict(re.findall(r"^([a-z0-9._-]+)==([\w.]+)", lock.read_text(), re.MULTILINE))
        for lock in LOCKS
    )
    assert {name: second.get(name, version) for name, version in first.items()} == first
