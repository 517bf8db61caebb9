"""What one step of the rules leaves behind: numbered events and the state that results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, Encoder

from controller.codec import decode, iso
from controller.journal.checks import moment_problem, row_problem

#: What is saved besides the state.
MOMENT = ("boot_id", "boottime_ms", "wall_s")
MISSING = object()


class Saved(NamedTuple):
    """The state and when it was: house time, this boot's time, and the wall's.

    The state's fields are what JSON can hold: as the rules have them, or as they were read.
    """

    t_ms: float
    boot_id: str
    boottime_ms: float
    wall_s: float
    state: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        """Return all of it as one flat mapping; the state knows its ``t_ms``, too."""
        moment = {"boot_id": self.boot_id, "boottime_ms": self.boottime_ms, "wall_s": self.wall_s}
        return {**self.state, "t_ms": self.t_ms, **moment}

    @staticmethod
    def of(fields: Mapping[str, Any]) -> Saved:
        """Return what `fields` made flat; raises KeyError when it is not all there."""
        state = dict(fields)
        boot_id, boottime_ms, wall_s = (state.pop(name) for name in MOMENT)
        return Saved(state["t_ms"], boot_id, boottime_ms, wall_s, state)


class Row(NamedTuple):
    """One event: number, house time, wall time (seconds since 1970), name and data (JSON text).

    The data says at least which run it was (``boot``); journals of old also repeat the rest there.
    """

    seq: int
    t_ms: float
    at_s: float
    name: str
    data: str

    @property
    def at(self) -> str:
        """The wall time, ISO 8601 in UTC."""
        return iso(self.at_s)

    def to_json(self, late_s: float | None = None) -> str:
        """Return the event as it is published, JSON text.

        ``late_s`` says of an event that is not live how long ago it was, by our own clock.
        """
        late = "" if late_s is None else f'"late_s":{max(late_s, 0.0):.3f},'
        if self.data.startswith('{"seq":'):
            return f"{{{late}{self.data[1:]}"
        when = f'"seq":{self.seq},"at":"{self.at}","t_ms":{self.t_ms!r}'
        return f'{{{when},"event":"{self.name}",{late}{self.data[1:]}'


class Record(NamedTuple):
    """What one step of the rules leaves: events, the state after them, how far delivery got.

    ``urgent``: somebody gets the answer that it is done, so no power cut may take it back.
    """

    rows: Sequence[Row] = ()
    saved: Saved | None = None
    delivered: int | None = None
    urgent: bool = False


#: Nothing to write; the writer reports it in its turn, after all records before it.
NOTHING = Record()


@dataclass(slots=True)
class PendingSteps:
    """Steps that are not in the database yet: their events, and the last state and delivery."""

    #: By number: an event that comes again replaces itself.
    events: dict[int, Row] = field(default_factory=dict)
    saved: Saved | None = None
    delivered: int | None = None
    #: Steps and events.
    size: int = 0
    #: The number of the last event before these steps, where the append log says so.
    base: int = 0

    def add(self, rows: Sequence[Row], saved: Saved | None, delivered: int | None) -> None:
        """Add one more step."""
        self.events |= {row.seq: row for row in rows}
        self.saved = saved or self.saved
        self.delivered = self.delivered if delivered is None else delivered
        self.size += 1 + len(rows)

    def after(self, seq: int) -> list[Row]:
        """Return the events that follow number ``seq``."""
        return [row for row in self.events.values() if row.seq > seq]


class _Step(Struct, array_like=True):
    """One step as a line has it; ``fresh`` are the fields that differ from the line before.

    ``base``, in the first line only, is the last event in the database when the log was begun.
    """

    rows: list[tuple[int, float, float, str, Raw]]
    fresh: dict[str, Any] | None
    delivered: int | None
    base: int | None = None


def text_of(state: Mapping[str, Any]) -> str:
    """Return a state as JSON."""
    return _ENCODER.encode(state).decode()


def state_of(text: str) -> Any:
    """Return what `text_of` wrote; text that is no JSON is returned as it is, and is no state."""
    try:
        return decode(text)
    except ValueError:
        return text


def line_of(
    rows: Sequence[Row],
    fields: Mapping[str, Any],
    delivered: int | None,
    known: Mapping[str, Any],
    base: int | None = None,
) -> bytes:
    """Return one step as a line of JSON; of the saved ``fields`` only what is not ``known``.

    ``base`` is for the first line of a log: the last event that is in the database.
    """
    fresh = {
        name: value
        for name, value in fields.items()
        if (old := known.get(name, MISSING)) is not value and old != value
    }
    events = [(*row[:4], Raw(row.data.encode())) for row in rows]
    step = (events, fresh or None, delivered)
    return _ENCODER.encode(step if base is None else (*step, base))


def read_steps(lines: Iterable[bytes]) -> tuple[PendingSteps, bool]:
    """Return the steps of such lines, and whether one of the lines can't be read or be."""
    pending = PendingSteps()
    fields: dict[str, Any] = {}
    for line in lines:
        try:
            step = _DECODER.decode(line)
            fields.update(step.fresh or {})
            saved = Saved.of(fields) if fields else None
            rows = [Row(*row[:4], bytes(row[4]).decode()) for row in step.rows]
        except (DecodeError, RecursionError, KeyError, UnicodeDecodeError):
            return pending, True
        if any(map(row_problem, rows)) or (saved and moment_problem(saved[:4])):
            return pending, True
        pending.add(rows, saved, step.delivered)
        pending.base = step.base or pending.base
    return pending, False


_ENCODER = Encoder(order="deterministic")
_DECODER = Decoder(_Step)
