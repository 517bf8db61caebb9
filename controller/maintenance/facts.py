"""What machine this is, and what runs on it: for a report, by questions that may fail."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from controller.maintenance.services import SERVICES

OURS = (*SERVICES, "backdoor-safe")
#: A question that hangs is not answered.
LIMIT_S = 20.0
MOST_LINES = 20_000


def asked(*command: str) -> str:
    """Return what a command prints, or why it does not."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return f"{command[0]} is not here\n"
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]} did not answer: {type(error).__name__}\n"
    return done.stdout or done.stderr


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").partition("\n")[0].strip("\0 ")
    except OSError:
        return "unknown"


def machine() -> str:
    """Return board, system and versions, a line each."""
    rows = {
        "board": _first_line("/proc/device-tree/model"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
        if Path("/etc/os-release").exists()
        else "unknown",
        "python": platform.python_version(),
        "memory": _first_line("/proc/meminfo"),
        "up": f"{_first_line('/proc/uptime').partition(' ')[0]} s",
        "load": _first_line("/proc/loadavg"),
        "chips": ", ".join(sorted(path.name for path in Path("/dev").glob("gpiochip*"))) or "none",
    }
    installed = sorted(f"{each.name} {each.version}" for each in distributions())
    lines = [f"{name}: {value}" for name, value in rows.items()]
    return "\n".join([*lines, "", "packages:", *installed]) + "\n"


def services() -> str:
    """Return how the services are."""
    shown = "Id,ActiveState,SubState,Result,NRestarts,ExecMainStatus,ActiveEnterTimestamp"
    return asked("systemctl", "show", f"--property={shown}", *OURS, "mosquitto")


def logs(since_s: float, units: Sequence[str] = OURS) -> str:
    """Return what the services logged since then (seconds since 1970)."""
    chosen = [f"--unit={unit}" for unit in units]
    since = f"--since=@{since_s:.0f}"
    return asked(
        "journalctl", "-q", "--no-pager", "-o", "short-iso", since, f"-n{MOST_LINES}", *chosen
    )
