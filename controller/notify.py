"""What systemd is told, over the datagram socket that it names: sd_notify(3) and nothing else.

Where no socket is named (a shell, the demo) or systemd is gone, every call does nothing.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def ready() -> None:
    """Say that everything has started: only now does systemd start what waits for us."""
    _send("READY=1")


def stopping() -> None:
    """Say that we are on our way out, so that nobody is surprised by the silence."""
    _send("STOPPING=1")


def status(text: str) -> None:
    """Show one line in ``systemctl status``."""
    _send(f"STATUS={' '.join(text.split())}")


def watchdog() -> None:
    """Say that the work itself goes on; silence for ``WatchdogSec`` means kill and restart."""
    _send("WATCHDOG=1")


def watchdog_interval_s() -> float | None:
    """Return how often `watchdog` is due, half of what systemd allows; nothing without one."""
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    limit_us = os.environ.get("WATCHDOG_USEC", "")
    if pid != str(os.getpid()) or not limit_us.isdecimal() or int(limit_us) == 0:
        return None
    return int(limit_us) / 1e6 / 2


def _send(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    if not address:
        return
    with (
        suppress(OSError),  # nobody listens: no reason to stop working
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
    ):
        sender.sendto(text.encode(), address)
