"""From a deciding edge to its MQTT message in another process, and from a command to the strike.

``python -m tests.tools.bench.bench_wire [rounds]``. Beside ours: the one-file script (a bare paho
publish of QoS 1) in both versions, and mqtt-io with interrupts and as it polls by default. At last
the outages: who still locks at four without a broker, and who is back how soon after it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from queue import Empty, Queue

from paho.mqtt.client import Client, MQTTMessage

from controller.events import Edge, Knock
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.support.subscriber import Subscriber
from tests.tools.bench.contestants import Contestant, Field, field
from tests.tools.bench.hand import Move
from tests.tools.bench.loads import chattering, commanded, nothing, slow_disk, streaming
from tests.tools.bench.measure import Report, Samples, interleaved
from tests.tools.bench.stand import UNSETTLED, WALK_IN

ROUNDS = 100
KNOCKS = 24
#: One rap of knuckles, as a vibration module gives it: begin and length in ms.
PULSES = ((0.0, 1.4), (2.6, 0.9), (5.1, 0.7), (8.4, 0.5), (12.0, 0.4))
#: Before a knock nobody moves, ms (to each a cold cache); between its raps.
QUIET_MS, RAP_MS = 2500.0, 260.0
#: mqtt-io looks at a polled pin ten times a second.
POLLED_S = 0.13
#: After a release the strike may take so long to be seen, seconds.
LIMIT_S = 3.0


class TimedSubscriber(Subscriber):
    """A client in this process, which is another one than everybody's, that notes arrivals."""

    def __init__(self, ground: Field) -> None:
        self.arrivals: Queue[tuple[float, str]] = Queue()
        super().__init__(ground.broker.port)
        self.client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type] # it only waits

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.arrivals.put((time.monotonic(), message.topic))

    def forget(self) -> None:
        """Throw away what came so far."""
        while not self.arrivals.empty():
            self.arrivals.get_nowait()

    def when(self, topic: str, limit_s: float = LIMIT_S) -> float | None:
        """Return when the next message on ``topic`` came, or None."""
        end_s = time.monotonic() + limit_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                at_s, came = self.arrivals.get(timeout=left_s)
            except Empty:
                break
            if came == topic:
                return at_s
        return None

    def publish_timed(self, topic: str, payload: str) -> float:
        """Publish and return when."""
        at_s = time.monotonic()
        self.client.publish(topic, payload, 1)
        return at_s


class Turn:
    """One contestant in one row: moves, and the topic on which it tells of the deciding one."""

    def __init__(
        self, at: Contestant, subscriber: TimedSubscriber, moves: Sequence[Move], topic: str
    ) -> None:
        self._at, self._subscriber, self._topic = at, subscriber, topic
        self._moves = list(moves)
        self._deciding = len(self._moves) - 1
        #: Ours listens on after the last pulse, to tell a rap from a rattle; not counted, in µs.
        self.listening_us = listening_us(self._moves) if len(self._moves) > 2 else 0.0
        self.samples = Samples(at.name)
        self.missed = 0

    def knock(self) -> None:
        """Move the pins and wait for the word."""
        self._subscriber.forget()
        at_s, _ = self._at.ask("play", self._moves, self._deciding, None)
        came_s = self._subscriber.when(self._topic)
        if came_s is None:
            self.missed += 1
        else:
            self.samples.values.append(1e6 * (came_s - at_s) - self.listening_us)

    def door(self) -> None:
        """Open the door and shut it again."""
        self.knock()
        self._at.ask("drive", "door_contact", 0)
        time.sleep(POLLED_S)


def listening_us(moves: Sequence[Move]) -> float:
    """Return how long after the last of these edges our sensing knows that they were a knock."""
    senses = Senses(SensingSettings(), [moves[0][1]])
    senses.edge(Edge(0.0, moves[0][1], level=False))
    for at_ms, line, level in moves:
        while (due := senses.due) <= at_ms:
            senses.tick(due)
        senses.edge(Edge(at_ms, line, bool(level)))
    while (due := senses.due) < inf:
        if any(isinstance(event, Knock) for event in senses.tick(due)):
            return 1000 * (due - moves[-1][0])
    raise RuntimeError("that is no knock")


def knocking(raps: int, line: str = "hatch_knock") -> list[Move]:
    """Return a knock of so many raps."""
    return [
        (QUIET_MS + rap * RAP_MS + start_ms + (0 if level else on_ms), line, level)
        for rap in range(raps)
        for start_ms, on_ms in PULSES
        for level in (1, 0)
    ]


def edge_to_mqtt(report: Report, ground: Field, rounds: int) -> None:
    """A door contact that settles at once, and the second rap of a knock."""
    subscriber = TimedSubscriber(ground)
    ours = ground.ours(UNSETTLED, "sensing.contact_settle=0")
    others = [
        (ground.rival("callback", "script, in the callback"), "script/"),
        (ground.rival("queue", "script, second thread"), "script/"),
    ]
    ios = [(ground.mqtt_io(), "io/input/"), (ground.mqtt_io(True), "polled/input/")]
    others += [(io, topics) for io, topics in ios if io is not None]
    opening: list[Move] = [(0.0, "door_contact", 1)]
    doors = [Turn(ours, subscriber, opening, "backdoor/bar/event/door_opened")]
    doors += [Turn(one, subscriber, opening, f"{topics}door") for one, topics in others]
    interleaved(rounds, [turn.door for turn in doors])
    _compare(report, "door contact -> MQTT message at a subscriber", doors)
    knocks = [Turn(ours, subscriber, knocking(2), "backdoor/bar/event/knock")]
    knocks += [
        Turn(one, subscriber, [(QUIET_MS, "hatch_knock", 1)], f"{topics}knock")
        for one, topics in others[:3]
    ]
    interleaved(min(rounds, KNOCKS), [_released(turn) for turn in knocks])
    after_ms = knocks[0].listening_us / 1000
    title = f"knock decided -> MQTT message (ours {after_ms:g} ms after the rap)"
    _compare(report, title, knocks)
    subscriber.close()


def _released(turn: Turn) -> Callable[[], None]:
    """Knock, after the same quiet for all; where every pulse is a knock, the button goes up."""

    def act() -> None:
        turn.knock()
        turn._at.ask("drive", "hatch_knock", 0)
        time.sleep(0.02)

    return act


def _compare(report: Report, title: str, turns: Sequence[Turn]) -> None:
    ours, *others = turns
    missed = "; ".join(f"{turn.missed} by {turn.samples.name}" for turn in turns if turn.missed)
    report.compare(
        title + (f" (missed: {missed})" if missed else ""),
        ours.samples,
        [turn.samples for turn in others],
    )


# --- command to strike --------------------------------------------------------------------------


class Order:
    """One contestant that is told by MQTT to switch its strike on."""

    def __init__(self, at: Contestant, subscriber: TimedSubscriber) -> None:
        self._at, self._subscriber = at, subscriber
        self.samples = Samples(at.name)
        self.missed = 0

    def give(self) -> None:
        """Say it and see the pin."""
        self._at.ask("forget")
        said_s = self._say(on=True)
        seen_s = self._at.ask("seen", 1)
        if seen_s is None:
            self.missed += 1
        else:
            self.samples.values.append(1e6 * (seen_s - said_s))
        self._end()

    def _say(self, *, on: bool) -> float:
        topic = "io/output/strike/set" if self._at.name == "mqtt-io" else "script/set"
        return self._subscriber.publish_timed(topic, "ON" if on else "OFF")

    def _end(self) -> None:
        self._say(on=False)
        self._at.ask("seen", 0)
        time.sleep(0.02)


class Release(Order):
    """Ours: a fresh, single, checked command; the door opens and shuts, and nobody comes in."""

    def _say(self, *, on: bool) -> float:
        body = json.dumps({"id": uuid.uuid4().hex, "issued_at": time.time(), "party": 1})
        return self._subscriber.publish_timed("backdoor/bar/cmd/access_door", body)

    def _end(self) -> None:
        for level in (1, 0):
            self._at.ask("drive", "door_contact", level)
        self._at.ask("seen", 0)
        time.sleep(0.02)


def command_to_strike(report: Report, ground: Field, rounds: int) -> None:
    """`access_door` beside a bare callback and mqtt-io's `set`."""
    subscriber = TimedSubscriber(ground)
    orders: list[Order] = [Release(ground.ours(UNSETTLED), subscriber)]
    orders += [
        Order(one, subscriber)
        for one in (
            ground.mqtt_io(),
            ground.rival("callback", "script, in the callback"),
            ground.rival("queue", "script, second thread"),
        )
        if one
    ]
    interleaved(rounds, [order.give for order in orders])
    ours, *others = orders
    missed = f" (missed: {ours.missed})" if ours.missed else ""
    report.compare(
        f"MQTT command -> strike on{missed}", ours.samples, [order.samples for order in others]
    )
    subscriber.close()


def commands_under_load(report: Report, ground: Field, rounds: int) -> None:
    """Ours again, while everything else is at its worst; a frozen broker brings no commands."""
    subscriber, house = TimedSubscriber(ground), ground.ours(UNSETTLED)
    Release(house, subscriber).give()  # so that its link is there, and warm
    loads: dict[str, Callable[[], Iterator[str]]] = {
        "no load": nothing,
        "a line chatters, 10,000 edges/s": lambda: chattering(house),
        "200 page clients stream": lambda: streaming(ground),
        "1,000 commands/s": lambda: commanded(ground),
        "0.5 s a sync": lambda: slow_disk(house),
    }
    rows = []
    for name, load in loads.items():
        order = Release(house, subscriber)
        with contextmanager(load)() as given:
            interleaved(rounds, [order.give])
        samples = order.samples
        rows.append(
            {
                "load": name,
                "p50": round(samples.p50),
                "p99": round(samples.p99),
                "worst": round(max(samples.values)),
                "missed": order.missed,
                "n": len(samples.values),
                "given": given,
            }
        )
    title = "MQTT command -> strike on, under load, priorities as the units set them"
    report.table(title, rows, unit="µs")
    subscriber.close()


# --- outages ------------------------------------------------------------------------------------

ENTERING = ((0.0, "beam_outer", 1), (40.0, "beam_inner", 1), (125.0, "beam_outer", 0),
            (165.0, "beam_inner", 0))  # fmt: skip


def outages(report: Report, ground: Field) -> None:
    """Let five guests try while the broker is away, and see who hears us how soon after it."""
    rows = []
    for away_s in (2.0, 5.0):
        for one, topic in (
            (ground.ours(WALK_IN), "backdoor/bar/status"),
            (ground.rival("queue", "script, second thread"), "script/door"),
        ):
            subscriber = TimedSubscriber(ground)
            rows.append(_outage(ground, one, subscriber, topic, away_s))
            subscriber.close()
    report.table("broker away", rows)


def _outage(
    ground: Field, one: Contestant, subscriber: TimedSubscriber, topic: str, away_s: float
) -> dict[str, float | str]:
    one.ask("reset")
    one.ask("drive", "door_contact", 1)
    ground.broker.kill()
    gone_s = time.monotonic()
    let_in = 3
    for _ in range(3):
        let_in += one.ask("level")  # the door is open to him, or it is not
        if one.ask("level"):
            one.ask("play", ENTERING, 0, 0)
    time.sleep(max(gone_s + away_s - time.monotonic(), 0))
    ground.broker.start()
    back_s = time.monotonic()
    subscriber.forget()
    heard_s = None
    while heard_s is None and time.monotonic() < back_s + 45:
        for level in (0, 1):
            one.ask("drive", "door_contact", level)
        heard_s = subscriber.when(topic, 0.25)
    return {
        "name": one.name,
        "away s": away_s,
        "let in": let_in,
        "back after s": round((heard_s or float("nan")) - back_s, 2),
    }


def main(rounds: int = ROUNDS) -> None:
    """Print all tables."""
    report = Report("wire")
    for part in (edge_to_mqtt, command_to_strike, commands_under_load):
        with tempfile.TemporaryDirectory(prefix="backdoor-bench-") as name, field(Path(name)) as at:
            part(report, at, rounds)
    with tempfile.TemporaryDirectory(prefix="backdoor-bench-") as name, field(Path(name)) as at:
        outages(report, at)
    report.save()


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:]))
