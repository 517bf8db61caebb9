"""The services of an installed machine: their names, and having none of them run for a while."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

#: Those that are always there to run; `backdoor-safe` takes the controller's place.
SERVICES = ("backdoor-controller", "backdoor-web", "backdoor-notify")


@contextmanager
def services_stopped() -> Iterator[None]:
    """Have no service running meanwhile, as root on a machine with systemd.

    The strike goes off with the controller; the way out never needed it.
    """
    running = [unit for unit in SERVICES if _is_active(unit)] if os.geteuid() == 0 else []
    if running:
        subprocess.run(["systemctl", "stop", *running], check=False)
    try:
        yield
    finally:
        if running:
            subprocess.run(["systemctl", "start", *running], check=False)


def _is_active(unit: str) -> bool:
    try:
        asked = subprocess.run(
            ["systemctl", "is-active", "--quiet", unit], check=False, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:  # no systemd here
        return False
    return asked.returncode == 0
