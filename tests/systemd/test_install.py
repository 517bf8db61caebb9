"""The installer's parts that need no machine of their own; the rest is in ``tests/installed``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
STOCK = (
    "# For more options see http://rptl.io/configtxt\ndtparam=audio=on\n\n[all]\nenable_uart=1\n"
)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules, with every path of theirs below a directory of this test."""
    monkeypatch.syspath_prepend(SYSTEMD)
    from installer import broker, executor, machine

    monkeypatch.setattr("shutil.chown", lambda *_: None)
    firmware = tmp_path / "config.txt"
    firmware.write_text(STOCK)
    monkeypatch.setattr(machine, "FIRMWARE", firmware)
    monkeypatch.setattr(machine, "WATCHDOG", tmp_path / "watchdog.conf")
    monkeypatch.setattr(broker, "ETC", tmp_path / "etc")
    mosquitto = tmp_path / "mosquitto"
    monkeypatch.setattr(broker, "MOSQUITTO", mosquitto)
    monkeypatch.setattr(broker, "SETTINGS", mosquitto / "conf.d/backdoor.conf")
    monkeypatch.setattr(broker, "PASSWORDS", mosquitto / "backdoor.passwd")
    monkeypatch.setattr(broker, "RIGHTS", mosquitto / "backdoor.acl")
    (tmp_path / "mosquitto/conf.d").mkdir(parents=True)
    worker = remembering(executor.Executor)
    yield SimpleNamespace(broker=broker, machine=machine, executor=worker, firmware=firmware)
    for name in [name for name in sys.modules if name.split(".")[0] == "installer"]:
        del sys.modules[name]


def remembering(base: Any) -> Any:
    """Return an executor that writes files, and only remembers the commands to run."""

    class Remembering(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(dry_run=False)
            self.ran: list[str] = []

        def run(self, *command: str, check: bool = True) -> str:
            self.ran.append(" ".join(command))
            return ""

        def log_step(self, text: str) -> None:
            pass

        @property
        def notes(self) -> list[str]:
            return list(self._notes)

    return Remembering()


def test_boot_sets_strike_pin_low_and_restore_undoes_it(parts: Any) -> None:
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    text = parts.firmware.read_text()
    assert text.startswith(STOCK)
    assert "\n[all]\n" in text.removeprefix(STOCK)
    assert "gpio=20=op,dl\n" in text
    assert "dtparam=strict_gpiod\n" in text
    assert parts.executor.notes == ["reboot once, so that the strike's pin is low from power-on"]
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert parts.firmware.read_text() == text
    assert len(parts.executor.notes) == 1
    assert parts.machine.without_ours(text) == STOCK


def test_boot_with_another_strike_pin_replaces_the_old_one(parts: Any) -> None:
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    parts.machine.boot(parts.executor, "[lines]\nstrike = 16\n")
    text = parts.firmware.read_text()
    assert "gpio=16=op,dl" in text
    assert "gpio=20" not in text
    parts.machine.boot(parts.executor, "[lines]\n")
    assert parts.firmware.read_text() == STOCK


def test_boot_without_a_pi_writes_nothing(parts: Any) -> None:
    parts.firmware.unlink()
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert not parts.firmware.exists()
    assert not parts.machine.WATCHDOG.exists()


def test_announce_writes_a_service_file_for_avahi(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.machine, "AVAHI", tmp_path / "services")
    file = tmp_path / "services" / "backdoor.service"
    parts.machine.announce(parts.executor, "")
    assert not file.exists()  # no avahi, no file
    file.parent.mkdir()
    parts.machine.announce(parts.executor, '[web]\nport = 8443\ntls_cert = "/x"\n')
    service = ElementTree.parse(file).getroot().find("service")
    assert service is not None
    assert [part.text for part in service] == ["_https._tcp", "8443"]
    parts.machine.announce(parts.executor, "")
    assert "<type>_http._tcp</type><port>8080</port>" in file.read_text()
    parts.machine.announce(
        parts.executor, '[web]\nhost = "127.0.0.1"\n'
    )  # a proxy stands before it
    assert not file.exists()


def settings(parts: Any, config: str = "", lan: bool | None = None) -> str:
    parts.broker.broker(parts.executor, config, lan)
    return str(parts.broker.SETTINGS.read_text())


def test_broker_listens_to_this_machine_only_unless_lan_was_given(parts: Any) -> None:
    assert "listener 1883 127.0.0.1\n" in settings(parts)
    assert "listener 1883\n" in settings(parts, lan=True)
    assert "listener 1883\n" in settings(parts)
    assert "listener 1883 127.0.0.1\n" in settings(parts, lan=False)
    assert "allow_anonymous false" in settings(parts)


def test_rights_have_the_topics_of_the_configuration(parts: Any) -> None:
    settings(parts, '[house]\nvenue = "nook"\n[mqtt]\nprefix = "bars/mine"\n')
    assert "topic write bars/mine/nook/cmd/+\n" in parts.broker.RIGHTS.read_text()


def test_passwords_are_made_once_and_differ(parts: Any) -> None:
    settings(parts)
    first = {file.name: file.read_text() for file in parts.broker.ETC.glob("*.login")}
    assert len(first) == len(set(first.values())) == 4
    assert all(len(text.partition(":")[2].strip()) >= 32 for text in first.values())
    assert {file.stat().st_mode & 0o777 for file in parts.broker.ETC.iterdir()} == {0o600}
    settings(parts)
    assert {file.name: file.read_text() for file in parts.broker.ETC.glob("*.login")} == first
    assert parts.executor.ran.count("systemctl restart mosquitto") >= 1


def test_broker_with_own_rules_is_not_changed(parts: Any) -> None:
    own = parts.broker.MOSQUITTO / "conf.d" / "mine.conf"
    own.write_text("# my house\nlistener 1883\npassword_file /etc/mosquitto/mine\n")
    parts.broker.broker(parts.executor, "", None)
    assert not parts.broker.SETTINGS.exists()
    assert f"rules of its own in {own}" in parts.executor.notes[0]
    assert parts.executor.ran == []


def test_dry_run_prints_every_step_and_changes_nothing() -> None:
    done = subprocess.run(
        [SYSTEMD / "install", "--dry-run"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("would ") for line in done.stdout.splitlines())
    assert "would run systemctl restart --no-block backdoor-controller" in done.stdout


def test_help_lists_the_options() -> None:
    done = subprocess.run(
        [SYSTEMD / "install", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--upgrade", "--uninstall", "--purge", "--dry-run", "--wheels", "--lan"):
        assert option in done.stdout
