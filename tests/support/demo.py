"""A whole house in this process: the real service on simulated pins, and an ear on its wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from controller.clock import wall_s
from controller.config.loader import parse
from controller.config.settings import Config
from controller.gpio.simulated import Simulator
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message
from controller.service.assembly import Running, World, alone, assemble, simulated
from tests.support.wait import HANGS_S, eventually

BASE = "backdoor/bar/"
HEARD = ["#"]


class Ear:
    """Everything that is said on the bus, by topic below ``backdoor/bar``."""

    def __init__(self, bus: InMemoryBroker) -> None:
        self.heard: list[Message] = []
        self.link = bus.join(
            subscriptions=HEARD,
            on_message=self.heard.append,
            on_up=lambda: None,
            on_ack=lambda _: None,
        )
        self.link.start()

    def all(self, name: str) -> list[Any]:
        return [json.loads(m.payload) for m in list(self.heard) if m.topic == BASE + name]

    def last(self, name: str) -> Any:
        found = self.all(name)
        return found[-1] if found else None

    def events(self, name: str) -> list[Any]:
        return self.all(f"event/{name}")

    def ask(self, name: str, **payload: Any) -> Any:
        """Send a fresh command; return its result."""
        id_ = uuid.uuid4().hex
        body = {"id": id_, "issued_at": wall_s()} | payload
        self.link.publish(Message(f"{BASE}cmd/{name}", json.dumps(body).encode(), qos=1))
        eventually(lambda: any(result["id"] == id_ for result in self.all("result")))
        return next(result for result in self.all("result") if result["id"] == id_)


class Demo:
    """One running house with its bench and its ear."""

    def __init__(self, running: Running, ear: Ear, bus: InMemoryBroker) -> None:
        self.running = running
        self.bus = bus
        self.ear = ear
        loop = running.loop
        self.bench = Simulator(running.clock, running.factory, loop.post, loop.wait_until_published)
        self.thread = Thread(target=running.loop.run, name="loop")

    @property
    def state(self) -> Any:
        return self.ear.last("state")

    def pin(self, number: int) -> Any:
        return self.running.factory.pin(number)

    def stop(self) -> None:
        self.bench.stop()
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
    ear = Ear(bus)
    world = World(partial(simulated, config), alone(bus), speed=speed)
    demo = Demo(assemble(config, world), ear, bus)
    demo.running.loop.begin(demo.running.absence)
    demo.thread.start()
    eventually(lambda: demo.state)
    try:
        yield demo
    finally:
        demo.stop()
