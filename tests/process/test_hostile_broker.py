"""A broker that lies: sends garbage, dawdles, or delivers what and when it likes.

Each time the door works as if there were none, and all is right again after its return.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config.settings import Config
from controller.engine import Engine
from controller.events import COMMANDS, Reason, Set
from controller.journal.outbox import GATHERING_S, OVERLAP_S
from controller.mqtt.client import BACKOFF_S
from controller.mqtt.connection import ACK_LIMIT_S, IDLE_S
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import Message
from controller.rules.state import RuleSettings
from tests.conftest import Broker
from tests.support.demo import Demo, house_on, times_on
from tests.support.subscriber import BASE, Subscriber
from tests.support.wait import eventually

STRIKE = 16


def lets_in_by_button(demo: Demo) -> None:
    """Press the button behind the counter: the strike goes on, and off again by itself."""
    strike = demo.pin(STRIKE)
    before = times_on(strike)
    demo.simulator.act("press_release")
    eventually(lambda: times_on(strike) > before)
    eventually(lambda: not strike.state)


class Crowd:
    """A server on one port that treats everybody who connects in one way, in threads."""

    def __init__(self, port: int, treat: Callable[[socket.socket], None]) -> None:
        self.met: list[socket.socket] = []
        self._treat = treat
        self._server = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.met.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with closing(connection):
            try:
                self._treat(connection)
            except OSError:
                return

    def close(self) -> None:
        """Be gone, with all connections, as a process that ended."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(30)
        for connection in self.met:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


# --- garbage ------------------------------------------------------------------------------------

LET_IN = b"\x20\x02\x00\x00"  # CONNACK, MQTT 3.1.1
GARBAGE: dict[str, list[bytes]] = {
    "noise": [random.Random(1).randbytes(500)],
    "another protocol": [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
    "a length without end": [b"\x30\xff\xff\xff\xff\xff"],
    "let in, then noise": [LET_IN, random.Random(2).randbytes(500)],
    "let in, then an empty message": [LET_IN, b"\x30\x00", b"\x32\x02\x00\x00"],
    "let in, then a topic that is no text": [LET_IN, b"\x30\x06\x00\x03\xff\xfe\xfd!"],
    "let in, then answers to nothing": [LET_IN, b"\x40\x02\xff\xff", b"\x90\x03\x77\x77\x80"],
    "let in, then a command that nobody sent": [
        LET_IN,
        b"\x30\x22\x00\x1cbackdoor/bar/cmd/access_door{}{}",
    ],
}


@pytest.mark.parametrize("name", GARBAGE)
def test_door_works_while_the_broker_sends_garbage(name: str, tmp_path: Path) -> None:
    broker = Broker(tmp_path)  # has a port, and is not started yet

    def treat(connection: socket.socket) -> None:
        for piece in GARBAGE[name]:
            connection.sendall(piece)
        while connection.recv(4096):
            pass

    liar = Crowd(broker.port, treat)
    with house_on(tmp_path, broker.port) as demo:
        eventually(lambda: liar.met)
        lets_in_by_button(demo)
        assert times_on(demo.pin(STRIKE)) == 1
        liar.close()
        back(broker)


def back(broker: Broker) -> None:
    """Start the true broker, and see that all is there."""
    broker.start()
    try:
        with closing(Subscriber(broker.port)) as mqtt:
            eventually(lambda: mqtt.status() == "online" and mqtt.last("heartbeat"))
            eventually(lambda: {"access_granted", "access_not_taken"} <= events_of(mqtt))
    finally:
        broker.kill()


def test_after_its_return_nothing_waits_longer_than_five_seconds() -> None:
    """All that is waited for on purpose, one after the other; `make chaos` measures the whole."""
    assert BACKOFF_S[-1] + GATHERING_S + OVERLAP_S <= 5


def events_of(mqtt: Subscriber) -> set[str]:
    """Return the names of the events that were received."""
    return {message.topic.removeprefix(f"{BASE}event/") for message in mqtt.event_messages()}


# --- takes all and acknowledges nothing -----------------------------------------------------------


def acknowledge_nothing(connection: socket.socket) -> None:
    """Let a client in, take its subscriptions and its pings, and acknowledge no message."""
    stream = connection.makefile("rb")
    while first := stream.read(1):
        length = shift = 0
        while True:
            byte = stream.read(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = stream.read(length)
        match first[0] >> 4:
            case 1:  # CONNECT
                connection.sendall(LET_IN)
            case 8:  # SUBSCRIBE: one code for each topic is enough for paho
                connection.sendall(b"\x90\x03" + body[:2] + b"\x01")
            case 12:  # PINGREQ
                connection.sendall(b"\xd0\x00")


def test_broker_that_acknowledges_nothing_is_down_within_five_seconds_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    broker = Broker(tmp_path)  # has a port, and is not started yet
    liar = Crowd(broker.port, acknowledge_nothing)
    with house_on(tmp_path, broker.port) as demo:
        eventually(lambda: broker_is_down(demo))
        lets_in_by_button(demo)
        met = len(liar.met)
        eventually(lambda: len(liar.met) > met + 1)
        assert broker_is_down(demo)  # it was let in again, and that alone is nothing
        liar.close()
        back(broker)


def broker_is_down(demo: Demo) -> bool:
    return any(fault.name == "BrokerDown" for fault in demo.running.loop.state.faults)


def test_silence_is_noticed_within_five_seconds() -> None:
    """From the message that is not acknowledged: its limit, and the longest sleep of the loop."""
    assert ACK_LIMIT_S + IDLE_S <= 5


# --- shared with a thief ------------------------------------------------------------------------


def comes_as(broker: Broker, client_id: str) -> None:
    """Connect under an id, once, and be gone."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    with socket.create_connection((broker.host, broker.port)) as thief:
        thief.sendall(b"\x10" + bytes([len(body)]) + body)
        thief.recv(4)


def test_who_takes_the_controllers_id_keeps_it_away_no_longer_and_is_told(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.service.publisher.THROWN_OUT_SHOWN_S", 3.0)
    id_ = f"backdoor-bar-{socket.gethostname()}"[:60]
    with closing(Subscriber(broker.port)) as mqtt, house_on(tmp_path, broker.port) as demo:
        eventually(lambda: mqtt.status() == "online" and mqtt.last("state"))

        def told() -> bool:
            comes_as(broker, id_)
            return "ClientIdTaken" in [fault["name"] for fault in mqtt.last("state")["faults"]]

        eventually(told)
        beats = len(mqtt.all("heartbeat"))
        eventually(lambda: len(mqtt.all("heartbeat")) > beats + 2)
        eventually(lambda: not demo.running.loop.state.faults)  # shown for a while only


# --- slow ---------------------------------------------------------------------------------------


def test_door_works_while_the_broker_is_slow(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.start()
    quick = threading.Event()

    def dawdle(connection: socket.socket) -> None:
        with closing(socket.create_connection(("127.0.0.1", broker.port))) as true:
            other = threading.Thread(target=drip, args=(true, connection, quick), daemon=True)
            other.start()
            drip(connection, true, quick)

    between = Broker(tmp_path / "..").port
    slow = Crowd(between, dawdle)
    try:
        with closing(Subscriber(broker.port)) as mqtt, house_on(tmp_path, between) as demo:
            eventually(lambda: slow.met)
            lets_in_by_button(demo)
            quick.set()
            eventually(lambda: "access_not_taken" in events_of(mqtt))
            eventually(lambda: mqtt.status() == "online")
        slow.close()
    finally:
        broker.kill()


def drip(source: socket.socket, sink: socket.socket, quick: threading.Event) -> None:
    """Pass bytes on, three at a time and with long pauses until ``quick``."""
    try:
        while piece := source.recv(4096 if quick.is_set() else 3):
            quick.wait(0.05)
            sink.sendall(piece)
    except OSError:
        return


# --- delivered as it likes ----------------------------------------------------------------------


@dataclass(frozen=True)
class Delivery:
    """One genuine command and the ways in which it comes: each so late, retained or not."""

    sent_ms: int
    name: str
    late_ms: tuple[int, ...]
    retain: bool


LATE_MS = st.sampled_from((0, 10, 900, 1_900, 4_999, 5_001)) | st.integers(0, 90_000)
DELIVERIES = st.builds(
    Delivery,
    sent_ms=st.integers(0, 10_000),
    name=st.sampled_from(("access_door", "access_door", *COMMANDS)),
    late_ms=st.lists(LATE_MS, min_size=1, max_size=3).map(tuple),
    retain=st.booleans(),
)
WALL_S = 1_800_000_000.0


@given(st.lists(DELIVERIES, min_size=1, max_size=10), st.lists(st.integers(0, 15_000), max_size=2))
@settings(max_examples=400)
def test_command_delayed_repeated_or_reordered_opens_once_and_only_while_fresh(
    deliveries: list[Delivery], restarts_ms: list[int]
) -> None:
    max_age_s = Config().command_max_age_s
    engine = Engine(RuleSettings(), Config().sensing)
    arrivals = sorted(
        (each.sent_ms + late_ms, number, each)
        for number, each in enumerate(deliveries)
        for late_ms in each.late_ms
    )
    inbox, began_ms = Inbox(max_age_s, 0.0, "boot"), 0.0
    done: set[int] = set()
    for at_ms, number, each in arrivals:
        for restart_ms in sorted(restarts_ms):
            if began_ms < restart_ms <= at_ms:
                inbox, began_ms = Inbox(max_age_s, restart_ms, "boot"), restart_ms
        body = {"id": str(number), "issued_at": WALL_S + each.sent_ms / 1000}
        message = Message(f"x/cmd/{each.name}", json.dumps(body).encode(), 1, each.retain)
        command = inbox.take(each.name, message, Now(at_ms, WALL_S + at_ms / 1000))
        assert command is not None
        effects = engine.advance(at_ms)
        assert Set("strike", True) not in [effect for _, effect in effects], "on without a command"
        on = Set("strike", True) in [effect for _, effect in engine.event(command)]
        if command.refusal is None:
            assert number not in done, "done twice"
            assert not each.retain
            assert at_ms - each.sent_ms <= max_age_s * 1000 + 1
            done.add(number)
        assert not on or (command.refusal is None and each.name == "access_door")


def test_command_from_before_a_restart_is_not_repeated_after_it() -> None:
    body = json.dumps({"id": "a", "issued_at": WALL_S + 10.0}).encode()
    message = Message("x/cmd/access_door", body, 1)
    for began_ms, at_ms, refusal in (
        (0.0, 10_100.0, None),
        (10_200.0, 10_900.0, Reason.STALE_COMMAND),
    ):
        inbox = Inbox(5.0, began_ms, "boot")
        command = inbox.take("access_door", message, Now(at_ms, WALL_S + at_ms / 1000))
        assert command is not None
        assert command.refusal is refusal
