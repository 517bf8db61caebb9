"""Replay, a year of evenings, what an evening writes; does any cost grow with time or crowd?

``python -m tests.tools.bench.bench_growth [evenings]``; 365 is a whole year (it takes a minute),
fewer are scaled up. How a thousand venues share a broker and a page is in ``bench_venues``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from controller.config.loader import parse
from controller.journal.journal import Journal
from controller.replay import replay, wired_by
from controller.trace import FlightRecorder, Row
from tests.tools.bench.bench_start import fill
from tests.tools.bench.bench_wire import TimedSubscriber, Turn
from tests.tools.bench.contestants import field
from tests.tools.bench.evening import CROSSINGS, KNOCKS, House, moves
from tests.tools.bench.loads import listening
from tests.tools.bench.measure import Report, Samples, interleaved, quantile
from tests.tools.bench.stand import UNSETTLED

EVENINGS = 20
BEFORE = (1, 100, 10_000)
CROWDS = (1, 20, 200)
ROUNDS = 40
GROWN_ROUNDS = 3
#: The least that a file system writes for one sync.
FLOOR_BYTES = 4096


def replays(report: Report, evenings: int) -> None:
    """Measure traces in virtual time: one in which much happens, one of noise, and a year."""
    evening = [Row(*move) for move in moves(1)]
    noise = [
        Row(100 + k * 20.0, "beam_outer" if k % 2 else "hatch_knock", k // 2 % 2)
        for k in range(20_000)
    ]
    rows = [
        _replay("evening: 320 crossings, 200 knocks", evening, 3),
        _replay("noise: raps and a beam that means nothing", noise, 3),
    ]
    began_s = time.perf_counter()
    for seed in range(evenings):
        _replay("", [Row(*move) for move in moves(seed)], 1)
    year_s = (time.perf_counter() - began_s) * 365 / evenings
    speed = round(365 * len(evening) / year_s)
    rows.append(
        {"trace": f"a year, from {evenings} evenings", "edges/s": speed, "s": round(year_s, 1)}
    )
    report.table("replay", rows)


def _replay(name: str, rows: list[Row], times: int) -> dict[str, object]:
    config = wired_by(parse({}, "", ("door.entry=walk_in",)), rows)
    took: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        for _line in replay(rows, config):
            pass
        took.append(time.perf_counter() - began_s)
    best_s = min(took)
    return {"trace": name, "edges/s": round(len(rows) / best_s), "s": round(best_s, 3)}


def written() -> tuple[int, int]:
    """Return bytes that this process gave to the kernel, and those that the disk had to take."""
    lines = Path("/proc/self/io").read_text().splitlines()
    found = dict(line.split(": ") for line in lines)
    return int(found["wchar"]), int(found["write_bytes"])


def an_evening_on_disk(report: Report, folder: Path) -> None:
    """Tell what one evening writes."""
    title = f"one evening on the disk ({CROSSINGS} crossings, {KNOCKS} knocks)"
    report.table(title, [evening_cost(folder)])


def evening_cost(folder: Path) -> dict[str, Any]:
    """Count what one evening writes: journal, tail and flight recorder."""
    journal = Journal(folder / "evening.db")
    house = House(journal)
    house.flight = FlightRecorder(folder / "edges")
    before = written()
    house.live(moves(1))
    journal.finish()
    given, taken = (b - a for a, b in zip(before, written(), strict=True))
    return {
        "events": house.events,
        "MQTT messages": house.messages,
        "syncs": house.syncs,
        "payload MB": round(house.payload_bytes / 1e6, 2),
        "written MB": round(given / 1e6, 2),
        "on disk MB": round(taken / 1e6, 1),
        "least with so many syncs MB": round(house.syncs * FLOOR_BYTES / 1e6, 1),
    }


class Timed(Journal):
    """A journal that notes how long each commit took, in µs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.took_us: list[float] = []

    def write(self, *args: Any) -> None:
        """Write and note."""
        began_s = time.perf_counter()
        super().write(*args)
        self.took_us.append(1e6 * (time.perf_counter() - began_s))


def growth(report: Report, folder: Path) -> None:
    """Live through the same evenings in turn, with few and with very many before them."""
    houses = [Grown(folder / f"grown{evenings}.db", evenings) for evenings in BEFORE]
    os.sync()  # what was just filled in shall not be written while we measure
    interleaved(GROWN_ROUNDS, [grown.evening for grown in houses])
    report.table("cost of an event", [grown.row() for grown in houses])


class Grown:
    """A house with so many evenings in its journal."""

    def __init__(self, path: Path, evenings: int) -> None:
        fill(path, evenings)
        self._path, self._evenings = path, evenings
        self._journal = Timed(path)
        self._house = House(self._journal)
        self._work_us: list[float] = []
        self._seed = 0

    def evening(self) -> None:
        """Live through one more."""
        self._seed += 1
        rows, events = moves(self._seed), self._house.events
        first, began_s = len(self._journal.took_us), time.perf_counter()
        self._house.live(rows)
        took_us = 1e6 * (time.perf_counter() - began_s) - sum(self._journal.took_us[first:])
        self._work_us.append(took_us / (self._house.events - events))

    def row(self) -> dict[str, float]:
        """Return what it cost."""
        commits = self._journal.took_us
        self._journal.close()
        return {
            "evenings before": self._evenings,
            "journal MB": round(self._path.stat().st_size / 1e6, 1),
            "sensing, rules, words µs an event": round(min(self._work_us), 1),
            "commit p50 µs": round(quantile(commits, 0.5)),
            "commit p99 µs": round(quantile(commits, 0.99)),
        }


def crowds(report: Report, folder: Path, rounds: int) -> None:
    """Let more and more subscribers listen, and look at one of them and at what we pay."""
    samples: list[Samples] = []
    with field(folder) as ground:
        ours = ground.ours(UNSETTLED)
        for crowd in CROWDS:
            with listening(ground, crowd - 1):
                subscriber = TimedSubscriber(ground)
                turn = Turn(
                    ours, subscriber, [(0.0, "door_contact", 1)], "backdoor/bar/event/door_opened"
                )
                interleaved(rounds, [turn.door])
                subscriber.close()
            turn.samples.name = f"{crowd} subscribers"
            samples.append(turn.samples)
    report.compare("door contact -> MQTT message, by subscribers", samples[-1], samples[:-1])


def main(evenings: int = EVENINGS) -> None:
    """Print all tables."""
    report = Report("growth")
    replays(report, evenings)
    with tempfile.TemporaryDirectory(prefix="backdoor-bench-") as name:
        an_evening_on_disk(report, Path(name))
        growth(report, Path(name))
        crowds(report, Path(name), ROUNDS)
    report.save()


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
