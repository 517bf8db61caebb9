"""The file for Raspberry Pi Imager is sound YAML and sound shell; ``tests/installed`` boots it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

USER_DATA = Path("systemd/cloud-init/user-data")


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(USER_DATA.read_text())
    return found


@pytest.fixture
def boot(config: dict[str, object]) -> str:
    """What runs at each boot."""
    assert isinstance(config["bootcmd"], list)
    return "".join(config["bootcmd"])


def test_it_is_what_cloud_init_takes_for_its_own() -> None:
    assert USER_DATA.read_text().startswith("#cloud-config\n")


def test_only_what_runs_at_each_boot_is_used(config: dict[str, object]) -> None:
    """Whatever runs once is not repeated after a power cut in the middle of it."""
    assert set(config) == {"hostname", "bootcmd"}


def test_programs_in_it_are_sound_shell(boot: str, tmp_path: Path) -> None:
    inner = re.search(r"<<'END'\n(#!/bin/sh\n.*?)^END$", boot, re.DOTALL | re.MULTILINE)
    assert inner
    for name, text in (("first-boot", inner[1]), ("bootcmd", f"#!/bin/sh\n{boot}")):
        (tmp_path / name).write_text(text)
        checker = ["shellcheck"] if shutil.which("shellcheck") else ["sh", "-n"]
        done = subprocess.run([*checker, tmp_path / name], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()


def test_screen_is_no_higher_than_the_smallest(boot: str) -> None:
    """30 rows of 640 x 480, of which the QR code and its link take 23."""
    said = re.findall(r'show "(.*?)"', boot, re.DOTALL)
    assert len(said) > 5
    for text in said:
        assert len(text.splitlines()) <= 4
