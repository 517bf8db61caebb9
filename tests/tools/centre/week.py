"""A bar that was away for a week comes back: it catches up, and no other waits for it."""

from __future__ import annotations

import sys
import time

from tests.support.centre import Bar, bar
from tests.support.wait import eventually
from tests.tools.bench.measure import quantile
from tests.tools.centre.stand import Stand, stand

EVENTS = 40_000
LIMIT_S = 240.0


def main() -> None:
    """Fill an outbox, let it go, and send events of another bar meanwhile."""
    with stand() as all_, bar(all_.folder, all_.urls, "away") as away:
        all_.add_consumer()
        all_.add_consumer()
        away.happen(range(1, EVENTS + 1))
        with bar(all_.folder, all_.urls, "other") as other:
            other.start()
            calm = [_delay_s(all_, other, n) for n in range(1, 11)]
            began_s = time.monotonic()
            away.start()
            busy, number, sent_s = [], 10, 0.0
            while all_.come("SELECT SUM(last_seq) FROM seen WHERE venue = 'away'") != [(EVENTS,)]:
                number += 1
                busy.append(_delay_s(all_, other, number))
                if not sent_s and not away.waiting():
                    sent_s = time.monotonic() - began_s
                assert time.monotonic() < began_s + LIMIT_S
            whole_s = time.monotonic() - began_s
    sys.stdout.write(
        f"{EVENTS} events of a week: in NATS after {sent_s or whole_s:.1f} s, in Postgres after"
        f" {whole_s:.1f} s\nanother bar's event to Postgres: median {quantile(calm, 0.5):.2f} s"
        f" before, {quantile(busy, 0.5):.2f} s meanwhile (99 % {quantile(busy, 0.99):.2f} s)\n"
    )


def _delay_s(all_: Stand, other: Bar, number: int) -> float:
    """Let one event happen, and return how long it takes into Postgres."""
    began_s = time.monotonic()
    other.happen([number])
    sql = "SELECT MAX(last_seq) FROM seen WHERE venue = 'other'"
    eventually(lambda: all_.come(sql) == [(number,)], LIMIT_S)
    return time.monotonic() - began_s
