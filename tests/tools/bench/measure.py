"""What every bench needs: medians and p99, ratios, how busy the machine was, a table and JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Not kept by git: figures belong to a machine and a day.
RESULTS = Path(__file__).with_name("results")


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of all values lie; nan without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@dataclass
class Samples:
    """Times of one contestant in one row, in microseconds unless ``unit`` says otherwise."""

    name: str
    values: list[float] = field(default_factory=list)
    unit: str = "µs"

    @property
    def p50(self) -> float:
        """The median."""
        return quantile(self.values, 0.50)

    @property
    def p99(self) -> float:
        """The value that one in a hundred exceeds."""
        return quantile(self.values, 0.99)


def _cpu_ticks() -> tuple[int, int, int]:
    """Return busy, stolen and all ticks of all processors since boot (proc(5))."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle, stolen = fields[3] + fields[4], fields[7]
    return sum(fields) - idle - stolen, stolen, sum(fields)


class Busy:
    """How busy the machine is from here on, this bench included."""

    def __init__(self) -> None:
        self._before = _cpu_ticks()

    def as_dict(self) -> dict[str, float]:
        """Return shares in percent since the start, and the load average of the last minute."""
        busy, stolen, whole = (b - a for a, b in zip(self._before, _cpu_ticks(), strict=True))
        share = 100 / max(whole, 1)
        return {
            "load": round(os.getloadavg()[0], 2),
            "busy_percent": round(busy * share, 1),
            "stolen_percent": round(stolen * share, 1),
            "processors": os.cpu_count() or 1,
        }


class Report:
    """Collects the tables of one bench, prints each at once, and keeps all as JSON."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._busy = Busy()
        self._tables: list[dict[str, Any]] = []

    def compare(self, title: str, ours: Samples, others: Sequence[Samples] = ()) -> None:
        """Print ours beside the others: ratios of p50 and p99 first (below 1: ours is faster)."""
        print(f"\n{title}")
        rows = []
        for samples in (ours, *others):
            ratios = (_ratio(ours.p50, samples.p50), _ratio(ours.p99, samples.p99))
            rows.append(
                {
                    "name": samples.name,
                    "ours_to_p50": ratios[0],
                    "ours_to_p99": ratios[1],
                    "p50": round(samples.p50, 1),
                    "p99": round(samples.p99, 1),
                    "worst": round(max(samples.values, default=float("nan")), 1),
                    "n": len(samples.values),
                }
            )
        self.table(title, rows, unit=ours.unit)

    def table(self, title: str, rows: Sequence[dict[str, Any]], unit: str = "") -> None:
        """Print rows that all have the same columns."""
        columns = list(rows[0])
        cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
        widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
        if not unit:
            print(f"\n{title}")
        for line in cells:
            first, *rest = (
                cell.ljust(widths[0]) if k == 0 else cell.rjust(widths[k])
                for k, cell in enumerate(line)
            )
            print("  " + "  ".join([first, *rest]))
        busy = self._busy.as_dict()
        print(
            f"  ({unit + '; ' if unit else ''}machine: load {busy['load']}, busy"
            f" {busy['busy_percent']} %, stolen {busy['stolen_percent']} %)"
        )
        sys.stdout.flush()
        self._busy = Busy()
        self._tables.append({"title": title, "unit": unit, "rows": list(rows), "machine": busy})

    def save(self) -> None:
        """Write all tables to ``results/NAME.json``."""
        RESULTS.mkdir(exist_ok=True)
        result = {"bench": self.name, "at": time.strftime("%FT%T%z"), "tables": self._tables}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _ratio(ours: float, other: float) -> float:
    return round(ours / other, 2) if other else float("nan")


def _cell(value: object) -> str:
    return f"{value:,.10g}" if isinstance(value, float | int) else str(value)


def interleaved(rounds: int, turns: Sequence[Callable[[], None]]) -> None:
    """Let everybody have a turn, ``rounds`` times, so that a busy minute hits all alike."""
    for number in range(rounds):
        for turn in turns[number % len(turns) :] + turns[: number % len(turns)]:  # type: ignore[operator]
            turn()
