"""What a record must be to make sense, asked of everything that is read from the disk.

A disk that flips a bit says nothing of it, and SQLite looks at the shape of its pages only. So each
row carries a checksum. Rows of an older release have none: of them at least every number must be
possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any
from zlib import crc32

from controller import codec

#: House time runs since the first start; a hundred years of it are none.
LAST_MS = 3.2e12
#: The year 2100, in seconds since 1970.
LAST_S = 4_102_444_800.0
#: SQLite's largest number; more events than a bar ever sees.
LAST_SEQ = 2**53


def checksum(*fields: object) -> int:
    """Return the checksum of a row; numbers are taken as SQLite gives them back."""
    return crc32("\0".join(map(str, fields)).encode("utf-8", "surrogatepass"))


def row_problem(fields: Sequence[Any], crc: object = None) -> str:
    """Return why the fields of an event make no sense, or "" if they do.

    They are number, house time, wall time, name and data, and their checksum where there is one.
    """
    if crc is not None:
        return "" if crc == checksum(*fields) else "its checksum is wrong"
    seq, t_ms, at_s, name, data = fields
    laws = (
        (_between(seq, 1, LAST_SEQ) and isinstance(seq, int), "its number"),
        (_between(t_ms, 0, LAST_MS), "its house time"),
        (_between(at_s, 0, LAST_S), "its time"),
        (isinstance(name, str) and name.isidentifier(), "its name"),
        (_is_object(data), "its data"),
    )
    return next((f"{what} makes no sense" for holds, what in laws if not holds), "")


def moment_problem(moment: Sequence[Any], crc: object = None, text: str = "") -> str:
    """Return why a saved moment makes no sense, or "": house time, boot's id and time, wall time.

    ``crc`` is the checksum of the moment and the ``text`` of its state, where there is one.
    """
    if crc is not None and crc != checksum(*moment, text):
        return "its checksum is wrong"
    t_ms, boot_id, boottime_ms, wall_s = moment
    laws = (
        (_between(t_ms, 0, LAST_MS), "its house time"),
        (isinstance(boot_id, str), "the name of its boot"),
        (_between(boottime_ms, 0, LAST_MS), "its time since the boot"),
        (_between(wall_s, -inf, LAST_MS), "its time"),
    )
    return next((f"{what} makes no sense" for holds, what in laws if not holds), "")


def mark_problem(delivered: object, last_seq: int, crc: object = None) -> str:
    """Return why this can't be how far events are delivered, or "" if it can."""
    if crc is not None:
        return "" if crc == checksum(delivered) else "its checksum is wrong"
    fits = isinstance(delivered, int) and 0 <= delivered <= last_seq
    return "" if fits else f"{last_seq} is the last event and {delivered!r} the last delivered"


def _between(value: object, low: float, high: float) -> bool:
    """Return whether it is a number within bounds; NaN is none, and True is not 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high  # type: ignore[operator]


def _is_object(data: object) -> bool:
    try:
        return isinstance(data, str) and isinstance(codec.decode(data), dict)
    except ValueError:
        return False
