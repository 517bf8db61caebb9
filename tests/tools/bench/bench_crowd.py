"""A paired phone's commands while strangers ask for the page all the time.

Page and crowd (2,000 connections from 50 addresses) are processes of their own. Once as it is, and
once with so many busy loops beside them (``ARGS``, 2).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests.support.paired_phone import PairedPhone, a_crowd, a_page

COMMANDS = 30
MANNERS = ("", "idle", "drip", "ask")


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep processors busy until the end of the block."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for program in programs:
            program.terminate()
            program.wait()


def took_s(command: Callable[[], int]) -> float:
    """Return how long a command took."""
    began_s = time.monotonic()
    assert command() == 200
    return time.monotonic() - began_s


def measured(manner: str) -> str:
    """Return the figures for a crowd of this manner."""
    with a_page() as (port, secret), contextlib.ExitStack() as crowd:
        phone = PairedPhone(port, secret)
        if manner:
            crowd.enter_context(a_crowd(port, manner))
        kept, new = [], []
        for _ in range(COMMANDS):
            kept.append(took_s(lambda: phone.command(phone.kept)))
            new.append(took_s(phone.command_on_a_new_connection))
        phone.kept.close()
    return " | ".join(f"{statistics.median(took):.3f} ({max(took):.3f})" for took in (kept, new))


def main(loops: int = 2) -> None:
    """Print a table: median and worst, seconds."""
    sys.stdout.write(
        "| load | crowd | on its open connection | on a new one |\n|---|---|---|---|\n"
    )
    for beside in (0, loops):
        with busy(beside):
            for manner in MANNERS:
                figures = measured(manner)
                load = f"{os.getloadavg()[0]:.0f}, {beside} busy loops"
                sys.stdout.write(f"| {load} | {manner or 'none'} | {figures} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
