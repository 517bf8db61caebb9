"""What we need of the machine: packages, users, and pins that are off while it boots."""

import os
import platform
import re
import runpy
import shutil
import struct
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from installer.executor import Executor, StopError, query
from installer.release import CENTRE, NOTIFY, POSTGRES

HERE = Path(__file__).resolve().parent.parent
UDEV = Path("/etc/udev/rules.d/60-backdoor.rules")
#: After the vendor's 40- or 70-rpi-enable-watchdog.conf: of several the last name has its way.
WATCHDOG = Path("/etc/systemd/system.conf.d/90-backdoor.conf")
#: Where it was before, where the vendor's 70- had its way.
FORMER_WATCHDOG = Path("/etc/systemd/system.conf.d/60-backdoor.conf")
#: Where systemd looks for such files; of two with one name the later place counts.
MANAGER = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
FIRMWARE = Path("/boot/firmware/config.txt")
#: Debian writes config.txt anew with each kernel, and puts this in; config.txt itself says so.
CUSTOM = Path("/etc/default/raspi-firmware-custom")
#: There until the next boot: config.txt was written since the machine started.
REBOOT = Path("/run/backdoor-reboot")
AVAHI = Path("/etc/avahi/services")
HOME = "/var/lib/backdoor"
#: The controller; the page and the messages are other users, so that they can neither read the
#: journal nor send the controller a signal, all of one group, which may read the configuration.
USERS = ("backdoor", "backdoor-web", "backdoor-notify")

REQUIRED = ("mosquitto", "python3-venv")
#: Pin libraries that come from apt, by the factory that wants one.
SYSTEM_PINS = {"lgpio": "python3-lgpio", "rpigpio": "python3-rpi-lgpio"}
UDEV_TEXT = 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"\n'
#: The Pi's watchdog counts to 15 s at most; a longer time makes it reboot for ever.
WATCHDOG_TEXT = "# Written by Backdoor's installer.\n[Manager]\nRuntimeWatchdogSec=14\n"
RUNTIME = re.compile(r"^\s*RuntimeWatchdogSec\s*=[ \t]*(\S*)", re.MULTILINE)
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


def check(dry_run: bool) -> None:
    """Raise `StopError` on a machine where it can't work, before anything is changed."""
    problems = {
        "run it with sudo": not dry_run and os.geteuid() != 0,
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


def packages(executor: Executor, *wanted: str) -> None:
    """Let apt install what is missing of these."""
    missing = [name for name in wanted if not _installed(name)]
    if missing:
        executor.run("apt-get", "update", "-qq")
        executor.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def required(pins: str | None) -> tuple[str, ...]:
    """Return the apt packages of a bar, with the pin library that its configuration wants."""
    return (*REQUIRED, *([SYSTEM_PINS[pins]] if pins else []))


def demand(pins: str | None) -> None:
    """Raise `StopError` without the pin library that is wanted: apt can't be asked from within."""
    name = SYSTEM_PINS.get(pins or "")
    if name and not _installed(name):
        raise StopError(
            f'[pins] factory = "{pins}" needs {name}: sudo apt install {name}, then'
            " sudo dpkg --configure backdoor"
        )


def user(executor: Executor) -> None:
    """Make a user for each service, a group for the pins, and the directory of the data."""
    for group in ("gpio", USERS[0]):
        if query("getent", "group", group).returncode:
            executor.run("groupadd", "--system", group)
    for name in USERS:
        if query("getent", "passwd", name).returncode:
            nowhere = ("--no-create-home", "--home-dir", HOME, "--shell", "/usr/sbin/nologin")
            executor.run("useradd", "--system", "--gid", USERS[0], *nowhere, name)
    if not Path(HOME).exists():
        executor.run("install", "-d", "-o", USERS[0], "-g", USERS[0], "-m", "750", HOME)
    if executor.write(UDEV, UDEV_TEXT):
        executor.run("udevadm", "trigger", "--subsystem-match=gpio", check=False)


def _installed(package: str) -> bool:
    status = query("dpkg-query", "-W", "-f", "${Status}", package)
    return status.stdout.endswith(" installed")


def strike_pin(config: str) -> int | None:
    """Return the strike's pin in the text of a configuration; None without a strike."""
    program = runpy.run_path(str(HERE / "strike-off"))
    try:
        found: int | None = program["strike_pin"](config)
    except ValueError as error:
        raise StopError(str(error)) from None
    return found


def decoded(config: Path) -> str:
    """Return a configuration's text, also as Windows writes it."""
    text: str = runpy.run_path(str(HERE / "strike-off"))["decoded"](config.read_bytes())
    return text


def section(config: str, name: str) -> dict[str, Any]:
    """Return a section of the configuration; empty if it makes no sense: check-config says it."""
    try:
        found = tomllib.loads(config).get(name)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def wants_messages(config: str) -> bool:
    """Return whether the configuration's text names somebody who gets messages."""
    return bool(section(config, "notify").get("urls"))


def wants_centre(config: str) -> bool:
    """Return whether the configuration's text names a centre."""
    return bool(section(config, "centre").get("servers"))


def wants_postgres(config: str) -> bool:
    """Return whether the configuration's text keeps the history in a Postgres."""
    database = section(config, "nights").get("database")
    return isinstance(database, str) and database.startswith(("postgresql://", "postgres://"))


def extras(config: str) -> set[str]:
    """Return what a release needs besides, as `release.build` takes it, for a configuration."""
    wants = {NOTIFY: wants_messages, POSTGRES: wants_postgres, CENTRE: wants_centre}
    return {extra for extra, wanted in wants.items() if wanted(config)}


def wants_system_pins(config: str) -> str | None:
    """Return the pin factory whose library comes from apt, if the configuration names one."""
    factory = section(config, "pins").get("factory")
    return factory if isinstance(factory, str) and factory in SYSTEM_PINS else None


def header(executor: Executor, config: str) -> None:
    """Say so on a machine whose kernel does not know a Pi's 40-pin header."""
    if executor.dry_run or section(config, "pins").get("factory") == "mock":
        return
    try:
        chip = runpy.run_path(str(HERE / "strike-off"))["header_chip"]()
    except OSError:
        return  # one that does not answer may be the header's
    if chip is not None:
        os.close(chip)
        return
    executor.note(
        "this system knows no 40-pin header, so nothing that is wired will work: on a Pi 5 use"
        " Raspberry Pi OS (the kernels of Debian 12 and 13 have no driver for it); where there are"
        ' no pins, set [pins] factory = "mock"'
    )


def boot(executor: Executor, config: str) -> None:
    """On a Pi, set the strike's pin low from power-on, and a watchdog for the whole machine."""
    if not FIRMWARE.is_file():
        return
    pin = strike_pin(config)
    ours = "" if pin is None else BEGIN + BOOT_TEXT.format(pin=pin) + END
    if _keep_lines(executor, ours) or REBOOT.exists():
        executor.note("reboot once, so that the strike's pin is low from power-on")
    _watchdog(executor)


def _keep_lines(executor: Executor, ours: str) -> bool:
    """Have our lines in config.txt, also after Debian has written it anew; return if it changed."""
    files = [FIRMWARE]
    if CUSTOM.name in FIRMWARE.read_text():
        files.insert(0, CUSTOM)
    changed = False
    for file in files:
        text = file.read_text() if file.is_file() else ""
        wanted = text if ours and ours in text else _ended(without_ours(text)) + ours
        if wanted != text:
            if not executor.dry_run:
                with suppress(OSError):  # before it is written: an installation may be interrupted
                    REBOOT.touch()
            changed = executor.write(file, wanted)
    return changed


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _watchdog(executor: Executor) -> None:
    """Have the board reboot if Linux hangs, by the vendor's time where the vendor sees to it."""
    former = executor.remove(FORMER_WATCHDOG)
    theirs = others_watchdog()
    if theirs:
        executor.log_step(f"leave the watchdog as {theirs} has it")
        changed = executor.remove(WATCHDOG)
    else:
        changed = executor.write(WATCHDOG, WATCHDOG_TEXT)
    if changed or former:
        executor.run("systemctl", "daemon-reexec")


def others_watchdog() -> Path | None:
    """Return the file of somebody else's that has the watchdog run; None if it would not."""
    files: dict[str, Path] = {}
    for place in MANAGER:
        files |= {path.name: path for path in Path(place).glob("system.conf.d/*.conf")}
    mains = [Path(place) / "system.conf" for place in MANAGER]
    by_name = [
        files[name] for name in sorted(files) if files[name] not in (WATCHDOG, FORMER_WATCHDOG)
    ]
    found: Path | None = None
    for path in [*mains, *by_name]:
        for value in RUNTIME.findall(path.read_text() if path.is_file() else ""):
            found = None if value.lower() in ("", "0", "off", "infinity") else path
    return found


def announce(executor: Executor, config: str) -> None:
    """Let avahi announce the page to phones, where avahi is installed."""
    web = section(config, "web")
    if AVAHI.is_dir() and web.get("host", "0.0.0.0") not in ("127.0.0.1", "::1", "localhost"):
        kind = "https" if web.get("tls_cert") else "http"
        text = AVAHI_TEXT.format(kind=kind, port=web.get("port", 8080))
        executor.write(AVAHI / "backdoor.service", text)
    else:
        executor.remove(AVAHI / "backdoor.service")


def without_ours(text: str) -> str:
    """Return the text of config.txt without our lines."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + after if begin and end else text


def restore(executor: Executor) -> None:
    """Undo what was done to the machine; installed packages stay."""
    for file in (CUSTOM, FIRMWARE):
        text = file.read_text() if file.is_file() else ""
        rest = without_ours(text)
        if file == CUSTOM and not rest.strip():
            executor.remove(CUSTOM)
        elif rest != text:
            executor.write(file, rest)
    executor.remove(UDEV, WATCHDOG, FORMER_WATCHDOG, AVAHI / "backdoor.service")
    for name in reversed(USERS):
        if not query("getent", "passwd", name).returncode:
            executor.run("userdel", name)
    if not query("getent", "group", USERS[0]).returncode:
        executor.run("groupdel", USERS[0])
