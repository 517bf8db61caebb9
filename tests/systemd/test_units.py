"""The systemd units, judged by systemd's own tools; nothing is started."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.support.wait import HANGS_S
from web.centre.bars import node_config

BACKUP = Path("systemd/backdoor-backup.service")
#: The bridge to a centre: a mosquitto.
BRIDGE = Path("systemd/backdoor-bridge.service")
#: A centre's, on a machine of its own: the writer, and the page of all bars.
CENTRE, VENUES = (Path(f"systemd/backdoor-{name}.service") for name in ("centre", "venues"))
#: And a NATS node.
NODE = Path("systemd/backdoor-node.service")
#: Those of a bar that run all the time.
UNITS = sorted(set(Path("systemd").glob("*.service")) - {BACKUP, BRIDGE, CENTRE, VENUES, NODE})
ALL = [*UNITS, BRIDGE, CENTRE, VENUES, NODE]
PROGRAM = "/opt/backdoor/.venv/bin/backdoor"
CENTRE_PROGRAM = "/opt/backdoor-centre/.venv/bin/backdoor"
#: Exposure of 1.5 of 10, in tenths.
THRESHOLD = 15

pytestmark = pytest.mark.skipif(not UNITS, reason="run from the top of the repository")


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: sudo apt install systemd"
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, check=False)


def settings(unit: Path) -> configparser.SectionProxy:
    class Repeating(dict[str, str]):
        """systemd repeats keys to add to a list; the last one is enough here."""

    parser = configparser.RawConfigParser(strict=False, dict_type=Repeating)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    return parser["Service"]


def test_units_are_controller_notify_web_and_safe() -> None:
    assert [unit.name for unit in UNITS] == [
        "backdoor-controller.service",
        "backdoor-notify.service",
        "backdoor-safe.service",
        "backdoor-web.service",
    ]


def test_safe_unit_differs_from_controller_in_one_word() -> None:
    parts = {
        name: Path(f"systemd/backdoor-{name}.service").read_text().split("\n[Service]\n")
        for name in ("controller", "safe")
    }
    service = parts["controller"][1].split("[Install]")[0]
    assert parts["safe"][1].replace(" --safe", "").strip() == service.strip()
    assert "OnFailure=backdoor-safe.service" in parts["controller"][0]
    assert "Conflicts=backdoor-controller.service" in parts["safe"][0]


def test_stop_by_a_person_is_no_failure_and_leaves_safe_mode() -> None:
    """systemd counts starts; it runs ExecStop only when a working controller is told to stop."""
    for name in ("controller", "safe"):
        stop = settings(Path(f"systemd/backdoor-{name}.service"))["ExecStop"]
        assert stop == "+-/usr/bin/systemctl reset-failed backdoor-controller.service"


def test_each_unit_loads_its_own_login() -> None:
    """Each has its own rights at the broker; no service sees the login of another.

    The page's history is a client of its own: one login is one client at a time.
    """
    logins = {
        unit.stem.removeprefix("backdoor-"): " ".join(
            re.findall(r"^LoadCredential=(.*)", unit.read_text(), re.MULTILINE)
        )
        for unit in UNITS
    }
    assert logins == {
        "controller": "broker:/etc/backdoor/controller.login",
        "notify": "broker:/etc/backdoor/notify.login",
        "safe": "broker:/etc/backdoor/controller.login",
        "web": "broker:/etc/backdoor/web.login nights:/etc/backdoor/nights.login",
    }


def test_strike_off_runs_after_every_end_of_the_controller() -> None:
    after = settings(Path("systemd/backdoor-controller.service"))["ExecStopPost"]
    assert after == (
        "-/usr/bin/python3 -IS /opt/backdoor/systemd/strike-off /etc/backdoor/backdoor.toml"
    )
    assert Path("systemd/strike-off").exists()


@pytest.mark.parametrize("unit", [*ALL, BACKUP], ids=lambda unit: unit.stem)
def test_unit_passes_systemd_analyze(unit: Path, tmp_path: Path) -> None:
    """The program is not installed here, so another one stands in for it."""
    copy = tmp_path / unit.name
    text = unit.read_text()
    for program in (PROGRAM, CENTRE_PROGRAM, "nats-server "):
        text = text.replace(f"ExecStart={program}", "ExecStart=/bin/true ")
    copy.write_text(text)
    verdict = analyze("verify", "--man=no", str(copy))
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", ALL, ids=lambda unit: unit.stem)
def test_unit_is_hardened(unit: Path) -> None:
    verdict = analyze(
        "security", "--offline=true", f"--threshold={THRESHOLD}", "--no-pager", str(unit)
    )
    assert verdict.returncode == 0, verdict.stdout


def test_backup_is_hardened_as_far_as_root_can_be_and_begun_by_its_timer() -> None:
    """It reads what two users own, and writes where the owner says."""
    verdict = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(BACKUP))
    assert verdict.returncode == 0, verdict.stdout
    service = settings(BACKUP)
    assert service["Type"] == "oneshot"
    assert service["ExecStart"].split() == [
        PROGRAM, "backup", "--config", "/etc/backdoor/backdoor.toml"
    ]  # fmt: skip
    assert service["CapabilityBoundingSet"] == "CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE"
    timer = BACKUP.with_suffix(".timer")
    assert "OnCalendar=*-*-* 08:30\nPersistent=true" in timer.read_text()
    verdict = analyze("calendar", "*-*-* 08:30")
    assert verdict.returncode == 0


def test_bridge_to_the_centre_sees_nothing_but_its_own_file() -> None:
    service = settings(BRIDGE)
    assert service["LoadCredential"] == "bridge.conf:/etc/backdoor/centre-bridge.conf"
    assert service["ExecStart"] == "/usr/sbin/mosquitto -c %d/bridge.conf"
    assert service["DynamicUser"] == "yes"
    assert "/var/lib/backdoor " in service["InaccessiblePaths"]
    condition = "ConditionPathExists=/etc/backdoor/centre-bridge.conf"
    assert condition in BRIDGE.read_text()  # without a centre it does not start


@pytest.mark.parametrize(
    ("unit", "verb", "login"),
    [(CENTRE, "centre", "nodes"), (VENUES, "web", "broker")],
    ids=["centre", "venues"],
)
def test_units_of_a_centre_have_a_user_and_a_release_of_their_own(
    unit: Path, verb: str, login: str
) -> None:
    """A bar that the same machine keeps neither lends them a right nor waits for them."""
    service = settings(unit)
    started = service["ExecStart"].split()
    assert started[:4] == [CENTRE_PROGRAM, verb, "--config", "/etc/backdoor-centre/centre.toml"]
    assert service["Type"] == "notify"
    assert (service["Restart"], service["User"]) == ("always", "backdoor-centre")
    assert float(service["WatchdogSec"]) >= 30
    assert service["LoadCredential"] == f"{login}:/etc/backdoor-centre/centre.credentials"
    assert "-/var/lib/backdoor " in service["InaccessiblePaths"]
    assert "StartLimitIntervalSec=0" in unit.read_text()


def test_node_reads_the_users_again_and_has_a_user_that_owns_nothing_else() -> None:
    service = settings(NODE)
    assert service["ExecStart"] == "nats-server -c /etc/backdoor-centre/nats-server.conf"
    assert service["ExecReload"] == "kill -HUP $MAINPID"  # the last of three
    assert service["User"] == service["Group"] == "backdoor-node"
    assert (service["Restart"], service["StateDirectory"]) == ("always", "nats")
    text = NODE.read_text()
    assert "StartLimitIntervalSec=0" in text
    assert "InaccessiblePaths=-/var/lib/backdoor " in text
    own = node_config("n1", ["n1"], Path("/etc/backdoor-centre"))
    for shared in ("/var/lib/nats", "/etc/backdoor-centre/nats.pid", "bars.conf", "key.pem"):
        assert Path(shared).name in text
        assert shared in own


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_has_watchdog_and_restarts(unit: Path) -> None:
    service = settings(unit)
    assert service["Type"] == "notify"
    # The page asks itself every 5 s and waits up to 10 s for the answer.
    assert service["WatchdogSec"] == ("30" if unit.stem == "backdoor-web" else "10")
    assert service["Restart"] == "always"
    name = unit.stem.replace("-controller", "").replace("-safe", "")
    assert service["User"] == name  # backdoor, backdoor-web, backdoor-notify


@pytest.mark.parametrize(
    ("name", "verb"), [("controller", "run"), ("web", "web"), ("notify", "notify")]
)
def test_unit_starts_an_existing_command(name: str, verb: str) -> None:
    from controller.cli.main import main

    started = settings(Path(f"systemd/backdoor-{name}.service"))["ExecStart"].split()
    assert started == [PROGRAM, verb, "--config", "/etc/backdoor/backdoor.toml"]
    assert verb in main.commands


def test_lgpio_pipe_is_in_the_working_directory() -> None:
    """Importing lgpio makes a pipe in LG_WD and moves the process there."""
    service = settings(Path("systemd/backdoor-controller.service"))
    place = f"%t/{service['RuntimeDirectory']}"
    assert service["WorkingDirectory"] == place
    assert service["Environment"] == f"LG_WD={place}"


def test_who_writes_the_journal_knows_its_newest_step_by_one_runtime_directory() -> None:
    """Else a self-test, or safe mode, would look like an older copy of the journal."""
    from controller.cli.selftest import UNIT_PROPERTIES

    own = dict(each.split("=", 1) for each in UNIT_PROPERTIES)
    units = [settings(Path(f"systemd/backdoor-{name}.service")) for name in ("controller", "safe")]
    for service in (own, *units):
        assert service["RuntimeDirectory"] == "backdoor-controller"
        assert service["RuntimeDirectoryPreserve"] == "yes"


def test_only_controller_units_may_use_pins() -> None:
    controller = settings(Path("systemd/backdoor-controller.service"))
    assert controller["DeviceAllow"] == "char-gpiochip rw"
    assert controller["SupplementaryGroups"] == "gpio"
    for name in ("web", "notify"):
        other = settings(Path(f"systemd/backdoor-{name}.service"))
        assert other["PrivateDevices"] == "yes"
        assert "SupplementaryGroups" not in other


def test_notify_unit_sees_nothing_of_the_controllers_directory() -> None:
    service = settings(Path("systemd/backdoor-notify.service"))
    assert service["InaccessiblePaths"] == "-/var/lib/backdoor"
    assert service["StateDirectory"] == "backdoor-notify"
    assert "ExecStartPre" not in service


def test_page_is_let_at_the_secret_by_the_user_whose_directory_it_is() -> None:
    """For root a link in the controller's directory would be a trap."""
    before = settings(Path("systemd/backdoor-web.service"))["ExecStartPre"]
    assert before.startswith("+-/usr/bin/setpriv --reuid=backdoor --regid=backdoor --clear-groups ")


def test_page_notifies_ready_watchdog_and_stopping(tmp_path: Path) -> None:
    """Without a broker too: the page is up, and says that the house is not to be heard."""
    config = tmp_path / "backdoor.toml"
    config.write_text(
        f"""
        [mqtt]
        port = {free_port()}
        [web]
        host = "127.0.0.1"
        port = {free_port()}
        secret_file = "{tmp_path / "secret"}"
        """
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(HANGS_S)
        page = subprocess.Popen(
            [sys.executable, "-m", "controller", "web", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        notified = [systemd.recv(99) for _ in range(3)]
        page.send_signal(signal.SIGTERM)
        while notified[-1] == b"WATCHDOG=1":
            notified.append(systemd.recv(99))
        assert page.wait(HANGS_S) == 0
    assert notified[:3] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    assert notified[-1] == b"STOPPING=1"
