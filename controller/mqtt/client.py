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
import secrets
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from controller.mqtt.connection import CONNECT_LIMIT_S, STOP_LIMIT_S, Connection
from controller.mqtt.failover import Brokers, watch
from controller.mqtt.link import (
    LinkError,
    LostError,
    MovedError,
    Peer,
    SilentError,
    check_topic,
)
from controller.mqtt.message import Message
from controller.mqtt.send_queue import SendQueue

if TYPE_CHECKING:
    from controller.config.brokers import Broker
    from controller.config.settings import Mqtt

log = logging.getLogger(__name__)

BACKOFF_S = (0.25, 1.0)
#: Disconnected within this time of being accepted: perhaps another client uses our id.
TAKEOVER_S = 3.0
#: Thrown out again and again within this time: so many times when it is plain why (the broker says
#: so, or throws us out at once), so many when it may be the network as well.
TAKEOVERS_S = 60.0
TAKEOVERS_PLAIN, TAKEOVERS_VAGUE = 2, 4
#: Random characters of an id of our own, which nobody else can come with.
OWN_ID_BYTES = 6
#: Characters that are kept of the former id; some brokers take no longer one than 65 in all.
OWN_ID_FROM = 45
EACH_ITS_OWN = "give each its own (systemd/install has a broker do that)"


class MqttLink:
    """A `Link` to a real broker, MQTT 3.1.1 or 5; of several, to the first that works.

    ``on_down(reason)`` is called when the broker is lost or cannot be reached, once per reason;
    ``on_thrown_out()`` when another client comes with our id again and again: from then on the link
    uses an id that nobody knows. All five callbacks run in the link's thread and must not wait. For
    a ``durable`` link the broker keeps events (QoS 1) while it is away, as long as its id is the
    same, with MQTT 5 for ``kept_s``; with ``commit`` it sends them again until that has returned.
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
        on_thrown_out: Callable[[], None] = lambda: None,
        kept_s: int = 3600,
        commit: Callable[[], None] | None = None,
    ) -> None:
        self._brokers = Brokers(settings.brokers())
        topics = tuple(subscriptions)
        self._peer = Peer(
            client_id,
            topics,
            on_message,
            self._accepted,
            on_ack,
            will,
            birth,
            durable,
            kept_s,
            commit,
        )
        self._on_up = on_up
        self._on_down = on_down
        self._on_thrown_out = on_thrown_out
        self._named = client_id
        self._queue = SendQueue()
        self._connection: Connection | None = None
        self._up = False
        self._last: tuple[Message, ...] | None = None
        self._stopping = Event()
        self._delay_s = BACKOFF_S[0]
        #: When the broker threw us out, monotonic seconds, and whether it was plain why.
        self._thrown_out: deque[tuple[float, bool]] = deque()
        #: Brokers that took everything and acknowledged nothing.
        self._silent: set[Broker] = set()
        #: The last reason that was reported of each broker.
        self._reported: dict[Broker, str] = {}
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
        if self._brokers.several:
            watch(self._brokers, lambda: self._peer, self._stopping, self._wake)
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
                self._brokers.now,
                self._peer,
                self._queue,
                self._wake_in,
                self._last_messages,
                doubted=self._brokers.now in self._silent,
            )
            self._connection = connection
            try:
                connection.run()
            except (LinkError, OSError) as error:
                self._ended(connection, self._reason(connection, error))
            except Exception as error:
                log.exception(
                    "broker %s: unexpected error in the link; it connects again. Please report"
                    " this",
                    self._brokers.now,
                )
                self._ended(connection, f"internal error: {error!r}")
            self._up = False
            self._stopping.wait(self._delay_s)

    def _last_messages(self) -> Sequence[Message] | None:
        if self._last is None and self._brokers.better():
            raise MovedError("an earlier broker of the list works again; we go back to it")
        return self._last

    def _accepted(self) -> None:
        self._up = True
        self._silent.discard(self._brokers.now)
        self._on_up()

    def _reason(self, connection: Connection, error: Exception) -> str:
        if isinstance(error, SilentError):
            self._silent.add(self._brokers.now)
        if not isinstance(error, LostError):
            self._thrown_out.clear()  # a broker that was away explains what was before
            return str(error) if isinstance(error, LinkError) else f"cannot be reached ({error})"
        now_s = monotonic()
        early = connection.accepted_s is not None and now_s - connection.accepted_s < TAKEOVER_S
        self._thrown_out.append((now_s, early or error.taken_over))
        if self._again_and_again(now_s):
            return self._change_id()
        if error.taken_over:
            return f"someone else uses our client id {self._peer.client_id}; {EACH_ITS_OWN}"
        return str(error)

    def _again_and_again(self, now_s: float) -> bool:
        while self._thrown_out[0][0] < now_s - TAKEOVERS_S:
            self._thrown_out.popleft()
        plain = sum(plain for _, plain in self._thrown_out)
        return plain >= TAKEOVERS_PLAIN or len(self._thrown_out) >= TAKEOVERS_VAGUE

    def _change_id(self) -> str:
        """Go on under an id that nobody knows; return what happened."""
        self._thrown_out.clear()
        before = self._peer.client_id
        own = f"{self._named[:OWN_ID_FROM]}-{secrets.token_hex(OWN_ID_BYTES)}"
        self._peer = replace(self._peer, client_id=own)
        self._call(self._on_thrown_out)
        return (
            f"someone else uses our client id {before}, or our login, and threw us out again and"
            f" again; we use {own} from now on; {EACH_ITS_OWN}"
        )

    def _ended(self, connection: Connection, why: str) -> None:
        broker = self._brokers.now
        text = f"broker {broker}: {why}"
        steady = _steady(connection)
        self._delay_s = BACKOFF_S[0] if steady else min(2 * self._delay_s, BACKOFF_S[1])
        news = text != self._reported.get(broker)
        if steady or news:
            log.warning("%s", text)
        if self._up or news:
            self._up = False
            self._reported[broker] = text
            self._call(lambda: self._on_down(text))
        self._brokers.next(steady=steady)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # an error in the callback must not end this thread
            log.exception(
                "broker %s: a callback on_down failed; please report this", self._brokers.now
            )


def _steady(connection: Connection) -> bool:
    """Return whether a connection lasted longer than a takeover takes."""
    accepted_s = connection.accepted_s
    return accepted_s is not None and monotonic() - accepted_s > TAKEOVER_S
