"""The link against a real mosquitto that is stopped, killed, frozen and shared with strangers."""

from __future__ import annotations

import itertools
import logging
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from controller.config.settings import Mqtt
from controller.mqtt.client import TAKEOVERS_VAGUE, MqttLink
from controller.mqtt.connection import Connection
from controller.mqtt.link import Peer
from controller.mqtt.message import Message
from controller.mqtt.send_queue import SendQueue
from tests.conftest import Broker
from tests.support.links import Links, Received
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually

OFFLINE = Message("bar/status", b"offline", 1, True)
ONLINE = Message("bar/status", b"online", 1, True)
STATE = Message("bar/state", b"{}", 0, True)


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def links(broker: Broker, protocol: int) -> Iterator[Links]:
    links = Links(Mqtt(port=broker.port, protocol=protocol))
    yield links
    links.stop()


@pytest.fixture
def subscribe(broker: Broker) -> Iterator[Callable[[], Subscriber]]:
    subscribers: list[Subscriber] = []

    def make(*, v5: bool = False) -> Subscriber:
        subscribers.append(Subscriber(broker.port, v5=v5))
        return subscribers[-1]

    yield make
    for subscriber in subscribers:
        subscriber.close()


# --- coming and going -----------------------------------------------------------------------------


def test_link_connects_once_the_broker_is_up(broker: Broker, links: Links) -> None:
    broker.stop()
    link, received = links.link()
    link.start()
    eventually(lambda: received.downs)
    assert received.downs[0].startswith(f"broker 127.0.0.1:{broker.port}: cannot be reached")
    assert "refused" in received.downs[0]
    assert isinstance(link, MqttLink)
    eventually(lambda: link._delay_s == 1.0)  # two attempts failed
    broker.start()
    eventually(lambda: received.ups, 10)
    refused = [why for why in received.downs if "refused" in why]
    assert len(refused) == 1  # told once, not at every attempt


def test_latest_values_are_sent_again_after_broker_was_killed(
    broker: Broker, links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    link, received = links.up("bar/cmd/+", will=OFFLINE, birth=ONLINE)
    link.publish(STATE)
    link.publish(Message("bar/door", b"shut", 1, True))
    broker.kill()
    eventually(lambda: received.downs)
    assert not link.connected
    link.publish(Message("bar/state", b"newer", 0, True))
    link.publish(Message("bar/heartbeat", b"lost"))
    link.publish(Message("bar/event/entry", b"kept by the journal", 1), 9)
    broker.start()
    eventually(lambda: received.ups >= 2)
    assert isinstance(link, MqttLink)
    eventually(lambda: link._connection and not link._queue and not link._connection._in_flight)
    subscriber = subscribe()  # now the broker has all of it
    eventually(lambda: len(subscriber.messages) == 3)
    assert sorted(
        (message.topic, message.payload, message.retain) for message in subscriber.messages
    ) == [
        ("bar/door", b"shut", True),
        ("bar/state", b"newer", True),
        ("bar/status", b"online", True),
    ]
    subscriber.publish("bar/cmd/access_door", b"1")  # subscribed anew as well
    eventually(lambda: received.topics() == ["bar/cmd/access_door"])
    assert received.acks == []


def test_command_sent_during_outage_is_not_delivered(
    broker: Broker, links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    """A command that was sent while we were away must not open the door now."""
    link, received = links.link("bar/cmd/+", client_id="house")
    link.start()
    eventually(lambda: received.ups)
    link.stop()
    subscriber = subscribe()
    subscriber.publish("bar/cmd/access_door", b"stale")
    again, received = links.up("bar/cmd/+", client_id="house")
    subscriber.publish("bar/cmd/access_door", b"fresh")
    eventually(lambda: received.messages)
    assert received.payloads("bar/cmd/access_door") == [b"fresh"]
    assert again.connected


def test_retained_command_is_withheld_or_keeps_its_flag(
    links: Links, protocol: int, subscribe: Callable[[], Subscriber]
) -> None:
    subscriber = subscribe()
    subscriber.publish("bar/cmd/access_door", b"stored", retain=True)
    _, received = links.up("bar/cmd/+")
    subscriber.publish("bar/cmd/access_door", b"live", retain=True)
    eventually(lambda: b"live" in received.payloads("bar/cmd/access_door"))
    messages = [(message.payload, message.retain) for message in received.messages]
    if protocol == 5:
        assert messages == [(b"live", True)]  # a mis-set retain is seen at the first press
    else:
        assert messages == [(b"stored", True), (b"live", False)]


def test_events_continue_in_order_after_broker_was_killed(
    broker: Broker, links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    """As the service does it: what was not acknowledged is published again after ``on_up``."""
    outbox = [Message("bar/event/entry", b"%d" % number, 1) for number in range(300)]
    delivered = 0

    class House(Received):
        def on_up(self) -> None:
            for number in range(delivered, len(outbox)):
                link.publish(outbox[number], number)
            super().on_up()

        def on_ack(self, ack: int) -> None:
            nonlocal delivered
            super().on_ack(ack)
            delivered = ack + 1

    received = House()
    link, _ = links.link(received=received)
    subscriber = subscribe()
    link.start()
    eventually(lambda: delivered > 20)
    broker.kill()
    broker.start()
    eventually(lambda: delivered == 300)
    assert received.acks[-1] == 299
    numbers = {int(message.payload) for message in subscriber.messages}
    assert received.ups >= 1
    assert len(numbers) <= 300


def test_message_expiry_with_mqtt_5_only_without_ack_or_retain(
    broker: Broker, subscribe: Callable[..., Subscriber]
) -> None:
    links = Links(Mqtt(port=broker.port, protocol=5))
    subscriber = subscribe(v5=True)
    expiry: dict[str, int | None] = {}
    subscriber.client.on_message = lambda _client, _data, message: expiry.update(
        {message.topic: getattr(message.properties, "MessageExpiryInterval", None)}
    )
    link, _ = links.up()
    link.publish(Message("bar/cmd/access_door", b"", 1))
    link.publish(Message("bar/event/entry", b"", 1), 1)
    link.publish(STATE)
    eventually(lambda: len(expiry) == 3)
    links.stop()
    assert expiry == {"bar/cmd/access_door": 10, "bar/event/entry": None, "bar/state": None}


def test_stop_waits_until_last_messages_arrived(
    links: Links, subscribe: Callable[[], Subscriber], patient: None
) -> None:
    subscriber = subscribe()
    link, _ = links.up(will=Message("bar/status", b"will", 1, True), birth=ONLINE)
    for number in range(50):
        link.publish(Message("bar/event/entry", b"%d" % number, 1))
    link.stop([Message("bar/status", b"offline", 0, True)])
    eventually(lambda: b"offline" in subscriber.payloads("bar/status"))
    assert len(subscriber.payloads("bar/event/entry")) == 50
    assert subscriber.payloads("bar/status") == [b"online", b"offline"]


def test_will_is_published_when_connection_breaks(
    links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    subscriber = subscribe()
    link, received = links.up(will=OFFLINE, birth=ONLINE)
    link.publish(STATE)
    eventually(lambda: "bar/state" in subscriber.topics())
    received.on_up = lambda: None  # type: ignore[method-assign]
    assert isinstance(link, MqttLink)
    link._queue.put(Message("bar/#", b""))  # paho refuses it: an exception in our thread
    link._wake()
    eventually(lambda: b"offline" in subscriber.payloads("bar/status"))
    eventually(lambda: subscriber.payloads("bar/status")[-1] == b"online")


# --- what goes wrong ------------------------------------------------------------------------------


def test_exception_in_on_message_reconnects(
    links: Links, subscribe: Callable[[], Subscriber], caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(Received):
        def on_message(self, message: Message) -> None:
            super().on_message(message)
            if message.payload == b"poison":
                raise RuntimeError("no such cocktail")

    link, received = links.up("bar/cmd/+", received=Fragile())
    subscriber = subscribe()
    subscriber.publish("bar/cmd/access_door", b"poison")
    eventually(lambda: received.ups >= 2)
    assert "internal error: RuntimeError('no such cocktail')" in received.downs[0]
    assert "no such cocktail" in caplog.text
    subscriber.publish("bar/cmd/access_door", b"good")
    eventually(lambda: b"good" in received.payloads("bar/cmd/access_door"))
    assert link.connected


def test_exception_in_on_down_is_logged_and_link_reconnects(
    broker: Broker, links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(Received):
        def on_down(self, why: str) -> None:
            super().on_down(why)
            raise RuntimeError("deaf")

    _, received = links.up(received=Fragile())
    broker.kill()
    eventually(lambda: received.downs)
    broker.start()
    eventually(lambda: received.ups >= 2)
    assert "callback on_down failed" in caplog.text


def test_stop_returns_while_a_callback_hangs(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.mqtt.client.CONNECT_LIMIT_S", 0.1)
    monkeypatch.setattr("controller.mqtt.client.STOP_LIMIT_S", 0.1)
    hanging, go_on = threading.Event(), threading.Event()

    class Hanging(Received):
        def on_up(self) -> None:
            hanging.set()
            go_on.wait()

    link, _ = Links(Mqtt(port=broker.port)).link(received=Hanging())
    link.start()
    assert hanging.wait(HANGS_S)
    link.stop([OFFLINE])  # it comes back although the callback never does
    go_on.set()
    monkeypatch.undo()
    link.stop()


def test_wrong_password_names_the_keys_to_check(
    make_broker: Callable[..., Broker], protocol: int, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "house", "right"], check=True)
    broker = make_broker("allow_anonymous false", f"password_file {passwords}")
    for name, password in (("house", "wrong"), ("", "")):
        settings = Mqtt(port=broker.port, protocol=protocol, username=name, password=password)
        links = Links(settings)
        link, received = links.link()
        link.start()
        eventually(lambda received=received: received.downs)  # type: ignore[misc]
        assert (
            "refuses us (Not authorized); check [mqtt] username and password" in received.downs[0]
        )
        assert received.ups == 0
        links.stop()
    links = Links(Mqtt(port=broker.port, protocol=protocol, username="house", password="right"))
    links.up()
    links.stop()


def test_second_client_with_same_id_is_named_as_reason(broker: Broker, links: Links) -> None:
    first, received = links.up(client_id="backdoor-controller")
    second, _ = links.link(client_id="backdoor-controller")
    second.start()
    text = "someone else uses our client id backdoor-controller"
    eventually(lambda: any(text in why for why in received.downs))
    second.stop()
    eventually(lambda: first.connected)


def comes_as(broker: Broker, client_id: str) -> socket.socket:
    """Connect under an id, once, as who wants to throw out its owner."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    thief = socket.create_connection((broker.host, broker.port))
    thief.sendall(b"\x10" + bytes([len(body)]) + body)
    assert thief.recv(4) == b"\x20\x02\x00\x00"
    return thief


def test_link_that_is_thrown_out_again_and_again_changes_its_id(
    broker: Broker, links: Links
) -> None:
    """Then whoever comes with our id keeps nobody away any more."""
    first, received = links.up(birth=ONLINE, client_id="house")
    thieves = []
    while not received.thrown_out:
        thieves.append(comes_as(broker, "house"))
        eventually(lambda: received.ups > len(thieves))
        assert len(thieves) <= TAKEOVERS_VAGUE
    assert "someone else uses our client id house, or our login" in received.downs[-1]
    downs = len(received.downs)
    thieves.append(comes_as(broker, "house"))
    first.publish(Message("bar/event/entry", b"", 1), 7)
    eventually(lambda: received.acks == [7])
    assert len(received.downs) == downs
    for thief in thieves:
        thief.close()


def test_refused_subscription_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """mosquitto's access lists let every subscription pass; brokers with roles do not."""
    received = Received()
    peer = Peer("house", ("bar/cmd/+",), received.on_message, received.on_up, received.on_ack)
    broker = Mqtt().brokers()[0]
    connection = Connection(broker, peer, SendQueue(), None, lambda: None)  # type: ignore[arg-type]
    client = connection._new_client()
    refused = ReasonCode(PacketTypes.SUBACK, identifier=0x80)
    connection._on_subscribe(client, None, 1, [refused], None)
    assert "broker: refuses a subscription of house" in caplog.text


def test_port_that_never_answers_is_given_up_after_two_s() -> None:
    """Like a frozen broker at the start: the kernel accepts for it, nobody says hello."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        links = Links(Mqtt(port=mute.getsockname()[1]))
        link, received = links.link()
        link.start()
        eventually(lambda: received.downs)
        assert "no answer within 2 s; is it frozen?" in received.downs[0]
        links.stop()


def test_stop_while_connecting_does_not_wait_for_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("client", "connection"):
        monkeypatch.setattr(f"controller.mqtt.{module}.CONNECT_LIMIT_S", 10 * HANGS_S)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        link, received = Links(Mqtt(port=mute.getsockname()[1])).link()
        link.start()
        mute.settimeout(HANGS_S)
        taken, _ = mute.accept()
        link.stop([OFFLINE])
        taken.close()
        assert received.all == []


def test_frozen_broker_does_not_slow_publish_or_grow_memory(
    broker: Broker, subscribe: Callable[[], Subscriber], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    links = Links(Mqtt(port=broker.port))
    link, received = links.up(will=OFFLINE, birth=ONLINE)
    broker.freeze()
    slowest_s = 0.0

    def publish(count: int) -> None:
        nonlocal slowest_s
        for number in range(count):
            began_s = time.monotonic()
            link.publish(Message("bar/state", b"%d" % number + b"x" * 1000, 0, True))
            slowest_s = max(slowest_s, time.monotonic() - began_s)

    publish(3000)  # far more than the socket takes
    eventually(lambda: received.downs)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    publish(50_000)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert slowest_s < 3  # the cores may be busy, but that is no network time-out
    assert grown_mib < 16
    broker.thaw()
    eventually(lambda: received.ups >= 2)
    subscriber = subscribe()
    eventually(lambda: subscriber.payloads("bar/state")[-1:] == [b"49999" + b"x" * 1000])
    links.stop()


def test_frozen_broker_is_given_up_with_600_waiting(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.mqtt.connection.KEEPALIVE_S", 60)  # before that could find out
    links = Links(Mqtt(port=broker.port))
    link, received = links.up()
    broker.freeze()
    for number in range(600):
        link.publish(Message("bar/event/entry", b"", 1), number)
    eventually(lambda: received.downs)
    assert "takes no messages" in received.downs[0]
    broker.thaw()
    eventually(lambda: received.ups >= 2)
    links.stop()


def test_5000_messages_at_once_keep_the_connection(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "controller.mqtt.connection.PROGRESS_LIMIT_S", 20.0
    )  # the broker may be slow
    link, received = links.up()
    for number in range(5000):
        link.publish(Message("bar/event/entry", b"", 1), number)
    eventually(lambda: len(received.acks) == 5000)
    assert received.downs == []


def test_frozen_broker_is_noticed_by_keepalive_when_idle(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without messages too: after keepalive (here 1 s) and as long again for its answer."""
    monkeypatch.setattr("controller.mqtt.connection.KEEPALIVE_S", 1)
    links = Links(Mqtt(port=broker.port))
    _, received = links.up()
    broker.freeze()
    eventually(lambda: received.downs, 15)
    assert "connection lost" in received.downs[0]
    broker.thaw()
    eventually(lambda: received.ups >= 2)
    links.stop()


def test_broker_that_freezes_again_and_again_is_no_thief_of_our_id(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.mqtt.connection.KEEPALIVE_S", 1)
    links = Links(Mqtt(port=broker.port))
    _, received = links.up()
    for ups in range(2, TAKEOVERS_VAGUE + 2):
        broker.freeze()
        eventually(lambda: received.ups < len(received.downs) + 1)
        broker.thaw()
        eventually(lambda ups=ups: received.ups >= ups)  # type: ignore[misc]
    assert not any("client id" in why for why in received.downs)
    assert received.thrown_out == 0
    links.stop()


def test_publish_from_many_threads_keeps_order_of_each(
    links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    subscriber = subscribe()
    link, _ = links.up()

    def publish(name: int) -> None:
        for number in range(50):
            ack = number if name % 2 else None  # with one it is sent by its own thread, if free
            link.publish(Message(f"bar/event/{name}", b"%d" % number, 1), ack)

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(subscriber.messages) == 200)
    for name in range(4):
        assert subscriber.payloads(f"bar/event/{name}") == [b"%d" % number for number in range(50)]


class Senders:
    """Who called paho's ``publish``; the next call may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.fail = False
        publish = Client.publish

        def noted(client: Client, *args: Any) -> Any:
            self.names.append(threading.current_thread().name)
            if self.fail:
                self.fail = False
                raise RuntimeError("no such packet")
            return publish(client, *args)

        monkeypatch.setattr(Client, "publish", noted)


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> Senders:
    return Senders(monkeypatch)


def test_event_is_sent_by_caller_and_all_else_by_link_thread(
    senders: Senders, links: Links, subscribe: Callable[[], Subscriber]
) -> None:
    subscriber = subscribe()
    link, received = links.up()
    eventually(lambda: not link._queue)  # type: ignore[attr-defined]
    numbers = itertools.count(1)

    def sent_by_caller() -> bool:
        """Send one event; if the link just uses the client, the link sends it instead."""
        senders.names.clear()
        link.publish(Message("bar/event/knock", b"1", 1), number := next(numbers))
        eventually(lambda: number in received.acks)
        return senders.names == [threading.current_thread().name]

    eventually(sent_by_caller)
    link.publish(STATE)
    eventually(lambda: STATE.topic in subscriber.topics())
    assert senders.names[-1].startswith("link-")


def test_failing_send_ends_connection_and_not_the_caller(
    senders: Senders,
    links: Links,
    subscribe: Callable[[], Subscriber],
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscriber = subscribe()
    link, received = links.up()
    senders.fail = True
    link.publish(Message("bar/event/knock", b"1", 1), 1)
    eventually(lambda: received.ups >= 2)
    assert "no such packet" in caplog.text
    link.publish(Message("bar/event/knock", b"2", 1), 2)
    eventually(lambda: subscriber.payloads("bar/event/knock") == [b"2"])


def test_caller_does_not_send_while_client_is_in_use(senders: Senders, links: Links) -> None:
    link, received = links.up()
    assert isinstance(link, MqttLink)
    connection = link._connection
    assert connection is not None
    with connection._client_lock:
        senders.names.clear()
        link.publish(Message("bar/event/knock", b"1", 1), 1)
        assert senders.names == []
    eventually(lambda: received.acks == [1])


@pytest.mark.parametrize("durable", [True, False])
def test_durable_link_gets_the_events_of_its_absence_and_another_does_not(
    links: Links, subscribe: Callable[..., Subscriber], durable: bool
) -> None:
    link, received = links.up("bar/event/+", client_id="once", durable=durable)
    link.stop()
    stranger = subscribe()
    stranger.publish("bar/event/knock", b"missed")
    stranger.publish("bar/event/knock", b"moment", qos=0)
    link, received = links.up("bar/event/+", client_id="once", durable=durable)
    stranger.publish("bar/event/knock", b"live")
    eventually(lambda: b"live" in received.payloads("bar/event/knock"))
    assert received.payloads("bar/event/knock") == ([b"missed", b"live"] if durable else [b"live"])
