"""From the fourth guest's edge to the strike, alone and under load.

``python -m tests.tools.bench.bench_strike [rounds]``. Ours runs with journal, flight recorder and
link; beside it the one-file script in its callback and in its second thread (the floor for any one
loop). Ours decides when the fourth guest breaks the inner beam, the scripts when he has left both:
each is measured from the edge that decides it, and each must have counted four after it.
Alone: ``python -m tests.tools.bench.bench_strike messages [rounds]`` measures beside `backdoor
notify`, which has something to send in each round.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from controller.gpio.simulated import ACTS
from tests.support.receivers import receiver
from tests.tools.bench.contestants import Contestant, Field, Messages, field
from tests.tools.bench.hand import Move
from tests.tools.bench.loads import chattering, commanded, frozen_and_slow, nothing, streaming
from tests.tools.bench.measure import Report, Samples, interleaved
from tests.tools.bench.stand import WALK_IN

ROUNDS = 100
#: A slow walk, and edges 10 ms apart, in ms.
PACES = {"walking pace": (0.0, 112.0, 350.0, 462.0), "edges 10 ms apart": (0.0, 10.0, 20.0, 30.0)}
#: Under load the hand itself is late by some ms; edges further apart stay in a believable order.
RUNNING = (0.0, 40.0, 125.0, 165.0)
LINES = (("beam_outer", 1), ("beam_inner", 1), ("beam_outer", 0), ("beam_inner", 0))
#: Which of the four edges decides.
OURS, SCRIPTS = 1, 3
LATE_US = 2e6
#: Two raps at the hatch: they are a knock, and sent to the phones, as the guest comes in.
KNOCK: list[Move] = [(one.at_ms, one.line, int(one.level)) for one in ACTS["knock_hatch"]]
#: When the guest begins, so that the deciding edge comes just then, in ms.
AFTER_KNOCK_MS = KNOCK[-1][0] + 20
#: The count is a range with four in it, and the bartender was asked.
UNSURE = -1


class Guest:
    """A fourth guest at the door of one contestant, again and again."""

    def __init__(self, at: Contestant, deciding: int, pace: Sequence[float], name: str) -> None:
        self._at = at
        self._deciding = deciding
        self._moves: list[Move] = [
            (ms, line, level) for ms, (line, level) in zip(pace, LINES, strict=True)
        ]
        self.samples = Samples(name)
        self.wrong = 0
        self.asked = 0
        at.ask("drive", "door_contact", 1)  # held open: nobody walks through a shut one

    def knock_first(self) -> None:
        """Let somebody knock at the hatch just before."""
        self._moves = KNOCK + [
            (ms + AFTER_KNOCK_MS, line, level) for ms, line, level in self._moves
        ]
        self._deciding += len(KNOCK)

    def enter(self) -> None:
        """Come in; the strike has to go off and the house has to have counted four."""
        self._at.ask("reset")
        at_s, off_s = self._at.ask("play", self._moves, self._deciding, 0)
        self.samples.values.append(LATE_US if off_s is None else 1e6 * (off_s - at_s))
        people = self._at.ask("people")
        self.asked += people == UNSURE
        self.wrong += off_s is None or people not in (4, UNSURE) or self._at.ask("level") != 0


def edge_to_strike(report: Report, ground: Field, rounds: int) -> None:
    """Ours beside the floors, in turn."""
    contestants = [
        (ground.ours(WALK_IN), OURS),
        (ground.rival("queue", "script, second thread"), SCRIPTS),
        (ground.rival("callback", "script, in the callback"), SCRIPTS),
    ]
    for pace, times in PACES.items():
        guests = [Guest(one, deciding, times, one.name) for one, deciding in contestants]
        interleaved(rounds, [guest.enter for guest in guests])
        ours, *others = guests
        wrong = "; ".join(f"{guest.wrong} by {guest.samples.name}" for guest in guests)
        title = f"fourth guest's edge -> strike off, {pace} (wrong: {wrong})"
        report.compare(title, ours.samples, [guest.samples for guest in others])


def under_load(report: Report, ground: Field, rounds: int) -> None:
    """Ours again, while everything else is at its worst."""
    house = ground.ours(WALK_IN)
    loads: dict[str, Callable[[], Iterator[str]]] = {
        "no load": nothing,
        "a line chatters, 10,000 edges/s": lambda: chattering(house),
        "200 page clients stream": lambda: streaming(ground),
        "1,000 commands/s": lambda: commanded(ground),
        "broker frozen, 0.5 s a sync": lambda: frozen_and_slow(ground, house),
    }
    rows = []
    for name, load in loads.items():
        guest = Guest(house, OURS, RUNNING, name)
        with contextmanager(load)() as given:
            interleaved(rounds, [guest.enter])
        samples = guest.samples
        rows.append(
            {
                "load": name,
                "p50": round(samples.p50),
                "p99": round(samples.p99),
                "worst": round(max(samples.values)),
                "wrong": guest.wrong,
                "asked": guest.asked,
                "n": len(samples.values),
                "given": given,
            }
        )
    report.table("edge -> strike off under load, priorities as the units set them", rows, unit="µs")


def beside_messages(report: Report, ground: Field, rounds: int) -> None:
    """Ours with `backdoor notify` at work, and while it stands still, in turn."""
    house = ground.ours(WALK_IN, "hatch.merge=0")
    with ExitStack() as stack:
        phones = [stack.enter_context(receiver()) for _ in range(3)]
        messages = stack.enter_context(Messages(ground, [phone.host for phone in phones]))
        guests = [Guest(house, OURS, RUNNING, name) for name in ("notify at work", "it stands")]
        for guest in guests:
            guest.knock_first()

        def enter(guest: Guest, still: int) -> None:
            messages.stand(bool(still))
            guest.enter()

        interleaved(rounds, [partial(enter, one, still) for still, one in enumerate(guests)])
        sent = sum(len(phone.requests) for phone in phones)
    wrong = " and ".join(str(guest.wrong) for guest in guests)
    title = f"edge -> strike off beside the messages' service ({sent} sent; wrong: {wrong})"
    report.compare(title, guests[0].samples, [guests[1].samples])


TABLES: dict[str, Callable[[Report, Field, int], None]] = {
    "floors": edge_to_strike,
    "load": under_load,
    "messages": beside_messages,
}


def main(*args: str) -> None:
    """Print all tables, or those named."""
    rounds = next((int(arg) for arg in args if arg.isdecimal()), ROUNDS)
    named = [arg for arg in args if not arg.isdecimal()]
    report = Report("strike")
    with tempfile.TemporaryDirectory(prefix="backdoor-bench-") as name, field(Path(name)) as ground:
        for table in named or TABLES:
            TABLES[table](report, ground, rounds)
    report.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
