"""From a card to the QR code by real cloud-init, without mosquitto and without a network.

The tests follow one another like the first evening of one machine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installed.machine import PACKAGES, ROOT, Machine, run
from tests.installed.product import build, working

pytestmark = pytest.mark.timeout(300, func_only=True)

UNIT = "backdoor-first-boot"
USER_DATA = ROOT / "systemd/cloud-init/user-data"
#: Raspberry Pi OS has no mosquitto. What it takes lies aside, to be a network's when there is one.
CARD_PACKAGES = PACKAGES.replace(",mosquitto", "") + ",cloud-init,hostname"
ASIDE = (
    'chroot "$1" apt-get install -y -q --download-only --no-install-recommends mosquitto',
    'mkdir "$1/root/mirror"; cp "$1"/var/cache/apt/archives/*.deb "$1/root/mirror"',
)
#: What Raspberry Pi OS tells cloud-init.
SEEDED = """\
datasource_list: [NoCloud, None]
datasource: {NoCloud: {seedfrom: "file:///boot/firmware/"}}
"""
#: What Raspberry Pi Imager leaves on the card.
IMAGERS = """\
#cloud-config
hostname: backdoor
manage_etc_hosts: true
timezone: Europe/Rome
users:
- name: owner
  groups: users,adm,sudo
  shell: /bin/bash
ssh_pwauth: true
runcmd:
- [ touch, /root/imagers ]
"""
#: The container has no screen: its console stands in for it.
CONSOLE = "[Service]\nEnvironment=SCREEN=/dev/console ASK_EVERY_S=2\n"
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a machine whose card has only Imager's file and ours; it is booted."""
    made = Machine(tmp_path_factory.mktemp("card"), CARD_PACKAGES, ASIDE)
    put(made, "etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg", SEEDED)
    put(made, f"etc/systemd/system/{UNIT}.service.d/console.conf", CONSOLE)
    put(made, "boot/firmware/user-data", IMAGERS)
    put(made, "boot/firmware/vendor-data", USER_DATA.read_text())
    put(made, "boot/firmware/meta-data", "instance-id: first\n")
    with made.booted():
        yield made


def put(machine: Machine, name: str, text: str) -> None:
    path = machine.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def card(machine: Machine) -> Path:
    return machine.root / "boot/firmware"


def shown(machine: Machine) -> str:
    """Return what the screen shows now: all since it was cleared."""
    return machine.screen().rpartition("\x1b[2J\x1b[H")[2]


def until_shown(machine: Machine, text: str) -> None:
    try:
        machine.until(lambda: re.search(text, shown(machine)), LIMIT_S)
    except AssertionError:
        raise AssertionError(f"not shown: {text}\n{machine.screen()[-3000:]}") from None


def status(machine: Machine) -> str:
    """Return how far dpkg is; it is asked from outside, also of a machine that is off."""
    admin = f"--admindir={machine.root / 'var/lib/dpkg'}"
    words = run("dpkg-query", admin, "-W", "-f", "${Package} ${db:Status-Status}\\n")
    return dict(line.split() for line in words.splitlines()).get("backdoor", "")


def join_network(machine: Machine) -> None:
    """Let apt reach a mirror."""
    mirror, index = machine.root / "root/mirror", ""
    for deb in sorted(mirror.glob("*.deb")):
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        index += run("dpkg-deb", "-f", str(deb))
        index += f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n\n"
    (mirror / "Packages").write_text(index)
    put(machine, "etc/apt/sources.list", "deb [trusted=yes] file:/root/mirror ./\n")


def test_card_without_a_package_says_what_is_missing(machine: Machine) -> None:
    until_shown(machine, r"no package on the card: copy backdoor_VERSION_\w+\.deb beside user-data")
    assert machine.do("hostname").strip() == "backdoor"
    machine.until((machine.root / "root/imagers").exists, LIMIT_S)  # what Imager asked is done, too


def test_package_of_another_machine_is_named(machine: Machine) -> None:
    ours = run("dpkg", "--print-architecture").strip()
    other = "arm64" if ours == "amd64" else "amd64"
    empty = build(machine, "1.0", other, wheels="root/debs")
    shutil.copy(machine.root / empty[1:], card(machine))
    until_shown(machine, f"backdoor_1.0_{other}.deb is for {other}, and this system is {ours}")


def test_damaged_package_is_named_and_replaced(machine: Machine) -> None:
    package = machine.root / build(machine, "1.0")[1:]
    on_card = card(machine) / package.name
    on_card.write_bytes(package.read_bytes()[: package.stat().st_size // 2])
    for other in card(machine).glob("backdoor_1.0_*.deb"):
        if other != on_card:
            other.unlink()
    until_shown(machine, f"{package.name} is damaged, or not all of it was copied: copy it again")
    shutil.copy(package, on_card)
    until_shown(machine, "Waiting for a network: Backdoor needs mosquitto")
    assert status(machine) in ("", "not-installed")


def test_cut_off_while_the_package_is_unpacked_and_while_it_is_set_up(machine: Machine) -> None:
    join_network(machine)
    unpacked = machine.root / "usr/lib/backdoor"
    machine.until(unpacked.exists, LIMIT_S)
    machine.cut()
    assert status(machine) != "installed"
    machine.boot()
    machine.until(lambda: list(machine.root.glob("opt/backdoor.releases/*/.venv/bin/pip")), LIMIT_S)
    machine.cut()
    assert status(machine) == "half-configured"
    machine.boot()


def test_screen_shows_the_qr_code_and_where_the_page_is(machine: Machine) -> None:
    until_shown(machine, r"page: http://backdoor\S*:8080/pair/\S{30,}")
    assert "\u2588" in shown(machine) or "\u2584" in shown(machine)
    assert "There is no network yet" in shown(machine)
    assert status(machine) == "installed"


def test_screen_shows_it_again_after_a_reboot_until_a_phone_is_paired(machine: Machine) -> None:
    machine.halt()
    machine.boot()
    until_shown(machine, r"page: http://backdoor\S*:8080/pair/\S{30,}")
    machine.until(lambda: working(machine), LIMIT_S)  # its phone pairs
    until_shown(machine, "A phone is paired")
    machine.until(lambda: machine.show(UNIT, "ActiveState") == "inactive")


def test_as_user_data_where_imager_wrote_none(machine: Machine) -> None:
    machine.halt()
    (card(machine) / "vendor-data").rename(card(machine) / "user-data")
    put(machine, "boot/firmware/meta-data", "instance-id: second\n")
    put(machine, "etc/hostname", "cellar\n")
    program = machine.root / "usr/local/sbin/backdoor-first-boot"
    program.unlink()
    machine.boot()
    machine.until(program.exists)
    machine.until(lambda: machine.do("hostname").strip() == "backdoor")
    assert machine.show(UNIT, "ActiveState") == "inactive"  # a phone is paired
