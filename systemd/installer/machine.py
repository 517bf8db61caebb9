"""What the house needs of the machine: packages, a user, pins that are off while it boots."""

import os
import platform
import runpy
import shutil
import struct
import sys
import tomllib
from pathlib import Path

from installer.hands import Hands, StopError, asked

HERE = Path(__file__).resolve().parent.parent
UDEV = Path("/etc/udev/rules.d/60-backdoor.rules")
WATCHDOG = Path("/etc/systemd/system.conf.d/60-backdoor.conf")
FIRMWARE = Path("/boot/firmware/config.txt")
AVAHI = Path("/etc/avahi/services")
HOME = "/var/lib/backdoor"
#: The controller, and the page: another user, so that it can neither read the journal nor send the
#: controller a signal. It is of the same group, which may read the configuration and its secret.
USERS = ("backdoor", "backdoor-web")

NEEDED, WELCOME = ("mosquitto", "python3-venv"), "python3-lgpio"
UDEV_TEXT = 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"\n'
#: The Pi's watchdog counts to 15 s at most; a longer time makes it reboot for ever.
WATCHDOG_TEXT = "# Written by Backdoor's installer.\n[Manager]\nRuntimeWatchdogSec=14\n"
BEGIN, END = "# backdoor: begin\n", "# backdoor: end\n"
BOOT_TEXT = """\
[all]
# The strike's pin is low from the first second, until the controller takes it.
gpio={pin}=op,dl
# The pins of a program that was killed become inputs instead of staying as they were.
dtparam=strict_gpiod
"""
AVAHI_TEXT = """\
<?xml version="1.0" standalone="no"?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<!-- Written by Backdoor's installer: phones find the page by this machine's name. -->
<service-group>
  <name replace-wildcards="yes">Backdoor on %h</name>
  <service><type>_{kind}._tcp</type><port>{port}</port></service>
</service-group>
"""


def check(dry: bool) -> None:
    """Stop before anything is touched where it can't work."""
    problems = {
        "run it with sudo": not dry and os.geteuid() != 0,
        "it needs Python 3.11 or newer: Raspberry Pi OS bookworm or trixie, Debian 12 or 13": (
            sys.version_info[:2] < (3, 11)
        ),
        "it needs a 64-bit system: install the 64-bit image": struct.calcsize("P") != 8
        or platform.machine() not in ("aarch64", "x86_64"),
        "it needs apt and systemd": not (shutil.which("apt-get") and shutil.which("systemctl")),
    }
    for way_out, wrong in problems.items():
        if wrong:
            raise StopError(way_out)


def packages(hands: Hands) -> None:
    """Have apt install what is missing; what is only welcome may fail."""
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
    missing = [name for name in NEEDED if not _installed(name)]
    if missing:
        hands.run("apt-get", "update", "-qq")
        hands.run(*install, *missing)
    if WELCOME in asked("apt-cache", "pkgnames", WELCOME).stdout and not _installed(WELCOME):
        hands.run(*install, WELCOME, check=False)


def user(hands: Hands) -> None:
    """Have a user for each service, a group for the pins, and the data's directory."""
    for group in ("gpio", USERS[0]):
        if asked("getent", "group", group).returncode:
            hands.run("groupadd", "--system", group)
    for name in USERS:
        if asked("getent", "passwd", name).returncode:
            nowhere = ("--no-create-home", "--home-dir", HOME, "--shell", "/usr/sbin/nologin")
            hands.run("useradd", "--system", "--gid", USERS[0], *nowhere, name)
    if not Path(HOME).exists():
        hands.run("install", "-d", "-o", USERS[0], "-g", USERS[0], "-m", "750", HOME)
    if hands.write(UDEV, UDEV_TEXT):
        hands.run("udevadm", "trigger", "--subsystem-match=gpio", check=False)


def _installed(package: str) -> bool:
    status = asked("dpkg-query", "-W", "-f", "${Status}", package)
    return status.stdout.endswith(" installed")


def strike_pin(config: str) -> int | None:
    """Return the pin that the configuration's text gives the strike."""
    program = runpy.run_path(str(HERE / "strike-off"))
    found: int | None = program["strike_pin"](config)
    return found


def boot(hands: Hands, config: str) -> None:
    """On a Pi: the strike's pin low from power-on, and a watchdog for the whole machine."""
    if not FIRMWARE.is_file():
        return
    pin = strike_pin(config)
    ours = "" if pin is None else BEGIN + BOOT_TEXT.format(pin=pin) + END
    rest = without_ours(FIRMWARE.read_text())
    if hands.write(FIRMWARE, rest + ours):
        hands.note("reboot once, so that the strike's pin is low from power-on")
    if hands.write(WATCHDOG, WATCHDOG_TEXT):
        hands.run("systemctl", "daemon-reexec")


def announce(hands: Hands, config: str) -> None:
    """Where avahi runs, have it tell phones where the page is."""
    web = tomllib.loads(config).get("web", {})
    if AVAHI.is_dir() and web.get("host", "0.0.0.0") not in ("127.0.0.1", "::1", "localhost"):
        kind = "https" if web.get("tls_cert") else "http"
        text = AVAHI_TEXT.format(kind=kind, port=web.get("port", 8080))
        hands.write(AVAHI / "backdoor.service", text)
    else:
        hands.remove(AVAHI / "backdoor.service")


def without_ours(text: str) -> str:
    """Return config.txt as it was before us."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + after if begin and end else text


def restore(hands: Hands) -> None:
    """Take back what was done to the machine; its packages stay."""
    if FIRMWARE.is_file():
        hands.write(FIRMWARE, without_ours(FIRMWARE.read_text()))
    hands.remove(UDEV, WATCHDOG, AVAHI / "backdoor.service")
    for name in reversed(USERS):
        if not asked("getent", "passwd", name).returncode:
            hands.run("userdel", name)
    if not asked("getent", "group", USERS[0]).returncode:
        hands.run("groupdel", USERS[0])
