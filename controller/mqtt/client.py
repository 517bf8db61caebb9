"""The wire: a link to an MQTT broker, driven by one thread of our own.

``publish`` fills a mailbox and wakes the thread, or sends an event if nobody else is at it; nobody
ever waits for a network. The thread makes a *fresh* connection for every attempt: no queue of an
old one can survive into a new one. What a house must say again after an outage lives in two places
only: retained messages in the mailbox's table of latest values (sent anew on every connect, because
a broker that was killed has forgotten them), and events in the journal's outbox, which the service
reads again after ``on_up``. Everything else that is said while the broker is away is lost, and
should be: a heartbeat or a command that comes late is worse than none.

paho's own network thread dies of an exception in a callback while ``is_connected`` stays true.
Ours cannot: any exception ends the connection, is logged, and a new connection is made.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from controller.mqtt.connection import CONNECT_LIMIT_S, STOP_LIMIT_S, Connection
from controller.mqtt.link import LinkError, Peer, check_topic
from controller.mqtt.message import Message
from controller.mqtt.send_queue import Mailbox

if TYPE_CHECKING:
    from controller.config.settings import Mqtt

log = logging.getLogger(__name__)

BACKOFF_S = (0.25, 1.0)
#: Thrown out so soon after being let in, twice running: another client uses our id.
TAKEOVER_S = 3.0


class MqttLink:
    """A `Link` to a real broker, MQTT 3.1.1 or 5.

    ``on_down`` is told in plain words when the broker is lost or cannot be had, once per reason.
    All four are called by the link's thread and must not wait.
    """

    def __init__(  # noqa: PLR0913 - the contract of this edge
        self,
        settings: Mqtt,
        *,
        client_id: str,
        subscriptions: Sequence[str],
        on_message: Callable[[Message], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        on_ack: Callable[[int], None],
        will: Message | None = None,
        birth: Message | None = None,
    ) -> None:
        self._settings = settings
        self._peer = Peer(
            client_id, tuple(subscriptions), on_message, self._came_up, on_ack, will, birth
        )
        self._on_up = on_up
        self._on_down = on_down
        self._broker = f"broker {settings.host}:{settings.port}"
        self._mailbox = Mailbox()
        self._connection: Connection | None = None
        self._up = False
        self._last: tuple[Message, ...] | None = None
        self._stopping = Event()
        self._delay_s = BACKOFF_S[0]
        self._thrown_out = 0
        self._told = ""
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = Thread(target=self._run, name=f"link-{client_id}", daemon=True)

    @property
    def connected(self) -> bool:
        """Is the broker there, as far as we know?"""
        return self._up

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._thread.start()

    def publish(self, message: Message, ack: int | None = None) -> None:
        """Say it, from any thread, without ever waiting; ``on_ack(ack)`` when it arrived."""
        check_topic(message.topic)
        if not self._mailbox.put(message, ack):
            return
        connection = self._connection
        if ack is None or connection is None or not connection.send_now():
            self._wake()

    def stop(self, last: Sequence[Message] = ()) -> None:
        """Say ``last``, wait at most a second until it arrived, and leave without the will."""
        if self._last is None:
            self._last = tuple(replace(message, qos=max(1, message.qos)) for message in last)
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(CONNECT_LIMIT_S + 2 * STOP_LIMIT_S)
        if not self._thread.is_alive():
            self._wake_in.close()
            self._wake_out.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: enough wake-ups wait already; closed: stopped
            self._wake_out.send(b"!")

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection = Connection(
                self._settings, self._peer, self._mailbox, self._wake_in, lambda: self._last
            )
            self._connection = connection
            try:
                connection.run()
            except (LinkError, OSError) as error:
                self._ended(connection, self._reason(connection, error))
            except Exception as error:
                log.exception("%s: a bug, ours or paho's, must not end the thread", self._broker)
                self._ended(connection, f"internal error: {error!r}")
            self._up = False
            self._stopping.wait(self._delay_s)

    def _came_up(self) -> None:
        self._up = True
        self._on_up()

    def _reason(self, connection: Connection, error: Exception) -> str:
        let_in_s = connection.let_in_s
        thrown_out = let_in_s is not None and monotonic() - let_in_s < TAKEOVER_S
        self._thrown_out = self._thrown_out + 1 if thrown_out else 0
        if self._thrown_out > 1 or "taken over" in str(error):
            return f"someone else uses our client id {self._peer.client_id}; give each its own"
        return str(error) if isinstance(error, LinkError) else f"cannot be reached ({error})"

    def _ended(self, connection: Connection, why: str) -> None:
        text = f"{self._broker}: {why}"
        let_in_s = connection.let_in_s
        steady = let_in_s is not None and monotonic() - let_in_s > TAKEOVER_S
        self._delay_s = BACKOFF_S[0] if steady else min(2 * self._delay_s, BACKOFF_S[1])
        if steady or text != self._told:
            log.warning("%s", text)
        if self._up or text != self._told:
            self._up = False
            self._told = text
            self._tell_down(text)

    def _tell_down(self, text: str) -> None:
        try:
            self._on_down(text)
        except Exception:  # whoever listens must not end the thread
            log.exception("%s: nobody could be told", self._broker)
