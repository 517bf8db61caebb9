"""The controller's JSON messages: checked, read with care, and advanced to now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.codec import decode

Json = dict[str, Any]

MAX_PAYLOAD = 256 * 1024
#: Larger numbers are not from a controller of ours and must not fill the page.
MAX_NUMBER = 1e9


def _parse(payload: bytes) -> Any:
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
    return decode(payload)


def json_object(payload: bytes, **needed: type) -> Json:
    """Return a message's JSON object; raise ValueError unless it has these keys and types."""
    value = _parse(payload)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    for key, kind in needed.items():
        if not isinstance(value.get(key), kind):
            raise ValueError(f"{key} is missing or not {kind.__name__}")
    return value


def seconds_since(iso: object, now: datetime) -> float:
    """Return the seconds from an ISO time with offset until now; 0 for anything else."""
    try:
        return (now - datetime.fromisoformat(str(iso))).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def _shift(part: object, key: str, by_s: float, floor: float | None = None) -> None:
    """Add so many seconds to one number of an object; absent or null stays as it is."""
    if not isinstance(part, dict) or not isinstance(part.get(key), int | float):
        return
    moved = part[key] + by_s
    part[key] = round(moved if floor is None else max(moved, floor), 3)


def advanced(snapshot: Mapping[str, Any], by_s: float) -> Json:
    """Return the snapshot as it stands ``by_s`` seconds after it was made."""
    state = {
        key: dict(value) if isinstance(value, dict) else value for key, value in snapshot.items()
    }
    _shift(state.get("session"), "remaining_s", -by_s)
    _shift(state.get("hatch"), "oldest_s", by_s)
    _shift(state.get("door_knock"), "age_s", by_s)
    _shift(state.get("grant"), "remaining_s", -by_s, floor=0.0)
    return state


def number(part: Mapping[str, Any], key: str, default: float = 0) -> float:
    """Return a number of the snapshot; the default when it is null, absent or makes no sense."""
    value = part.get(key)
    return value if isinstance(value, int | float) and abs(value) <= MAX_NUMBER else default
