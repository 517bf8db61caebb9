"""What one step of the house leaves behind: numbered events and the state that results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controller.wire import decode, encode, iso


class Saved(NamedTuple):
    """The state (JSON text) and when it was: house time, this boot's time, and the wall's."""

    t_ms: float
    boot_id: str
    boottime_ms: float
    wall_s: float
    state: str


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

    def told(self) -> str:
        """Return the event as it is told, JSON text."""
        if self.data.startswith('{"seq":'):
            return self.data
        when = f'"seq":{self.seq},"at":"{self.at}","t_ms":{self.t_ms!r}'
        return f'{{{when},"event":"{self.name}",{self.data[1:]}'


class Record(NamedTuple):
    """What one step of the house leaves: events, the state after them, how far delivery got.

    ``messages`` are not written; they come back with the recorder's ``on_done``, to be told then.
    ``urgent``: a person was told that it is done, so no power cut may take it back.
    """

    rows: Sequence[Row] = ()
    saved: Saved | None = None
    delivered: int | None = None
    messages: Sequence[Any] = ()
    urgent: bool = False


@dataclass(slots=True)
class Newest:
    """Several steps taken together: all events, and what the last of them says of the rest."""

    #: By number: an event that comes again replaces itself.
    events: dict[int, Row] = field(default_factory=dict)
    saved: Saved | None = None
    delivered: int | None = None
    #: Steps and events.
    size: int = 0

    def add(self, rows: Sequence[Row], saved: Saved | None, delivered: int | None) -> None:
        """Take in one more step."""
        self.events |= {row.seq: row for row in rows}
        self.saved = saved or self.saved
        self.delivered = self.delivered if delivered is None else delivered
        self.size += 1 + len(rows)

    def after(self, seq: int) -> list[Row]:
        """Return the events that follow number ``seq``."""
        return [row for row in self.events.values() if row.seq > seq]


def line_of(rows: Sequence[Row], saved: Saved | None, delivered: int | None) -> bytes:
    """Return one step as a line of JSON."""
    return encode([rows, saved, delivered])


def gathered(lines: Iterable[bytes]) -> tuple[Newest, bool]:
    """Return the steps of such lines, taken together, and whether one of them means nothing."""
    newest = Newest()
    for line in lines:
        try:
            rows, saved, delivered = decode(line)
            step = [Row(*row) for row in rows], Saved(*saved) if saved else None, delivered
        except (ValueError, TypeError):
            return newest, True
        newest.add(*step)
    return newest, False
