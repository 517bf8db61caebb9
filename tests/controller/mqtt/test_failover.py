"""Several brokers in an order: real ones that are dead, die, hang and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

from controller.config.brokers import Broker as At
from controller.config.brokers import read_hosts
from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.mqtt.failover import ASK_S, Brokers, works
from controller.mqtt.link import Link, Peer
from controller.mqtt.message import Message
from tests.conftest import Broker
from tests.support.certificate import make_certificate
from tests.support.links import Links, Received
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually

OFFLINE = Message("bar/status", b"offline", 1, True)
ONLINE = Message("bar/status", b"online", 1, True)


@pytest.fixture
def brokers(make_broker: Callable[..., Broker]) -> tuple[Broker, Broker]:
    return make_broker(), make_broker()


def of(brokers: Sequence[Broker]) -> Mqtt:
    """Return the settings that name them, the first with MQTT 5 and the second without."""
    entries = [
        {"host": broker.host, "port": broker.port, "protocol": 5 - n}
        for n, broker in enumerate(brokers)
    ]
    return Mqtt(host=read_hosts(entries))


@pytest.fixture
def links(brokers: Sequence[Broker]) -> Iterator[Links]:
    links = Links(of(brokers))
    yield links
    links.stop()


def on(link: Link, broker: Broker) -> bool:
    assert isinstance(link, MqttLink)
    return link.connected and link._brokers.now.port == broker.port


def test_first_is_dead_at_the_start_and_the_second_is_used(
    brokers: tuple[Broker, Broker], links: Links
) -> None:
    brokers[0].stop()
    link, received = links.up("bar/cmd/+")
    assert on(link, brokers[1])
    assert [why for why in received.downs if f":{brokers[0].port}: cannot be reached" in why]
    with_first = Subscriber(brokers[1].port)
    with_first.publish("bar/cmd/access_door", b"1")
    eventually(lambda: received.payloads("bar/cmd/access_door") == [b"1"])
    with_first.close()


def test_first_dies_and_comes_back(brokers: tuple[Broker, Broker], links: Links) -> None:
    link, received = links.up("bar/cmd/+", will=OFFLINE, birth=ONLINE)
    assert on(link, brokers[0])
    link.publish(Message("bar/state", b"kept", 0, True))
    brokers[0].kill()
    eventually(lambda: on(link, brokers[1]))
    second = Subscriber(brokers[1].port)
    eventually(lambda: second.payloads("bar/state") == [b"kept"])
    brokers[0].start()
    eventually(lambda: on(link, brokers[0]))
    eventually(lambda: second.payloads("bar/status")[-1:] == [b"offline"])  # the will: we left
    first = Subscriber(brokers[0].port)
    eventually(lambda: first.payloads("bar/status") == [b"online"])
    assert first.payloads("bar/state") == [b"kept"]
    assert received.ups == len(received.downs) + 1
    second.close()
    first.close()


def test_two_clients_meet_again_on_the_first(brokers: tuple[Broker, Broker], links: Links) -> None:
    """The page that started on the second, and the controller: none stays there alone."""
    brokers[0].stop()
    page, heard = links.up("bar/event/+")
    brokers[0].start()
    house, _ = links.up()
    eventually(lambda: on(page, brokers[0]) and on(house, brokers[0]))
    house.publish(Message("bar/event/entry", b"1", 1))
    eventually(lambda: heard.payloads("bar/event/entry") == [b"1"])


def test_frozen_first_is_left_and_not_gone_back_to(
    brokers: tuple[Broker, Broker], links: Links
) -> None:
    link, received = links.up(birth=ONLINE)
    brokers[0].freeze()
    link.publish(Message("bar/event/entry", b"1", 1), 7)
    eventually(lambda: on(link, brokers[1]))
    assert received.acks == []
    link.publish(Message("bar/event/entry", b"1", 1), 7)  # as the outbox does
    eventually(lambda: received.acks == [7])
    peer = Peer("probe", ("bar/cmd/+",), received.on_message, received.on_up, received.on_ack)
    assert not works(At(brokers[0].host, brokers[0].port), peer, Event())
    brokers[0].thaw()
    eventually(lambda: on(link, brokers[0]))


def test_asking_takes_nothing_from_a_durable_client(
    brokers: tuple[Broker, Broker],
) -> None:
    """What the broker collected for it comes once it is really back."""
    links = Links(of(brokers[:1]))
    link, _ = links.up("bar/event/+", client_id="nights", durable=True)
    link.stop()
    sender = Subscriber(brokers[0].port)
    sender.publish("bar/event/entry", b"1")
    got = Received()
    peer = Peer("nights", ("bar/event/+",), got.on_message, got.on_up, got.on_ack, durable=True)
    assert works(of(brokers).brokers()[0], peer, Event())
    _, received = links.up("bar/event/+", client_id="nights", durable=True)
    eventually(lambda: received.payloads("bar/event/entry") == [b"1"])
    assert got.messages == []
    links.stop()
    sender.close()


def test_order_of_the_brokers() -> None:
    one, two, three = (At(host) for host in ("one", "two", "three"))
    brokers = Brokers([one, two, three])
    assert brokers.now == one
    brokers.next(steady=False)
    assert (brokers.now, list(brokers.earlier)) == (two, [one])
    brokers.next(steady=True)
    brokers.works(two)
    assert brokers.better()
    brokers.next(steady=True)
    assert brokers.now == two
    assert not brokers.better()
    brokers.next(steady=False)  # the return did not last: three again, and asked half as often
    assert (brokers.now, brokers.ask_s) == (three, 2 * ASK_S[0])
    brokers.next(steady=True)
    assert brokers.now == one  # after the last the first


def test_name_that_is_none_does_not_end_the_asking() -> None:
    got = Received()
    peer = Peer("page", (), got.on_message, got.on_up, got.on_ack)
    assert not works(At("a..b"), peer, Event())


def test_broker_that_is_found_when_it_is_used_already_is_not_left() -> None:
    one, two = (At(host) for host in ("one", "two"))
    brokers = Brokers([one, two])
    brokers.next(steady=True)
    brokers.next(steady=True)  # two was lost while one was asked
    brokers.works(one)
    assert not brokers.better()
    brokers.next(steady=True)
    assert (brokers.now, brokers.ask_s) == (two, ASK_S[0])


def test_broker_with_tls_is_reached_with_its_certificate_only(
    tmp_path: Path, make_broker: Callable[..., Broker]
) -> None:
    cert, key = make_certificate(tmp_path)
    own = make_broker("allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    for ca, why in (("", "certificate verify failed"), (f"{tmp_path}/none.pem", "can't be read")):
        links = Links(Mqtt(host=f"127.0.0.1:{own.port}", tls=True, ca=ca))
        link, received = links.link()
        link.start()
        eventually(lambda: received.downs)  # noqa: B023 - waited for here
        assert why in received.downs[0]
        links.stop()
    links = Links(Mqtt(host=f"localhost:{own.port}", tls=True, ca=cert))
    link, received = links.up("bar/#")
    for number in range(200):  # several in one TLS record
        link.publish(Message("bar/event/entry", str(number).encode(), 1), number)
    eventually(lambda: received.acks == list(range(200)))
    eventually(lambda: len(received.payloads("bar/event/entry")) == 200)
    links.stop()
