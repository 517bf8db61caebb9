"""The link to a real MQTT broker, driven by one thread of our own.

``publish`` adds to a queue and wakes the thread, or sends an event itself when nobody else uses the
connection; no caller ever waits for the network. Every attempt is a *new* connection, so no queue
of an old one can survive into it. Only two kinds of messages are sent again after an outage:

- retained messages: `SendQueue` keeps the latest of each topic and sends it on every connect;
- events: the journal's outbox has them, and the service reads them again after ``on_up``.

All other messages of the time without a broker are lost, and should be: a heartbeat or a command
that comes late is worse than none.

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
from controller.mqtt.send_queue import SendQueue

if TYPE_CHECKING:
    from controller.config.settings import Mqtt

log = logging.getLogger(__name__)

BACKOFF_S = (0.25, 1.0)
#: Disconnected within this time of being accepted, twice running: another client uses our id.
TAKEOVER_S = 3.0


class MqttLink:
    """A `Link` to a real broker, MQTT 3.1.1 or 5.

    ``on_down(reason)`` is called when the broker is lost or cannot be reached, once per reason. All
    four callbacks run in the link's thread and must not wait. For a ``durable`` link the broker
    keeps events (QoS 1) while it is away.
    """

    def __init__(  # noqa: PLR0913 - all that a link needs to know
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
        durable: bool = False,
    ) -> None:
        self._settings = settings
        topics = tuple(subscriptions)
        self._peer = Peer(
            client_id, topics, on_message, self._accepted, on_ack, will, birth, durable
        )
        self._on_up = on_up
        self._on_down = on_down
        self._broker = f"broker {settings.host}:{settings.port}"
        self._queue = SendQueue()
        self._connection: Connection | None = None
        self._up = False
        self._last: tuple[Message, ...] | None = None
        self._stopping = Event()
        self._delay_s = BACKOFF_S[0]
        self._early_ends = 0
        self._reported = ""
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = Thread(target=self._run, name=f"link-{client_id}", daemon=True)

    @property
    def connected(self) -> bool:
        """Return whether the broker was reachable the last time we heard from it."""
        return self._up

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._thread.start()

    def publish(self, message: Message, ack: int | None = None) -> None:
        """Send a message, from any thread, without waiting; ``on_ack(ack)`` when it arrived."""
        check_topic(message.topic)
        if not self._queue.put(message, ack):
            return
        connection = self._connection
        if ack is None or connection is None or not connection.send_now():
            self._wake()

    def stop(self, last: Sequence[Message] = ()) -> None:
        """Send ``last``, wait at most a second for it to arrive, and leave without the will."""
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
                self._settings, self._peer, self._queue, self._wake_in, lambda: self._last
            )
            self._connection = connection
            try:
                connection.run()
            except (LinkError, OSError) as error:
                self._ended(connection, self._reason(connection, error))
            except Exception as error:
                log.exception(
                    "%s: unexpected error in the link; it connects again. Please report this",
                    self._broker,
                )
                self._ended(connection, f"internal error: {error!r}")
            self._up = False
            self._stopping.wait(self._delay_s)

    def _accepted(self) -> None:
        self._up = True
        self._on_up()

    def _reason(self, connection: Connection, error: Exception) -> str:
        accepted_s = connection.accepted_s
        early = accepted_s is not None and monotonic() - accepted_s < TAKEOVER_S
        self._early_ends = self._early_ends + 1 if early else 0
        if self._early_ends > 1 or "taken over" in str(error):
            return f"someone else uses our client id {self._peer.client_id}; give each its own"
        return str(error) if isinstance(error, LinkError) else f"cannot be reached ({error})"

    def _ended(self, connection: Connection, why: str) -> None:
        text = f"{self._broker}: {why}"
        accepted_s = connection.accepted_s
        steady = accepted_s is not None and monotonic() - accepted_s > TAKEOVER_S
        self._delay_s = BACKOFF_S[0] if steady else min(2 * self._delay_s, BACKOFF_S[1])
        if steady or text != self._reported:
            log.warning("%s", text)
        if self._up or text != self._reported:
            self._up = False
            self._reported = text
            self._call_on_down(text)

    def _call_on_down(self, text: str) -> None:
        try:
            self._on_down(text)
        except Exception:  # an error in the callback must not end this thread
            log.exception("%s: the callback on_down failed; please report this", self._broker)
