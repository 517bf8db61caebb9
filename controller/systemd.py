"""sd_notify(3): messages to systemd over the datagram socket that it names.

Where no socket is named (a shell, the demo) or systemd is gone, every call does nothing.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


class Notifier:
    """Sends this process's messages to systemd."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        #: "@" stands for the leading zero byte of Linux's abstract namespace.
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._status = ""

    def ready(self) -> None:
        """Report that everything has started: systemd starts what waits for this unit."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that this process is stopping: no more watchdog messages will come."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``; the same line again is not sent."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Report that the loop works; systemd kills and restarts a silent process."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with (
            suppress(OSError),  # systemd is gone: no reason to stop working
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
