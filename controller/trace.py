"""Traces: their reader, the flight recorder that writes them, and the cutter that joins its files.

A trace is CSV with the header ``t_ms,line,level``. A row whose line is ``cmd:NAME`` is a command
with ``level`` as its number. Rows at ``t_ms`` 0 are first readings, not changes.

The flight recorder keeps every raw edge and command of the last day. An hour a file, each a trace
of its own: it begins with the level of every line at its time 0. The name of the file gives house
time and wall time of that moment, so any stretch can be cut out later and replayed: every complaint
becomes a trace.
"""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from sys import intern
from typing import NamedTuple

from controller.events import COMMANDS, INPUT_LINES, USUAL_PARTY, Command, Edge

log = logging.getLogger(__name__)

HEADER = "t_ms,line,level"
#: A hundred years: a larger number is not a time.
LAST_MS = 3.2e12
HOUR_MS = 3_600_000.0
#: Files kept: a day, and the hour that is being written.
FILES = 25
#: Rows of one hour. A line in a storm gives ten thousand a second; the first few show the storm.
ROWS = 200_000
#: An edge that arrived after a later one is written so long after it.
LATE_MS = 0.2


# --- reading a trace ------------------------------------------------------------------------------


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
        header = next(reader, [])
        if header != HEADER.split(","):
            raise ValueError(f'the first line must be {HEADER}, got "{",".join(header)[:40]}"')
        last_ms = 0.0
        for fields in reader:
            row = _row(fields, last_ms)
            last_ms = row.t_ms
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise TraceError(f"{name}:{max(reader.line_num, 1)}: {error}") from None
    return rows


def _row(fields: list[str], last_ms: float) -> Row:
    if len(fields) != 3:
        raise ValueError(f"must have 3 fields ({HEADER}), has {len(fields)}")
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
    if t_ms > LAST_MS:
        raise ValueError(f't_ms must be at most {LAST_MS:g}, a hundred years, got "{field}"')
    if not t_ms >= 0:  # so NaN is none either
        raise ValueError(f't_ms must be 0 or more, got "{field}"')
    if t_ms < last_ms:
        raise ValueError(f"t_ms must not go back, got {field} after {last_ms:g}")
    return t_ms


def _command_number(line: str, field: str) -> int:
    name = line.removeprefix("cmd:")
    if name not in COMMANDS:
        raise ValueError(f'unknown command "{line}"; known are {", ".join(COMMANDS)}')
    try:
        if not field.isascii() or "_" in field:
            raise ValueError
        return int(field if COMMANDS[name] else field or "0")
    except ValueError:
        raise ValueError(f'the number of {line} must be whole, got "{field}"') from None


# --- the flight recorder --------------------------------------------------------------------------


def flights(journal: str) -> Path:
    """Return the folder of the flight recorder: beside the journal."""
    return Path(journal).with_name("edges")


class _Hour(NamedTuple):
    path: Path
    start_ms: float
    wall_s: float


class FlightRecorder:
    """Collects rows in the loop (`edge`, `command`) and writes them in another thread (`flush`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: dict[str, bool] = {}
        self._rows: list[tuple[float, str, int]] = []
        self._hour: _Hour | None = None
        self._written = 0
        self._last_ms = 0.0
        self._failing = False

    def edge(self, edge: Edge) -> None:
        """Note one edge."""
        if len(self._rows) < ROWS:
            self._rows.append((edge.t_ms, edge.line, int(edge.level)))

    def command(self, command: Command) -> None:
        """Note a command that was passed on to the rules."""
        if command.refusal is None:
            usual = USUAL_PARTY if command.name == "access_door" else 0
            number = usual if command.number is None else command.number
            self._rows.append((command.t_ms, f"cmd:{command.name}", number))

    def take(self) -> list[tuple[float, str, int]]:
        """Return what was noted since the last call, to be given to `flush`."""
        rows, self._rows = self._rows, []
        return rows

    def flush(self, rows: list[tuple[float, str, int]], wall_s: float, t_ms: float) -> None:
        """Append ``rows`` to this hour's file; wall clock and house time are those of now.

        What the disk does not take is lost; the log says so once.
        """
        try:
            if rows:
                self._append(rows, wall_s, t_ms)
        except OSError as error:
            if not self._failing:
                log.warning(
                    "flight recorder: %s; edges are not kept until it can write",
                    error,
                )
            self._failing = True
        else:
            self._failing = False

    def _append(self, rows: list[tuple[float, str, int]], wall_s: float, t_ms: float) -> None:
        hour = self._hour
        if hour is None or rows[0][0] - hour.start_ms >= HOUR_MS:
            hour = self._begin(rows[0][0], wall_s - (t_ms - rows[0][0]) / 1000)
        fit = rows[: ROWS - self._written]
        with hour.path.open("a", encoding="ascii") as file:
            for at_ms, line, level in fit:
                # An edge may arrive after a later one: a trace does not go back. Nor are the two
                # one moment, or replay would take them for a spike on both lines.
                since_ms = at_ms - hour.start_ms
                late = since_ms < self._last_ms
                self._last_ms = self._last_ms + LATE_MS if late else since_ms
                file.write(f"{self._last_ms:.3f},{line},{level}\n")
        self._written += len(fit)
        self._levels |= {line: bool(level) for _, line, level in rows if line[:4] != "cmd:"}

    def _begin(self, start_ms: float, wall_s: float) -> _Hour:
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in _hours(self._folder)[: 1 - FILES]:
            old.path.unlink()
        start_ms = math.floor(start_ms)
        path = self._folder / f"edges-{start_ms}-{wall_s * 1000:.0f}.csv"
        known = "".join(f"0,{line},{int(level)}\n" for line, level in self._levels.items())
        path.write_text(f"{HEADER}\n{known}", encoding="ascii")
        self._hour, self._written, self._last_ms = _Hour(path, start_ms, wall_s), 0, 0.0
        return self._hour


def _hours(folder: Path) -> list[_Hour]:
    """Return the files of the recorder, oldest first; a file of another name is not one of them."""
    found = []
    for path in folder.glob("edges-*-*.csv"):
        with suppress(ValueError):
            _, start_ms, wall_ms = path.stem.split("-")
            hour = _Hour(path, float(start_ms), float(wall_ms) / 1000)
            sane = 0 <= hour.start_ms <= LAST_MS and abs(hour.wall_s) <= LAST_MS
            if sane and path.is_file():
                found.append(hour)
    return sorted(found, key=lambda hour: hour.start_ms)


# --- cutting a stretch out of its files -----------------------------------------------------------


class _Recorded(NamedTuple):
    house_ms: float
    wall_s: float
    line: str
    level: str


def cut(folder: Path, from_s: float, to_s: float) -> Iterator[str]:
    """Yield the lines of a trace from wall time ``from_s`` to ``to_s``, seconds since 1970.

    What lies between two rows is house time: the wall clock may have stepped in the night.
    """
    levels: dict[str, str] = {}
    rows: list[_Recorded] = []
    for row in _recorded(folder):
        if from_s <= row.wall_s <= to_s:
            rows.append(row)
        elif not rows and not row.line.startswith("cmd:"):
            levels[row.line] = row.level
    yield f"{HEADER}\n"
    yield from (f"0,{line},{level}\n" for line, level in levels.items())
    start_ms = rows[0].house_ms - (rows[0].wall_s - from_s) * 1000 if rows else 0.0
    last_ms = 0.0
    for row in rows:
        last_ms = max(last_ms, row.house_ms - start_ms)
        yield f"{last_ms:.3f},{row.line},{row.level}\n"


def _recorded(folder: Path) -> Iterator[_Recorded]:
    """Yield every row that makes sense; what a damaged file has besides is left out and named."""
    for hour in _hours(folder):
        bad = 0
        # As latin-1 every byte is a character: what a disk has spoilt is no name of a line.
        with hour.path.open(encoding="latin-1", newline="") as file:
            for line in list(file)[1:]:
                try:
                    row = _row(line.replace("\0", "?").strip().split(","), 0.0)
                except ValueError:
                    bad += 1
                    continue
                house_ms, wall_s = hour.start_ms + row.t_ms, hour.wall_s + row.t_ms / 1000
                yield _Recorded(house_ms, wall_s, row.line, str(row.level))
        if bad:
            log.warning("%s: left out, for they make no sense: %d of its rows", hour.path, bad)
