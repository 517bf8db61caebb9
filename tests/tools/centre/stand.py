"""Three NATS nodes, a Postgres, consumers and pages as processes, bars with their controllers.

A bar's controller is the real one on simulated pins, its broker a real mosquitto that bridges the
live state to the nodes; what feeds its history and sends it runs as the real page's process, or
(``light``) in a thread.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import Thread

from controller.config.loader import load
from controller.config.settings import Config
from controller.gpio.simulated import Simulator
from controller.journal.journal import read_last
from controller.mqtt.client import MqttLink
from controller.service.assembly import World, assemble, link_maker, simulated
from tests.conftest import Broker, free_port
from tests.support.cable import Cable
from tests.support.centre import rows
from tests.support.nats import Node, nats_nodes
from tests.support.postgres import Postgres, postgres_server
from tests.support.wait import eventually
from web.centre.sender import Sender
from web.nights.database import Row, StoreError
from web.nights.events import KEPT
from web.nights.feed import Feed

LIVE = ("status", "occupancy", "session", "door", "state", "night")
#: What guests and bartender do, and how often of a hundred.
ACTS = {
    "walk_in": 30, "walk_out": 30, "knock_hatch": 12, "open_hatch": 10, "close_hatch": 10,
    "knock_door": 5, "press_release": 2, "turn_back": 1,
}  # fmt: skip
MOST_INSIDE = 4
#: Bars are named after their towns, as an owner does.
TOWNS = (
    "milano", "torino", "genova", "bologna", "firenze", "roma", "napoli", "bari", "palermo",
    "catania", "venezia", "verona", "padova", "trieste", "parma", "modena", "pisa", "siena",
    "lucca", "como", "lecce", "aosta", "trento", "udine", "ancona", "perugia", "rimini", "ravenna",
    "pavia", "bergamo",
)  # fmt: skip


class Process:
    """One of our programs, that can be killed and started again."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log, self._arguments = log, arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "controller", *self._arguments], stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class SimulatedBar:
    """A bar with its controller, its broker and its page."""

    def __init__(
        self,
        folder: Path,
        venue: str,
        nodes: Sequence[Node],
        servers: Sequence[str],
        speed: float,
        *,
        light: bool,
    ) -> None:
        """``servers`` are the addresses at which this bar finds the nodes for its events."""
        self.venue, self._folder = venue, folder
        self._nodes, self._servers, self._speed = nodes, servers, speed
        folder.mkdir()
        self.broker = Broker(folder, ("allow_anonymous true", *self._bridge()))
        self.broker.start()
        self._file = folder / "backdoor.toml"
        self._file.write_text(self._toml(), encoding="utf-8")
        self.config: Config = load(str(self._file))
        self.page = Process(folder / "web.log", "web", "--config", str(self._file))
        self._feed = self._light_feed() if light else None
        world = World(partial(simulated, self.config), link_maker(self.config), speed=speed)
        self.running = assemble(self.config, world)
        loop = self.running.loop
        self._simulator = Simulator(
            self.running.clock, self.running.factory, loop.post, loop.wait_until_published
        )
        self._loop_thread = Thread(target=loop.run, daemon=True)
        self._actor = Thread(target=self._act, daemon=True)
        self._ended, self.resting = Flag(), Flag()

    def _light_feed(self) -> Feed:
        links = partial(MqttLink, self.config.mqtt)
        return Feed(self.config, links, outgoing=partial(Sender, self.config))

    def _bridge(self) -> list[str]:
        addresses = " ".join(f"127.0.0.1:{node.mqtt_port}" for node in self._nodes)
        return [
            "max_queued_messages 50000",
            "connection centre",
            f"address {addresses}",
            f"remote_clientid {self.venue}",
            "try_private false",
            "notifications false",
            "restart_timeout 1 5",
            *(f"topic backdoor/{self.venue}/{name} out 1" for name in LIVE),
        ]

    def _toml(self) -> str:
        servers = ", ".join(f'"{one}"' for one in self._servers)
        return (
            f'[house]\nvenue = "{self.venue}"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
            f'[web]\nport = {free_port()}\nsecret_file = "{self._folder / "secret"}"\n'
            f'[pins]\nfactory = "mock"\n'
            f'[journal]\npath = "{self._folder / "journal.db"}"\n'
            f'[nights]\ndatabase = "{self._folder / "nights.db"}"\n'
            f"[centre]\nservers = [{servers}]\n"
            "[lines]\nbeam_outer = 22\nbeam_inner = 23\ndoor_contact = 24\nhatch_knock = 17\n"
            "door_knock = 27\nhatch_contact = 5\nrelease_button = 6\nexit_button = 13\n"
            "strike = 16\nchime = 26\nhatch_light = 20\nfull_lamp = 21\n"
        )

    def start(self) -> None:
        """Begin: page first, so that the broker keeps everything for it."""
        if self._feed is not None:
            self._feed.start()
        else:
            self.page.start()
        eventually(self._history_listens)
        self.running.loop.begin(self.running.absence)
        self._loop_thread.start()
        self._actor.start()

    def _history_listens(self) -> bool:
        """Return whether the broker keeps events for the history; the page listens too."""
        text = self.broker.log.read_text(errors="replace")
        return bool(re.search(r"backdoor-nights-\S+ 1 \S+/event/\+", text))

    def _act(self) -> None:
        chance = random.Random(self.venue)
        names, often, inside = list(ACTS), list(ACTS.values()), 0
        while not self._ended.is_set():
            if self.resting.is_set():
                self._ended.wait(0.05)
                continue
            name = chance.choices(names, often)[0]
            if name == "walk_in" and inside >= MOST_INSIDE:
                name = "walk_out"
            elif name == "walk_out" and not inside:
                name = "walk_in"
            inside += {"walk_in": 1, "walk_out": -1}.get(name, 0)
            self._simulator.act(name)
            self._ended.wait(chance.uniform(1.0, 20.0) / self._speed)

    def sent(self) -> list[tuple[int, str]]:
        """Return number and name of every event in the controller's journal."""
        with suppress(OSError):
            return [(row.seq, row.name) for row in read_last(self.config.journal.path, 10**9)]
        return []

    def last_words(self) -> str:
        """Return the end of the page's log and what waits in its outbox."""
        log = self._folder / "web.log"
        lines = log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []
        waiting = rows(self.config.nights.database, "SELECT COUNT(*) FROM outbox")
        return "\n".join([*lines, f"waiting in the outbox: {waiting}"])

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._simulator.stop()
        self._actor.join(20.0)
        self.running.loop.stop()
        self._loop_thread.join(20.0)
        if self._feed is not None:
            self._feed.stop()
        self.page.kill()
        self.broker.kill()


class Stand:
    """All of it."""

    def __init__(
        self, folder: Path, nodes: list[Node], postgres: Postgres, *, cables: bool
    ) -> None:
        """``cables``: bars and consumers reach the nodes by cables that can be cut."""
        self.folder, self.nodes, self.postgres = folder, nodes, postgres
        self.database = postgres.new_database()
        self._with_cables = cables
        #: Who reaches the nodes by which cables.
        self.cables: dict[str, list[Cable]] = {}
        self.bars: list[SimulatedBar] = []
        self.consumers: list[Process] = []

    @property
    def urls(self) -> list[str]:
        """The nodes' addresses."""
        return [node.url for node in self.nodes]

    def urls_of(self, name: str) -> list[str]:
        """Return where this bar or consumer finds the nodes: at the end of cables of its own."""
        if not self._with_cables:
            return self.urls
        self.cables[name] = [Cable(node.port) for node in self.nodes]
        return [f"nats://127.0.0.1:{cable.port}" for cable in self.cables[name]]

    def centre_file(self, name: str = "centre") -> str:
        """Return the configuration of the centre."""
        file = self.folder / f"{name}.toml"
        servers = ", ".join(f'"{url}"' for url in self.urls_of(name))
        file.write_text(
            f'[nights]\ndatabase = "{self.database}"\n[centre]\nservers = [{servers}]\n',
            encoding="utf-8",
        )
        return str(file)

    def add_consumer(self) -> Process:
        """Start one more `backdoor centre`."""
        name = f"centre{len(self.consumers)}"
        file, log = self.centre_file(name), self.folder / f"{name}.log"
        self.consumers.append(Process(log, "centre", "--config", file))
        self.consumers[-1].start()
        return self.consumers[-1]

    def add_bar(self, venue: str, speed: float, *, light: bool) -> SimulatedBar:
        """Start one more bar."""
        servers = self.urls_of(venue)
        folder = self.folder / venue
        self.bars.append(SimulatedBar(folder, venue, self.nodes, servers, speed, light=light))
        self.bars[-1].start()
        return self.bars[-1]

    def come(self, sql: str) -> list[Row]:
        """Return what is in Postgres; nothing while it can't be asked."""
        with suppress(StoreError):
            return rows(self.database, sql)
        return []

    def wrong(self, bar: SimulatedBar) -> str:
        """Return what of a bar's events is not in Postgres as it happened; "" if all is."""
        sent = bar.sent()
        found = self.come(
            f"SELECT first_seq, last_seq FROM seen WHERE venue = '{bar.venue}' ORDER BY 1"
        )
        if not sent or found != [(sent[0][0], sent[-1][0])]:
            return f"{bar.venue}: {sent[0][0] if sent else 0} to {len(sent)} happened, {found} came"
        kept = self.come(f"SELECT seq, name FROM event WHERE venue = '{bar.venue}' ORDER BY seq")
        wanted = [one for one in sent if one[1] in KEPT]
        return "" if kept == wanted else f"{bar.venue}: {len(kept)} of {len(wanted)} are kept"

    def stop(self) -> None:
        """End it."""
        for consumer in self.consumers:
            consumer.kill()
        threads = [Thread(target=bar.stop) for bar in self.bars]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for cables in self.cables.values():
            for cable in cables:
                cable.close()


@contextmanager
def stand(nodes: int = 3, *, cables: bool = False) -> Iterator[Stand]:
    """Run nodes and Postgres for a `with` block, and what is added to them."""
    with ExitStack() as stack:
        # In memory, where that can be had: a disk that others keep busy would be measured.
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="backdoor-centre-", dir=place)
        )
        folder = Path(name)
        folder.chmod(0o755)
        cluster = stack.enter_context(nats_nodes(folder / "nats", nodes))
        # What is committed is with the kernel: it may be killed, the machine may not.
        postgres = stack.enter_context(postgres_server("synchronous_commit=on"))
        found = Stand(folder, cluster, postgres, cables=cables)
        try:
            yield found
        finally:
            found.stop()
