"""Reads a TOML file whatever editor wrote it; an error names the line and what stands there.

Windows' editors put a byte order mark before UTF-8, or write UTF-16 with one: both are read. What
comes without a mark has to be UTF-8.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: By their byte order marks; that of UTF-32 begins like that of UTF-16.
ENCODINGS: Mapping[bytes, str] = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
#: What is shown of a line.
SHOWN = 70
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
#: Lines that may hold a secret: passwords, and addresses with a token in them.
_SECRET = re.compile(r"password|secret|token|://|^\s*urls?\b", re.IGNORECASE)
#: How to mend what stands on such a line; the first that fits.
HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("[“”„‘’«»]"), 'put straight quotes (") in place of the curly ones'),
    (
        re.compile("[\u00a0\u2000-\u200f\u202f\u2060\u3000\ufeff]"),
        "an invisible character stands there, such as a non-breaking space: type the line anew",
    ),
    (re.compile(r"=\s*[-+]?\d+,\d"), 'the decimal sign is a point, as in "0.5"'),
    (re.compile(r"=\s*[-+]?0\d"), "a number begins with no 0"),
    (
        re.compile(r"[\"][^\"]*\\"),
        "in \"double\" quotes \\ is \\\\; or take 'single' quotes",
    ),
    (re.compile(r"=\s*(?!true|false|inf|nan)[^\s\d\"'\[{+-]"), 'text stands in "quotes"'),
)
TWICE = re.compile(r"twice|overwrite|Can't|mutate|Cannot")


class TomlError(ValueError):
    """It is no TOML; the message names the line and ends with the way out."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not TOML: {why}")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a file says; raise `TomlError`, or OSError if it can't be read."""
    return parse_toml(path.read_bytes())


def parse_toml(data: bytes) -> dict[str, Any]:
    """Return what the bytes of a file say; raise `TomlError`."""
    text = _decoded(data)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("brackets in brackets without end") from None
    except ValueError as error:  # also of a number with thousands of digits
        raise TomlError(_explained(str(error), text)) from None


def _decoded(data: bytes) -> str:
    named = next((name for mark, name in ENCODINGS.items() if data.startswith(mark)), "")
    try:
        text = data.decode(named or "utf-8")
    except UnicodeDecodeError as error:
        if named not in ("", "utf-8-sig"):
            raise TomlError(f"not whole {named.upper()}: save it as UTF-8") from None
        raise TomlError(_bad_byte(error.object, error.start)) from None
    if named not in ("", "utf-8-sig") and not text:
        raise TomlError(f"{named.upper()} without any text: save it as UTF-8")
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise TomlError(f"line {number}: a zero byte stands there (UTF-16?): save it as UTF-8")
    return text


def _bad_byte(data: bytes, at: int) -> str:
    """Return what to say of a byte that is not UTF-8: its line is most likely Windows' Latin."""
    number = data[:at].count(b"\n") + 1
    line = data.split(b"\n")[number - 1].decode("cp1252", "replace")
    return f"line {number}: byte 0x{data[at]:02x} is not UTF-8: {_shown(line)}; save it as UTF-8"


def _explained(error: str, text: str) -> str:
    """Return tomllib's error with the line, what stands there, and how to mend it."""
    found = _PLACE.fullmatch(error)
    if found is None:  # the only error without a place
        return "a number with thousands of digits" if "digits" in error else error
    why, number, column = found.groups()
    lines = text.rstrip().split("\n")
    at = int(number or len(lines))
    line = lines[at - 1] if at <= len(lines) else ""
    place = f"line {at}, column {column}" if column else f"line {at}, the last one"
    return f"{place}: {why}: {_shown(line)}{_hint(why, line)}"


def _shown(line: str) -> str:
    """Return a line as an error may show it: short, and without a secret."""
    line = line.strip()
    if _SECRET.search(line):
        name, equals, _ = line.partition("=")
        line = f"{name}{equals} ..." if equals else "..."
    return f"`{line if len(line) <= SHOWN else line[: SHOWN - 3] + '...'}`"


def _hint(why: str, line: str) -> str:
    if TWICE.search(why):
        return "; it stands twice in the file: keep one"
    return next((f"; {hint}" for pattern, hint in HINTS if pattern.search(line)), "")
