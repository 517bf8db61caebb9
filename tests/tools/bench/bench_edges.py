"""How fast the edges of the world are: pins, disk, broker. Median, 99 % and worst, in ms."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gpiozero.pins.mock import MockFactory
from msgspec.structs import asdict

from controller.config.settings import LineSettings, Mqtt
from controller.gpio.pins import Pins
from controller.journal.journal import Journal
from controller.journal.records import Record, Row, Saved
from controller.journal.recovery import open_journal
from controller.journal.writer import JournalWriter
from controller.mqtt.client import TAKEOVER_S, MqttLink
from controller.mqtt.message import Message
from controller.rules.state import State
from tests.conftest import Broker

SAVED = Saved(1.0, "boot", 1.0, 1.0, asdict(State()))


def show(what: str, times_s: list[float]) -> None:
    """Print one line of figures."""
    ms = sorted(1000 * seconds for seconds in times_s)
    print(f"{what:<48} {statistics.median(ms):9.3f} {ms[int(len(ms) * 0.99)]:9.3f} {ms[-1]:9.3f}")


def timed(work: Callable[[int], object], times: int) -> list[float]:
    """Return how long each call took, seconds."""
    took = []
    for number in range(times):
        began_s = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - began_s)
    return took


def row(seq: int) -> Row:
    """Return an ordinary event."""
    return Row(seq, seq * 10.0, 1795381200.0 + seq, "entry", json.dumps({"x": "x" * 200}))


def journal(folder: Path) -> None:
    """Measure one synced commit, and the opening of a file of some years."""
    book = Journal(folder / "commit.db")
    show("journal: event and state, synced", timed(lambda n: book.write([row(n)], SAVED), 400))
    book.write([row(seq) for seq in range(1000, 301_000)], SAVED)
    book.close()
    reopen = timed(lambda _: open_journal(book.path).journal.close(), 3)
    show("journal: open 300,000 events, all checked", reopen)


def recorder(folder: Path) -> None:
    """Measure what a put costs its caller, and how soon it is written."""
    done = threading.Semaphore(0)
    writer = JournalWriter(
        Journal(folder / "burst.db"), on_written=lambda _: done.release(), on_fault=print
    )
    writer.start()
    began_s = time.perf_counter()
    show("recorder: put", timed(lambda n: writer.put(Record([row(n + 1)], SAVED)), 5000))
    for _ in range(5000):
        done.acquire()
    show("recorder: 5,000 events put until all are synced", [time.perf_counter() - began_s])
    writer.stop()


def pins() -> None:
    """Measure an edge from the backend to its receiver, and a re-read of all inputs."""
    heard: list[float] = []
    lines = {f"line{pin}": LineSettings(pin) for pin in range(4, 14)}
    factory = MockFactory()
    ours = Pins(
        factory,
        lines,
        {"strike": LineSettings(17, "none", "high")},
        on_edge=lambda _: heard.append(time.perf_counter()),
        to_house_ms=lambda seconds: seconds * 1000,
        strike_max_on_s=5,
    )
    pin = factory.pin(4)

    def edge(number: int) -> None:
        _ = pin.drive_low() if number % 2 == 0 else pin.drive_high()

    show("pins: one edge, backend to queue", timed(edge, 5000))
    show("pins: re-read of ten inputs", timed(lambda _: ours.reread(), 1000))
    show("pins: strike on or off", timed(lambda n: ours.set("strike", n % 2 == 0), 500))
    ours.close()


def link(folder: Path) -> None:
    """Measure publish, the way to another client, its ack, and a return after an outage."""
    broker = Broker(folder)
    broker.start()
    came, acked, up = (threading.Semaphore(0) for _ in range(3))

    def join(name: str, *topics: str) -> MqttLink:
        made = MqttLink(
            Mqtt(port=broker.port),
            client_id=name,
            subscriptions=topics,
            on_message=lambda _: came.release(),
            on_up=up.release,
            on_down=lambda _: None,
            on_ack=lambda _: acked.release(),
        )
        made.start()
        up.acquire()
        return made

    house, page = join("house"), join("page", "bar/#")
    state = Message("bar/state", b"x" * 1500, 0, True)

    def there(_: int) -> None:
        house.publish(state)
        came.acquire()

    def event(number: int) -> None:
        house.publish(Message("bar/event/entry", b"x" * 200, 1), number)
        acked.acquire()

    def outage_s() -> float:
        time.sleep(TAKEOVER_S + 0.1)  # a connection cut sooner looks like a rival with our name
        broker.kill()
        broker.start()
        began_s = time.perf_counter()
        up.acquire()
        up.acquire()
        return time.perf_counter() - began_s

    show("link: state, publish to the other client", timed(there, 1000))
    show("link: event, publish to its ack", timed(event, 1000))
    show("link: broker is there again until both are back", [outage_s() for _ in range(4)])
    house.stop()
    page.stop()
    broker.stop()


if __name__ == "__main__":
    print(f"{'edges of the world, ms':<48} {'median':>9} {'99 %':>9} {'worst':>9}")
    with tempfile.TemporaryDirectory() as name:
        journal(Path(name))
        recorder(Path(name))
        pins()
        link(Path(name))
