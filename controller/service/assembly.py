"""Puts the controller together from its configuration, bottom-up: each part gets what it needs.

The journal comes first, the pins next, the network last. Where two parts need each other, the
earlier one gets the queue of the loop.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from controller import codec
from controller.clock import Clock, Moment, boot_id, boottime_ms, resumed, wall_s
from controller.config.settings import Config, input_lines, output_lines
from controller.engine import Engine
from controller.events import Edge, Fault
from controller.gpio.factories import PinsError, make_factory
from controller.gpio.pins import Pins
from controller.gpio.simulated import SimulatedPins
from controller.integrations.announced import former_names
from controller.integrations.announcements import WatchedTopics
from controller.integrations.devices import Devices
from controller.integrations.discovery import Host, discovery_messages, stale_topics
from controller.journal.recovery import Opened, open_journal
from controller.mqtt.inbox import Inbox
from controller.mqtt.link import Link
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Topics
from controller.rules.state import RuleSettings, State
from controller.service.heartbeat import Heartbeat
from controller.service.loop import Absence, Components, Loop
from controller.service.night import Night, noon_before
from controller.service.publisher import Item, LinkMaker, Publisher
from controller.service.reporter import COMMAND_IDS, Integrations, Origin, Reporter
from controller.service.selftest import PAGE_LIMIT_S, SelfTest, SelfTestHost
from controller.service.wiring import Wiring, WiringHost
from controller.systemd import Notifier
from controller.trace import FlightRecorder, flights

log = logging.getLogger(__name__)

#: Walk-in keeps the strike on for hours; its cutoff only catches a day.
WALK_IN_LIMIT_S = 86_400.0

#: Where a Pi has its serial number.
SERIAL = "/proc/device-tree/serial-number"

#: More events than the ten seconds before a sync can hold.
LOST_AT_MOST = 1000

PinsMaker = Callable[[Clock], tuple[Any, Callable[[float], float]]]


@dataclass(frozen=True, slots=True)
class World:
    """What the controller is connected to: a pin factory with its clock, and a maker of links."""

    pins: PinsMaker
    link: LinkMaker
    speed: float = 1.0
    fresh: State = field(default_factory=State)
    #: What is taken over of the last state; safe mode leaves out what may have been the cause.
    kept: Callable[[State], State] = lambda state: state
    #: Gets every raw edge besides the rules: the self-test in the terminal.
    watch: Callable[[Edge], None] = lambda edge: None
    #: How long a self-test may take, and who gets its progress besides the page.
    self_test_s: float = PAGE_LIMIT_S
    on_progress: Callable[[Mapping[str, Any]], None] = lambda progress: None


@dataclass(frozen=True, slots=True)
class Running:
    """A controller put together; ``loop.begin(absence)`` and ``loop.run()`` do the rest."""

    loop: Loop
    absence: Absence
    clock: Clock
    factory: Any
    pins: Pins
    self_test: SelfTest


def real_world(config: Config) -> World:
    """Return the pins of this machine and the broker of the configuration, if it names one."""
    return World(pins=partial(_pins, config), link=link_maker(config))


def link_maker(config: Config) -> LinkMaker:
    """Return what makes a link to the broker; without one, to a broker in memory."""
    if config.mqtt.host:
        from controller.mqtt.client import MqttLink

        return partial(MqttLink, config.mqtt)
    return alone(InMemoryBroker())


def alone(bus: InMemoryBroker) -> LinkMaker:
    """Return what makes links on a bus in memory, which needs no names and knows no outage."""

    def make(
        *,
        client_id: str,
        on_down: Callable[[str], None],
        on_thrown_out: Callable[[], None] = lambda: None,
        **manners: Any,
    ) -> Link:
        for name in ("durable", "kept_s", "commit"):
            manners.pop(name, None)
        return bus.join(**manners)

    return make


def _pins(config: Config, clock: Clock) -> tuple[Any, Callable[[float], float]]:
    if config.factory == "mock":
        return simulated(config, clock)
    return make_factory(config.factory), clock.from_monotonic


def simulated(config: Config, clock: Clock) -> tuple[Any, Callable[[float], float]]:
    """Return mock pins, whose ticks are house time in seconds already."""
    return SimulatedPins(clock, input_lines(config)), lambda seconds: seconds * 1000


def assemble(config: Config, world: World, damaged: Sequence[str] = ()) -> Running:
    """Open the journal, claim the pins and prepare the link; raises PinsError without pins.

    ``damaged`` are the names of other files that could not be read.
    """
    since_s = noon_before(wall_s())
    opened = open_journal(config.journal.path, since_s)
    if opened.warning:
        log.warning("%s", opened.warning)
    clock, state, absence = _resume(opened, world)
    queue: SimpleQueue[Item] = SimpleQueue()
    try:
        factory, pins = _claim(config, world, clock, queue)
    except PinsError:
        opened.journal.close()
        raise
    night = _tonight(opened, since_s)
    for name, line in _faults(config, opened, damaged):
        queue.put(Fault(clock.now_ms(), name, line, active=True))
    engine = Engine(config.rules, config.sensing, state)
    base = _Base(clock, queue, engine, pins, opened, night)
    components = _components(config, world, base)
    loop = Loop(components, engine, queue)
    return Running(loop, absence, clock, factory, pins, components.self_test)


def _faults(config: Config, opened: Opened, damaged: Sequence[str]) -> list[tuple[str, str]]:
    """Return name and line of each fault of the disk that the page is to show."""
    journal = [Path(config.journal.path).name] if opened.damaged else []
    spoilt = [("FileDamaged", name) for name in [*journal, *damaged]]
    failed = opened.journal.in_memory and opened.warning
    return [("JournalFailed", "journal"), *spoilt] if failed else spoilt


def _claim(
    config: Config, world: World, clock: Clock, queue: SimpleQueue[Item]
) -> tuple[Any, Pins]:
    def on_edge(edge: Edge) -> None:
        queue.put(edge)
        world.watch(edge)

    factory, to_house_ms = world.pins(clock)
    pins = Pins(
        factory,
        input_lines(config),
        output_lines(config),
        on_edge=on_edge,
        to_house_ms=to_house_ms,
        strike_max_on_s=_strike_limit_s(config.rules),
    )
    if isinstance(factory, SimulatedPins):
        factory.rest()
    return factory, pins


def _strike_limit_s(rules: RuleSettings) -> float:
    return WALK_IN_LIMIT_S if rules.entry == "walk_in" else rules.strike_max_on_ms / 1000


def _resume(opened: Opened, world: World) -> tuple[Clock, State, Absence]:
    """Return clock and state as the journal has them; where it can't be read the count asks."""
    saved = opened.journal.saved()
    if saved is None:
        lost = Absence(restart=opened.doubt, doubt=opened.doubt)
        return Clock(world.fresh.t_ms, world.speed), world.fresh, lost
    last = Moment(saved.t_ms, saved.boot_id, saved.boottime_ms, saved.wall_s)
    origin_ms = resumed(last, Moment(0.0, boot_id(), boottime_ms(), wall_s()))
    clock = Clock(origin_ms, world.speed)
    absence = Absence(restart=True, gap_ms=origin_ms - saved.t_ms, doubt=opened.doubt)
    try:
        return clock, world.kept(codec.load_state(saved.state)), absence
    except ValueError as error:
        opened.doubt_state(str(error))
        return clock, State(t_ms=origin_ms), Absence(restart=True, doubt=True)


@dataclass(frozen=True, slots=True)
class _Base:
    """What all other parts stand on."""

    clock: Clock
    queue: SimpleQueue[Item]
    engine: Engine
    pins: Pins
    opened: Opened
    night: Night


def _components(config: Config, world: World, base: _Base) -> Components:
    reporter = _reporter(config, base)
    publisher = _publisher(config, world, base, reporter)
    host = SelfTestHost(base.clock, base.engine, publisher, base.queue)
    self_test = SelfTest(input_lines(config), host, world.self_test_s, world.on_progress)
    wiring = _wiring(config, base, publisher)
    flight, notifier = FlightRecorder(flights(config.journal.path)), Notifier()
    heartbeat = Heartbeat(
        clock=base.clock,
        pins=base.pins,
        engine=base.engine,
        queue=base.queue,
        reporter=reporter,
        publisher=publisher,
        self_test=self_test,
        wiring=wiring,
        flight=flight,
        notifier=notifier,
        keep_days=config.journal.keep_days,
    )
    return Components(
        clock=base.clock,
        pins=base.pins,
        inbox=Inbox(
            config.command_max_age_s,
            base.clock.now_ms(),
            reporter.origin.boot,
            _newest_commands(base.opened),
        ),
        reporter=reporter,
        publisher=publisher,
        flight=flight,
        self_test=self_test,
        wiring=wiring,
        heartbeat=heartbeat,
        notifier=notifier,
    )


def _wiring(config: Config, base: _Base, publisher: Publisher) -> Wiring:
    host = WiringHost(
        now_ms=base.clock.now_ms,
        driven=base.pins.driven,
        faults=lambda: base.engine.state.faults,
        publish=publisher.publish_live,
    )
    return Wiring({**input_lines(config), **output_lines(config)}, config.sensing, host)


def _reporter(config: Config, base: _Base) -> Reporter:
    release = version("backdoor")
    return Reporter(
        Origin(config.venue, secrets.token_hex(4), Topics.of(config), release),
        config.rules,
        base.clock,
        _newest_published(base.opened),
        base.night,
        Integrations(Devices.of(config), discovery_messages(config, release, this_host())),
    )


def this_host(serial_file: str = SERIAL) -> Host:
    """Return the name and the serial number of this machine, as far as it has them."""
    try:
        serial = Path(serial_file).read_text(encoding="ascii").strip("\0\n ")
    except (OSError, ValueError):
        serial = ""
    return Host(socket.gethostname().partition(".")[0], serial)


def _publisher(config: Config, world: World, base: _Base, reporter: Reporter) -> Publisher:
    client_id = f"backdoor-{config.venue}-{socket.gethostname()}"[:60]
    link = partial(world.link, client_id=client_id)
    watched = _watched(config, reporter.devices.state_topics())
    return Publisher(reporter, base.opened.journal, base.clock, base.queue, watched, link)


def _newest_commands(opened: Opened) -> dict[str, float]:
    """Return the ids of the newest commands of the run before, oldest first."""
    saved = opened.journal.saved()
    if saved is None:
        return {}
    try:
        return msgspec.convert(saved.state.get(COMMAND_IDS, {}), dict[str, float])
    except (msgspec.ValidationError, AttributeError):  # the state can't be read either
        return {}


def _newest_published(opened: Opened) -> int:
    """Return the highest number under which an event may have been published.

    A power cut may have taken events from the disk that subscribers have already; so may damage.
    """
    journal = opened.journal
    saved = journal.saved()
    cut = journal.unfinished and saved is not None and saved.boot_id != boot_id()
    return journal.last_seq() + (LOST_AT_MOST if cut or opened.damaged else 0)


def _tonight(opened: Opened, since_s: float) -> Night:
    """Return the timeline of the night that began at ``since_s`` (seconds since 1970)."""
    night = Night(codec.iso(since_s))
    for row in opened.tonight:
        try:
            data = codec.decode(row.data)
            own = {k: v for k, v in data.items() if k not in ("seq", "boot", "at", "t_ms", "event")}
            night.add(row.at, row.name, own)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("journal: event %d is not on tonight's chart: %r", row.seq, error)
    return night


def _watched(config: Config, back: Sequence[str]) -> WatchedTopics:
    home_assistant = config.homeassistant
    birth = "" if home_assistant.discovery == "off" else f"{home_assistant.prefix}/status"
    return WatchedTopics(birth, back, stale_topics(config), former_names(config))
