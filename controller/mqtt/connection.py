"""One connection to an MQTT broker, on a fresh paho client, from the first packet to the last.

paho does the protocol; the waiting is ours (its external loop): one thread reads, keeps the order
of what is said, and stops handing over when the broker stops taking. Who brings an event may send
it himself, in his turn.
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
from paho.mqtt.enums import MQTTErrorCode

from controller.mqtt.link import LinkError, Peer, payload_limit
from controller.mqtt.message import Message
from controller.mqtt.options import expiring, manner, new_client
from controller.mqtt.send_queue import Mailbox

if TYPE_CHECKING:
    from controller.config.settings import Mqtt

log = logging.getLogger(__name__)

KEEPALIVE_S = 5
CONNECT_LIMIT_S = 2.0
STOP_LIMIT_S = 1.0
#: Sent and not yet acknowledged; mosquitto's own limit (max_inflight_messages) is 20 as well.
INFLIGHT_LIMIT = 20
#: A frozen broker takes nothing: with more than the first waiting and no progress for a while, or
#: more than the second in any case, the connection is given up; never the order, nor the memory.
WAITING_LIMITS = (500, 10_000)
PROGRESS_LIMIT_S = 1.0
#: How often to look at the time, without anything to do, and while connecting or leaving.
IDLE_S, BUSY_S = 1.0, 0.25
SEND_BUFFER_BYTES = 64 * 1024
NO_RETAIN = "does it keep retained messages (retain_available)?"


@dataclass
class Sent:
    """A message that the broker has not acknowledged, or not yet all before it."""

    mid: int
    ack: int | None
    arrived: bool = False


@dataclass
class Connection:
    """One attempt, and what came of it; used once, by one thread, and by `send_now` from others.

    ``wake`` is a socket that becomes readable when there is something new to do, ``leaving``
    returns the last messages once it is time to go.
    """

    settings: Mqtt
    peer: Peer
    mailbox: Mailbox
    wake: socket.socket
    leaving: Callable[[], Sequence[Message] | None]
    began_s: float = field(default_factory=monotonic)
    #: When the broker let us in, monotonic seconds.
    let_in_s: float | None = None
    #: Whose turn it is with the client.
    _turn: Lock = field(default_factory=Lock)
    _client: Client | None = None
    _failed: Exception | None = None
    _greeted: bool = False
    _refused: str = ""
    _lost: str = "connection lost"
    _unacked: deque[Sent] = field(default_factory=deque)
    _leave_by_s: float | None = None
    _progress_s: float = 0.0

    def run(self) -> None:
        """Connect and serve until we leave; otherwise raise `LinkError` or `OSError`."""
        client = self._new_client()
        try:
            client.connect(self.settings.host, self.settings.port, KEEPALIVE_S)
            sock: Any = client.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._client = client
            self._serve(client)
        finally:
            with self._turn:
                self._client = None
                self.mailbox.close()
            left: Any = client.socket()
            if left is not None:
                left.close()

    def send_now(self) -> bool:
        """Hand over what is waiting, from any thread, unless another is at it; true when all went.

        It saves an event the way through one more thread, and never waits.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            client = self._client
            if client is None or not self._greeted:
                return False
            self._send_waiting(client)
            return not self.mailbox and not client.want_write() and client.socket() is not None
        except Exception as error:  # noqa: BLE001 - it ends the connection, not whoever speaks
            self._failed = error
            return False
        finally:
            self._turn.release()

    def _new_client(self) -> Client:
        client = new_client(self.settings, self.peer.client_id, CONNECT_LIMIT_S)
        will = self.peer.will
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._received
        return client

    # --- what paho tells ------------------------------------------------------------------------

    def _connected(self, _client: Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            hint = NO_RETAIN if "etain" in str(code) else "check [mqtt] username and password"
            self._refused = f"refuses us ({code}); {hint}"
        else:
            self.let_in_s = monotonic()

    def _disconnected(
        self, _client: Client, _data: Any, _flags: Any, code: Any, _props: Any
    ) -> None:
        hint = f" before it let us in; {NO_RETAIN}" if self.let_in_s is None else ""
        self._lost = f"connection lost ({code}){hint}"

    def _subscribed(self, _client: Client, _data: Any, _mid: int, codes: Any, _props: Any) -> None:
        if any(code.is_failure for code in codes):
            log.warning("broker: refuses a subscription of %s", self.peer.client_id)

    def _published(self, _client: Client, _data: Any, mid: int, _code: Any, _props: Any) -> None:
        for sent in self._unacked:
            sent.arrived = sent.arrived or sent.mid == mid
        while self._unacked and self._unacked[0].arrived:
            ack = self._unacked.popleft().ack
            if ack is not None:
                self.peer.on_ack(ack)

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload[: payload_limit(message.topic)])
        self.peer.on_message(Message(message.topic, payload, message.qos, message.retain))

    # --- the loop -------------------------------------------------------------------------------

    def _serve(self, client: Client) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            selector.register(client.socket(), selectors.EVENT_READ)  # type: ignore[arg-type]
            while self._watch(client, selector):
                ready = selector.select(self._wait_s())
                with self._turn:
                    for key, mask in ready:
                        self._ready(client, key.fileobj, mask)
                    client.loop_misc()
                    if client.socket() is not None and self._step(client):
                        return
        raise LinkError(self._refused or self._lost)

    def _watch(self, client: Client, selector: selectors.BaseSelector) -> bool:
        """Look for what can happen next; false when the connection is over."""
        with self._turn:
            sock = client.socket()
            if sock is not None:
                writing = selectors.EVENT_WRITE if client.want_write() else 0
                selector.modify(sock, selectors.EVENT_READ | writing)
            return sock is not None

    def _wait_s(self) -> float:
        """Return how long nothing may be looked at: an idle link shall not wake a small machine."""
        return IDLE_S if self._greeted and self._leave_by_s is None else BUSY_S

    def _ready(self, client: Client, fileobj: Any, mask: int) -> None:
        if fileobj is self.wake:
            self.wake.recv(4096)
            return
        if mask & selectors.EVENT_READ:
            client.loop_read()
        if mask & selectors.EVENT_WRITE:
            client.loop_write()

    def _step(self, client: Client) -> bool:
        """Do what is due on a living connection; true when we have left it."""
        if self._failed is not None:
            raise self._failed
        last = self.leaving()
        if self.let_in_s is None:
            if monotonic() - self.began_s > CONNECT_LIMIT_S:
                raise LinkError(f"no answer within {CONNECT_LIMIT_S:g} s; is it frozen?")
            return last is not None
        if not self._greeted:
            self._greet(client)
        if last is not None and self._leave_by_s is None:
            self._leave_by_s = monotonic() + STOP_LIMIT_S
            self.mailbox.last(last)
        self._send(client)
        return self._leave_by_s is not None and self._leave(client, self._leave_by_s)

    def _greet(self, client: Client) -> None:
        """Listen first, then say how things stand, then that we are here."""
        self._greeted = True
        if self.peer.subscriptions:
            v5 = self.settings.protocol == 5
            client.subscribe([(topic, manner(topic, v5)) for topic in self.peer.subscriptions])
        self.mailbox.open([] if self.peer.birth is None else [self.peer.birth])
        self.peer.on_up()

    def _send(self, client: Client) -> None:
        """Hand over what is waiting, as one packet: each of its own would wake the broker."""
        sock: Any = client.socket()
        if self.mailbox and sock is not None:
            _cork(sock, True)
            self._send_waiting(client)
            if client.socket() is not None:
                _cork(sock, False)
        stuck = monotonic() - self._progress_s > PROGRESS_LIMIT_S
        if len(self.mailbox) > WAITING_LIMITS[0 if stuck else 1]:
            raise LinkError(f"takes no messages, {len(self.mailbox)} are waiting; is it frozen?")

    def _send_waiting(self, client: Client) -> None:
        """Hand over, in order, only as fast as the broker takes it."""
        while len(self._unacked) < INFLIGHT_LIMIT and not client.want_write():
            waiting = self.mailbox.take()
            if waiting is None:
                return
            self._hand_over(client, *waiting)
            self._progress_s = monotonic()

    def _hand_over(self, client: Client, message: Message, ack: int | None) -> None:
        moment = self.settings.protocol == 5 and not message.retain and ack is None
        properties = expiring() if moment else None
        sent = client.publish(
            message.topic, message.payload, message.qos, message.retain, properties
        )
        if message.qos > 0 and sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._unacked.append(Sent(sent.mid, ack))

    def _leave(self, client: Client, leave_by_s: float) -> bool:
        if (self.mailbox or self._unacked) and monotonic() < leave_by_s:
            return False
        client.disconnect()
        return True
