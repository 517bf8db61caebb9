"""HTTPS with the owner's certificate, in waitress's own loop, which knows plain HTTP only.

The handshake and all records are read and written without waiting: who never shakes hands, or
sends half a record, holds a connection's place and nothing else.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from waitress.channel import HTTPChannel

log = logging.getLogger(__name__)

RECORD = 16 * 1024  # bytes: the longest TLS record; read whole, OpenSSL keeps nothing back
NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """Return the TLS side of these files; raises ValueError that says what is wrong with them."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file in (("tls_cert", cert), ("tls_key", key)):
        if not Path(file or "-").is_file():
            raise ValueError(
                f"[web] {name}: there is no file {file!r}; name one, or leave both out"
            )
    try:
        context.load_cert_chain(cert, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"[web] tls_cert, tls_key: cannot use {cert} with {key}: {error};"
            " both must be PEM, the key without a password"
        ) from error
    return context


class TlsChannel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """One connection whose socket is an `ssl.SSLSocket` that has not shaken hands yet.

    A worker thread may write while the loop reads: OpenSSL allows one at a time.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        self._turn = threading.Lock()
        self._shaken = False
        super().__init__(*args, **more)

    def handle_read(self) -> None:
        """Take what has arrived, be it of the handshake or of a request."""
        try:
            self._shake()
            data = self.recv(RECORD)
        except NOT_NOW:
            return
        except OSError as error:
            log.debug("%s: TLS ended: %s", self.addr[0], error)
            data = b""
        if data:
            self.last_activity = time.time()
            self.received(data)
        else:
            self.handle_close()

    def recv(self, buffer_size: int) -> bytes:
        """Read one record; nothing when the phone has said goodbye."""
        with self._turn:
            return bytes(self.socket.recv(buffer_size))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Write what goes now, 0 when nothing does; an OSError closes in the loop."""
        try:
            with self._turn:
                return int(self.socket.send(data))
        except NOT_NOW:
            return 0

    def _shake(self) -> None:
        """Go on with the handshake; raises SSLWantReadError when it waits for the phone."""
        if not self._shaken:
            self.socket.do_handshake()  # what it writes fits the kernel's buffer
            self._shaken = True
