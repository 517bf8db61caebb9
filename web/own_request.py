"""A request of the page to itself: what systemd's watchdog is fed from.

A loop that turns, or a thread that runs, proves nothing to a phone. So the page asks itself over
its own socket, with TLS where it has TLS, and only an answer counts.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

ASK_EVERY_S = 5.0
ANSWERED_WITHIN_S = 10.0
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class OwnRequest:
    """Asks the page at ``bound``, the name of its listening socket (as `getsockname` gives it).

    ``announce`` gets the address that the next request will come from, before it comes.
    """

    def __init__(
        self,
        family: int,
        bound: tuple[Any, ...],
        *,
        tls: bool,
        announce: Callable[[tuple[Any, ...]], None],
    ) -> None:
        self._family, self._announce = family, announce
        self._to = (ANY.get(bound[0], bound[0]), *bound[1:])
        self._tls = ssl._create_unverified_context() if tls else None  # it is ourselves

    def is_answered(self) -> bool:
        """Ask once; return whether an answer came within ten seconds. What it says is the same."""
        try:
            with socket.socket(self._family, socket.SOCK_STREAM) as plain:
                plain.settimeout(ANSWERED_WITHIN_S)
                plain.bind((self._to[0], 0, *self._to[2:]))
                self._announce(plain.getsockname())
                plain.connect(self._to)
                return self._ask(plain)
        except OSError as error:
            log.warning("the page does not answer itself at %s: %s", self._to[0], error)
            return False

    def _ask(self, plain: socket.socket) -> bool:
        if self._tls is None:
            plain.sendall(REQUEST)
            return plain.recv(1024).startswith(b"HTTP/1.1 ")
        with self._tls.wrap_socket(plain) as encrypted:
            encrypted.sendall(REQUEST)
            return encrypted.recv(1024).startswith(b"HTTP/1.1 ")

    def repeat(self, answered: Callable[[], None], stopping: threading.Event) -> None:
        """Call ``answered`` after each request that was answered, until ``stopping`` is set."""
        while not stopping.is_set():
            if self.is_answered():
                answered()
            stopping.wait(ASK_EVERY_S)
