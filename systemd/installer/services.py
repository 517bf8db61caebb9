"""Whether services have started, and stay up."""

import time

from installer.executor import query

READY_S = 30.0
#: A service that says READY and dies at once is not ready.
STEADY_S = 3.0


def ready(units: tuple[str, ...], limit_s: float) -> bool:
    """Return whether all of these are ready within the time, and stay so for a while."""
    end_s = time.monotonic() + limit_s
    steady_s = 0.0
    while steady_s < min(STEADY_S, limit_s):
        time.sleep(0.2)
        up = not any(query("systemctl", "-q", "is-active", unit).returncode for unit in units)
        steady_s = steady_s + 0.2 if up else 0.0
        if not up and time.monotonic() > end_s:
            return False
    return True


def last_lines(units: tuple[str, ...]) -> str:
    """Return what these have written into the log last."""
    of = (f"-u{unit}" for unit in units)
    return query("journalctl", "-q", "--no-pager", "-n", "25", *of).stdout
