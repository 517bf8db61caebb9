"""Several brokers in an order: which one is next, and when to go back to an earlier one.

Controller and page meet only on the same broker, so whoever is on a later one asks every few
seconds whether an earlier one works again, and goes back to it. It works when it lets us in and
acknowledges: a port that only accepts, or a broker that is frozen, does not.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from threading import Event, Thread

from controller.config.brokers import Broker
from controller.mqtt.connection import Connection
from controller.mqtt.link import LinkError, Peer
from controller.mqtt.message import Message
from controller.mqtt.send_queue import SendQueue

log = logging.getLogger(__name__)

#: How often an earlier broker is asked; half as often after each return that did not last. At first
#: as often as a link without a broker tries: all clients are back together, within the time for
#: which the controller's outbox sends again.
ASK_S = (1.0, 300.0)


class Brokers:
    """The brokers of a link, in their order, and the one that is used now."""

    def __init__(self, brokers: Sequence[Broker]) -> None:
        self._brokers = tuple(brokers)
        self._at = 0
        self._better: int | None = None
        self._returned = False
        self._ask_s = ASK_S[0]

    @property
    def now(self) -> Broker:
        """The broker that is used, or tried, now."""
        return self._brokers[self._at]

    @property
    def earlier(self) -> Sequence[Broker]:
        """Those that would be preferred to this one."""
        return self._brokers[: self._at]

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self._brokers) > 1

    @property
    def ask_s(self) -> float:
        """How long to wait before an earlier broker is asked, in seconds."""
        return self._ask_s

    def works(self, broker: Broker) -> None:
        """Note, from any thread, that an earlier broker works again."""
        self._better = self._brokers.index(broker)

    def better(self) -> bool:
        """Return whether an earlier broker works again: one that is used by now is none."""
        return self._better is not None and self._better < self._at

    def next(self, *, steady: bool) -> None:
        """Choose: an earlier one that works, else the one after, and after the last the first.

        ``steady``: the connection that ended had lasted. One that fails again at once is asked less
        often.
        """
        if self._returned:
            self._ask_s = ASK_S[0] if steady else min(2 * self._ask_s, ASK_S[1])
        better, self._better = self._better, None
        self._returned = better is not None and better < self._at
        if better is not None and self._returned:
            self._at = better
        else:
            self._at = (self._at + 1) % len(self._brokers)


def watch(
    brokers: Brokers, peer: Callable[[], Peer], stop: Event, found: Callable[[], None]
) -> None:
    """Start the thread that looks for an earlier broker while a later one is used.

    ``found`` is called in it once one works again.
    """

    def ask() -> None:
        while not stop.wait(brokers.ask_s):
            for broker in () if brokers.better() else brokers.earlier:
                if works(broker, peer(), stop):
                    brokers.works(broker)
                    found()
                    break

    Thread(target=ask, name="earlier-broker", daemon=True).start()


def works(broker: Broker, peer: Peer, stop: Event) -> bool:
    """Return whether a broker lets this client in and acknowledges; it takes up to 6 s."""
    proved = Event()
    wake, other = socket.socketpair()
    wake.setblocking(False)
    probe = _probe(peer, proved)

    def leave() -> Sequence[Message] | None:
        return () if proved.is_set() or stop.is_set() else None

    with closing(wake), closing(other):
        try:
            doubted = bool(probe.subscriptions)
            Connection(broker, probe, SendQueue(), wake, leave, doubted=doubted).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are asked on
            log.debug("broker %s: %s", broker, error)
    return proved.is_set()


def _probe(peer: Peer, proved: Event) -> Peer:
    """Return a client that takes nothing, leaves nothing, and throws nobody out.

    Only a durable client keeps its name: what the broker collected for it must wait on.
    """
    name = peer.client_id if peer.durable else f"{peer.client_id[:45]}-{secrets.token_hex(6)}"
    return replace(
        peer,
        client_id=name,
        subscriptions=peer.subscriptions[:1],
        on_message=lambda _message: None,
        on_up=proved.set,
        on_ack=lambda _ack: None,
        will=None,
        birth=None,
        commit=_not_taken,
    )


def _not_taken() -> None:
    raise LinkError("a probe takes no messages")
