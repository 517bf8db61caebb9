"""Rounds of one fault each, under load: nothing is lost, nothing doubled, all in order."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from tests.support.centre import Bar
from tests.support.centre import bar as bar_without_controller
from tests.support.wait import eventually
from tests.tools.bench.measure import quantile
from tests.tools.centre.stand import TOWNS, Stand, stand

BARS, CONSUMERS, SPEED = 4, 2, 60.0
CHECK_EVERY = 10
#: A machine that does ten other things needs long to come back.
LIMIT_S = 240.0


def node_killed(stand: Stand, chance: random.Random) -> Callable[[], None]:
    node = chance.choice(stand.nodes)
    node.kill()
    return node.start


def node_frozen(stand: Stand, chance: random.Random) -> Callable[[], None]:
    node = chance.choice(stand.nodes)
    node.freeze()
    return node.thaw


def broker_killed(stand: Stand, chance: random.Random) -> Callable[[], None]:
    broker = chance.choice(stand.bars).broker
    broker.kill()
    return broker.start


def page_killed(stand: Stand, chance: random.Random) -> Callable[[], None]:
    page = chance.choice(stand.bars).page
    page.kill()
    return page.start


def consumer_killed(stand: Stand, chance: random.Random) -> Callable[[], None]:
    consumer = chance.choice(stand.consumers)
    consumer.kill()
    return consumer.start


def postgres_killed(stand: Stand, chance: random.Random) -> Callable[[], None]:
    stand.postgres.stop()
    return stand.postgres.start


#: Each fault, how often of ten, and whether bars feel it.
FAULTS = (
    (node_killed, 3, True),
    (node_frozen, 3, True),
    (broker_killed, 1, False),
    (page_killed, 1, False),
    (consumer_killed, 2, False),
    (postgres_killed, 1, False),
)


def run_round(
    stand: Stand, probe: Bar, number: int, chance: random.Random, times: dict[str, list[float]]
) -> str:
    """Do one fault and mend it; note how long an event of that moment waited in its bar."""
    fault, _, felt = chance.choices(FAULTS, [often for _, often, _ in FAULTS])[0]
    mend = fault(stand, chance)
    began_s = time.monotonic()
    probe.happen([number])
    mended_s = began_s + chance.uniform(0.1, 10.0 if felt else 3.0)
    mended = waited = False
    while not (mended and waited):
        if not mended and time.monotonic() > mended_s:
            mend()
            mended = True
        if not waited and probe.waiting() == 0:
            times[fault.__name__].append(time.monotonic() - began_s)
            waited = True
        assert time.monotonic() < began_s + LIMIT_S, f"{fault.__name__}: {probe.sender}"
        time.sleep(0.02)
    return fault.__name__


def check(stand: Stand, probe: Bar, rounds: int) -> int:
    """Let all come to rest and compare; return how many events there are."""
    for bar in stand.bars:
        bar.resting.set()
    sql = "SELECT first_seq, last_seq FROM seen WHERE venue = 'probe'"
    try:
        eventually(lambda: not any(map(stand.wrong, stand.bars)), LIMIT_S)
        eventually(lambda: stand.come(sql) == [(1, rounds)], LIMIT_S)
    except AssertionError:
        for log in sorted(stand.folder.glob("centre*.log")):
            sys.stdout.write(f"\n{log.name}: {log.read_text(errors='replace')[-1500:]}")
        for bar in stand.bars:
            if stand.wrong(bar):
                sys.stdout.write(f"\n{stand.wrong(bar)}\n{bar.last_words()}")
        sys.stdout.write(f"\nprobe: {stand.come(sql)} of {rounds}\n")
        raise
    for bar in stand.bars:
        bar.resting.clear()
    return sum(len(bar.sent()) for bar in stand.bars) + rounds


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
    chance, times = random.Random(seed), defaultdict[str, list[float]](list)
    done: Counter[str] = Counter()
    began_s = time.monotonic()
    with stand() as all_, bar_without_controller(all_.folder, all_.urls, "probe") as probe:
        probe.start()
        for _ in range(CONSUMERS):
            all_.add_consumer()
        for venue in TOWNS[:BARS]:
            all_.add_bar(venue, SPEED, light=False)
        events = 0
        for number in range(1, rounds + 1):
            done[run_round(all_, probe, number, chance, times)] += 1
            # One at a time: the next must not fall before this one has all that it missed.
            eventually(lambda: all(node.healthy() for node in all_.nodes), LIMIT_S)
            if number % CHECK_EVERY == 0 or number == rounds:
                events = check(all_, probe, number)
            sys.stdout.write(f"\r{number} of {rounds}: {dict(done)}, {events} events checked ")
            sys.stdout.flush()
        messages, again, behind = asyncio.run(order(all_.urls))
    sys.stdout.write(
        f"\n{rounds} faults in {time.monotonic() - began_s:.0f} s: {events} events, 0 lost,"
        f" 0 doubled in Postgres; {messages} in the stream, {again} of them again,"
        f" {behind} out of order\n"
    )
    for name, waited in sorted(times.items()):
        sys.stdout.write(
            f"  {name:16} {len(waited):4} times, acknowledged after: median"
            f" {quantile(waited, 0.5):.2f} s, 99 % {quantile(waited, 0.99):.2f} s\n"
        )
    assert behind == 0
