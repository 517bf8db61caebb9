"""A disk that rots: every file in the state directory spoilt, and the controller started on it.

Bits are flipped, pages zeroed, files cut, removed and replaced by older copies, folders, pipes or
devices. Whatever is there, controller and safe mode start, without a traceback; where the count may
be wrong it asks, and the fault names the file. `instants` kills a start on a damaged journal before
each single call into the system, and looks whether the doubt is there at the next one.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from controller.journal import journal
from controller.journal.journal import read_last
from controller.journal.records import Row
from controller.mqtt.memory import InMemoryBroker
from controller.rules.occupancy import Occupancy
from controller.rules.state import State
from controller.service import assembly
from controller.service.assembly import World, alone, assemble, simulated
from controller.service.safe_mode import assemble_safely
from tests.support.controller_process import Controller
from tests.support.demo import demo_config, house
from tests.support.wait import HANGS_S, eventually

Tell = Callable[[str], None]

#: Guests inside at the end of the evening; the older copies have others.
TRUTH = 2
NAMED = {"FileDamaged", "JournalFailed"}


@dataclass(frozen=True)
class Evening:
    """The same evening as two state directories, killed and stopped, and some older copies."""

    left: dict[str, Path]
    older: list[Path]
    boottime_ms: float
    events: list[Row]


def evening(folder: Path) -> Evening:
    """Play an evening through the real service; its last word is a tap: two are inside."""
    live, older = folder / "live", []
    live.mkdir(parents=True)
    usual, journal.CHECKPOINT_SIZE = journal.CHECKPOINT_SIZE, 60
    try:
        with house(live, speed=20.0) as demo:
            for number, count in enumerate((1, 3, 4, 0, TRUTH)):
                for act in ("walk_in", "knock_hatch", "knock_door", "walk_out"):
                    demo.simulator.act(act)
                if number == 2:
                    (live / "regulars.toml").write_text('"Anna" = [0.5, 1.0]\n')
                assert demo.mqtt.ask("set_count", count=count)["ok"]
                eventually(lambda: demo.state["occupancy"]["count"] == count)  # noqa: B023
                older.append(_copied(live, folder / f"older-{number}"))
    finally:
        journal.CHECKPOINT_SIZE = usual
    killed = older.pop()
    left = {"killed": killed, "stopped": _copied(live, folder / "stopped")}
    with closing(journal.Journal(_copied(killed, folder / "look") / "journal.db")) as seen:
        saved, events = seen.saved(), seen.since(0)
    assert saved is not None
    assert [row.seq for row in events] == list(range(1, len(events) + 1))
    return Evening(left, older, saved.boottime_ms, events)


def _copied(live: Path, to: Path) -> Path:
    shutil.copytree(live, to)
    return to


# --- harm -----------------------------------------------------------------------------------------


def flip(file: Path, chance: random.Random) -> str:
    """Flip 1 to 8 bits."""
    data = bytearray(file.read_bytes())
    places = [chance.randrange(8 * len(data)) for _ in range(chance.randint(1, 8))] if data else []
    for place in places:
        data[place // 8] ^= 1 << place % 8
    file.write_bytes(data)
    return f"bits {places} flipped"


def zero(file: Path, chance: random.Random) -> str:
    """Zero a page."""
    data, size = bytearray(file.read_bytes()), chance.choice((512, 1024, 4096))
    at = chance.randrange(len(data) // size + 1) * size
    data[at : at + size] = bytes(len(data[at : at + size]))
    file.write_bytes(data)
    return f"{size} bytes zeroed at {at}"


def cut(file: Path, chance: random.Random) -> str:
    """Cut the file off, or remove it."""
    size = chance.randrange(file.stat().st_size + 1)
    if size == 0:
        file.unlink()
        return "removed"
    os.truncate(file, size)
    return f"cut to {size} bytes"


def swap(file: Path, chance: random.Random, older: Path) -> str:
    """Put an older copy in its place; where there is none, remove it."""
    if older.exists():
        shutil.copy(older, file)
        return f"replaced by {older}"
    file.unlink()
    return "removed"


def another_kind(file: Path, chance: random.Random) -> str:
    """Put something in its place that is no file: who reads it may wait for ever, or never end."""
    file.unlink()
    kind = chance.choice(("folder", "pipe", "/dev/zero", "/dev/full", "link to nowhere"))
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(kind)
    return f"replaced by a {kind}"


def spoil(folder: Path, chance: random.Random, older: list[Path]) -> tuple[str, str]:
    """Spoil one file of the state directory; return its name and what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = chance.choice(files)
    name = str(file.relative_to(folder))
    copy = chance.choice(older) / name
    harm = chance.choice((flip, flip, zero, cut, partial(swap, older=copy), another_kind))
    return name, harm(file, chance)


# --- a start --------------------------------------------------------------------------------------


class Traceback(logging.Handler):
    """Collects what no user may see: tracebacks in the log, threads that died."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take down a record that has a traceback."""
        if record.exc_info:
            self.seen.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    def died(self, args: Any) -> None:
        """Take down a thread that ended by an exception."""
        self.seen.append(f"{args.thread}: {args.exc_value!r}")


@contextmanager
def _watched(boottime_ms: float) -> Iterator[Traceback]:
    """Let it be half a second after the last step: only then may a count be certain."""
    handler, log = Traceback(), logging.getLogger("controller")
    log.addHandler(handler)
    propagates, log.propagate = log.propagate, False
    hook, threading.excepthook = threading.excepthook, handler.died
    try:
        with patch.object(assembly, "boottime_ms", lambda: boottime_ms + 500.0):
            yield handler
    finally:
        threading.excepthook = hook
        log.propagate = propagates
        log.removeHandler(handler)


def start(folder: Path, boottime_ms: float, *, safe: bool = False) -> State:
    """Start and stop a controller, or safe mode, in this process; return its state."""
    config = demo_config(folder)
    with _watched(boottime_ms) as tracebacks:
        if safe:
            running = assemble_safely(lambda: config, lambda config: config)
        else:
            world = World(partial(simulated, config), alone(InMemoryBroker()))
            running = assemble(config, world)
        running.loop.begin(running.absence)
        running.loop.stop()
        running.loop.run()
    assert not tracebacks.seen, tracebacks.seen
    return running.loop.state


def check(state: State, folder: Path, played: Evening) -> str:
    """Check what a start in ``folder`` says after harm; return ``certain`` or ``asks``.

    It is certain only where the harm took nothing: harm may hit what no file needs.
    """
    names = {fault.name for fault in state.faults}
    if state.occupancy.certain:
        assert state.occupancy == Occupancy(TRUTH, TRUTH, TRUTH), state.occupancy
        assert is_whole(folder, played), "events are lost, and it does not ask"
        return "certain"
    assert names & NAMED, "it asks and does not say why"
    return "asks"


def is_whole(folder: Path, played: Evening) -> bool:
    """Return whether every event of the evening is in the journal, as it was written."""
    kept = read_last(str(folder / "journal.db"), 10 * len(played.events))
    return kept[: len(played.events)] == played.events


def rot(
    folder: Path, rounds: int, seed: int, tell: Tell, share: tuple[int, int] = (0, 1)
) -> dict[str, int]:
    """Spoil one file and start on it, ``rounds`` times: controller, safe mode, controller again."""
    played = evening(folder / "evening")
    for name, left in played.left.items():  # without harm both are certain: the check can fail
        unharmed = start(_copied(left, folder / f"unharmed-{name}"), played.boottime_ms)
        assert unharmed.occupancy == Occupancy(TRUTH, TRUTH, TRUTH)
        assert is_whole(folder / f"unharmed-{name}", played)
        assert not unharmed.faults
    done: Counter[str] = Counter()
    for number in range(share[0], rounds, share[1]):
        chance = random.Random(seed + number)
        spoilt = folder / "spoilt"
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(played.left[chance.choice(("killed", "stopped"))], spoilt)
        name, harm = spoil(spoilt, chance, played.older)
        try:
            done[_round(spoilt, played, safe_first=chance.random() < 0.5)] += 1
        except BaseException as error:
            error.add_note(f"round {number}: {name}: {harm}")
            raise
        done[f"{name.partition('/')[0]}"] += 1
        tell(f"{number}/{rounds} harms survived")
    return dict(done)


def _round(spoilt: Path, played: Evening, *, safe_first: bool) -> str:
    """Start on a spoilt directory: as it is, or after safe mode has been there."""
    if safe_first:
        assert not start(spoilt, played.boottime_ms, safe=True).occupancy.certain
        assert not start(spoilt, played.boottime_ms).occupancy.certain
        return "safe mode"
    said = check(start(spoilt, played.boottime_ms), spoilt, played)
    if said == "asks":
        assert not start(spoilt, played.boottime_ms).occupancy.certain, "the doubt was forgotten"
    return said


# --- killed at every instant of a recovery --------------------------------------------------------


class Killer:
    """Ends this process, as `kill -9` would, before the n-th call out of the journal's code."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Count a call into C; the profiler calls it."""
        if event == "c_call" and "/controller/journal/" in frame.f_code.co_filename:
            self._left -= 1
            if self._left == 0:
                os._exit(9)

    def watch(self) -> None:
        """Begin to count, in this thread and all that follow."""
        threading.setprofile(self)
        sys.setprofile(self)


def _no_database(folder: Path) -> None:
    (folder / "journal.db-wal").unlink()
    (folder / "journal.db").write_bytes(b"rot" * 5000)


def _spoil_rows(folder: Path) -> None:
    file = folder / "journal.db"
    data = file.read_bytes()
    assert b'"count":' in data
    file.write_bytes(data.replace(b'"count":', b'"cou~t":'))


def _torn_log(folder: Path) -> None:
    with (folder / "journal.db-tail").open("ab") as log:
        log.write(bytes(100))


def _cut_log(folder: Path) -> None:
    os.truncate(folder / "journal.db-tail", 0)


#: What is damaged, of which of the two: and how.
DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "no database": ("killed", _no_database),
    "torn log": ("killed", _torn_log),
    "cut log": ("killed", _cut_log),
    "bad rows": ("stopped", _spoil_rows),
}


def instants(
    folder: Path, rounds: int, seed: int, tell: Tell, share: tuple[int, int] = (0, 1)
) -> dict[str, int]:
    """Kill a start on a damaged journal at each instant (of ``rounds``), then start once more.

    The process may have no thread but this one: it forks.
    """
    played = evening(folder / "evening")
    done: Counter[str] = Counter()
    for name, (which, damage) in DAMAGES.items():
        at, killed = seed % 7 + 1 + share[0], True
        step = share[1] * max(1, 1000 // rounds)
        while killed:
            left = folder / "spoilt"
            shutil.rmtree(left, ignore_errors=True)
            shutil.copytree(played.left[which], left)
            damage(left)
            killed = _forked(partial(_killed_start, left, played.boottime_ms, at)) == 9
            again = _forked(partial(_doubted_start, left, played.boottime_ms))
            why = {1: "it does not start", 2: "the doubt is gone"}
            assert again == 0, f"{name}: killed at instant {at}: {why.get(again, again)}"
            done[name] += 1
            at += step
            tell(f"{name}: killed at {at} instants")
    return dict(done)


def _forked(work: Callable[[], int]) -> int:
    """Do something in a process of its own; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        except Exception:  # noqa: BLE001 - a child says so and ends: the parent's code is not its own
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _killed_start(folder: Path, boottime_ms: float, at: int) -> int:
    Killer(at).watch()
    start(folder, boottime_ms)
    return 0


def _doubted_start(folder: Path, boottime_ms: float) -> int:
    state = start(folder, boottime_ms)
    return 2 if state.occupancy.certain else 0


# --- as processes -------------------------------------------------------------------------------


class Unit:
    """`backdoor run` as systemd starts it, and what it reports to systemd."""

    def __init__(self, folder: Path) -> None:
        self._controller = Controller(folder, 'mqtt.host=""')
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(HANGS_S)
        self._environment = {"NOTIFY_SOCKET": str(folder / "notify")}

    def killed_after(self, seconds: float) -> None:
        """Start it, and kill it at this instant."""
        self._controller.start(**self._environment)
        time.sleep(seconds)  # the random instant itself
        self._controller.end(signal.SIGKILL)

    def status(self, *, safe: bool = False) -> str:
        """Start it, wait for READY and its status line, and stop it in order."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while self._socket.recv(4096):  # of those that were killed
                pass
        self._socket.settimeout(HANGS_S)
        self._controller.args += ["--safe"] if safe else []
        self._controller.start(**self._environment)
        assert self._until("READY=1") == "READY=1", self.log()
        status = self._until("STATUS=")
        assert self._controller.end() == 0, self.log()
        assert "Traceback" not in self.log(), self.log()
        return status

    def _until(self, beginning: str) -> str:
        try:
            while not (told := self._socket.recv(4096).decode()).startswith(beginning):
                pass
        except TimeoutError:
            raise AssertionError(f"no {beginning}: {self.log()}") from None
        return told

    def log(self) -> str:
        """Return what it has written to its log."""
        return self._controller.log()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def processes(
    folder: Path, rounds: int, seed: int, tell: Tell, share: tuple[int, int] = (0, 1)
) -> dict[str, int]:
    """Spoil a file, kill a few real starts at random instants, then look at one that may live.

    Every second round the whole journal is gone, so that only the doubt tells that it ever was.
    """
    played = evening(folder / "evening")
    done: Counter[str] = Counter()
    for number in range(share[0], rounds, share[1]):
        chance = random.Random(seed + number)
        spoilt = _copied(played.left[chance.choice(("killed", "stopped"))], folder / f"{number}")
        lost = number % 2 == 1
        for file in spoilt.glob("journal.db*") if lost else ():
            file.write_bytes(chance.randbytes(3000))
        harm = "all lost" if lost else str(spoil(spoilt, chance, played.older))
        unit = Unit(spoilt)
        for _ in range(chance.randint(0, 3)):
            unit.killed_after(chance.uniform(0.0, 0.8))
            done["kills"] += 1
        safe = chance.random() < 0.3
        status = unit.status(safe=safe)
        if "?" not in status:
            certain = status.startswith(f"STATUS={TRUTH} of ") and not (lost or safe)
            assert certain, f"{harm}: {status}: {unit.log()}"
            assert is_whole(spoilt, played), f"{harm}: events are lost: {status}: {unit.log()}"
        done["safe mode" if safe else "starts"] += 1
        unit.close()
        tell(f"{number}/{rounds} real starts")
    return dict(done)
