"""JSON, timestamps, effects as named events, and the state from its fields in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from controller.events import Chime, Effect, Note, Reason, Set
from controller.rules import plausible
from controller.rules.occupancy import gate
from controller.rules.question import restored
from controller.rules.state import State
from controller.rules.transition import UNDOABLE

_ENCODER = msgspec.json.Encoder()


def iso(wall_s: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    minute, ms = divmod(round(wall_s * 1000), 60_000)
    return f"{_minute(minute)}:{ms // 1000:02}.{ms % 1000:03}+00:00"


@lru_cache(maxsize=8)
def _minute(minute: int) -> str:
    return datetime.fromtimestamp(60 * minute, UTC).strftime("%Y-%m-%dT%H:%M")


def named_event(effect: Effect) -> tuple[str, dict[str, Any]] | None:
    """Return an effect's name in the contract and its data; None for answers."""
    match effect:
        case Note():
            return effect.name, dict(effect.data)
        case Chime():
            return "chime", {"tone": effect.tone}
        case Set():
            blink = {"blink": True} if effect.blink else {}
            return "output", {"line": effect.line, "level": int(effect.level), **blink}
    return None


def named_events(
    effects: Iterable[tuple[float, Effect]],
) -> list[tuple[float, str, dict[str, Any]]]:
    """Return house time, name and data of each effect that is an event; answers are none."""
    events = []
    for t_ms, effect in effects:
        named = named_event(effect)
        if named is not None:
            events.append((t_ms, *named))
    return events


def encode(value: object) -> bytes:
    """Return ``value`` as compact JSON."""
    return _ENCODER.encode(value)


def decode(payload: bytes | str) -> Any:
    """Return the value of JSON ``payload``; raises ValueError when it is not JSON."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None


# --- the state as the journal keeps it -----------------------------------------------------------


def load_state(fields: object) -> State:
    """Return the state that has these ``fields``, as decoded from JSON; the count passes its gate.

    A field that an older version did not know has its value at rest; what a newer one can take back
    and this one can't is left out. Raises ValueError when a field
    has another type, or a number that cannot be.
    """
    try:
        state = msgspec.convert(fields, State)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"not a state: {error}") from None
    state.undos = tuple(undo for undo in state.undos if undo.command in UNDOABLE)
    state.no_undos = tuple(closed for closed in state.no_undos if closed.reason in set(Reason))
    for each in (state, *(undo.before for undo in state.undos)):
        _check(each)
    return state


def _check(state: State) -> None:
    """Let a state from outside pass its gates; raise ValueError when it cannot be."""
    odd = plausible.problem(state)
    if odd:
        raise ValueError(f"not a state: {odd} has a number that cannot be")
    bent = gate(state.occupancy)
    state.occupancy = replace(bent, doubted=bent.doubted or bent != state.occupancy)
    state.question = restored(state.question, state.occupancy)
