"""``python -m tests.tools.model [CAPACITY ...]``: walk every slice, print the sums."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice

from tests.tools.model.slices import every
from tests.tools.model.walk import Walk, Walked

CAPACITIES = (1, 2, 3, 4)
BAR = 30


def _walk(number: int, capacities: tuple[int, ...]) -> tuple[str, Walked]:
    """Walk the slice of that number; slices hold functions and can't travel between processes."""
    part = next(islice(every(capacities), number, None))
    return part.name, Walk(part).run(part.most_steps)


def _progress(done: int, of: int, began_s: float) -> None:
    full = BAR * done // of
    bar = "#" * full + "." * (BAR - full)
    sys.stderr.write(f"\r[{bar}] {done} of {of} slices, {time.monotonic() - began_s:.0f} s ")
    sys.stderr.flush()


def main(capacities: tuple[int, ...]) -> int:
    """Walk all slices on all processors; return 1 when a law is broken."""
    began_s, count = time.monotonic(), sum(1 for _ in every(capacities))
    sums = Walked()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_walk, number, capacities) for number in reversed(range(count))]
        _progress(0, count, began_s)
        for done, job in enumerate(as_completed(jobs), 1):
            name, walked = job.result()
            sums.states += walked.states
            sums.steps += walked.steps
            sums.beyond += walked.beyond
            sums.ways += walked.ways
            sys.stdout.write(f"\r{name:44}{walked.states:>10,} states{walked.steps:>12,} steps\n")
            _progress(done, count, began_s)
    sys.stderr.write("\n")
    for way in sums.ways:
        sys.stdout.write(f"BROKEN {way}\n")
    sys.stdout.write(
        f"{sums.states:,} states, {sums.steps:,} steps ({sums.beyond:,} to beyond the bound), "
        f"{len(sums.ways)} laws broken, {time.monotonic() - began_s:.0f} s\n"
    )
    return 1 if sums.ways else 0


if __name__ == "__main__":
    sys.exit(main(tuple(map(int, sys.argv[1:])) or CAPACITIES))
