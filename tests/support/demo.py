"""A whole house in this process: the real service on simulated pins, and an MQTT client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from controller.config.brokers import read_hosts
from controller.config.loader import parse
from controller.config.settings import Config
from controller.gpio.simulated import Simulator
from controller.mqtt.memory import InMemoryBroker
from controller.service.assembly import Running, World, alone, assemble, link_maker, simulated
from tests.support.subscriber import InMemorySubscriber
from tests.support.wait import HANGS_S, eventually


class Demo:
    """One running house with its simulator and an MQTT client."""

    def __init__(self, running: Running, mqtt: InMemorySubscriber, bus: InMemoryBroker) -> None:
        self.running = running
        self.bus = bus
        self.mqtt = mqtt
        loop = running.loop
        self.simulator = Simulator(
            running.clock, running.factory, loop.post, loop.wait_until_published
        )
        self.thread = Thread(target=running.loop.run, name="loop")

    @property
    def state(self) -> Any:
        return self.mqtt.last("state")

    def pin(self, number: int) -> Any:
        return self.running.factory.pin(number)

    def stop(self) -> None:
        self.simulator.stop()
        self.running.loop.stop()
        self.thread.join(HANGS_S)
        assert not self.thread.is_alive()


def demo_config(folder: Path, *sets: str) -> Config:
    config = parse({}, "test", sets)
    journal = replace(config.journal, path=str(folder / "journal.db"))
    return replace(config, factory="mock", journal=journal, mqtt=replace(config.mqtt, host=""))


def times_on(pin: Any) -> int:
    """Return how often this simulated output was on, however short: also while nobody looked."""
    return sum(bool(was.state) for was in pin.states)


@contextmanager
def house(folder: Path, *sets: str, speed: float = 1.0) -> Iterator[Demo]:
    """Run a house on a bus in memory until the end of the block."""
    config = demo_config(folder, *sets)
    bus = InMemoryBroker()
    mqtt = InMemorySubscriber(bus)
    world = World(partial(simulated, config), alone(bus), speed=speed)
    demo = Demo(assemble(config, world), mqtt, bus)
    demo.running.loop.begin(demo.running.absence)
    demo.thread.start()
    eventually(lambda: demo.state)
    try:
        yield demo
    finally:
        demo.stop()


@contextmanager
def house_on(folder: Path, port: int, *others: int) -> Iterator[Demo]:
    """Run a house whose broker is looked for at these ports, until the end of the block."""
    config = demo_config(folder, "door.release_time=0.5")
    hosts = read_hosts([f"127.0.0.1:{one}" for one in (port, *others)])
    config = replace(config, mqtt=replace(config.mqtt, host=hosts))
    bus = InMemoryBroker()
    world = World(partial(simulated, config), link_maker(config))
    demo = Demo(assemble(config, world), InMemorySubscriber(bus), bus)
    demo.running.loop.begin(demo.running.absence)
    demo.thread.start()
    try:
        yield demo
    finally:
        demo.stop()
