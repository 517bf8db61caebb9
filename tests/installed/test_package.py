"""The Debian package on a Debian of its own: installed, upgraded, broken, removed.

The tests follow one another like the life of one machine; each leaves it working.
"""

from __future__ import annotations

import pytest

from tests.installed.machine import Machine
from tests.installed.product import (
    UNCOMPILED,
    build,
    installed_files,
    release,
    set_count,
    state,
    working,
)

pytestmark = pytest.mark.timeout(300)

#: No network: whatever is fetched fails.
APT = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "--allow-downgrades")
WAITING = "backdoor-upgrade"
#: The installer once more, as the owner of a package does it.
AGAIN = ("/usr/lib/backdoor/systemd/install", "--packaged")


def status(machine: Machine) -> str:
    return machine.tell("dpkg-query", "-W", "-f", "${Status} ${Version}", "backdoor").stdout


@pytest.fixture(scope="module")
def packages(machine: Machine) -> dict[str, str]:
    """The paths of three releases' packages."""
    return {version: build(machine, version) for version in ("1.0", "2.0", "3.0")}


def test_apt_installs_it_without_a_network_or_a_question(
    machine: Machine, packages: dict[str, str]
) -> None:
    output = machine.do(*APT, packages["1.0"])
    assert "/pair/" in output
    assert status(machine) == "install ok installed 1.0"
    machine.until(lambda: working(machine))
    assert machine.do("backdoor", "check-config")
    assert machine.python(UNCOMPILED) == ""
    for name in ("backdoor", "backdoor-web", "backdoor-notify"):
        assert machine.do("id", "-gn", name).strip() == "backdoor"
    kept = machine.do("dpkg-query", "-W", "-f", "${Conffiles}", "backdoor").split()
    assert kept[0] == "/etc/default/backdoor"
    assert machine.do("stat", "-c", "%a %G", "/etc/backdoor/backdoor.toml").split() == [
        "640",
        "backdoor",
    ]


def test_configured_again_changes_nothing(machine: Machine) -> None:
    before = release(machine), machine.show("backdoor-controller", "MainPID")
    assert "everything was as it should be" in machine.do("dpkg-reconfigure", "backdoor")
    assert (release(machine), machine.show("backdoor-controller", "MainPID")) == before


def test_another_python_gets_a_release_of_its_own_at_once(machine: Machine) -> None:
    """As after an upgrade from Debian 12 to 13: the former release has no Python any more."""
    set_count(machine, 2)
    before = release(machine)
    machine.do("mv", before, f"{before}-old")
    machine.do("ln", "-sfn", f"{before}-old", "/opt/backdoor")
    machine.do("sh", "-c", f"mv {before}-old/.venv/lib/python3.* {before}-old/.venv/lib/python3.9")
    machine.do("dpkg-trigger", "--by-package=python3-minimal", "/usr/bin/python3")
    machine.do("dpkg", "--configure", "--pending")
    assert release(machine) == before
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2
    assert status(machine) == "install ok installed 1.0"


def test_upgrade_of_an_empty_room_is_done_at_once(
    machine: Machine, packages: dict[str, str]
) -> None:
    set_count(machine, 0)
    before = release(machine)
    machine.do(*APT, packages["2.0"])
    assert release(machine) != before
    machine.until(lambda: working(machine))


def test_upgrade_during_a_session_waits_for_an_empty_room(
    machine: Machine, packages: dict[str, str]
) -> None:
    set_count(machine, 2)
    before = release(machine)
    assert "the former release goes on" in machine.do(*APT, packages["3.0"])
    assert status(machine) == "install ok installed 3.0"
    assert release(machine) == before
    machine.until(lambda: machine.show(WAITING, "ActiveState") == "active")
    set_count(machine, 0)
    machine.until(lambda: release(machine) != before, 120)
    machine.until(lambda: machine.show(WAITING, "SubState") == "dead", 60)
    assert machine.show(WAITING, "Result") == "success"
    assert machine.tell("test", "-e", "/opt/backdoor.waiting").returncode != 0
    machine.until(lambda: working(machine))


def test_downgrade_now_keeps_the_data_of_a_full_room(
    machine: Machine, packages: dict[str, str]
) -> None:
    set_count(machine, 2)
    before = release(machine)
    machine.do("env", "BACKDOOR_UPGRADE=now", *APT, packages["2.0"])
    assert status(machine) == "install ok installed 2.0"
    assert release(machine) != before
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2


def test_refused_configuration_leaves_it_half_configured_until_it_is_mended(
    machine: Machine, packages: dict[str, str]
) -> None:
    set_count(machine, 0)
    before, config = release(machine), machine.root / "etc/backdoor/backdoor.toml"
    text = config.read_text()
    config.write_text(text.replace("capacity = 4", "capacity = 400"))
    done = machine.tell(*APT, packages["3.0"])
    config.write_text(text)
    assert done.returncode != 0
    assert "[house] capacity: must be a whole number from 1 to 20, got 400" in (
        done.stdout + done.stderr
    )
    assert status(machine) == "install ok half-configured 3.0"
    assert release(machine) == before
    assert working(machine)
    machine.do("dpkg", "--configure", "-a")
    assert status(machine) == "install ok installed 3.0"
    assert release(machine) != before
    machine.until(lambda: working(machine))


def test_release_that_does_not_start_is_undone_and_another_package_mends_it(
    machine: Machine, packages: dict[str, str]
) -> None:
    set_count(machine, 0)  # it may not know after a restart, and an upgrade would wait
    before, file = release(machine), machine.source / "web/server.py"
    text = file.read_text()
    file.write_text(text.replace("\nclass Server", "\nraise SystemExit('broken')\nclass Server"))
    broken = build(machine, "4.0")
    file.write_text(text)
    done = machine.tell(*APT, broken)
    assert done.returncode != 0
    assert "the former one is back" in done.stdout + done.stderr
    assert status(machine) == "install ok half-configured 4.0"
    assert release(machine) == before
    machine.until(lambda: working(machine))
    machine.do(*APT, packages["3.0"])
    assert status(machine) == "install ok installed 3.0"
    assert release(machine) == before
    machine.until(lambda: working(machine))


def test_bar_of_the_package_joins_a_centre_without_a_network(machine: Machine) -> None:
    """What it needs is in the package; a centre that is not there is said, and nothing waits."""
    set_count(machine, 0)
    before = release(machine)
    machine.do("tee", "/root/bar.centre", text="bar:a-long-enough-password\n")
    machine.do(*AGAIN, "--centre", "n1.example", "--centre-credentials", "/root/bar.centre")
    assert release(machine) == f"{before}-centre"
    machine.until(lambda: working(machine))
    log = ("journalctl", "-q", "--no-pager", "-u", "backdoor-web")
    machine.until(lambda: "centre: [centre] servers: tls://n1.example:4222" in machine.do(*log))
    machine.do(*AGAIN, "--no-centre")
    assert release(machine) == before
    machine.until(lambda: working(machine))


def test_removed_keeps_the_data_and_comes_back(machine: Machine, packages: dict[str, str]) -> None:
    set_count(machine, 2)
    machine.do("backdoor", "pair")
    secret = machine.do("cat", "/var/lib/backdoor/pairing.secret")
    machine.do("apt-get", "remove", "-y", "-qq", "backdoor")
    assert installed_files(machine) == [
        "/etc/backdoor",
        "/etc/backdoor/backdoor.toml",
        "/etc/default/backdoor",
        "/var/lib/backdoor",
        "/var/lib/backdoor-web",
    ]
    machine.mock_pins()
    machine.do(*APT, packages["1.0"])
    machine.until(lambda: working(machine))
    assert machine.do("cat", "/var/lib/backdoor/pairing.secret") == secret
    assert state(machine)["occupancy"]["count"] == 2


def test_purge_leaves_nothing(machine: Machine) -> None:
    machine.do("apt-get", "purge", "-y", "-qq", "backdoor")
    assert installed_files(machine) == []
    assert status(machine) in ("", "unknown ok not-installed ")
    for name in ("backdoor", "backdoor-web", "backdoor-notify"):
        assert machine.tell("getent", "passwd", name).returncode != 0
