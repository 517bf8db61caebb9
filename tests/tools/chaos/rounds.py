"""Rounds of violence against a living house; each returns what it survived, or fails.

``make chaos`` runs ``kills 1000``, ``brokers 100`` and ``cuts 9000`` by `tests.tools.chaos`, each
shared among some processes, and what `rot` does to a disk; the test suite runs a few rounds of
each.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from controller.journal import journal
from controller.journal.journal import Journal, read_last
from controller.journal.recovery import open_journal
from tests.conftest import Broker
from tests.support.rows import row, saved
from tests.support.subscriber import BASE, Subscriber
from tests.support.wait import HANGS_S, eventually
from tests.tools.chaos import rot

Tell = Callable[[str], None]


class Victim:
    """The process that is killed."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self._args = [
            sys.executable,
            "-m",
            "tests.tools.chaos.victim",
            str(folder),
            str(broker.port),
        ]
        self._log = folder / "victim.log"
        self.process: subprocess.Popen[str] | None = None

    def start(self, seed: int) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [*self._args, str(seed)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self._log.read_text()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(HANGS_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def scene(folder: Path) -> Iterator[tuple[Broker, Subscriber, Victim]]:
    """A broker, a client on it, and a house that is not started yet."""
    broker = Broker(folder)
    broker.start()
    victim = Victim(folder, broker)
    try:
        with closing(Subscriber(broker.port)) as mqtt:
            yield broker, mqtt, victim
    finally:
        if victim.process is not None and victim.process.poll() is None:
            victim.kill()
        broker.kill()


class Events:
    """What a client has received of events, each message read once."""

    def __init__(self, mqtt: Subscriber) -> None:
        self._mqtt, self._read = mqtt, 0
        self._by_seq: dict[int, Any] = {}
        #: Numbers in the order in which they were told first.
        self.order: list[int] = []

    def heard(self) -> dict[int, Any]:
        """Return each event by its number; the same number always says the same."""
        new = self._mqtt.messages[self._read :]
        self._read += len(new)
        for message in new:
            if message.topic.startswith(f"{BASE}event/"):
                assert not message.retain
                self._take(json.loads(message.payload))
        return self._by_seq

    def _take(self, event: Any) -> None:
        # of this delivery, not of the event; who rings a bell goes by it
        late_s = event.pop("late_s", None)
        assert late_s is not None or event["seq"] not in self._by_seq, "again, as if it were new"
        if event["seq"] not in self._by_seq:
            self._by_seq[event["seq"]] = event
            self.order.append(event["seq"])
        assert self._by_seq[event["seq"]] == event, "one number, two events"


def check_events(events: Events, path: Path) -> int:
    """Check that every event was heard, first in order, and is in the journal; return how many."""
    heard = events.heard()
    assert events.order == sorted(events.order), "first told in order"
    assert sorted(heard) == list(range(1, len(heard) + 1)), "no gap"
    kept = kept_in(path)
    assert all(kept[seq] == event for seq, event in heard.items()), "told and not kept"
    return len(heard)


def kept_in(path: Path) -> dict[int, Any]:
    """Return every event of the journal by its number, in order."""
    return {row.seq: json.loads(row.to_json()) for row in read_last(str(path), 10_000_000)}


def check_strike(path: Path, mqtt: Subscriber) -> None:
    """Check that each run had the strike off until it let somebody in by itself.

    The first state that is heard of a run may be late: it is told when the broker is reached.
    """
    let_in: dict[str, int] = {}
    for seq, event in kept_in(path).items():
        if event["event"] == "access_granted":
            let_in.setdefault(event["boot"], seq)
    for state in mqtt.all("state"):
        if state["door"]["strike"]:
            assert let_in[state["boot"]] <= state["seq"], state


def kills(folder: Path, rounds: int, seed: int, tell: Tell) -> dict[str, int]:
    """Kill -9 at a random instant of an evening, ``rounds`` times."""
    chance = random.Random(seed)
    path = folder / "journal.db"
    with scene(folder) as (_, mqtt, victim):
        events = Events(mqtt)
        for number in range(rounds):
            known = len(events.heard())
            victim.start(seed + number)
            time.sleep(chance.uniform(0.0, 0.5))  # the random instant itself
            victim.kill()
            _check_restart(path, known)
            tell(f"{number + 1}/{rounds} kills survived")
        victim.start(seed)
        newest = read_last(str(path), 1)[-1].seq
        eventually(lambda: newest in events.heard())
        victim.kill(signal.SIGTERM)
        count = check_events(events, path)
        check_strike(path, mqtt)
        return {"kills": rounds, "events": count}


def _check_restart(journal: Path, known: int) -> None:
    """What the dead process left: numbered without a gap, and no less than what was told."""
    rows = read_last(str(journal), 10_000_000)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= known


BROKER_HARM = ("kill", "stop", "freeze")


def brokers(
    folder: Path, rounds: int, seed: int, tell: Tell, limit_s: float = 5.0
) -> dict[str, int]:
    """Kill, stop or freeze the broker for a while, ``rounds`` times; all is right 5 s later.

    The 5 s hold on a machine that does nothing else; the suite asks only that it comes right.
    """
    chance = random.Random(seed)
    path = folder / "journal.db"
    with scene(folder) as (broker, mqtt, victim):
        victim.start(seed)
        events = Events(mqtt)
        eventually(events.heard)
        for number in range(rounds):
            harm = chance.choice(BROKER_HARM)
            before = len(mqtt.messages)
            getattr(broker, harm)()
            time.sleep(chance.uniform(0.05, 1.0))  # the outage itself
            newest = read_last(str(path), 1)[-1].seq
            (broker.thaw if harm == "freeze" else broker.start)()
            eventually(lambda: _right_again(mqtt, events, before, newest), limit_s)  # noqa: B023
            tell(f"{number + 1}/{rounds} outages survived")
        victim.kill(signal.SIGTERM)
        return {"outages": rounds, "events": check_events(events, path)}


def _right_again(mqtt: Subscriber, events: Events, before: int, newest: int) -> bool:
    """Tell whether heartbeat, a fresh state and every event of the outage came since."""
    came = {message.topic for message in mqtt.messages[before:]}
    fresh = {f"{BASE}heartbeat", f"{BASE}state"} <= came and mqtt.status() == "online"
    return fresh and newest in events.heard()


def cuts(
    folder: Path, rounds: int, seed: int, tell: Tell, share: tuple[int, int] = (0, 1)
) -> dict[str, int]:
    """Cut the journal's tail, and SQLite's log, at each of their last ``rounds`` bytes.

    Clean, torn, and zeroed after: whatever is left opens, and its state is that of its last event.
    Of several processes with a ``share`` each, (0, 4) to (3, 4), every one takes each fourth byte.
    """
    done = {}
    for ending, size in (("-tail", journal.CHECKPOINT_SIZE), ("-wal", 1)):
        for left in folder.glob("*.db*"):
            left.unlink()
        log = _written(folder, ending, size)
        chance = random.Random(seed)
        places = range(max(len(log) - rounds, 0) + share[0], len(log), share[1])
        for number, at in enumerate(places, 1):
            for rest in (b"", chance.randbytes(min(100, len(log) - at)), bytes(len(log) - at)):
                _open_cut(folder, ending, log[:at] + rest, clean=not rest)
            if number % 100 == 0:
                tell(f"{number}/{len(places)} cuts of {ending[1:]} survived")
        done[f"cuts of the {ending[1:]}"] = 3 * len(places)
    return done


def _written(folder: Path, ending: str, tail_size: int) -> bytes:
    """Write some steps, keep the rest of the files as whole.db, and return the one to be cut."""
    source, usual = folder / "journal.db", journal.CHECKPOINT_SIZE
    journal.CHECKPOINT_SIZE = tail_size
    try:
        with closing(Journal(source)) as book:
            for seq in range(1, 60):
                book.write([row(seq)], saved(seq), seq)
            for part in ("", "-tail", "-wal"):
                shutil.copy(f"{source}{part}", folder / f"whole.db{part}")
    finally:
        journal.CHECKPOINT_SIZE = usual
    return (folder / f"whole.db{ending}").read_bytes()


def _open_cut(folder: Path, ending: str, log: bytes, clean: bool) -> None:
    cut = folder / "cut.db"
    for left in folder.glob("cut.db*"):
        left.unlink()
    for part in ("", "-tail", "-wal"):
        shutil.copy(folder / f"whole.db{part}", f"{cut}{part}")
    Path(f"{cut}{ending}").write_bytes(log)
    opened = open_journal(cut)
    with closing(opened.journal) as book:
        last = book.last_seq()
        assert opened.doubt == bool(opened.warning)
        assert not opened.doubt or (ending == "-tail" and (last == 0 or not clean))
        assert 0 <= last < 60
        assert book.saved() == (saved(last) if last else None)
        assert [kept.seq for kept in book.after(0, 999)] == list(range(1, last + 1))


def main(what: str, rounds: str, seed: str = "1", share: str = "0/1") -> None:
    """Run many rounds, print what was survived; `tests.tools.chaos` shares them among processes."""

    def tell(line: str) -> None:
        sys.stdout.write(f"\r{line}   ")
        sys.stdout.flush()

    # A cut is made by us and not by the disk: in memory ten thousand take minutes, not hours.
    shared = ("cuts", "rot", "instants", "processes")  # these know their share themselves
    place = "/dev/shm" if what in shared and Path("/dev/shm").is_dir() else None
    number, of = (int(part) for part in share.split("/"))
    mine = int(rounds) if what in shared else len(range(number, int(rounds), of))
    rounds_of: dict[str, Callable[[Path, int, int, Tell], dict[str, int]]] = {
        "kills": kills,
        "brokers": brokers,
        "cuts": partial(cuts, share=(number, of)),
        "rot": partial(rot.rot, share=(number, of)),
        "instants": partial(rot.instants, share=(number, of)),
        "processes": partial(rot.processes, share=(number, of)),
    }
    with tempfile.TemporaryDirectory(prefix="backdoor-chaos-", dir=place) as folder:
        own_seed = int(seed) + (0 if what in shared else 10_000 * number)
        done = rounds_of[what](Path(folder), mine, own_seed, tell)
    sys.stdout.write(f"\r{json.dumps(done)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
