"""What holds the strike off before this program runs, and what reboots a machine that hangs.

The firmware sets the strike's pin low by a line of config.txt, some seconds after power-on; Linux'
watchdog has the board reboot when Linux itself stands still. `systemd/install` sees to both.
Whether they are in force, only the machine can say: Debian writes config.txt anew with each kernel,
and what is written today works from the next boot on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: A line of config.txt: pins ("16", "4-7", "5,6") and what they are made (https://rptl.io/configtxt).
GPIO = re.compile(r"\s*gpio\s*=\s*([\d,\s-]+)=\s*([\w,\s]+)")
INSTALL = "run `sudo systemd/install` again"


@dataclass(frozen=True)
class Machine:
    """Where this machine tells what is in force; the tests have others."""

    model: Path = Path("/proc/device-tree/model")
    config_txt: Path = Path("/boot/firmware/config.txt")
    #: The installer's: config.txt was written, and the machine has not started since.
    reboot: Path = Path("/run/backdoor-reboot")
    watchdogs: Path = Path("/sys/class/watchdog")


def warnings(strike: int | None, machine: Machine = Machine()) -> Sequence[str]:
    """Return what is not in force on a Raspberry Pi, each with the way out; nothing elsewhere.

    ``strike`` is the strike's BCM number, None where none is wired.
    """
    if "Raspberry Pi" not in _text(machine.model):
        return []
    return [*_strike(strike, machine), *_watchdog(machine.watchdogs)]


def _strike(pin: int | None, machine: Machine) -> list[str]:
    if pin is None or _hidden(machine.config_txt):
        return []
    if not held_low(pin, _text(machine.config_txt)):
        line = f"gpio={pin}=op,dl"
        return [f"the strike's pin is not held low before Linux runs: {machine.config_txt} has no "
                f"line `{line}`; {INSTALL}, then reboot"]  # fmt: skip
    if machine.reboot.exists():
        return ["the strike's pin is held low before Linux runs only from the next boot on: reboot"]
    return []


def held_low(pin: int, config_txt: str) -> bool:
    """Return whether a config.txt makes a pin an output at low; its last word counts."""
    low, here = False, True
    for line in config_txt.splitlines():
        if line.strip().startswith("["):
            here = line.strip().lower() != "[none]"
        found = GPIO.match(line) if here else None
        if found is not None and pin in _pins(found[1]):
            words = re.split(r"[,\s]+", found[2].strip().lower())
            low = "dl" in words or (low and "dh" not in words)
            low = low and "ip" not in words
    return low


def _pins(text: str) -> set[int]:
    pins: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            pins.update(range(int(first[:3]), int((last or first)[:3]) + 1))
    return pins


def _watchdog(folder: Path) -> list[str]:
    states = [_text(path) for path in sorted(folder.glob("watchdog*/state"))]
    if not states or any(state.strip() == "active" for state in states):
        return []  # a kernel that does not tell is not accused
    return [f"the board's watchdog does not run, so a Linux that hangs stays so; {INSTALL}"]


def _hidden(path: Path) -> bool:
    """Return whether a file is there that this user may not read."""
    return path.exists() and not os.access(path, os.R_OK)


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[: 1 << 20].decode("utf-8", "replace")
    except OSError:
        return ""
