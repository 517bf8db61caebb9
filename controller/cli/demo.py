"""The demo: controller and page in one process.

They run on simulated pins, joined by a bus in memory (or a real broker); nothing else differs from
the real service.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic

from controller.config.loader import ConfigError, load, parse
from controller.config.settings import Config, JournalSettings, NightsSettings, Web
from controller.gpio.simulated import Move, Simulator
from controller.mqtt.memory import InMemoryBroker
from controller.rules.occupancy import settled
from controller.rules.state import State
from controller.service.assembly import World, alone, assemble, link_maker, simulated
from controller.service.publisher import LinkMaker
from controller.trace import TraceError, load_trace
from web import pair_link
from web.security.pairing import own_address, qr_text
from web.server import page_server

#: The demo's link is printed when the controller's messages reach the page, or after this long.
LIVE_WITHIN_S = 3.0
OPEN_TO_THE_NETWORK = (
    "--lan: anyone on this network can reach this demo door; only paired phones get in"
)
ON_THIS_MACHINE = (
    "This link is for this machine. For a phone on your network: make run LAN=1\n"
    "(or backdoor demo --lan). Ctrl-C ends it."
)
NO_NETWORK = "--lan: this machine is on no network; join one, or leave --lan (LAN=1) out"


@dataclass(frozen=True, slots=True)
class Options:
    """The demo's options on the command line."""

    broker: str | None = None
    trace: str | None = None
    speed: float = 1.0
    inside: int = 0
    lan: bool = False


def demo_config(
    path: str | None, sets: tuple[str, ...], folder: Path, options: Options, port: int | None
) -> Config:
    """Return the configuration of a demo: this machine only, nothing kept unless asked to."""
    config = load(path, sets) if path else parse({}, "demo", sets)
    web, journal = _listening(config.web, options.lan), config.journal
    web = web if port is None else replace(web, port=port)
    if web.secret_file == Web().secret_file:
        web = replace(web, secret_file=str(folder / "pairing.secret"))
    if journal.path == JournalSettings().path:
        journal = replace(journal, path=str(folder / "journal.db"))
    nights = config.nights
    if nights.database == NightsSettings().database:
        nights = replace(nights, database=str(folder / "nights.db"))
    mqtt = replace(config.mqtt, host="")
    if options.broker is not None:
        host, _, number = options.broker.partition(":")
        if not host or not (number or "1883").isdigit() or not 0 < int(number or 1883) < 65536:
            raise ConfigError([f'--mqtt: must be HOST or HOST:PORT, got "{options.broker}"'])
        mqtt = replace(mqtt, host=host, port=int(number or mqtt.port))
    return replace(config, factory="mock", web=web, journal=journal, mqtt=mqtt, nights=nights)


def _listening(web: Web, lan: bool) -> Web:
    """Return where the demo's page listens: on loopback, or at this machine's own address."""
    if not lan:
        return replace(web, host="127.0.0.1", public_url="")
    address = own_address()
    if address is None:
        raise ConfigError([NO_NETWORK])
    return replace(web, host="0.0.0.0", public_url="", allowed_hosts=(*web.allowed_hosts, address))


def run_demo(
    config: Config,
    options: Options,
    *,
    echo: Callable[..., None],
    on_stop_signal: Callable[[Callable[[], None]], None],
) -> None:
    """Run controller and page until a signal; prints the page's link when both are ready."""
    moves = _moves(options.trace) if options.trace else []
    links: LinkMaker = link_maker(config) if config.mqtt.host else alone(InMemoryBroker())
    fresh = State(occupancy=settled(options.inside))
    world = World(partial(simulated, config), links, speed=options.speed, fresh=fresh)
    running = assemble(config, world)
    loop = running.loop
    bench = Simulator(running.clock, running.factory, loop.post, loop.wait_until_published)
    page = _Page(config, links, bench, options.speed)
    on_stop_signal(loop.stop)
    loop.begin(running.absence)
    page.start()
    link = pair_link(replace(config, web=replace(config.web, port=page.port)))

    def begin() -> None:
        page.wait_until_live()
        _welcome(link, options.lan, echo)
        if moves:
            _play(bench, moves, echo)

    Thread(target=begin, name="welcome", daemon=True).start()
    try:
        loop.run()
    finally:
        bench.stop()
        page.stop()


def _welcome(link: str, lan: bool, echo: Callable[..., None]) -> None:
    """Print the link and, for whoever sits at a terminal, its QR code and what to know."""
    if lan:
        echo(OPEN_TO_THE_NETWORK, err=True)
    echo(f"page: {link}")
    if _draws_blocks():
        echo(qr_text(link), nl=False)
        echo("Ctrl-C ends it." if lan else ON_THIS_MACHINE)


def _draws_blocks() -> bool:
    """Return whether stdout is a terminal whose encoding has the blocks of a QR code."""
    if sys.stdout is None or not sys.stdout.isatty():
        return False
    try:
        return bool("▀▄█".encode(sys.stdout.encoding))
    except (LookupError, UnicodeEncodeError):
        return False


def _moves(trace: str) -> list[Move]:
    try:
        return [Move(*row) for row in load_trace(trace)]
    except TraceError as error:
        raise ConfigError([str(error)]) from None


def _play(bench: Simulator, moves: list[Move], echo: Callable[[str], None]) -> None:
    echo(f"trace: {len(moves)} rows, {moves[-1].at_ms / 60_000:.1f} min")
    bench.play(moves)
    echo("trace: played")


class _Page:
    """The page in a thread of this process."""

    def __init__(self, config: Config, links: LinkMaker, bench: Simulator, speed: float) -> None:
        self._page = page_server(config, links, simulator=bench, speed=speed)
        self.port = self._page.server.port
        self._thread = Thread(target=self._page.server.serve, name="page", daemon=True)

    def start(self) -> None:
        self._page.start()
        self._thread.start()

    def wait_until_live(self) -> None:
        """Return when the controller's messages reach the page, or it shows that none come."""
        end_s = monotonic() + LIVE_WITHIN_S
        mirror = self._page.mirror
        while (seen := mirror.view()).link != "online" and monotonic() < end_s:
            mirror.wait(seen.version, 0.2)

    def stop(self) -> None:
        self._page.server.stop()
        self._page.stop()
        self._thread.join(5)
