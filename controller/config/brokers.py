"""The brokers of [mqtt]: one, or a list that is tried in order, each with what differs from the
section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.config.types import ValueType, flag, is_host_name, is_ipv6, text, whole

#: ``host``, ``host:port`` and ``[::1]:port``; an IPv6 address without brackets has no port.
_WITH_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):(\d+)", re.ASCII)
_LAST_PORT = 65535
_ALONE = "must be the host alone: port, username, password and tls are keys of their own"
_KEYS: Mapping[str, ValueType] = {
    "host": text,
    "port": whole(1, _LAST_PORT),
    "username": text,
    "password": text,
    "protocol": whole(4, 5),
    "tls": flag,
    "ca": text,
}
_LOGIN = frozenset({"username", "password"})


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker, with all that a connection to it needs."""

    host: str
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    #: 4 is MQTT 3.1.1, or 5.
    protocol: int = 4
    tls: bool = False
    #: File with the certificates that are trusted; "" for the system's.
    ca: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One entry of the list: the keys that it has of its own."""

    own: tuple[tuple[str, Any], ...] = field(repr=False)

    def broker(self, section: Mapping[str, Any]) -> Broker:
        """Return the broker, with the section's values for all that the entry leaves open.

        A user name of its own goes with a password of its own: the section's is for another user.
        """
        own = dict(self.own)
        inherited = {key: value for key, value in section.items() if key not in own}
        if "username" in own:
            inherited.pop("password", None)
        return at(own.pop("host"), {**inherited, **own}, fixed="port" in own)


def at(host: str, settings: Mapping[str, Any], *, fixed: bool = False) -> Broker:
    """Return the broker at ``host`` or ``host:port``; ``fixed``: the port stands beside it."""
    found = None if fixed else _WITH_PORT.fullmatch(host)
    if found is None:
        return Broker(**{**settings, "host": host.strip("[]")})
    return Broker(**{**settings, "host": found[1].strip("[]"), "port": int(found[2])})


def read_hosts(value: object) -> str | tuple[HostEntry, ...]:
    """Return one host, or the entries of a list of texts and tables.

    Raises ValueError, or for a list `ExceptionGroup` with one whole sentence for each mistake; none
    shows a password.
    """
    if not isinstance(value, list):
        return _one_host(value)
    problems = list(_problems(value))
    if problems:
        raise ExceptionGroup("host", [ValueError(problem) for problem in problems])
    return tuple(_entry(one) for one in value)


def _one_host(value: object) -> str:
    found = str(text.read(value))
    if _is_url(found):  # which may show a password
        raise ExceptionGroup("host", [ValueError(_ALONE)])
    if found and any(_host_problem(found)):
        raise ValueError
    return found


def _entry(one: str | Mapping[str, Any]) -> HostEntry:
    return HostEntry(tuple(({"host": one} if isinstance(one, str) else one).items()))


def _problems(value: list[object]) -> Iterator[str]:
    if not value:
        yield 'must not be an empty list; "" runs without a broker'
    for number, one in enumerate(value, 1):
        table = {"host": one} if isinstance(one, str) else one
        if isinstance(table, dict):
            yield from (f"entry {number}: {problem}" for problem in _entry_problems(table))
        else:
            yield f'entry {number}: must be a host or a table like {{ host = "10.0.0.2" }}'


def _entry_problems(table: Mapping[str, object]) -> Iterator[str]:
    for key, value in table.items():
        if key not in _KEYS:
            yield f"unknown key {key}; known are {', '.join(_KEYS)}"
        elif not _reads(_KEYS[key], value):
            got = "something else" if key in _LOGIN else f"{value!r}"
            yield f"{key} must be {_KEYS[key].expected}, got {got}"
    host = table.get("host")
    if not host:
        yield "host must name the broker"
    elif isinstance(host, str):
        yield from _host_problem(host, fixed="port" in table)


def _host_problem(host: str, *, fixed: bool = False) -> Iterator[str]:
    found = None if fixed else _WITH_PORT.fullmatch(host)
    name = found[1] if found else host
    if _is_url(host):
        yield _ALONE
    elif not (is_ipv6(name) if set(name) & set(":[]") else is_host_name(name)):
        yield f"{host} is no host"
    elif found and not 0 < int(found[2]) <= _LAST_PORT:
        yield f"the port of {host} must be from 1 to {_LAST_PORT}"


def _is_url(host: str) -> bool:
    return "/" in host or "@" in host


def _reads(kind: ValueType, value: object) -> bool:
    try:
        kind.read(value)
    except ValueError:
        return False
    return True


hosts = ValueType(
    'a host, "host:port", or a list like ["127.0.0.1", { host = "10.0.0.2", protocol = 5 }]',
    read_hosts,
)
