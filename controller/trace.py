"""The flight recorder: every raw edge and command of the last day, in the very form of a trace.

An hour a file, each a trace of its own: it begins with the level of every line at its time 0. The
name tells house time and wall time of that moment, so any stretch can be cut out later and
replayed: every complaint becomes a trace.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from math import floor
from pathlib import Path
from typing import NamedTuple

from controller.events import USUAL_PARTY, Command, Edge

log = logging.getLogger(__name__)

HEADER = "t_ms,line,level\n"
HOUR_MS = 3_600_000.0
#: A day, and the hour that is being written.
FILES = 25
#: Rows of one hour; a line in a storm gives ten thousand a second, and says it in the first few.
ROWS = 200_000


def flights(journal: str) -> Path:
    """Return where the recorder of a house writes: beside its journal."""
    return Path(journal).with_name("edges")


class _Hour(NamedTuple):
    path: Path
    start_ms: float
    wall_s: float


class FlightRecorder:
    """Collects in the loop (`edge`, `command`), writes elsewhere (`flush`)."""

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

        What the disk does not take is lost, and said once.
        """
        try:
            if rows:
                self._append(rows, wall_s, t_ms)
        except OSError as error:
            if not self._failing:
                log.warning("flight recorder: %s; edges are not kept", error)
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
                # An edge may be told after what came later: a trace does not go back.
                self._last_ms = max(self._last_ms, at_ms - hour.start_ms)
                file.write(f"{self._last_ms:.3f},{line},{level}\n")
        self._written += len(fit)
        self._levels |= {line: bool(level) for _, line, level in rows if line[:4] != "cmd:"}

    def _begin(self, start_ms: float, wall_s: float) -> _Hour:
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in _hours(self._folder)[: 1 - FILES]:
            old.path.unlink()
        start_ms = floor(start_ms)
        path = self._folder / f"edges-{start_ms}-{wall_s * 1000:.0f}.csv"
        known = "".join(f"0,{line},{int(level)}\n" for line, level in self._levels.items())
        path.write_text(HEADER + known, encoding="ascii")
        self._hour, self._written, self._last_ms = _Hour(path, start_ms, wall_s), 0, 0.0
        return self._hour


def _hours(folder: Path) -> list[_Hour]:
    """Return the files of the recorder, oldest first."""
    found = []
    for path in folder.glob("edges-*-*.csv"):
        _, start_ms, wall_ms = path.stem.split("-")
        found.append(_Hour(path, float(start_ms), float(wall_ms) / 1000))
    return sorted(found, key=lambda hour: hour.start_ms)


class _Row(NamedTuple):
    house_ms: float
    wall_s: float
    line: str
    level: str


def cut(folder: Path, from_s: float, to_s: float) -> Iterator[str]:
    """Yield the lines of a trace from wall time ``from_s`` to ``to_s``, seconds since 1970.

    What lies between two rows is house time: the wall clock may have stepped in the night.
    """
    levels: dict[str, str] = {}
    rows: list[_Row] = []
    for row in _rows(folder):
        if from_s <= row.wall_s <= to_s:
            rows.append(row)
        elif not rows and not row.line.startswith("cmd:"):
            levels[row.line] = row.level
    yield HEADER
    yield from (f"0,{line},{level}\n" for line, level in levels.items())
    start_ms = rows[0].house_ms - (rows[0].wall_s - from_s) * 1000 if rows else 0.0
    last_ms = 0.0
    for row in rows:
        last_ms = max(last_ms, row.house_ms - start_ms)
        yield f"{last_ms:.3f},{row.line},{row.level}\n"


def _rows(folder: Path) -> Iterator[_Row]:
    for hour in _hours(folder):
        with hour.path.open(encoding="ascii", newline="") as file:
            for fields in list(csv.reader(file))[1:]:
                if len(fields) != 3 or not fields[2]:
                    continue  # a power cut in the middle of a row
                t_ms = float(fields[0])
                house_ms, wall_s = hour.start_ms + t_ms, hour.wall_s + t_ms / 1000
                yield _Row(house_ms, wall_s, fields[1], fields[2])
