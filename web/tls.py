"""HTTPS with the owner's certificate: waitress speaks plain HTTP only, so we unwrap for it.

One thread a connection decrypts into a socket pair whose other end waitress serves as if it had
accepted it: it keeps the phone's own address, and a slow phone is as visible as without TLS.
(OpenSSL allows no reading and writing at the same time on one connection; hence one thread, not
two.)
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

CHUNK = 16 * 1024  # bytes: one TLS record
PATIENCE_S = 20.0  # a phone that takes nothing for so long is gone
HANDSHAKE_S = 5.0
IDLE_S = 90.0
MOST_CONNECTIONS = 128
PAIR_BUFFER = 32 * 1024

Serve = Callable[[socket.socket, tuple[str, int]], None]


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


class Unwrap:
    """Takes accepted connections, gives their plain ends to ``serve``."""

    def __init__(self, context: ssl.SSLContext, serve: Serve) -> None:
        self._context, self._serve = context, serve
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def take(self, raw: socket.socket, address: tuple[str, int]) -> None:
        """Serve one connection in a thread of its own; with too many it is closed at once."""
        if not self._places.acquire(blocking=False):
            raw.close()
            return
        threading.Thread(target=self._run, args=(raw, address), name="tls", daemon=True).start()

    def _run(self, raw: socket.socket, address: tuple[str, int]) -> None:
        try:
            raw.settimeout(HANDSHAKE_S)
            with self._context.wrap_socket(raw, server_side=True) as tls:
                ours, theirs = socket.socketpair()
                with ours:
                    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PAIR_BUFFER)
                    self._serve(theirs, address)
                    relay(tls, ours)
        except (OSError, ssl.SSLError) as error:
            log.debug("%s: TLS ended: %s", address[0], error)
        finally:
            raw.close()
            self._places.release()


def relay(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry bytes both ways until one side ends, or nothing was said for a long time."""
    while True:
        ready: list[socket.socket] = [tls] if tls.pending() else []
        if not ready:
            ready, _, _ = select.select([tls, plain], [], [], IDLE_S)
        if not ready:
            return
        if tls in ready and not _carry_in(tls, plain):
            return
        if plain in ready:
            data = plain.recv(CHUNK)
            if not data:
                return
            tls.settimeout(PATIENCE_S)
            tls.sendall(data)


def _carry_in(tls: ssl.SSLSocket, plain: socket.socket) -> bool:
    """Carry what the phone sent; False when it said goodbye."""
    tls.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):  # a record without data of ours
        data = tls.recv(CHUNK)
        plain.sendall(data)
        return bool(data)
    return True
