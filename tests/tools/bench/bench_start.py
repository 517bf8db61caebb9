"""How soon it works, how large it is, and what it costs while nothing happens.

``python -m tests.tools.bench.bench_start [rounds]``. Start is from the process's begin to
``READY=1``, with a journal of one evening and one of ten thousand. Beside ours: a script with
gpiozero and paho that does nothing, the one-file script, and mqtt-io.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from msgspec.structs import asdict

from controller.journal.journal import Journal
from controller.journal.records import Saved
from controller.rules.state import State
from tests.tools.bench.contestants import ROOT, Contestant, Field, field, mqtt_io_python
from tests.tools.bench.measure import Report, Samples, interleaved

ROUNDS = 7
#: A quiet evening; `BENCH_EVENTS=1500` makes a full house of each of the ten thousand (5 GB).
EVENTS = int(os.environ.get("BENCH_EVENTS", "100"))
EVENINGS = (1, 10_000)
#: All of them within the time that a journal keeps, so that nothing is thrown away at the start.
KEPT_DAYS = 300.0
IDLE_S = float(os.environ.get("IDLE_S", "10"))
MIB = 1024.0
LINES = """
hatch_knock = 17
door_knock = 27
beam_outer = 22
beam_inner = 23
door_contact = 24
strike = 16
hatch_light = 20
"""


def fill(path: Path, evenings: int, events: int = EVENTS) -> None:
    """Write a journal with so many evenings, all delivered."""
    journal = Journal(path)
    journal.write([], Saved(0.0, "boot", 0.0, time.time() - 60, asdict(State())))
    journal.finish()
    rows, now_s = evenings * events, time.time()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(
            "INSERT INTO event WITH RECURSIVE n(k) AS"
            " (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ?) SELECT k, k * 1.0,"
            " ? + k * ?, 'entry', ? FROM n",
            (rows, now_s - KEPT_DAYS * 86400, (KEPT_DAYS - 1) * 86400 / rows, "x" * 180),
        )
        db.execute("UPDATE mark SET delivered = ?", (rows,))
        db.commit()


class House:
    """`backdoor run` with its configuration, started again and again."""

    def __init__(
        self, folder: Path, port: int, factory: str = "mock", *, venue: str = "bar"
    ) -> None:
        self._folder = folder
        folder.mkdir()
        self._module = "tests.tools.bench.on_chip" if factory == "gpiod" else "controller"
        self.journal = folder / "journal.db"
        self.config = folder / "backdoor.toml"
        self.config.write_text(
            f'[house]\nvenue = "{venue}"\n[pins]\nfactory = "{factory}"\n'
            f"[mqtt]\nport = {port}\n[lines]{LINES}"
            f'[journal]\npath = "{self.journal}"\n'
        )

    @contextmanager
    def running(self) -> Iterator[tuple[int, float]]:
        """Start it; give its process id and how long it took to be ready, in seconds."""
        address = str(self._folder / f"notify{time.monotonic_ns()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(address)
            notify.settimeout(60)
            began_s = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", self._module, "run", "--config", str(self.config)],
                env={**os.environ, "NOTIFY_SOCKET": address},
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
            )
            while notify.recv(4096) != b"READY=1":
                pass
            ready_s = time.monotonic() - began_s
        try:
            yield process.pid, ready_s
        finally:
            process.terminate()
            process.wait(20)


def starts(report: Report, ground: Field, rounds: int) -> None:
    """Start everybody in turn."""
    began: list[tuple[str, Callable[[], float]]] = []
    for evenings in EVENINGS:
        house = House(ground.folder / f"of{evenings}", ground.broker.port)
        fill(house.journal, evenings)
        began.append((f"backdoor, {evenings:,} evenings", partial(_start_ours, house)))
    began.append(("script", partial(_start_other, lambda: ground.rival("callback", "script"))))
    if mqtt_io_python() is not None:  # its hand waits half a second more for the broker
        began.append(("mqtt-io", partial(_start_other, ground.mqtt_io)))
    all_samples = [Samples(name, unit="ms") for name, _ in began]

    def turn(samples: Samples, start: Callable[[], float]) -> None:
        samples.values.append(1000 * start())

    pairs = zip(all_samples, began, strict=True)
    turns = [partial(turn, samples, start) for samples, (_, start) in pairs]
    interleaved(rounds, turns)
    first, *rest = all_samples
    report.compare(f"process start -> READY ({EVENTS} events an evening)", first, rest)


def _start_ours(house: House) -> float:
    with house.running() as (_, ready_s):
        return ready_s


def _start_other(make: Callable[[], Contestant | None]) -> float:
    began_s = time.monotonic()
    one = make()
    ready_s = time.monotonic() - began_s
    if one is not None:
        one.end()
    return ready_s


def commands(report: Report, ground: Field, rounds: int) -> None:
    """Measure the commands that a person waits for."""
    trace = ground.folder / "trace.csv"
    trace.write_text("t_ms,line,level\n0,beam_outer,0\n")
    config = ground.folder / "check.toml"
    config.write_text(f"[lines]{LINES}")
    argument = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import click'": ["-c", "import click"],
        "backdoor --help": ["-m", "controller", "--help"],
        "backdoor replay --help": ["-m", "controller", "replay", "--help"],
        "backdoor replay of one row": ["-m", "controller", "replay", str(trace)],
        "backdoor check-config": ["-m", "controller", "check-config", "--config", str(config)],
    }
    all_samples = [Samples(name, unit="ms") for name in argument]

    def turn(samples: Samples) -> Callable[[], None]:
        def act() -> None:
            began_s = time.monotonic()
            subprocess.run(
                [sys.executable, *argument[samples.name]],
                check=True,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
            )
            samples.values.append(1000 * (time.monotonic() - began_s))

        return act

    interleaved(2 * rounds, [turn(samples) for samples in all_samples])
    rows = [
        {"command": s.name, "p50": round(s.p50), "worst": round(max(s.values))} for s in all_samples
    ]
    report.table("commands, start to end", rows, unit="ms")


# --- size and idle ------------------------------------------------------------------------------


def memory_mib(pid: int) -> tuple[float, float]:
    """Return RSS and PSS of a process in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / MIB for line in lines}
    return round(found["Rss"], 1), round(found["Pss"], 1)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, to the microsecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def wake_ups(pid: int) -> int:
    """Return how often all threads of a process went to sleep of their own will."""
    return sum(
        int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt")
    )


def idle(report: Report, ground: Field) -> None:
    """Measure everybody at the same time, while nothing happens."""
    rows = []
    io = ground.mqtt_io()
    others = [(one.name, one.pid) for one in (_empty(ground), _script(ground), io) if one]
    port = ground.broker.port
    on_mock = House(ground.folder / "idle", port)
    on_chip = House(ground.folder / "chip", port, "gpiod", venue="chip")
    with on_mock.running() as (mock, _), on_chip.running() as (chip, _):
        page = ground.page().process.pid
        everybody = [
            ("backdoor, mock pins", mock),
            ("backdoor, libgpiod on a faked chip", chip),
            ("backdoor's page", page),
            *others,
        ]
        time.sleep(3)
        before = {pid: (cpu_s(pid), wake_ups(pid)) for _, pid in everybody}
        time.sleep(IDLE_S)
        for name, pid in everybody:
            rss, pss = memory_mib(pid)
            used_s, woken = cpu_s(pid) - before[pid][0], wake_ups(pid) - before[pid][1]
            rows.append(
                {
                    "name": name,
                    "RSS MiB": rss,
                    "PSS MiB": pss,
                    "CPU %": round(100 * used_s / IDLE_S, 2),
                    "wake-ups/s": round(woken / IDLE_S, 1),
                }
            )
    report.table("size, and idle cost a second", rows)


def _empty(ground: Field) -> Contestant:
    return ground.rival("empty", "python, gpiozero, paho")


def _script(ground: Field) -> Contestant:
    return ground.rival("callback", "script")


def main(rounds: int = ROUNDS) -> None:
    """Print all tables."""
    report = Report("start")
    parts: Sequence[Callable[..., None]] = (starts, commands)
    with tempfile.TemporaryDirectory(prefix="backdoor-bench-") as name, field(Path(name)) as ground:
        idle(report, ground)
        for part in parts:
            part(report, ground, rounds)
    report.save()


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
