"""Taking secrets and names out of what an owner shows to strangers.

Of the configuration only what cannot hold a secret is shown: numbers, choices, times. Every text of
the owner's counts as one, and is also looked for in all else that goes along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from controller.config.schema import KEYS

REMOVED = "(removed)"
#: A shorter text is no secret, and stands in half of all words.
SHORTEST = 3
#: Texts of a configuration that are in every one, and secret in none.
USUAL = frozenset({"backdoor", "homeassistant", "localhost", "127.0.0.1", "0.0.0.0", "bar", "http"})
#: Where an event says who.
WHO = frozenset({"regular", "by", "name", "phone"})
FOUR_BYTES = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
#: What may be an IPv6 address, or that of a network card.
WITH_COLONS = re.compile(r"[0-9a-f]*:[0-9a-f:]*[0-9a-f:]", re.IGNORECASE)
#: What the page's log says of paired phones: their names.
PHONES = re.compile(r"(\bphones: ).+")
CARD = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_TYPES = {(key.section, key.name): key.type for key in KEYS}


def shown_configuration(document: Mapping[str, Any]) -> str:
    """Return the configuration as TOML-like text, without what could be a secret or a name."""
    parts = []
    for section, keys in document.items():
        parts.append(f"[{section}]")
        if not isinstance(keys, dict):
            parts.append(f"# {REMOVED}: no section")
            continue
        parts += [f"{name} = {_shown(section, name, value)}" for name, value in keys.items()]
    return "\n".join(parts) + "\n"


def _shown(section: str, name: str, value: object) -> str:
    if _is_known(section, name, value):
        return json.dumps(value, default=str)
    return json.dumps(value) if value in ("", [], {}) else f'"{REMOVED}"'


def _is_known(section: str, name: str, value: object) -> bool:
    """Return whether a value can be shown: a type that may hold anything is never, by default."""
    if section == "lines":
        return True
    value_type = _TYPES.get((section, name))
    if value_type is None or not value_type.known:
        return False
    try:
        value_type.read(value)
    except (ValueError, TypeError, OverflowError):
        return False  # a password in the place of a port
    return True


def secrets_of(document: Mapping[str, Any]) -> set[str]:
    """Return every text of the owner's in a configuration, whole and in the parts of an address."""
    found: set[str] = set()
    for section, keys in document.items():
        for name, value in keys.items() if isinstance(keys, dict) else ():
            if not _is_known(section, name, value):
                found.update(_texts(value))
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from re.split(r"[/:@?&=#,;\s]+", unquote(value))
        yield from re.split(r"[/:@?&=#,;\s]+", value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(key)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


class Redactor:
    """Replaces secrets wherever they stand, also as a URL or as JSON writes them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        kept = {each for each in secrets if len(each) >= SHORTEST and each.lower() not in USUAL}
        forms = {form for each in kept for form in _forms(each)}
        words = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
        self._words = re.compile(words, re.IGNORECASE) if words else None

    def __call__(self, text: str) -> str:
        """Return ``text`` without any of them, and without addresses."""
        if self._words is not None:
            text = self._words.sub(REMOVED, text)
        text = PHONES.sub(rf"\1{REMOVED}", text)
        return WITH_COLONS.sub(_without_address, FOUR_BYTES.sub(REMOVED, text))

    def event(self, line: str) -> str:
        """Return an event (JSON) without who it was."""
        try:
            fields = json.loads(line)
            kept = {name: value for name, value in fields.items() if name not in WHO}
        except (ValueError, AttributeError):
            return f'"{REMOVED}: not JSON"'
        return self(json.dumps(kept, ensure_ascii=False))


def _without_address(found: re.Match[str]) -> str:
    if CARD.fullmatch(found[0]):
        return REMOVED
    try:
        ip_address(found[0])
    except ValueError:
        return found[0]
    return REMOVED


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
