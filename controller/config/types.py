"""Types of values in the configuration file: each has its words for errors, and reads a value.

Times are seconds when they are plain numbers, or text with a unit (``"2 h"``, ``"15 min"``).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controller.config.notify import KINDS, is_quiet_hours, read_channels

#: What a calendar's address may begin with (``webcal`` is how a phone's calendar writes https).
CALENDAR_SCHEMES = ("https", "http", "webcal", "webcals")
#: Of DNS, with the dot at its end.
_LONGEST_NAME = 254
_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*", re.ASCII)

Reader = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class ValueType:
    """A type of value; ``expected`` completes the sentence "must be ...".

    ``read`` converts a value of the file, or raises ValueError, or a group of them with one whole
    sentence each. A ``secret`` value is never shown. A ``known`` one is a number, a time or one of
    our words: it can hold nothing that the owner would keep to himself.
    """

    expected: str
    read: Reader
    secret: bool = False
    known: bool = False


def seconds(low: float, high: float, unit: str = "s", *, scale: float = 1000.0) -> ValueType:
    """Return the type of a time from ``low`` to ``high`` in ``unit``: seconds times ``scale``."""
    per_unit = _UNITS_S[unit]

    def read(value: object) -> float:
        length_s = _length_s(value)
        if not low * per_unit <= length_s <= high * per_unit:
            raise ValueError
        return round(length_s * scale, 6)

    alone = "" if unit == "s" else f' like "{high:g} {unit}"; a number alone is seconds'
    return ValueType(f"{low:g} to {high:g} {unit}{alone}", read, known=True)


def _length_s(value: object) -> float:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError
        return float(match[1]) * _UNITS_S[match[2] or "s"]
    return _number(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def number(low: float, high: float, unit: str) -> ValueType:
    """Return the type of a number from ``low`` to ``high``."""

    def read(value: object) -> float:
        if not low <= (found := _number(value)) <= high:
            raise ValueError
        return found

    return ValueType(f"{low:g} to {high:g} {unit}", read, known=True)


def number_or_zero(low: float, high: float, unit: str) -> ValueType:
    """Return the type of a number from ``low`` to ``high``, or 0 where it is not known."""
    known = number(low, high, unit)

    def read(value: object) -> object:
        return 0.0 if _number(value) == 0 else known.read(value)

    return ValueType(f"0 or {known.expected}", read, known=True)


def whole(low: int, high: int) -> ValueType:
    """Return the type of a whole number from ``low`` to ``high``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return ValueType(f"a whole number from {low} to {high}", read, known=True)


def choice(*values: str) -> ValueType:
    """Return the type of a text that is one of ``values``."""

    def read(value: object) -> str:
        if value not in values:
            raise ValueError
        return str(value)

    return ValueType(" or ".join(f'"{value}"' for value in values), read, known=True)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or any(ord(c) < 32 for c in value) or len(value) > 255:
        raise ValueError
    return value


def _level(value: object) -> str:
    """Read a part of an MQTT topic."""
    found = _text(value)
    if (
        not found.isprintable()
        or not found
        or set(found) & set("+#$ ")
        or found[0] == "/"
        or found[-1] == "/"
    ):
        raise ValueError
    return found


def _one_level(value: object) -> str:
    found = _level(value)
    if "/" in found:
        raise ValueError
    return found


def list_of(item_type: ValueType, expected: str) -> ValueType:
    """Return the type of a list of values of one type, read as a tuple."""

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise ValueError
        return tuple(item_type.read(item) for item in value)

    return ValueType(expected, read, known=item_type.known)


def _name(value: object) -> str:
    """Read a device's name: a part of a topic, of several levels where its maker allows that."""
    found = _text(value)
    if set(found) & set("+#") or found.startswith("/") or found.endswith("/"):
        raise ValueError
    return found


def _part(value: object) -> str:
    """Read the name of a device's part, which is one level of a topic."""
    found = _name(value)
    if "/" in found:
        raise ValueError
    return found


def _topic_or_none(value: object) -> str:
    return _level(value) if value != "" else ""


def _rhythms(value: object) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Read names with the gaps between their knocks, each as a part of the longest gap."""
    if not isinstance(value, dict):
        raise ValueError
    found = []
    for name, gaps in value.items():
        if not isinstance(gaps, list) or len(gaps) < 2:
            raise ValueError
        parts = tuple(_number(gap) for gap in gaps)
        if not all(0 < part <= 1 for part in parts) or max(parts) != 1:
            raise ValueError
        found.append((_text(name), parts))
    return tuple(found)


def _table_of_texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError
    return {str(key): _text(item) for key, item in value.items()}


def _file_name(value: object) -> str:
    """Read the name of a file that we write: a folder is none, nor is an empty text."""
    found = _text(value)
    if not found.strip() or found.rstrip()[-1] == "/" or found.rpartition("/")[2] in (".", ".."):
        raise ValueError
    if found[0] == "~":  # the shell's word: here it would be a folder of that name
        raise ValueError
    return found


def _check_url(address: str, schemes: Sequence[str]) -> None:
    """Raise ValueError unless it has one of the schemes, a host and no odd port."""
    from urllib.parse import urlsplit

    parts = urlsplit(address)  # ValueError: a bracket that is not closed
    host = parts.hostname or ""
    if parts.scheme not in schemes or not host or parts.port == 0 or not is_host_name(host):
        raise ValueError


def _calendar(value: object) -> str:
    """Read a file or an address."""
    found = _text(value)
    scheme = found.strip().partition(":")[0].lower()
    if "://" in found or scheme in CALENDAR_SCHEMES:
        _check_url(found.strip(), CALENDAR_SCHEMES)
    elif found and not found.strip():
        raise ValueError
    return found


def _web_address(value: object) -> str:
    found = _text(value)
    if found:
        _check_url(found, ("http", "https"))
    return found


def is_host_name(host: str) -> bool:
    """Whether it can be asked for: a name whose parts are too long or empty can't be encoded."""
    try:
        encoded = host.encode("idna")
    except UnicodeError:
        return False
    return len(encoded) <= _LONGEST_NAME and not set(encoded) & set(b" /")


def is_ipv6(host: str) -> bool:
    """Whether it is an IPv6 address, with or without brackets."""
    try:
        ipaddress.IPv6Address(host[1:-1] if host[0] + host[-1] == "[]" else host)
    except ValueError:
        return False
    return True


def _listen_host(value: object) -> str:
    found = _text(value)
    if found and not (is_ipv6(found) if ":" in found else is_host_name(found)):
        raise ValueError
    return found


web_address = ValueType('"" or an address like "http://backdoor.local:8080"', _web_address)
listen_host = ValueType('an address of this machine like "0.0.0.0" or "127.0.0.1"', _listen_host)
flag = ValueType("true or false", _flag, known=True)
file_name = ValueType("the name of a file, in full and of at most 255 characters", _file_name)
calendar = ValueType(
    'a file, "" or an address like "https://host/private.ics" or "webcal://host/private.ics"',
    _calendar,
    secret=True,
)
text = ValueType("text of at most 255 characters", _text)
secret_text = ValueType(text.expected, _text, secret=True)
topic = ValueType('a topic without "+", "#", "$", spaces or a slash at its ends', _level)
topic_level = ValueType('one topic level without "/", "+", "#", "$" or spaces', _one_level)
texts = list_of(text, "a list of texts")


def _database(value: object) -> str:
    found = _text(value)
    scheme, mark, rest = found.partition("://")
    if mark and (scheme not in ("postgresql", "postgres") or not rest):
        raise ValueError
    return found


database = ValueType('a SQLite file or "postgresql://user:password@host/name"', _database)
_SERVER = re.compile(r"(?:(?:nats|tls)://)?[A-Za-z0-9._-]+(?::\d{1,5})?", re.ASCII)


def _server(value: object) -> str:
    found = _text(value)
    if not _SERVER.fullmatch(found):
        raise ValueError
    return found


servers = list_of(ValueType("", _server), 'a list of addresses like ["tls://centre1.example:4222"]')
_DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_HOURS = re.compile(f"{_DAY}(-{_DAY})? {_CLOCK}-{_CLOCK}")


def _opening(value: object) -> str:
    found = _text(value)
    if not _HOURS.fullmatch(found):
        raise ValueError
    return found


def _zone(value: object) -> str:
    found = _text(value)
    if found:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(found)
        except (ZoneInfoNotFoundError, OSError):
            raise ValueError from None
    return found


def _quiet_hours(value: object) -> str:
    if not is_quiet_hours(value):
        raise ValueError
    return str(value)


addresses = ValueType('a list of addresses like ["ntfy://host/topic"]', read_channels, secret=True)
kinds = list_of(choice(*KINDS), f"a list of {', '.join(KINDS)}")
quiet_hours = ValueType('"" or hours like "23:00-09:00"', _quiet_hours, known=True)
openings = list_of(
    ValueType("", _opening, known=True), 'a list of hours like ["Mon-Sat 18:00-01:00"]'
)
time_zone = ValueType('"" or a time zone like "Europe/Rome"', _zone, known=True)
device_name = ValueType('a device\'s name without "+", "#" or a slash at its ends', _name)
part_name = ValueType('a name without "/", "+" or "#"', _part)
topic_or_none = ValueType('"" or ' + topic.expected, _topic_or_none)
rhythms = ValueType(
    'a table like { "Anna" = [0.5, 1] }: two parts of the longest gap or more', _rhythms
)
payloads = ValueType('a table of texts like { on = "1", off = "0" }', _table_of_texts)
warnings = list_of(seconds(0.1, 24 * 60, "min"), 'a list of times like ["15 min", "5 min"]')
