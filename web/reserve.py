"""Places for connections: whoever is not paired may never take the page from who is.

A connection is a *newcomer's* until a request on it shows a pairing; only newcomers are counted and
closed. A newcomer too many is let in all the same, and the oldest one of the address that has the
most is closed for it: so a phone that comes during a flood is heard, since its own address has few.
One more from a stranger's address that must give up a place itself is refused at the door, which
costs a tenth, unless its oldest has had two seconds.
Addresses that have shown a pairing have places of their own, which strangers can't take; a phone
that shares its address with strangers (behind a proxy or a router) has more of them.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

#: Connections that have shown no pairing, at once: of one address, and of all addresses.
PER_ADDRESS, IN_ALL = 16, 100
#: The same for addresses that have shown a pairing lately.
PER_KNOWN_ADDRESS, IN_ALL_KNOWN = 32, 200
#: So long a stranger's connection has its place before another of its address may take it.
HAS_ITS_PLACE_S = 2.0
#: So long a connection is not the first to go, though it has not asked yet.
TIME_TO_ASK_S = 1.0
#: Addresses of paired phones that are remembered.
KNOWN_ADDRESSES = 256


class Connection(Protocol):
    """What is asked of a connection."""

    @property
    def is_being_answered(self) -> bool:
        """Whether a whole request is here: it is soon known whose it is."""


C = TypeVar("C", bound=Connection)


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the network, whose addresses cost nothing."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, ipaddress.IPv6Address):
        return address
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))


class Reserve(Generic[C]):
    """Who is here without having shown a pairing, by address. Any thread may call."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: Of each address, the oldest first, with the time at which it came.
        self._newcomers: dict[str, dict[C, float]] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self.closed = 0

    def refuses(self, address: str) -> bool:
        """Return whether one more from this address gets no place; asked before it costs one."""
        network = network_of(address)
        with self._lock:
            here = self._newcomers.get(network)
            if not here or network in self._known or self._crowded(network, 1) != network:
                return False
            refused = self._monotonic() - next(iter(here.values())) < HAS_ITS_PLACE_S
            self.closed += refused
            return refused

    def came(self, connection: C, address: str) -> C | None:
        """Count a new connection; return the one that must be closed for it, if there is any."""
        network = network_of(address)
        with self._lock:
            self._newcomers.setdefault(network, {})[connection] = self._monotonic()
            crowded = self._crowded(network, 0)
            if crowded is None:
                return None
            victim = self._victim(crowded)
            self._forget(victim, crowded)
            self.closed += 1
            return victim

    def showed_pairing(self, connection: C, address: str) -> None:
        """Count it no more, and remember its address."""
        network = network_of(address)
        with self._lock:
            self._forget(connection, network)
            self._known.pop(network, None)
            self._known[network] = None
            if len(self._known) > KNOWN_ADDRESSES:
                self._known.popitem(last=False)

    def left(self, connection: C, address: str) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._forget(connection, network_of(address))

    def _forget(self, connection: C, network: str) -> None:
        here = self._newcomers.get(network, {})
        here.pop(connection, None)
        if not here:
            self._newcomers.pop(network, None)

    def _crowded(self, network: str, more: int) -> str | None:
        """Return the address that must give a place when so many more come from this one."""
        known = network in self._known
        each, in_all = (PER_KNOWN_ADDRESS, IN_ALL_KNOWN) if known else (PER_ADDRESS, IN_ALL)
        if len(self._newcomers[network]) + more > each:
            return network
        alike = {n: len(here) for n, here in self._newcomers.items() if (n in self._known) == known}
        alike[network] += more
        return max(alike, key=alike.__getitem__) if sum(alike.values()) > in_all else None

    def _victim(self, network: str) -> C:
        """Return who must go: the oldest that had time to ask and did not; else the last to ask.

        Else the oldest: whoever has just come is not heard yet.
        """
        here, late_s = self._newcomers[network], self._monotonic() - TIME_TO_ASK_S
        silent = (c for c, came_s in here.items() if came_s <= late_s and not c.is_being_answered)
        asking = (c for c in reversed(here) if c.is_being_answered)
        return next(silent, None) or next(asking, None) or next(iter(here))
