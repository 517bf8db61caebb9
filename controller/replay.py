"""A trace through sensing and rules in virtual time: one JSON object a line, the same bytes always.

A trace is CSV with the header ``t_ms,line,level``. A row whose line is ``cmd:NAME`` is a command
with ``level`` as its number. Rows at ``t_ms`` 0 are first readings, not changes; a line without one
begins inactive.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import NamedTuple

from controller.codec import encode, named_events
from controller.config.settings import WIRING, Config
from controller.engine import Engine, TimedEffects
from controller.events import COMMANDS, INPUT_LINES, Command, Edge
from controller.rules.occupancy import settled
from controller.rules.state import State
from controller.rules.transition import count_data

HEADER = ["t_ms", "line", "level"]
#: How long the trace runs on after its last row, so that what was under way comes to its end.
TAIL_MS = 10_000.0
#: A hundred years: a larger number is not a time.
LAST_MS = 3.2e12


class TraceError(Exception):
    """A trace can't be read; the text names file, line and reason."""


class Row(NamedTuple):
    """One row of a trace; ``level`` is the number of a command, 0 or 1 otherwise."""

    t_ms: float
    line: str
    level: int


def load_trace(path: str) -> list[Row]:
    """Return the rows of a trace file; bytes that are no text stand as ``\\xNN`` in the error."""
    odd = "backslashreplace"
    with Path(path).open(encoding="utf-8-sig", errors=odd, newline="") as text:
        return read_trace(text, path)


def read_trace(text: Iterable[str], name: str) -> list[Row]:
    """Return the rows of a trace; raises `TraceError` at the first malformed one."""
    reader = csv.reader(text)
    rows: list[Row] = []
    try:
        if next(reader, None) != HEADER:
            raise ValueError(f"the first line must be {','.join(HEADER)}")
        last_ms = 0.0
        for fields in reader:
            row = _row(fields, last_ms)
            last_ms = row.t_ms
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise TraceError(f"{name}:{max(reader.line_num, 1)}: {error}") from None
    return rows


def _row(fields: list[str], last_ms: float) -> Row:
    if len(fields) != len(HEADER):
        raise ValueError(f"must have 3 fields (t_ms,line,level), has {len(fields)}")
    t_ms = _time(fields[0], last_ms)
    line = intern(fields[1].strip())  # a night has a million rows and a dozen names
    if line.startswith("cmd:"):
        return Row(t_ms, line, _command_number(line, fields[2]))
    if line not in INPUT_LINES:
        raise ValueError(f'unknown line "{line}"; known are {", ".join(INPUT_LINES)} and cmd:NAME')
    if fields[2].strip() not in ("0", "1"):
        raise ValueError(f'level must be 0 or 1, got "{fields[2]}"')
    return Row(t_ms, line, int(fields[2]))


def _time(field: str, last_ms: float) -> float:
    try:
        if not field.isascii() or "_" in field:
            raise ValueError  # Python would take it, nobody else
        t_ms = float(field)
    except ValueError:
        raise ValueError(f't_ms must be a number of milliseconds, got "{field}"') from None
    if not 0 <= t_ms <= LAST_MS or math.isnan(t_ms):
        raise ValueError(f't_ms must be 0 or more, got "{field}"')
    if t_ms < last_ms:
        raise ValueError(f"t_ms must not go back, got {field} after {last_ms:g}")
    return t_ms


def _command_number(line: str, field: str) -> int:
    name = line.removeprefix("cmd:")
    if name not in COMMANDS:
        raise ValueError(f'unknown command "{line}"; known are {", ".join(COMMANDS)}')
    try:
        return int(field if COMMANDS[name] else field or "0")
    except ValueError:
        raise ValueError(f'the number of {line} must be whole, got "{field}"') from None


def wired_by(config: Config, rows: Iterable[Row]) -> Config:
    """Return ``config`` with the lines that the rows name taken as wired, and all outputs."""
    named = {row.line for row in rows}
    outputs = set(WIRING) - set(INPUT_LINES)
    return config.wired({name: WIRING[name] for name in WIRING if name in named | outputs})


def replay(rows: list[Row], config: Config, inside: int = 0) -> Iterator[bytes]:
    """Yield one JSON line for every event of the trace, the occupancy at its end last."""
    engine = Engine(config.rules, config.sensing, State(occupancy=settled(inside)))
    yield from _lines(engine.active_outputs())
    for edge in first_readings(rows, config.rules.lines):
        yield from _lines(engine.edge(edge))
    for row in rows:
        if told := feed(engine, row):
            yield from _lines(told)
    tail_ms = max(TAIL_MS, config.rules.release_ms + 1000)
    end_ms = (rows[-1].t_ms if rows else 0.0) + tail_ms
    yield from _lines(engine.advance(end_ms))
    yield _line(end_ms, "end", {"occupancy": count_data(engine.state.occupancy)})


def first_readings(rows: Iterable[Row], lines: Iterable[str]) -> list[Edge]:
    """Return a first level for every wired line that the trace gives none for at time 0."""
    given = {row.line for row in rows if row.t_ms == 0}
    return [Edge(0.0, line, level=False) for line in sorted(lines) if line not in given]


def feed(engine: Engine, row: Row) -> TimedEffects:
    """Give one row to the engine."""
    if row.line[:4] == "cmd:":
        name = row.line.removeprefix("cmd:")
        return engine.event(Command(row.t_ms, name, row.level, cause="trace"))
    return engine.edge(Edge(row.t_ms, row.line, row.level == 1))


def _lines(effects: TimedEffects) -> Iterator[bytes]:
    for t_ms, name, data in named_events(effects):
        yield _line(t_ms, name, data)


def _line(t_ms: float, name: str, data: dict[str, object]) -> bytes:
    return encode({"t_ms": round(t_ms, 3), "event": name, **data}) + b"\n"
