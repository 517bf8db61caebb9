"""Who gets messages outside the page: the addresses of [notify], and what each is for.

An address holds a secret (a token, a topic that nobody else knows), so no message here shows more
of it than its scheme.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

KINDS = ("knock", "door_knock", "alarm", "session", "fault", "dark")
#: From the least to the most severe.
SEVERITIES = ("info", "warning", "critical")
#: A span of the day, also past midnight, as in ``"23:00-09:00"``.
QUIET = re.compile(r"(([01][0-9]|2[0-3]):[0-5][0-9])-(([01][0-9]|2[0-3]):[0-5][0-9])")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]{1,2000}")
_KEYS = ("url", "for", "quiet_hours", "least_severity")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One address and what it is for; what is None is taken from the section."""

    url: str = field(repr=False)
    kinds: tuple[str, ...] | None = None
    quiet_hours: str | None = None
    least_severity: str | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """The messages that arrive while the page is closed; no ``urls``, no service."""

    urls: tuple[ChannelSettings, ...] = ()
    kinds: tuple[str, ...] = KINDS
    quiet_hours: str = ""
    least_severity: str = "info"
    most_an_hour: int = 30
    language: str = "en"
    answer_host: str = "0.0.0.0"
    answer_port: int = 8090
    answer_url: str = ""
    venues: str = ""

    def channels(self) -> tuple[ChannelSettings, ...]:
        """Return every address with nothing left open."""
        return tuple(
            replace(
                one,
                kinds=self.kinds if one.kinds is None else one.kinds,
                quiet_hours=self.quiet_hours if one.quiet_hours is None else one.quiet_hours,
                least_severity=one.least_severity or self.least_severity,
            )
            for one in self.urls
        )


def masked(url: object) -> str:
    """Return an address without what may be secret in it, which is all but its scheme."""
    scheme, found, _ = url.partition("://") if isinstance(url, str) else ("", "", "")
    return f"{scheme}://..." if found and scheme.isascii() and scheme.isidentifier() else "..."


def read_channels(value: object) -> tuple[ChannelSettings, ...]:
    """Return the addresses of a list of texts and tables.

    Raises `ExceptionGroup` of ValueErrors with one whole sentence for each mistake.
    """
    if not isinstance(value, list):
        raise ValueError
    problems = [text for n, entry in enumerate(value, 1) for text in _problems(n, entry)]
    if problems:
        raise ExceptionGroup("urls", [ValueError(text) for text in problems])
    return tuple(_channel(entry) for entry in value)


def _channel(entry: str | Mapping[str, object]) -> ChannelSettings:
    if isinstance(entry, str):
        return ChannelSettings(entry)
    kinds = entry.get("for")
    return ChannelSettings(
        str(entry["url"]),
        tuple(map(str, kinds)) if isinstance(kinds, list) else None,
        _text(entry, "quiet_hours"),
        _text(entry, "least_severity"),
    )


def _text(entry: Mapping[str, object], key: str) -> str | None:
    return str(entry[key]) if key in entry else None


def _problems(number: int, entry: object) -> Iterator[str]:
    """Yield what is wrong with one entry, without its secret."""
    table = entry if isinstance(entry, dict) else {"url": entry}
    url = table.get("url")
    which = f"address {number} ({masked(url)})"
    if not isinstance(url, str) or not _ADDRESS.fullmatch(url):
        wanted = '"ntfy://host/topic" without spaces; write what is odd in it as %20'
        yield f"{which}: must be like {wanted}"
    for key in table:
        if key not in _KEYS:
            yield f"{which}: unknown key {key}; known are {', '.join(_KEYS)}"
    kinds = table.get("for", [])
    unknown = [kind for kind in kinds if kind not in KINDS] if isinstance(kinds, list) else [kinds]
    if unknown:
        yield f"{which}: for must be a list of {', '.join(KINDS)}, got {unknown[0]!r}"
    hours = table.get("quiet_hours", "")
    if not is_quiet_hours(hours):
        yield f'{which}: quiet_hours must be "" or like "23:00-09:00", got {hours!r}'
    least = table.get("least_severity", "info")
    if least not in SEVERITIES:
        yield f"{which}: least_severity must be {' or '.join(SEVERITIES)}, got {least!r}"


def is_quiet_hours(value: object) -> bool:
    """Return whether this is a span of the day, or none."""
    return value == "" or (isinstance(value, str) and bool(QUIET.fullmatch(value)))
