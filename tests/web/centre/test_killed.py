"""A consumer, or a bar that joins, that dies at any point loses and doubles nothing: it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.centre import bar, before_joining, centre, come, messages, rows
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


#: Sends the past in batches of five, and dies with the second.
JOINING = """
import os, signal, sys, time
from tests.support.centre import configured
from web.centre import sender
from web.nights import outbox
from web.nights.database import connect
from web.nights.store import Store

sender.BATCH = 5
when, database, url = sys.argv[1:]
store = Store(connect(database, writing=True), {}, time.time, outbox_of="bar")
real, batches = outbox.acknowledged, []

def acknowledged(database, positions):
    batches.append(positions)
    if len(batches) == 2 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(database, positions)
    if len(batches) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

outbox.acknowledged = acknowledged
one = sender.Sender(configured(database, [url]), store.id)
one.start()
one._thread.join()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_bar_killed_while_it_sends_what_was_before_it_joined(
    when: str, tmp_path: Path, node: Node, postgres: Postgres
) -> None:
    """Before or after it notes that the centre has a batch; each event is there once."""
    there = before_joining(tmp_path, [("b0", range(1, 13)), ("b1", [*range(13, 20), 23])])
    database = postgres.new_database()
    with centre(database, [node.url]):
        killed = subprocess.run(
            [sys.executable, "-c", JOINING, when, str(tmp_path / "bar.db"), node.url],
            cwd=Path(__file__).parents[3],
            timeout=HANGS_S,
            check=False,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert killed.returncode == -signal.SIGKILL
        with bar(tmp_path, [node.url]) as mine:
            assert mine.waiting() == (15 if when == "before" else 10)
            mine.start()
            eventually(lambda: come(database) == there)
            eventually(lambda: mine.waiting() == 0)
    assert messages(node) == 20
