"""The page's server: waitress on a socket that we bind ourselves, and a clean end.

Every open stream holds one of the threads, so there are a dozen more threads than streams.
Forwarding headers are believed from this machine only: that is where a reverse proxy runs.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import waitress.server
from flask import Flask

from web.routes.streams import Streams
from web.tls import Unwrap, server_context

log = logging.getLogger(__name__)

THREADS = 32
SEND_BUFFER = 64 * 1024  # bytes in the kernel for one phone: more only hides that it is gone
ALIVE_EVERY_S = 1.0
GONE_AFTER_MS = 20_000  # a phone that acknowledges nothing for so long is gone


class ServeError(Exception):
    """The page cannot be served; the message says why and the way out."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to host and port (0: any free one), or say clearly why not."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise ServeError(f"[web] host: cannot use {host!r}: {error.strerror}") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ServeError(
            f"[web] host, port: cannot listen on {host or '*'}:{port}: {error.strerror};"
            " stop what listens there or choose another port"
        ) from error
    return bound


class Server:
    """The page on its socket: `serve` in one thread until `stop` from any other."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self.app = app
        context = _context(app)
        self._socket = bind(host, port)
        self._streams: Streams = app.extensions["backdoor"].streams
        self._stopping = threading.Event()
        self.port: int = self._socket.getsockname()[1]
        self._waitress: Any = waitress.server.create_server(
            app,
            sockets=[self._socket],
            threads=max(THREADS, app.config["MAX_STREAMS"] + 12),
            channel_timeout=60,
            cleanup_interval=10,
            connection_limit=400,
            max_request_body_size=64 * 1024,
            ident=None,
            asyncore_use_poll=True,
            trusted_proxy="127.0.0.1",
            # Not the host: a page in a browser on this machine could send that header too.
            trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto"},
            clear_untrusted_proxy_headers=True,
        )
        self._waitress.adj.socket_options = _socket_options()  # not among its arguments
        if context is not None:
            self._waitress.adj.url_scheme = "https"
            self._waitress.handle_accept = partial(
                _accept, self._waitress, _unwrapping(self._waitress, context)
            )

    def serve(self, alive: Callable[[], None] = lambda: None) -> None:
        """Answer requests until `stop`; open streams are ended, the socket is closed.

        ``alive`` is called about once a second, from the loop that answers.
        """
        inner = self._waitress
        told_s = 0.0
        try:
            while not self._stopping.is_set():
                inner.asyncore.loop(timeout=1.0, map=inner._map, use_poll=True, count=1)
                if time.monotonic() - told_s >= ALIVE_EVERY_S:
                    told_s = time.monotonic()
                    alive()
        finally:
            self._streams.close()
            inner.task_dispatcher.shutdown(timeout=2)
            for channel in list(inner._map.values()):
                channel.close()

    def stop(self) -> None:
        """End `serve`, from any thread or signal handler."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # closed: it has ended already
            self._waitress.pull_trigger()


def _context(app: Flask) -> ssl.SSLContext | None:
    cert, key = app.config["TLS"]
    try:
        return server_context(cert, key) if cert or key else None
    except ValueError as error:
        raise ServeError(str(error)) from error


def _unwrapping(inner: Any, context: ssl.SSLContext) -> Unwrap:
    """Return what gives waitress the plain ends of connections, in its own loop."""

    def serve(plain: socket.socket, address: tuple[str, int]) -> None:
        inner.trigger.pull_trigger(
            lambda: inner.channel_class(inner, plain, address, inner.adj, map=inner._map)
        )

    return Unwrap(context, serve)


def _accept(inner: Any, unwrap: Unwrap) -> None:
    """Take one connection in waitress's loop and let a thread of its own do the TLS."""
    try:
        accepted = inner.accept()
        if accepted is not None:
            inner.set_socket_options(accepted[0])
            unwrap.take(*accepted)
    except OSError as error:
        log.debug("accept: %s", error)


def _socket_options() -> list[tuple[int, int, int]]:
    options = [
        (socket.SOL_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
    ]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.SOL_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER_MS))
    return options


def run(
    server: Server,
    *,
    ready: Callable[[], None],
    stopping: Callable[[], None],
    alive: Callable[[], None] = lambda: None,
) -> int:
    """Serve in this thread until SIGTERM or Ctrl-C; ``ready`` is called when we answer."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ready()
        server.serve(alive)
        stopping()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
