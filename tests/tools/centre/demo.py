"""`make centre`: thirty bars, three nodes, Postgres, and the page of all. Ctrl-C ends it."""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag

from controller.config.loader import load
from tests.conftest import free_port
from tests.support.wait import eventually
from tests.tools.centre.stand import TOWNS, Process, Stand, stand
from web import pair_link

CONSUMERS = 2


def main(bars: int = 30, speed: float = 60.0, port: int = 0) -> None:
    """Run them until Ctrl-C; print the page's link when it answers."""
    ended = Flag()
    for how in (signal.SIGINT, signal.SIGTERM):
        signal.signal(how, lambda *_: ended.set())
    with stand() as all_:
        for _ in range(CONSUMERS):
            all_.add_consumer()
        page, link = all_page(all_, port or free_port())
        try:
            sys.stdout.write(f"page: {link}\n")
            sys.stdout.flush()
            for number in range(bars):
                if not ended.is_set():
                    name = TOWNS[number % len(TOWNS)]
                    venue = name if number < len(TOWNS) else f"{name}-{number // len(TOWNS) + 1}"
                    all_.add_bar(venue, speed, light=True)
            watch(all_, ended)
        finally:
            page.kill()


def all_page(all_: Stand, port: int) -> tuple[Process, str]:
    """Start the page of all bars; return it with its link, which leads to the tiles."""
    file = all_.folder / "all.toml"
    hosts = ", ".join(f'"127.0.0.1:{node.mqtt_port}"' for node in all_.nodes)
    file.write_text(
        Path(all_.centre_file()).read_text()
        + f'[house]\nvenue = "centre"\n[mqtt]\nhost = [{hosts}]\nprotocol = 4\n'
        + f'[web]\nhost = "127.0.0.1"\nport = {port}\nvenues = "+"\n'
        + f'secret_file = "{all_.folder / "secret"}"\n',
        encoding="utf-8",
    )
    page = Process(all_.folder / "web.log", "web", "--config", str(file))
    page.start()
    eventually(lambda: _answers(port))
    return page, pair_link(load(str(file)))


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def watch(all_: Stand, ended: Flag) -> None:
    """Say every ten seconds how many events have come."""
    before, at_s = 0, time.monotonic()
    while not ended.wait(10.0):
        found = all_.come("SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM seen")
        if found:
            events, now_s = int(found[0][0]), time.monotonic()
            rate = (events - before) / (now_s - at_s)
            sys.stdout.write(f"{len(all_.bars)} bars, {events} events, {rate:.0f} a second\n")
            sys.stdout.flush()
            before, at_s = events, now_s
