"""A release that waits for an empty room: who is inside must not find the door's program away."""

import re
import time
from pathlib import Path

from installer.executor import Executor, query

#: There while a new release waits; `backdoor-upgrade.service` asks for it, also after a reboot.
MARK = Path("/opt/backdoor.waiting")
UNIT = "backdoor-upgrade.service"
CONTROLLERS = ("backdoor-controller", "backdoor-safe")
#: The controller's own line for `systemctl status`; ? where it does not know for sure.
INSIDE = re.compile(r"(\d+)(\??) of \d+ inside\b")
ASK_EVERY_S = 10.0


def occupied() -> bool:
    """Return whether a running controller says that somebody is inside, or may be."""
    shown = (
        query("systemctl", "show", "--value", "-p", "StatusText", name) for name in CONTROLLERS
    )
    return any(may_be_inside(status.stdout) for status in shown)


def may_be_inside(status: str) -> bool:
    """Return whether a controller's status line says so; without such a line nothing waits."""
    found = INSIDE.match(status.strip())
    return found is not None and found.groups() != ("0", "")


def begin(executor: Executor) -> None:
    """Leave the rest to the unit that waits."""
    executor.write(MARK, "A new release is started when the room is empty.\n")
    executor.run("systemctl", "restart", "--no-block", UNIT)
    executor.note(
        "somebody is inside, or may be: the former release goes on, and the new one is started when"
        " the room is empty. Not to wait: sudo /usr/lib/backdoor/systemd/install --packaged"
    )


def wait() -> None:
    """Return when nobody is inside."""
    while occupied():
        time.sleep(ASK_EVERY_S)
