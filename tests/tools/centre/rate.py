"""How many events a second go from the outboxes into NATS, and from there into Postgres."""

from __future__ import annotations

import sys
import time
from threading import Thread

from tests.support.centre import Bar, centre, configured
from tests.support.centre import bar as bar_of_one
from tests.support.wait import eventually
from tests.tools.centre.stand import Stand, stand
from web.centre.consumer import Consumer

BARS = 30
LIMIT_S = 240.0


def main(events: int = 60_000) -> None:
    """Send so many events of thirty bars, then write them with one consumer."""
    with stand() as all_:
        with centre(all_.database, all_.urls), bar_of_one(all_.folder, all_.urls, "first") as first:
            first.happen([1])  # the stream is there when it is acknowledged
            first.start()
            eventually(lambda: not first.waiting(), LIMIT_S)
        bars = [Bar(all_.folder, all_.urls, f"bar{n}") for n in range(BARS)]
        each = events // BARS
        for bar in bars:
            bar.happen(range(1, each + 1))
        began_s = time.monotonic()
        for bar in bars:
            bar.start()
        eventually(lambda: not any(bar.waiting() for bar in bars), LIMIT_S)
        sent_s = time.monotonic() - began_s
        for bar in bars:
            bar.close()
        _write(all_, each * BARS, sent_s)


def _write(all_: Stand, events: int, sent_s: float) -> None:
    consumer = Consumer(configured(all_.database, all_.urls))
    began_s, cpu_s = time.monotonic(), time.process_time()
    thread = Thread(target=consumer.run)
    thread.start()
    eventually(lambda: consumer.written >= events, LIMIT_S)
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    consumer.stop()
    thread.join()
    sys.stdout.write(
        f"{events} events of {BARS} bars: outboxes to NATS {events / sent_s:.0f} a second, NATS to"
        f" Postgres by one consumer {events / took_s:.0f} a second,"
        f" {cpu_s / events * 1e6:.0f} us of its processor an event\n"
    )
