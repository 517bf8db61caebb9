"""The page's server: waitress on a socket that we bind ourselves, and the page as a process.

waitress is shaped by what it leaves to subclasses (a listener, a connection) and by its settings;
one loop reads and writes all connections, so a slow or silent one costs no thread, with TLS too.
Every open stream occupies one thread, so there are a dozen more threads than streams. Forwarding
headers are trusted from this machine only: that is where a reverse proxy runs.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from controller.config.credentials import with_history_login
from controller.config.loader import ConfigError
from controller.config.settings import Config
from controller.mqtt.client import MqttLink
from controller.mqtt.link import Link
from controller.systemd import Notifier
from web import create_app
from web.mirror import Mirror
from web.nights.database import is_postgres
from web.nights.feed import CentreHistory, Feed, History
from web.own_request import OwnRequest
from web.reserve import IN_ALL, IN_ALL_KNOWN, Reserve
from web.routes.streams import Streams
from web.security.gate import DerivedKeySessions
from web.security.pairing import PairingError
from web.tls import RECORD, TlsChannel, server_context

log = logging.getLogger(__name__)
# A request that finds no thread asleep is no news: there is one for it, which has yet to lie down,
# or a crowd is here, which would fill the log.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

THREADS = 32
STRANGERS_AT_ONCE = 1  # thread: a crowd that asks must not take the interpreter from the rest
RESTS, MOST_REST_S = 4, 0.1  # times as long as an answer took
SEND_BUFFER = 64 * 1024  # bytes in the kernel for one phone: more only hides that it is gone
CHECK_EVERY_S = 1.0
ACCEPTS_AT_ONCE = 16  # fewer than one address may have: each is heard before it must go
REFUSED_AT_ONCE = 256  # a turn of the loop costs as much as some twenty of them
ACCEPT_AGAIN_S = 0.2  # after the system had no place for a connection
CONNECTIONS_A_PHONE = 3  # at most, while it behaves: its stream, what it asks, and one that ends
SAY_CLOSED_EVERY_S = 60.0
GONE_AFTER_MS = 20_000  # a phone that acknowledges nothing for so long is gone
MOST_UNREAD = 32 * 1024  # bytes that we hold for a phone which does not take them
ASKED_WITHIN_S = 10.0  # from coming, or a request's first byte, until the whole request is here
IDLE_S = 60.0  # from an answer to the next request
#: The system, or this process, has no descriptor or memory left for a connection.
NO_PLACE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: What the demo's user can do about a port that is taken.
ANOTHER_PORT = ": make run PORT=8099, or --port 8099"

SETTINGS: dict[str, Any] = {
    "recv_bytes": RECORD,
    "backlog": 4096,  # a phone that finds it full tries again only after a second
    "channel_timeout": 60,
    "cleanup_interval": 10,
    "max_request_body_size": 64 * 1024,
    "ident": None,
    "log_socket_errors": False,  # a phone that left is no error
    "trusted_proxy": "127.0.0.1",
    # Not the host: a page in a browser on this machine could send that header too.
    "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
    "clear_untrusted_proxy_headers": True,
}


class ServeError(Exception):
    """The page cannot be served; the message says why and the way out."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to host and port (0: any free one); raise ServeError if it cannot."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise ServeError(f"[web] host: cannot use {host!r}: {error.strerror}") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_DEFER_ACCEPT"):  # who says nothing waits a second in the kernel
        bound.setsockopt(socket.SOL_TCP, socket.TCP_DEFER_ACCEPT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ServeError(
            f"[web] host, port: cannot listen on {host or '*'}:{port}: {error.strerror};"
            " stop what listens there or choose another port"
        ) from error
    return bound


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """One connection: it has to ask for something, and to take what it gets."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._due_s = time.monotonic() + ASKED_WITHIN_S
        super().__init__(*args, **more)

    def received(self, data: bytes) -> bool:
        """Take what has arrived; a request that has begun must be whole in time."""
        begins = self.request is None
        taken = bool(super().received(data))
        if begins and self.request is not None:
            self._due_s = min(self._due_s, time.monotonic() + ASKED_WITHIN_S)
        return taken

    def service(self) -> None:
        """Answer in a worker thread; the next question may take its time."""
        self._due_s = math.inf
        super().service()
        self._due_s = time.monotonic() + IDLE_S

    @property
    def is_being_answered(self) -> bool:
        """Whether a whole request is here and is not answered yet."""
        return bool(self.requests)

    @property
    def cookie(self) -> str:
        """The Cookie header of the request whose turn it is."""
        return str(self.requests[0].headers.get("COOKIE", ""))

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # waitress's word
        """Free its place; called when it is closed, whoever closed it."""
        super().del_channel(map)
        self.server.reserve.left(self, self.addr[0])

    def is_late(self, now_s: float) -> bool:
        """Tell whether it has not asked in time, and waits for no answer."""
        return now_s > self._due_s and not (self.requests or self.total_outbufs_len)

    def check_client_disconnected(self) -> bool:
        """Tell whether the phone is gone or takes nothing; a stream asks before each event."""
        return not self.connected or self.total_outbufs_len >= MOST_UNREAD


class EncryptedChannel(TlsChannel, Channel):
    """The same over TLS."""


class Stranger:
    """A request of a stranger; its thread rests after it, so that a crowd leaves time to others."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.cancel = channel.cancel

    def service(self) -> None:
        """Answer, then rest."""
        began_s = time.monotonic()
        self._channel.service()
        time.sleep(min((time.monotonic() - began_s) * RESTS, MOST_REST_S))


class Listener(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """The listening socket; one that it cannot take ends nobody else's."""

    channel_class = Channel

    def __init__(
        self, app: Flask, bound: socket.socket, context: ssl.SSLContext | None, **settings: Any
    ) -> None:
        sessions = app.session_interface
        assert isinstance(sessions, DerivedKeySessions)
        self._is_paired = sessions.is_paired
        self.reserve: Reserve[Channel] = Reserve()
        self._strangers = ThreadedTaskDispatcher()
        self._strangers.set_thread_count(STRANGERS_AT_ONCE)
        self.own_request_from: tuple[Any, ...] = ()
        self._accept_again_s = 0.0
        self._say_closed_s, self._closed_said = 0.0, 0
        self._context = context
        if context is not None:
            self.channel_class = EncryptedChannel
            settings["url_scheme"] = "https"
        info = (bound.family, bound.type, bound.proto, bound.getsockname())
        super().__init__(app, _sock=bound, bind_socket=False, sockinfo=info, **settings)

    def readable(self) -> bool:
        """Return whether to look for newcomers; not at once when there was no place for one."""
        return bool(super().readable()) and time.monotonic() >= self._accept_again_s

    def handle_accept(self) -> None:
        """Take some of those who wait; one that ends meanwhile costs nobody else his turn."""
        places = ACCEPTS_AT_ONCE
        for _ in range(REFUSED_AT_ONCE):
            try:
                taken = self.accept()
                if taken is None:
                    return
                places -= self._take(*taken)
            except OSError as error:
                if error.errno in NO_PLACE:
                    log.warning("no place for another connection: %s", error.strerror)
                    self._accept_again_s = time.monotonic() + ACCEPT_AGAIN_S
                    return
            if not places:
                return

    def _take(self, taken: socket.socket, address: tuple[Any, ...]) -> bool:
        """Make its channel; a stranger too many costs the oldest of the address with the most.

        Its TLS begins when its first bytes are here. Return False if it was refused.
        """
        own = address[:2] == self.own_request_from[:2]
        if not own and self.reserve.refuses(address[0]):
            taken.close()
            return False
        try:
            self.set_socket_options(taken)
            taken = self._with_tls(taken)
            channel = self.channel_class(self, taken, address, self.adj, map=self._map)
        except OSError:  # it has hung up already
            taken.close()
            return False
        victim = None if own else self.reserve.came(channel, address[0])
        if victim is not None:
            victim.handle_close()
        return True

    def _with_tls(self, taken: socket.socket) -> socket.socket:
        if self._context is None:
            return taken
        taken.setblocking(False)
        return self._context.wrap_socket(taken, server_side=True, do_handshake_on_connect=False)

    def add_task(self, task: Channel) -> None:
        """Queue a request: those of strangers have a few threads of their own."""
        if self._is_paired(task.cookie):
            self.reserve.showed_pairing(task, task.addr[0])
        elif task.addr[:2] != self.own_request_from[:2]:
            self._strangers.add_task(Stranger(task))
            return
        self.task_dispatcher.add_task(task)

    def end_tasks(self) -> None:
        """Let every thread end; what waits for one is dropped."""
        for dispatcher in (self._strangers, self.task_dispatcher):
            dispatcher.shutdown(timeout=2)

    def set_socket_options(self, conn: socket.socket) -> None:
        """Let the kernel hold only a few KiB for a phone, and say soon that it is gone."""
        conn.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            conn.setsockopt(socket.SOL_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER_MS)

    def close_late(self, now_s: float) -> None:
        """Close who came and does not ask, by a clock that nobody sets."""
        for channel in list(self.active_channels.values()):
            if channel.is_late(now_s):
                channel.handle_close()
        closed = self.reserve.closed - self._closed_said
        if closed and now_s >= self._say_closed_s:
            log.warning("%d connections of strangers closed: too many at once", closed)
            self._say_closed_s = now_s + SAY_CLOSED_EVERY_S
            self._closed_said += closed

    def handle_error(self) -> None:
        """Say what went wrong with one connection; waitress would stop listening for good."""
        log.exception("a connection could not be taken")


class Server:
    """The page on its socket: `serve` in one thread until `stop` from any other."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self.app = app
        context = _context(app)
        bound = bind(host, port)
        self.port: int = bound.getsockname()[1]
        self._streams: Streams = app.extensions["backdoor"].streams
        self._stopping = threading.Event()
        self._map: dict[int, Any] = {}
        phones = app.config["MAX_STREAMS"]
        sizes = {
            "threads": max(THREADS, phones + 12),
            "connection_limit": IN_ALL + IN_ALL_KNOWN + CONNECTIONS_A_PHONE * phones + 16,
        }
        self._listener = Listener(app, bound, context, map=self._map, **sizes, **SETTINGS)
        self._own_request = OwnRequest(
            bound.family, bound.getsockname(), tls=context is not None, announce=self._expect
        )

    def _expect(self, address: tuple[Any, ...]) -> None:
        self._listener.own_request_from = address

    def serve(self, alive: Callable[[], None] | None = None) -> None:
        """Answer requests until `stop`; open streams are ended, the socket is closed.

        ``alive`` is called every five seconds, each time after a request over our own socket was
        answered; the thread that asks does nothing else.
        """
        if alive is not None:
            asking = partial(self._own_request.repeat, alive, self._stopping)
            threading.Thread(target=asking, name="own-request", daemon=True).start()
        checked_s = 0.0
        try:
            while not self._stopping.is_set():
                wasyncore.loop(timeout=1.0, map=self._map, use_poll=True, count=1)
                now_s = time.monotonic()
                if now_s - checked_s >= CHECK_EVERY_S:
                    checked_s = now_s
                    self._listener.close_late(now_s)
        finally:
            self._streams.close()
            self._listener.end_tasks()
            wasyncore.close_all(self._map)

    def stop(self) -> None:
        """End `serve`, from any thread or signal handler."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # closed: it has ended already
            self._listener.pull_trigger()


def _context(app: Flask) -> ssl.SSLContext | None:
    cert, key = app.config["TLS"]
    try:
        return server_context(cert, key) if cert or key else None
    except ValueError as error:
        raise ServeError(str(error)) from error


def run(
    server: Server,
    *,
    ready: Callable[[], None],
    stopping: Callable[[], None],
    alive: Callable[[], None] | None = None,
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


class Page(NamedTuple):
    """The page's parts: its server has its socket; mirror and feed are to be started."""

    mirror: Mirror
    server: Server
    feed: History | None

    def start(self) -> None:
        """Connect to the broker; the history is fed if there is to be one."""
        self.mirror.start()
        if self.feed is not None:
            self.feed.start()

    def stop(self) -> None:
        """Leave the broker."""
        if self.feed is not None:
            self.feed.stop()
        self.mirror.stop()


def page_server(
    config: Config,
    links: Callable[..., Link],
    *,
    history_links: Callable[..., Link] | None = None,
    **demo: Any,
) -> Page:
    """Return the page, not started.

    ``links`` makes links to the broker, ``history_links`` the history's own; ``demo`` are further
    arguments of `create_app`. What the owner can mend is a ConfigError.
    """
    client_id = f"backdoor-web-{config.venue}"
    link = partial(links, client_id=client_id, on_ack=lambda _: None, will=None, birth=None)
    try:
        feed = _history(config, history_links or links)
        app = create_app(config, link=link, feed=feed, **demo)
        server = Server(app, config.web.host, config.web.port)
    except PairingError as error:
        raise ConfigError([str(error)]) from None
    except ServeError as error:
        raise ConfigError([f"{error}{ANOTHER_PORT if demo else ''}"]) from None
    return Page(app.extensions["backdoor"].mirror, server, feed)


def _history(config: Config, links: Callable[..., Link]) -> History | None:
    """Return what fills the history; None where there is none.

    With a centre a bar's own also goes there, and the centre's is not for a page to write.
    """
    if not config.nights.database:
        return None
    if not config.centre.servers:
        return Feed(config, links)
    if is_postgres(config.nights.database):
        return CentreHistory()
    from web.centre.sender import Sender

    return Feed(config, links, outgoing=partial(Sender, config))


def installed_page(config: Config) -> Page:
    """Return the page at a real broker, not started: it and its history are two clients there."""
    history_links = partial(MqttLink, with_history_login(config).mqtt)
    return page_server(config, partial(MqttLink, config.mqtt), history_links=history_links)


def serve_page(config: Config) -> None:
    """Serve the page until SIGTERM; what the owner can mend is a ConfigError."""
    if not config.mqtt.host:
        raise ConfigError(['[mqtt] host: the page needs the broker, got ""; name one'])
    page = installed_page(config)
    notifier = Notifier()
    page.start()
    try:
        sys.exit(
            run(
                page.server,
                ready=notifier.ready,
                stopping=notifier.stopping,
                alive=notifier.watchdog,
            )
        )
    finally:
        page.stop()
