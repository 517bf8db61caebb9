"""A thousand doors on one mosquitto, and on two that are bridged to a third.

``python -m tests.tools.bench.bench_venues [doors [seconds]]``. Each door is a link of its own (the
controller's `MqttLink`) that says what a controller says in an evening: a heartbeat a second, its
retained states every ten seconds, and one change of the count a minute. Reported: what the broker
needs in CPU and memory for each door, and how long a change takes to the tiles of all bars (a real
`Venues` on a link of its own). Nothing of ours stands in between.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.mqtt.message import Message, Topics
from controller.mqtt.snapshot import Stamp, heartbeat, snapshot, state_messages, status
from controller.rules.occupancy import settled
from controller.rules.state import RuleSettings, State
from controller.service.heartbeat import Latency
from tests.conftest import Broker
from web.routes.venues import Venues

DOORS, SECONDS = 1000, 30.0
PROCESSES = 4
CONNECTIONS = ("allow_anonymous true", "max_connections -1", "max_queued_messages 0")
TICKS = os.sysconf("SC_CLK_TCK")


def link(port: int, name: str, **manners: Any) -> MqttLink:
    """Return a link to the broker on this port."""
    usual: dict[str, Any] = {
        "subscriptions": (),
        "on_message": lambda _: None,
        "on_up": lambda: None,
        "on_down": lambda _: None,
        "on_ack": lambda _: None,
    }
    return MqttLink(Mqtt(host="127.0.0.1", port=port), client_id=name, **{**usual, **manners})


class Door:
    """What one controller says."""

    def __init__(self, port: int, number: int) -> None:
        self._venue = f"bar{number}"
        self._topics = Topics(f"backdoor/{self._venue}")
        self._number = number
        self._seq = 0
        self._loop = Latency().as_dict()
        self._link = link(
            port,
            f"door-{os.getpid()}-{number}",
            subscriptions=[self._topics("cmd/+")],
            will=status(self._topics, "offline"),
            birth=status(self._topics, "online"),
        )
        self._link.start()

    def beat(self, second: int) -> None:
        """Say what is due in this second; every door at its own."""
        beat = heartbeat(self._topics, "00000000", self._seq, second, loop=self._loop)
        self._link.publish(beat)
        if (second + self._number) % 10 == 0:
            self._tell()

    def _tell(self) -> None:
        self._seq += 1
        stamp = Stamp(self._venue, "00000000", self._seq, 1.0, time.time())
        values = snapshot(State(occupancy=settled(self._seq % 5)), RuleSettings(), stamp)
        # the moment of saying rides along, for the clock at the other end
        values["occupancy"]["said_s"] = time.time()
        for message in state_messages(self._topics, values):
            self._link.publish(message)


def doors(port: int, first: int, count: int, seconds: float, gate: Any) -> None:
    """Be so many doors, for so long after everybody is connected."""
    here = [Door(port, first + number) for number in range(count)]
    while not all(door._link.connected for door in here):
        time.sleep(0.05)
    gate.wait()
    began = time.monotonic()
    for second in range(int(seconds)):
        for number, door in enumerate(here):
            due = began + second + number / count
            time.sleep(max(due - time.monotonic(), 0))
            door.beat(second)
    gate.wait()
    os._exit(0)  # a thousand goodbyes are not what is measured


class Tiles:
    """The tiles of all bars, with a clock at their end."""

    def __init__(self, port: int) -> None:
        self.venues = Venues("backdoor")
        self.took_ms: list[float] = []
        self._link = link(port, "tiles", subscriptions=self.venues.topics(), on_message=self._hear)
        self._link.start()

    def _hear(self, message: Message) -> None:
        self.venues.receive("", message)
        if message.topic.endswith("/occupancy") and not message.retain:
            self.took_ms.append((time.time() - json.loads(message.payload)["said_s"]) * 1000)

    def online(self) -> int:
        """How many bars are there."""
        return sum(tile["link"] == "online" for tile in self.venues.tiles())

    def stop(self) -> None:
        """Leave."""
        self._link.stop()


def used(pid: int) -> tuple[float, float]:
    """Return the CPU seconds and resident MB of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return (int(fields[11]) + int(fields[12])) / TICKS, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def evening(ports: list[int], at: int, brokers: list[Broker], count: int, seconds: float) -> None:
    """Run so many doors on the brokers of ``ports``, tiles on ``at``; print what it took."""
    empty = [used(broker.pid)[1] for broker in brokers]
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES + 1)
    share = count // PROCESSES
    workers = [
        context.Process(
            target=doors, args=(ports[n % len(ports)], n * share, share, seconds, gate), daemon=True
        )
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    tiles = Tiles(at)
    gate.wait(timeout=120)
    before, began = [used(broker.pid)[0] for broker in brokers], time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began
    for number, broker in enumerate(brokers):
        cpu_s, rss = used(broker.pid)
        load = (cpu_s - before[number]) / took_s
        say(
            f"  broker {number + 1}: {load:6.1%} of a core, {load / count * 1e6:5.0f} us/s a door, "
            f"{(rss - empty[number]) * 1000 / count:4.0f} KB a door"
        )
    online, took = tiles.online(), sorted(tiles.took_ms)
    gate.wait(timeout=60)
    for worker in workers:
        worker.join(10)
    tiles.stop()
    cuts = statistics.quantiles(took, n=100)
    say(
        f"  {online} tiles online; change to tile: median {cuts[49]:.1f} ms, 99 % {cuts[98]:.1f} ms"
    )


def say(text: str) -> None:
    """Print a line of the table, at once."""
    print(text, flush=True)


def started(folder: Path, name: str, *lines: str) -> Broker:
    """Return a running broker."""
    (folder / name).mkdir()
    broker = Broker(folder / name, (*CONNECTIONS, *lines))
    broker.start()
    return broker


def one(folder: Path, count: int, seconds: float) -> None:
    """All doors on one broker."""
    say(f"{count} doors on one mosquitto, {seconds:g} s")
    broker = started(folder, "one")
    try:
        evening([broker.port], broker.port, [broker], count, seconds)
    finally:
        broker.kill()


def bridged(folder: Path, count: int, seconds: float) -> None:
    """Half of the doors on each of two brokers, both bridged to a third with the tiles."""
    say(f"{count} doors on two mosquittos, each bridged to a third where the tiles are")
    centre = started(folder, "centre")
    edges = [started(folder, name, *_bridge(name, centre.port)) for name in ("east", "west")]
    try:
        evening([e.port for e in edges], centre.port, [*edges, centre], count, seconds)
    finally:
        for broker in (*edges, centre):
            broker.kill()


def _bridge(name: str, port: int) -> tuple[str, ...]:
    """What a house tells the centre: states and events; heartbeats stay where they are."""
    topics = ("status", "occupancy", "session", "door", "state", "event/+")
    return (
        f"connection {name}",
        f"address 127.0.0.1:{port}",
        "cleansession true",
        "notifications false",
        *(f"topic backdoor/+/{topic} out 1" for topic in topics),
        "topic backdoor/+/cmd/+ in 1",
    )


def main(count: int = DOORS, seconds: float = SECONDS) -> None:
    """Print both tables."""
    ways: tuple[Callable[[Path, int, float], None], ...] = (one, bridged)
    with tempfile.TemporaryDirectory() as folder:
        for way in ways:
            way(Path(folder), count, seconds)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else DOORS, float(given[1]) if given[1:] else SECONDS)
