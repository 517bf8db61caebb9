"""One connection to an MQTT broker, on a new paho client, from its first packet to its last.

paho does the protocol. We wait for the socket ourselves (paho's "external loop"): one thread reads,
sends the messages in their order, and stops sending when the broker stops taking. A thread that
brings an event may send it itself when nobody else is using the client.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from controller.mqtt.link import LinkError, LostError, Peer, SilentError, payload_limit
from controller.mqtt.message import Message
from controller.mqtt.send_queue import SendQueue

if TYPE_CHECKING:
    from controller.config.brokers import Broker
    from controller.mqtt.tls import TlsContext

log = logging.getLogger(__name__)

KEEPALIVE_S = 5
CONNECT_LIMIT_S = 2.0
STOP_LIMIT_S = 1.0
#: Sent and not yet acknowledged; mosquitto's own limit (max_inflight_messages) is 20 as well.
INFLIGHT_LIMIT = 20
#: A broker that acknowledges nothing for so long does not work, whatever else it does. With the
#: waits of the loop it is said within 5 s.
ACK_LIMIT_S = 3.5
#: A frozen broker takes nothing. The connection is given up when more than the first number of
#: messages wait and none was sent for PROGRESS_LIMIT_S, or more than the second in any case.
WAITING_LIMITS = (500, 10_000)
PROGRESS_LIMIT_S = 1.0
#: How long to wait for the socket at most: with nothing to do, and while connecting or leaving.
IDLE_S, BUSY_S = 1.0, 0.25
SEND_BUFFER_BYTES = 64 * 1024
#: MQTT 5: the broker drops a message that is neither retained nor acknowledged after this time,
#: because it was only about the moment at which it was sent.
MESSAGE_EXPIRY_S = 10
#: MQTT 5: the broker ends a connection because another client comes with the same id.
SESSION_TAKEN_OVER = 0x8E
#: What paho calls the end of a connection whose broker answers no ping.
KEEP_ALIVE_TIMEOUT = 0x8D
#: Received events are committed together, when so many have come or the first is so old: the broker
#: sends no more before it has our acknowledgements.
COMMIT_EVENTS, COMMIT_AFTER_S = INFLIGHT_LIMIT, 0.5
NO_RETAIN = "does it keep retained messages (retain_available)?"


@dataclass
class InFlight:
    """A message that was sent and is not acknowledged, or follows one that is not."""

    mid: int
    ack: int | None
    sent_s: float
    arrived: bool = False


def _session(kept_s: int | None) -> dict[str, Any]:
    """Return what a CONNECT of MQTT 5 says of its session; with 3.1.1 the client itself says it.

    The session ends after ``kept_s`` without its client: nobody collects for ever.
    """
    if kept_s is None:
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = kept_s
    return {"clean_start": False, "properties": properties}


@dataclass
class Connection:
    """One attempt to connect, and the connection it became. Used once, by one thread.

    Only `send_now` may be called from other threads. ``wake`` is a socket that becomes readable
    when there is something new to do; ``last_messages`` returns None until it is time to leave.
    """

    settings: Broker
    peer: Peer
    queue: SendQueue
    wake: socket.socket
    last_messages: Callable[[], Sequence[Message] | None]
    #: The broker acknowledged nothing the last time: it is up once it has acknowledged something.
    doubted: bool = False
    started_s: float = field(default_factory=monotonic)
    #: When the broker accepted us, monotonic seconds; None until then.
    accepted_s: float | None = None
    #: Held by the thread that uses the paho client.
    _client_lock: Lock = field(default_factory=Lock)
    _client: Client | None = None
    _tls: TlsContext | None = None
    _send_error: Exception | None = None
    _announced: bool = False
    _refused: str = ""
    _lost: str = "connection lost"
    _taken_over: bool = False
    #: It ended because the broker, or the network, was silent: nobody threw us out.
    _silence: bool = False
    #: When we subscribed, monotonic seconds, until that is acknowledged.
    _subscribed_s: float | None = None
    _in_flight: deque[InFlight] = field(default_factory=deque)
    #: Events that are not committed yet, as (mid, qos), and when the first of them came.
    _received: list[tuple[int, int]] = field(default_factory=list)
    _received_s: float = 0.0
    _leave_by_s: float | None = None
    _progress_s: float = 0.0

    def run(self) -> None:
        """Connect and serve until we leave; raise `LinkError` or OSError if it ends otherwise."""
        if self.settings.tls:
            from controller.mqtt.tls import tls_context

            self._tls = tls_context(self.settings.ca)
        client = self._new_client()
        try:
            durable_v5 = self.settings.protocol == 5 and self.peer.durable
            session = _session(self.peer.kept_s if durable_v5 else None)
            client.connect(self.settings.host, self.settings.port, KEEPALIVE_S, **session)
            sock: Any = client.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._client = client
            self._serve(client)
        finally:
            with self._client_lock:
                self._client = None
                self.queue.close()
            left: Any = client.socket()
            if left is not None:
                left.close()
            if self._tls is not None:
                self._tls.close()

    def send_now(self) -> bool:
        """Send what is queued, from any thread, and return whether all of it was sent.

        Returns False at once when another thread uses the client; it never waits. This saves an
        event the way through one more thread.
        """
        if not self._client_lock.acquire(blocking=False):
            return False
        try:
            client = self._client
            if client is None or not self._announced:
                return False
            self._send_queued(client)
            return not self.queue and not client.want_write() and client.socket() is not None
        except Exception as error:  # noqa: BLE001 - it ends the connection, not the caller's thread
            self._send_error = error
            return False
        finally:
            self._client_lock.release()

    def _new_client(self) -> Client:
        """Return a paho client that knows nothing of any connection before."""
        v5 = self.settings.protocol == 5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.peer.client_id,
            clean_session=None if v5 else not self.peer.durable,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=self.peer.commit is not None,
        )
        client.connect_timeout = CONNECT_LIMIT_S
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self.settings.username:
            client.username_pw_set(self.settings.username, self.settings.password or None)
        will = self.peer.will
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    # --- callbacks of paho ----------------------------------------------------------------------

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            hint = NO_RETAIN if "etain" in str(code) else "check [mqtt] username and password"
            self._refused = f"refuses us ({code}); {hint}"
        else:
            self.accepted_s = monotonic()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, code: Any, _props: Any
    ) -> None:
        hint = f" before it let us in; {NO_RETAIN}" if self.accepted_s is None else ""
        self._lost = f"connection lost ({code}){hint}"
        self._taken_over = getattr(code, "value", 0) == SESSION_TAKEN_OVER
        self._silence = getattr(code, "value", 0) == KEEP_ALIVE_TIMEOUT

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, codes: Any, _p: Any) -> None:
        self._subscribed_s = None
        if self.peer.birth is None:  # we send nothing by ourselves that is acknowledged
            self._trust()
        if any(code.is_failure for code in codes):
            log.warning(
                "broker: refuses a subscription of %s; check what its user may read",
                self.peer.client_id,
            )

    def _on_publish(self, _client: Client, _data: Any, mid: int, _code: Any, _props: Any) -> None:
        for sent in self._in_flight:  # paho calls this also for a message that needs no answer
            if sent.mid == mid:
                sent.arrived = True
                self._trust()
        while self._in_flight and self._in_flight[0].arrived:
            ack = self._in_flight.popleft().ack
            if ack is not None:
                self.peer.on_ack(ack)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload[: payload_limit(message.topic)])
        self.peer.on_message(Message(message.topic, payload, message.qos, message.retain))
        if self.peer.commit is not None and message.qos > 0:
            self._received_s = self._received_s if self._received else monotonic()
            self._received.append((message.mid, message.qos))

    # --- the loop -------------------------------------------------------------------------------

    def _serve(self, client: Client) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            selector.register(client.socket(), selectors.EVENT_READ)  # type: ignore[arg-type]
            while self._update_selector(client, selector):
                ready = selector.select(self._wait_s())
                with self._client_lock:
                    for key, mask in ready:
                        self._handle_ready(client, key.fileobj, mask)
                    client.loop_misc()
                    if client.socket() is not None and self._step(client):
                        return
        if self._refused or self._silence or self.accepted_s is None:
            raise LinkError(self._refused or self._lost)
        raise LostError(self._lost, self._taken_over)

    def _update_selector(self, client: Client, selector: selectors.BaseSelector) -> bool:
        """Wait for writing only if there is something to write; False when the connection ended."""
        with self._client_lock:
            sock = client.socket()
            if sock is not None:
                writing = selectors.EVENT_WRITE if client.want_write() else 0
                selector.modify(sock, selectors.EVENT_READ | writing)
            return sock is not None

    def _wait_s(self) -> float:
        """Return how long to sleep at most: an idle link must not wake a small machine often."""
        calm = self._announced and self._leave_by_s is None and self._unacknowledged_s() is None
        return IDLE_S if calm and not self._received else BUSY_S

    def _handle_ready(self, client: Client, fileobj: Any, mask: int) -> None:
        if fileobj is self.wake:
            self.wake.recv(4096)
            return
        if mask & selectors.EVENT_READ:
            client.loop_read()
            while _decrypted(client.socket()):
                client.loop_read()
        if mask & selectors.EVENT_WRITE:
            client.loop_write()

    def _step(self, client: Client) -> bool:
        """Do what is due on a living connection; return True once we have left it."""
        if self._send_error is not None:
            raise self._send_error
        last = self.last_messages()
        if self.accepted_s is None:
            if monotonic() - self.started_s > CONNECT_LIMIT_S:
                raise LinkError(f"no answer within {CONNECT_LIMIT_S:g} s; is it frozen?")
            return last is not None
        if not self._announced:
            self._announce(client)
        if last is not None and self._leave_by_s is None:
            self._leave_by_s = monotonic() + STOP_LIMIT_S
            self.queue.add_last(last)
        self._commit(client)
        self._send(client)
        since_s = self._unacknowledged_s()
        if since_s is not None and monotonic() - since_s > ACK_LIMIT_S:
            raise SilentError("takes what we send and acknowledges nothing; is it really a broker?")
        return self._leave_by_s is not None and self._leave(client, self._leave_by_s)

    def _unacknowledged_s(self) -> float | None:
        """Return since when the broker owes us an acknowledgement; None if it owes us none."""
        return self._in_flight[0].sent_s if self._in_flight else self._subscribed_s

    def _announce(self, client: Client) -> None:
        """Subscribe first, then send the current values, then the birth message."""
        self._announced = True
        if self.peer.subscriptions:
            v5 = self.settings.protocol == 5
            client.subscribe(
                [(topic, subscribe_options(topic, v5)) for topic in self.peer.subscriptions]
            )
            self._subscribed_s = monotonic()
        self.queue.open([] if self.peer.birth is None else [self.peer.birth])
        if not self.doubted:
            self.peer.on_up()

    def _trust(self) -> None:
        """Note that the broker acknowledges: one that did not is up only now."""
        if self.doubted:
            self.doubted = False
            self.peer.on_up()

    def _commit(self, client: Client) -> None:
        """Commit the received events when it is time, and acknowledge them."""
        waited = monotonic() - self._received_s > COMMIT_AFTER_S
        due = len(self._received) >= COMMIT_EVENTS or waited or self._leave_by_s is not None
        if self.peer.commit is None or not self._received or not due:
            return
        self.peer.commit()
        for mid, qos in self._received:
            client.ack(mid, qos)
        self._received.clear()

    def _send(self, client: Client) -> None:
        """Send what is queued as one TCP packet: a packet each would wake the broker each time."""
        sock: Any = client.socket()
        if self.queue and sock is not None:
            _cork(sock, True)
            self._send_queued(client)
            if client.socket() is not None:
                _cork(sock, False)
        stuck = monotonic() - self._progress_s > PROGRESS_LIMIT_S
        if len(self.queue) > WAITING_LIMITS[0 if stuck else 1]:
            raise LinkError(f"takes no messages, {len(self.queue)} are waiting; is it frozen?")

    def _send_queued(self, client: Client) -> None:
        """Send in order, and only as fast as the broker takes it."""
        while len(self._in_flight) < INFLIGHT_LIMIT and not client.want_write():
            queued = self.queue.take()
            if queued is None:
                return
            self._publish(client, *queued)
            self._progress_s = monotonic()

    def _publish(self, client: Client, message: Message, ack: int | None) -> None:
        expires = self.settings.protocol == 5 and not message.retain and ack is None
        properties = expiry() if expires else None
        sent = client.publish(
            message.topic, message.payload, message.qos, message.retain, properties
        )
        if message.qos > 0 and sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._in_flight.append(InFlight(sent.mid, ack, monotonic()))

    def _leave(self, client: Client, leave_by_s: float) -> bool:
        if (self.queue or self._in_flight) and monotonic() < leave_by_s:
            return False
        client.disconnect()
        return True


def _decrypted(sock: Any) -> bool:
    """Return whether TLS has read more than we took: no selector sees that."""
    return hasattr(sock, "pending") and sock.pending() > 0


def _cork(sock: Any, on: bool) -> None:
    """Let the kernel collect what is sent into one packet; a Mac has no such option."""
    if hasattr(socket, "TCP_CORK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


def subscribe_options(topic: str, v5: bool) -> Any:
    """Return the options of a subscription: QoS 1, and more with MQTT 5.

    With MQTT 5 the broker does not send us retained commands, and a live message keeps its retain
    flag, so that a command with it can be refused.
    """
    if not v5:
        return 1
    retain_handling = 2 if "/cmd/" in topic else 0
    return SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=retain_handling)


def expiry() -> Properties:
    """Return the MQTT 5 properties of a message that the broker drops after a while."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = MESSAGE_EXPIRY_S
    return properties
