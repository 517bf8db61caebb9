"""Rounds of one fault each, under load: nothing is lost, nothing doubled, all in order."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from tests.support.centre import Bar
from tests.support.centre import bar as bar_without_controller
from tests.support.wait import eventually
from tests.tools.bench.measure import quantile
from tests.tools.centre.stand import TOWNS, Stand, stand

BARS, CONSUMERS, SPEED = 4, 2, 60.0
CHECK_EVERY = 20
#: A machine that does ten other things needs long to come back.
LIMIT_S = 240.0
#: A cable stays cut for so long, in seconds, while other things break; a comparison ends it.
CUT_S = (60.0, 180.0)
#: The consumer that no cut leaves without nodes.
LEFT_ALONE = "centre0"

Mend = Callable[[], None]


def node_killed(stand: Stand, chance: random.Random) -> Mend:
    node = chance.choice(stand.nodes)
    node.kill()
    return node.start


def node_frozen(stand: Stand, chance: random.Random) -> Mend:
    node = chance.choice(stand.nodes)
    node.freeze()
    return node.thaw


def broker_killed(stand: Stand, chance: random.Random) -> Mend:
    broker = chance.choice(stand.bars).broker
    broker.kill()
    return broker.start


def page_killed(stand: Stand, chance: random.Random) -> Mend:
    page = chance.choice(stand.bars).page
    page.kill()
    return page.start


def consumer_killed(stand: Stand, chance: random.Random) -> Mend:
    consumer = chance.choice(stand.consumers)
    consumer.kill()
    return consumer.start


def postgres_killed(stand: Stand, chance: random.Random) -> Mend:
    stand.postgres.stop()
    return stand.postgres.start


def cable_cut(stand: Stand, chance: random.Random) -> Mend:
    return _cut(stand, chance, silently=False)


def cable_silent(stand: Stand, chance: random.Random) -> Mend:
    return _cut(stand, chance, silently=True)


def _cut(stand: Stand, chance: random.Random, *, silently: bool) -> Mend:
    """Cut a bar, or all consumers but one, off from all nodes, or from all but one."""
    who = chance.choice([name for name in stand.cables if name != LEFT_ALONE])
    cables = list(stand.cables[who])
    if chance.random() < 0.5:
        cables.remove(chance.choice(cables))
    for cable in cables:
        cable.cut(silently=silently)

    def mend() -> None:
        for cable in cables:
            cable.mend()

    return mend


class Fault(NamedTuple):
    """What breaks, how often of 13, and how long until it is mended, seconds at least and most."""

    begin: Callable[[Stand, random.Random], Mend]
    often: int
    lasts_s: tuple[float, float]


FAULTS = (
    Fault(node_killed, 3, (0.1, 10.0)),
    Fault(node_frozen, 3, (0.1, 10.0)),
    Fault(broker_killed, 1, (0.1, 3.0)),
    Fault(page_killed, 1, (0.1, 3.0)),
    Fault(consumer_killed, 2, (0.1, 3.0)),
    Fault(postgres_killed, 1, (0.1, 3.0)),
    Fault(cable_cut, 1, CUT_S),
    Fault(cable_silent, 1, CUT_S),
)


class Times(NamedTuple):
    """How long the first event after each fault took, in seconds."""

    to_nats: list[float]
    to_postgres: list[float]


class Cuts:
    """Cables that are cut now, and when each is mended; rounds go on meanwhile."""

    def __init__(self) -> None:
        self._until_s: list[tuple[float, Mend]] = []

    def add(self, mend: Mend, until_s: float) -> None:
        """Mend it then."""
        self._until_s.append((until_s, mend))

    def mend(self, now_s: float) -> None:
        """Mend what is due."""
        for until_s, mend in list(self._until_s):
            if until_s <= now_s:
                mend()
                self._until_s.remove((until_s, mend))


def run_round(
    stand: Stand, probe: Bar, number: int, chance: random.Random, cuts: Cuts
) -> tuple[str, float, float]:
    """Do one fault and mend it; return its name, and how long an event of that moment took.

    That is the seconds until its bar had NATS's acknowledgement, and until it was in Postgres.
    """
    fault = chance.choices(FAULTS, [fault.often for fault in FAULTS])[0]
    mend = fault.begin(stand, chance)
    began_s = time.monotonic()
    probe.happen([number])
    mended_s = began_s + chance.uniform(*fault.lasts_s)
    mended = fault.lasts_s == CUT_S
    if mended:
        cuts.add(mend, mended_s)
    to_nats = to_postgres = 0.0
    while not (mended and to_nats and to_postgres):
        now_s = time.monotonic()
        if not mended and now_s > mended_s:
            mend()
            mended = True
        if not to_nats and probe.waiting() == 0:
            to_nats = time.monotonic() - began_s
        if not to_postgres and any(last >= number for _, last in stand.come(PROBE)):
            to_postgres = time.monotonic() - began_s
        cuts.mend(now_s)
        assert now_s < began_s + LIMIT_S, f"{fault.begin.__name__}: {probe.sender}"
        time.sleep(0.05)
    return fault.begin.__name__, to_nats, to_postgres


PROBE = "SELECT first_seq, last_seq FROM seen WHERE venue = 'probe' ORDER BY 1"


def check(stand: Stand, probe: Bar, rounds: int) -> int:
    """Let all come to rest and compare; return how many events there are. No cable is cut."""
    for bar in stand.bars:
        bar.resting.set()
    try:
        eventually(lambda: not any(map(stand.wrong, stand.bars)), LIMIT_S)
        eventually(lambda: stand.come(PROBE) == [(1, rounds)], LIMIT_S)
    except AssertionError:
        for log in sorted(stand.folder.glob("centre*.log")):
            sys.stdout.write(f"\n{log.name}: {log.read_text(errors='replace')[-1500:]}")
        for bar in stand.bars:
            if stand.wrong(bar):
                sys.stdout.write(f"\n{stand.wrong(bar)}\n{bar.last_words()}")
        sys.stdout.write(f"\nprobe: {stand.come(PROBE)} of {rounds}\n")
        raise
    events = sum(len(bar.sent()) for bar in stand.bars) + rounds
    for bar in stand.bars:
        bar.resting.clear()
    return events


async def order(urls: Sequence[str]) -> tuple[int, int, int]:
    """Read the stream: how many messages, how many of them again, how many behind a later one."""
    import nats

    client = await nats.connect(list(urls))
    stream = client.jetstream()
    info = await stream.stream_info("backdoor-events")
    found = await stream.subscribe("backdoor.>", ordered_consumer=True)
    newest: dict[str, int] = defaultdict(int)
    known: set[str] = set()
    again = behind = 0
    for _ in range(info.state.messages):
        message = await found.next_msg(30.0)
        name = (message.headers or {})["Nats-Msg-Id"]
        run, _, seq = name.rpartition(":")
        again += name in known
        behind += name not in known and int(seq) < newest[run]
        newest[run] = max(newest[run], int(seq))
        known.add(name)
    await client.close()
    return info.state.messages, again, behind


def main(rounds: int, seed: int = 1) -> None:
    """Run so many rounds and print what was counted and measured."""
    chance, cuts = random.Random(seed), Cuts()
    times: dict[str, Times] = defaultdict(lambda: Times([], []))
    began_s = time.monotonic()
    with (
        stand(cables=True) as all_,
        bar_without_controller(all_.folder, all_.urls, "probe") as probe,
    ):
        probe.start()
        for _ in range(CONSUMERS):
            all_.add_consumer()
        for venue in TOWNS[:BARS]:
            all_.add_bar(venue, SPEED, light=False)
        events = 0
        for number in range(1, rounds + 1):
            name, to_nats, to_postgres = run_round(all_, probe, number, chance, cuts)
            times[name].to_nats.append(to_nats)
            times[name].to_postgres.append(to_postgres)
            # One at a time: the next must not fall before this one has all that it missed.
            eventually(lambda: all(node.healthy() for node in all_.nodes), LIMIT_S)
            if number % CHECK_EVERY == 0 or number == rounds:
                cuts.mend(inf)
                events = check(all_, probe, number)
            done = {fault: len(found.to_nats) for fault, found in times.items()}
            sys.stdout.write(
                f"{number} of {rounds} in {time.monotonic() - began_s:.0f} s: {name}"
                f" {to_nats:.2f} {to_postgres:.2f} s, {done}, {events} events checked\n"
            )
            sys.stdout.flush()
        messages, again, behind = asyncio.run(order(all_.urls))
    sys.stdout.write(
        f"{rounds} faults in {time.monotonic() - began_s:.0f} s: {events} events, 0 lost,"
        f" 0 doubled in Postgres; {messages} in the stream, {again} of them again,"
        f" {behind} out of order\n"
    )
    report(times)
    assert behind == 0


def report(times: Mapping[str, Times]) -> None:
    """Print how long it took after each kind of fault until an event was safe again."""
    nodes = [found for name, found in times.items() if name.startswith("node")]
    both = Times(
        [one for found in nodes for one in found.to_nats],
        [one for found in nodes for one in found.to_postgres],
    )
    for name, found in [*sorted(times.items()), ("node, either way", both)]:
        if found.to_nats:
            sys.stdout.write(
                f"  {name:16} {len(found.to_nats):4} times; an event of that moment is in NATS"
                f" after {_spread(found.to_nats)}, in Postgres after {_spread(found.to_postgres)}\n"
            )


def _spread(times_s: Sequence[float]) -> str:
    return (
        f"{quantile(times_s, 0.5):.2f} s (99 %: {quantile(times_s, 0.99):.2f},"
        f" worst {max(times_s):.2f})"
    )
