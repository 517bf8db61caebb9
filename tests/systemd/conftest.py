"""The installer's modules, on paths of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.installer import STOCK, SYSTEMD, remembering


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules, with every path of theirs below a directory of this test."""
    monkeypatch.syspath_prepend(SYSTEMD)
    from installer import broker, centre, executor, machine

    monkeypatch.setattr("shutil.chown", lambda *_: None)
    firmware = tmp_path / "config.txt"
    firmware.write_text(STOCK)
    monkeypatch.setattr(machine, "FIRMWARE", firmware)
    manager = tmp_path / "systemd"
    monkeypatch.setattr(machine, "MANAGER", tuple(str(manager / name) for name in ("usr", "etc")))
    for name in ("usr", "etc"):
        (manager / name / "system.conf.d").mkdir(parents=True)
    drop_ins = manager / "etc/system.conf.d"
    monkeypatch.setattr(machine, "WATCHDOG", drop_ins / "90-backdoor.conf")
    monkeypatch.setattr(machine, "FORMER_WATCHDOG", drop_ins / "60-backdoor.conf")
    monkeypatch.setattr(machine, "CUSTOM", tmp_path / "raspi-firmware-custom")
    monkeypatch.setattr(machine, "REBOOT", tmp_path / "reboot")
    monkeypatch.setattr(broker, "ETC", tmp_path / "etc")
    mosquitto = tmp_path / "mosquitto"
    monkeypatch.setattr(broker, "MOSQUITTO", mosquitto)
    monkeypatch.setattr(broker, "SETTINGS", mosquitto / "conf.d/backdoor.conf")
    monkeypatch.setattr(broker, "PASSWORDS", mosquitto / "backdoor.passwd")
    monkeypatch.setattr(broker, "RIGHTS", mosquitto / "backdoor.acl")
    (tmp_path / "mosquitto/conf.d").mkdir(parents=True)
    monkeypatch.setattr(centre, "ETC", tmp_path / "etc")
    for name, file in (
        ("BRIDGE", "centre-bridge.conf"),
        ("CREDENTIALS", "centre.credentials"),
        ("CA", "centre-ca.pem"),
    ):
        monkeypatch.setattr(centre, name, tmp_path / "etc" / file)
    monkeypatch.setattr(centre, "SOCKET", str(tmp_path / "closed.sock"))
    worker = remembering(executor.Executor)
    yield SimpleNamespace(
        broker=broker, centre=centre, machine=machine, executor=worker, firmware=firmware
    )
    for name in [name for name in sys.modules if name.split(".")[0] == "installer"]:
        del sys.modules[name]
