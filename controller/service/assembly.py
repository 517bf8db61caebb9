"""Puts a house together from its configuration: journal first, pins next, network last."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from queue import SimpleQueue
from typing import Any

from controller import codec
from controller.clock import Clock, Moment, boot_id, boottime_ms, resumed, wall_s
from controller.config.settings import Config, input_lines, output_lines
from controller.engine import Engine
from controller.events import Edge
from controller.gpio.factories import PinsError, make_factory
from controller.gpio.pins import Pins
from controller.gpio.simulated import SimulatedPins
from controller.integrations.announcements import Hears, Home
from controller.integrations.devices import Devices
from controller.integrations.discovery import discovery_messages, stale_topics
from controller.journal.journal import Journal
from controller.journal.outbox import WINDOW, Outbox
from controller.journal.records import Row
from controller.journal.recovery import Opened, open_journal
from controller.journal.writer import Recorder
from controller.mqtt import snapshot as payloads
from controller.mqtt.inbox import Inbox
from controller.mqtt.link import Link
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Topics
from controller.rules.state import RuleSettings, State
from controller.service.loop import Item, Service
from controller.service.parts import Absence, Parts
from controller.service.publisher import Joints
from controller.service.reporter import Teller, noon_before
from controller.service.selftest import Drill
from controller.systemd import Notifier
from controller.trace import FlightRecorder, flights

log = logging.getLogger(__name__)

#: Walk-in keeps the strike on for hours; its guard only catches a day.
WALK_IN_LIMIT_S = 86_400.0

#: More events than the ten seconds before a sync can hold.
LOST_AT_MOST = 1000

LinkMaker = Callable[..., Link]
PinsMaker = Callable[[Clock], tuple[Any, Callable[[float], float]]]


@dataclass(frozen=True, slots=True)
class World:
    """What the house is joined to: a pin factory with its clock, and a maker of links."""

    pins: PinsMaker
    link: LinkMaker
    speed: float = 1.0
    fresh: State = field(default_factory=State)
    #: What is taken over of the last state; safe mode leaves out what may have been the cause.
    kept: Callable[[State], State] = lambda state: state
    #: Hears every raw edge besides the rules: the self-test.
    watch: Callable[[Edge], None] = lambda edge: None


@dataclass(frozen=True, slots=True)
class Running:
    """A house put together; ``service.begin(absence)`` and ``service.run()`` do the rest."""

    service: Service
    absence: Absence
    clock: Clock
    factory: Any
    pins: Pins
    drill: Drill


def real_world(config: Config) -> World:
    """Return the pins of this machine and the broker of the configuration, if it names one."""
    return World(pins=partial(_pins, config), link=link_maker(config))


def link_maker(config: Config) -> LinkMaker:
    """Return what makes a link to the broker; without one the house talks to itself."""
    if config.mqtt.host:
        from controller.mqtt.client import MqttLink

        return partial(MqttLink, config.mqtt)
    return alone(InMemoryBroker())


def alone(bus: InMemoryBroker) -> LinkMaker:
    """Return what makes links on a bus in memory, which needs no names and knows no outage."""

    def make(*, client_id: str, on_down: Callable[[str], None], **manners: Any) -> Link:
        return bus.join(**manners)

    return make


def _pins(config: Config, clock: Clock) -> tuple[Any, Callable[[float], float]]:
    if config.factory == "mock":
        return simulated(config, clock)
    return make_factory(config.factory), clock.from_monotonic


def simulated(config: Config, clock: Clock) -> tuple[Any, Callable[[float], float]]:
    """Return mock pins, whose ticks are house time in seconds already."""
    return SimulatedPins(clock, input_lines(config)), lambda seconds: seconds * 1000


def assemble(config: Config, world: World) -> Running:
    """Open the journal, claim the pins and prepare the link; raises PinsError without pins."""
    opened = open_journal(config.journal.path)
    if opened.warning:
        log.warning("%s", opened.warning)
    clock, state, absence = _resume(opened, world)
    queue: SimpleQueue[Item] = SimpleQueue()
    try:
        factory, pins = _claim(config, world, clock, queue)
    except PinsError:
        opened.journal.close()
        raise
    wiring = Joints(Topics.of(config), clock, queue)
    if opened.journal.in_memory and opened.warning:
        wiring.journal(opened.warning)
    parts = _parts(config, world, clock, pins, opened.journal, wiring)
    service = Service(parts, Engine(config.rules, config.sensing, state), queue)
    wiring.service = parts.drill.house = service
    return Running(service, absence, clock, factory, pins, parts.drill)


def _claim(
    config: Config, world: World, clock: Clock, queue: SimpleQueue[Item]
) -> tuple[Any, Pins]:
    def heard(edge: Edge) -> None:
        queue.put(edge)
        world.watch(edge)

    factory, to_house_ms = world.pins(clock)
    pins = Pins(
        factory,
        input_lines(config),
        output_lines(config),
        on_edge=heard,
        to_house_ms=to_house_ms,
        strike_max_on_s=_strike_limit_s(config.rules),
    )
    if isinstance(factory, SimulatedPins):
        factory.rest()
    return factory, pins


def _strike_limit_s(rules: RuleSettings) -> float:
    return WALK_IN_LIMIT_S if rules.entry == "walk_in" else rules.strike_max_on_ms / 1000


def _resume(opened: Opened, world: World) -> tuple[Clock, State, Absence]:
    """Return clock and state as the journal has them; what can't be read is doubted."""
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
        log.warning("journal: the last state can't be read (%s); the count asks", error)
        return clock, State(t_ms=origin_ms), Absence(restart=True, doubt=True)


def _parts(
    config: Config, world: World, clock: Clock, pins: Pins, journal: Journal, wiring: Joints
) -> Parts:
    names = Topics.of(config)
    teller = Teller(config.venue, names, config.rules, clock, _newest_told(journal))
    teller.boot = secrets.token_hex(4)
    teller.gadgets = Devices.of(config)
    teller.discovery = discovery_messages(config, version("backdoor"))
    _read_night(teller, journal.since(noon_before(clock.wall_s())))
    recorder = Recorder(journal, on_done=wiring.committed, on_fault=wiring.journal)

    def fetch(after: int) -> None:
        recorder.fetch(after, WINDOW, partial(wiring.outbox.fetched, after))

    wiring.outbox = Outbox(journal.delivered(), journal.last_seq(), wiring.send, fetch)
    birth = "" if config.homeassistant.discovery == "off" else _birth_topic(config)
    hears = Hears(birth, teller.gadgets.state_topics(), stale_topics(config))
    wiring.home = Home(hears, wiring.house, wiring.devices, wiring.say)
    wiring.link = world.link(
        client_id=f"backdoor-{config.venue}-{socket.gethostname()}"[:60],
        subscriptions=[names("cmd/+"), *wiring.home.topics()],
        on_message=wiring.command,
        on_up=wiring.up,
        on_down=wiring.down,
        on_ack=wiring.outbox.acked,
        will=payloads.status(names, "offline"),
        birth=payloads.status(names, "online"),
    )
    inbox = Inbox(config.command_max_age_s, clock.now_ms(), teller.boot)
    flight = FlightRecorder(flights(config.journal.path))
    return Parts(
        clock,
        pins,
        recorder,
        wiring.link,
        wiring.outbox,
        inbox,
        teller,
        Notifier(),
        flight,
        Drill(input_lines(config), clock),
        config.journal.keep_days,
    )


def _newest_told(journal: Journal) -> int:
    """Return the highest number that an event may have been told under.

    A power cut may have taken events from the disk that the house has heard already.
    """
    saved = journal.saved()
    cut = journal.unfinished and saved is not None and saved.boot_id != boot_id()
    return journal.last_seq() + (LOST_AT_MOST if cut else 0)


def _birth_topic(config: Config) -> str:
    return f"{config.homeassistant.prefix}/status"


def _read_night(teller: Teller, rows: list[Row]) -> None:
    for row in rows:
        data = codec.decode(row.data)
        own = {k: v for k, v in data.items() if k not in ("seq", "boot", "at", "t_ms", "event")}
        teller.night.add(row.at, row.name, own)
