"""The names of this page. A request for another name is a mistake, or DNS rebinding.

Rebinding: a stranger's website lets its own name point at this page, so that the browser of a
guest, or of the bartender, talks to us on its behalf. It needs a name that the stranger owns; no
name below is one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

#: Where routers and mDNS put the names of a home's machines; nobody can own a name there (RFC 6762,
#: RFC 8375) or the router answers for it before anybody else.
HOME_DOMAINS = (
    "local",
    "lan",
    "home",
    "home.arpa",
    "internal",
    "localdomain",
    "fritz.box",
    "speedport.ip",
)
RESOLV_CONF = Path("/etc/resolv.conf")
#: A name that is new to us is looked up again only after so long: it may be a stranger's.
LOOK_UP_EVERY_S = 60.0
#: Avahi and routers give the second machine of a name a number: ``bar-2.local``.
NUMBERED = r"(-[0-9]{1,3})?"


def host_name(host: str) -> str:
    """Return the name or address in a Host header, in small letters; "" for nonsense."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def own_names() -> tuple[str, str]:
    """Return this machine's name, and its name with its domain as far as anybody knows one."""
    return socket.gethostname().lower(), socket.getfqdn().lower()


def search_domains(resolv_conf: Path = RESOLV_CONF) -> list[str]:
    """Return the domains in which this network looks for plain names; none if nobody says."""
    try:
        lines = resolv_conf.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    rows = [line.lower().split() for line in lines]
    found = [row[1:] for row in rows if row and row[0] in ("search", "domain")]
    return [domain.strip(".") for domains in found for domain in domains if domain.strip(".")]


class Hosts:
    """The host names of this page; a request for another name is DNS rebinding or a mistake.

    Its own are looked up when somebody asks by a name that is new: a machine may get another name
    while it runs, and at its start the network may not be there.
    """

    def __init__(
        self,
        allowed: Collection[str],
        public_url: str,
        *,
        names: Callable[[], tuple[str, str]] = own_names,
        domains: Callable[[], list[str]] = search_domains,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        public = host_name(urlsplit(public_url).netloc)
        self._given = {"localhost", public, *(name.lower().rstrip(".") for name in allowed)} - {""}
        self._names, self._domains, self._monotonic = names, domains, monotonic
        self._looking = threading.Lock()
        self._next_look_s = -float("inf")
        self._full = ""
        self._own = re.compile(r"(?!)")  # matches nothing

    def allows(self, host: str) -> bool:
        """Return whether a Host header has one of our names or an address of a private network."""
        name = host_name(host)
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return bool(name) and (name in self._given or self._is_own(name))
        return address.is_private or address.is_link_local or name in self._given

    def _is_own(self, name: str) -> bool:
        if self._matches(name):
            return True
        self._look()
        return self._matches(name)

    def _matches(self, name: str) -> bool:
        return name == self._full or self._own.fullmatch(name) is not None

    def _look(self) -> None:
        """Look up our names; not again soon, and never in two threads: it may take seconds."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            now_s = self._monotonic()
            if now_s >= self._next_look_s:
                self._next_look_s = now_s + LOOK_UP_EVERY_S
                name, self._full = self._names()
                self._own = _pattern(name.partition(".")[0] or "localhost", self._domains())
        finally:
            self._looking.release()


def _pattern(name: str, domains: Collection[str]) -> re.Pattern[str]:
    """Return what matches this name, alone or with a number, in any domain of a home."""
    ends = "|".join(re.escape(domain) for domain in (*HOME_DOMAINS, *domains))
    return re.compile(rf"{re.escape(name)}{NUMBERED}(\.({ends}))?")
