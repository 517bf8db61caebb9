"""A consumer that dies at any point loses nothing and doubles nothing: the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.centre import bar, centre, come, rows
from tests.support.nats import Node
from tests.support.postgres import Postgres
from tests.support.wait import HANGS_S, eventually
from web.centre import stream

#: Where it dies: what is called then, and whether before or after.
POINTS = {
    "before the events are read": ("web.centre.wire.read", "before"),
    "before they are written": ("web.nights.store.Store.flush", "before"),
    "before the commit": ("web.nights.store.Store.commit", "before"),
    "after the commit": ("web.nights.store.Store.commit", "after"),
    "between the acknowledgements": ("nats.aio.client.Client.publish", "after"),
}
VICTIM = """
import os, signal, sys
from pkgutil import resolve_name
from tests.support.centre import configured
from web.centre import consumer, stream
import nats.aio.client

stream.WRITTEN_S = 2
consumer.BATCH = 5
path, when, database, url = sys.argv[1:]
owner, _, name = path.rpartition(".")
holder = resolve_name(owner)
real = getattr(holder, name)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def killed(*arguments, **named):
    if when == "before":
        die()
    answer = real(*arguments, **named)
    if when == "after":
        die()
    return answer

async def killed_later(self, subject, payload=b"", *arguments, **named):
    await real(self, subject, payload, *arguments, **named)
    if payload == b"+ACK":
        await self.flush()
        die()

setattr(holder, name, killed_later if "publish" in path else killed)
consumer.Consumer(configured(database, [url])).run()
"""


@pytest.mark.parametrize("point", POINTS)
def test_consumer_killed_at_every_point(
    point: str,
    tmp_path: Path,
    node: Node,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "WRITTEN_S", 2)
    database = postgres.new_database()
    with bar(tmp_path, [node.url]) as one:
        one.happen(range(1, 21))
        one.start()
        killed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(VICTIM), *POINTS[point], database, node.url],
            cwd=Path(__file__).parents[3],
            timeout=HANGS_S,
            check=False,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert killed.returncode == -signal.SIGKILL
        with centre(database, [node.url]):
            eventually(lambda: come(database) == [("bar", "b1", 1, 20)])
    found = rows(database, "SELECT seq FROM event ORDER BY seq")
    assert found == [(seq,) for seq in range(1, 21)]
