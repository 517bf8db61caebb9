"""The whole service beside a real broker: a knock on MQTT in, a request at a phone's server out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from controller.config.loader import ConfigError, parse
from controller.config.settings import Config
from controller.mqtt.message import Message
from controller.notify.notices import Now
from controller.notify.service import MEMORY, Service, channels_of, make_service, moment
from tests.conftest import Broker, free_port
from tests.support.controller_says import EVENING_S, ControllerSays
from tests.support.receivers import Receiver, Request, ask, receiver
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually

BASE = "backdoor/bar/"


class Running:
    """The service in a thread, and the controller's side of the broker."""

    def __init__(self, broker: Broker, server: Receiver, folder: Path | None) -> None:
        self.broker, self.server, self.folder = broker, server, folder
        self.subscriber = Subscriber(broker.port)
        self.controller = ControllerSays()
        self.urls = [f"ntfy://{server.host}/bar"]
        self.sets: list[str] = []
        self.service: Service | None = None
        #: The house's seconds since the evening began run on from here.
        self._began_s = time.monotonic()

    @property
    def at_s(self) -> float:
        return time.monotonic() - self._began_s

    def now(self) -> Now:
        return Now(moment().t_s, EVENING_S + self.at_s)

    def config(self) -> Config:
        mqtt = {"port": self.broker.port, "protocol": 5}
        notify = {"urls": self.urls, "answer_host": "127.0.0.1", "answer_port": free_port()}
        return parse({"mqtt": mqtt, "notify": notify}, "test", self.sets)

    def start(self) -> None:
        config = self.config()
        channels = channels_of(config)
        self.service = Service(config, channels, folder=self.folder, now=self.now)
        self._thread = Thread(target=self.service.run, name="notify")
        self._thread.start()
        log = self.broker.log
        seen = log.read_text().count("Sending SUBACK to backdoor-notify-bar")
        eventually(
            lambda: log.read_text().count("Sending SUBACK to backdoor-notify-bar") > seen or seen
        )

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self._thread.join(HANGS_S)
            assert not self._thread.is_alive()
            self.service = None

    def say(self, message: tuple[str, bytes], qos: int = 1) -> None:
        self.subscriber.publish(BASE + message[0], message[1], qos)

    def knock(self, place: str = "hatch") -> None:
        self.say(self.controller.knock(self.at_s, place))

    def posts(self) -> list[Request]:
        return [one for one in list(self.server.requests) if one.method == "POST"]

    def deletes(self) -> list[Request]:
        return [one for one in list(self.server.requests) if one.method == "DELETE"]

    def commands(self) -> list[Message]:
        return [one for one in self.subscriber.messages if "/cmd/" in one.topic]

    def link(self) -> tuple[int, str]:
        """Return port and path of the newest message's button."""
        url = self.posts()[-1].json["actions"][0]["url"]
        where, _, secret = url.partition("/answered/")
        return int(where.rpartition(":")[2]), f"/answered/{secret}"


@pytest.fixture
def running(broker: Broker, tmp_path: Path) -> Iterator[Running]:
    with receiver() as server:
        one = Running(broker, server, tmp_path)
        yield one
        one.stop()
        one.subscriber.close()


def test_a_knock_reaches_the_phone_and_its_answer_the_house(running: Running) -> None:
    running.start()
    running.knock()
    eventually(running.posts)
    assert running.posts()[0].json["title"] == "Hatch: 1 waiting"
    port, path = running.link()

    assert ask(port, "GET", path)[0] == 200
    assert running.commands() == []  # looking asks for nothing

    answers: list[int] = []
    tap = Thread(target=lambda: answers.append(ask(port, "POST", path)[0]))
    tap.start()
    eventually(running.commands)
    (command,) = running.commands()
    assert (command.topic, command.qos, command.retain) == (f"{BASE}cmd/answer_hatch", 1, False)
    assert set(json.loads(command.payload)) == {"id", "issued_at", "boot"}
    running.say(running.controller.event("hatch_answered", running.at_s, cause="mqtt"))
    tap.join(HANGS_S)
    assert answers == [200]

    eventually(running.deletes)  # the message goes from the lock screen
    assert ask(port, "POST", path)[0] == 404  # and its link works once
    assert len(running.commands()) == 1


def test_a_tap_that_nobody_confirms_says_so(running: Running) -> None:
    running.start()
    running.knock("door")
    eventually(running.posts)
    port, path = running.link()
    assert ask(port, "POST", path)[0] == 502
    eventually(running.commands)
    assert running.commands()[0].topic == f"{BASE}cmd/answer_door"


def test_who_was_answered_by_other_means_cannot_be_answered_by_the_link(running: Running) -> None:
    running.start()
    running.knock()
    eventually(running.posts)
    port, path = running.link()
    running.say(running.controller.event("hatch_opened", running.at_s))
    eventually(running.deletes)
    assert ask(port, "POST", path)[0] == 404
    assert running.commands() == []


def test_a_knock_that_falls_into_its_restart_is_told_once(running: Running) -> None:
    running.start()
    running.stop()
    running.knock()  # nobody listens: the broker keeps it
    assert running.posts() == []
    running.start()
    eventually(running.posts)
    running.stop()
    running.start()
    running.knock("door")
    eventually(lambda: len(running.posts()) == 2)
    assert [one.json["title"] for one in running.posts()] == [
        "Hatch: 1 waiting",
        "Front door: somebody waits",
    ]


def test_a_knock_that_is_stale_after_the_restart_is_not_told(running: Running) -> None:
    running.start()
    running.stop()
    running.say(running.controller.knock(running.at_s - 31.0))
    running.start()
    running.knock("door")
    eventually(running.posts)
    assert [one.json["title"] for one in running.posts()] == ["Front door: somebody waits"]


def test_what_is_stored_at_the_broker_is_no_event(running: Running) -> None:
    topic, payload = running.controller.knock(0.0)
    running.subscriber.publish(BASE + topic, payload, retain=True)
    running.start()
    running.knock("door")
    eventually(running.posts)
    assert running.posts()[0].json["title"] == "Front door: somebody waits"


def test_a_server_that_fails_gets_it_again_and_one_that_hangs_holds_up_no_other(
    running: Running,
) -> None:
    running.server.answers(500, 429)
    with receiver() as stuck:
        stuck.reply = hangs
        running.urls.append(f"json://{stuck.host}/x")
        running.start()
        running.knock()
        eventually(lambda: len(running.posts()) == 3)
        eventually(lambda: stuck.requests)
    first, second, third = running.posts()
    assert first.json == second.json == third.json
    assert 1.0 <= second.at_s - first.at_s < 30.0
    assert 2.0 <= third.at_s - second.at_s < 30.0


def test_a_network_that_comes_back_in_time_gets_the_knock_once(running: Running) -> None:
    port = free_port()
    running.urls = [f"ntfy://127.0.0.1:{port}/bar"]
    running.start()
    running.knock()
    sender = running.service._senders[0]  # type: ignore[union-attr]
    eventually(lambda: sender._trouble == "cannot be reached")
    with receiver(port=port) as back:
        eventually(lambda: back.requests)
        running.say(running.controller.event("hatch_answered", running.at_s, cause="page"))
        eventually(lambda: len(back.requests) == 2)
    assert [one.method for one in back.requests] == ["POST", "DELETE"]


def hangs(_request: Request) -> tuple[int, dict[str, str], bytes]:
    time.sleep(5.0)
    return 200, {}, b"{}"


def test_a_name_that_takes_too_long_to_be_looked_up_sends_nothing_stale(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up hangs for 40 s of this clock; the network is there again after it."""
    late: dict[str, float] = {"by": 0.0}
    real = running.now

    def now() -> Now:
        t_s, wall_s = real()
        return Now(t_s + late["by"], wall_s + late["by"])

    def looked_up(_host: str) -> bool:
        late["by"] = 40.0
        return True

    monkeypatch.setattr("controller.notify.channels._resolves", looked_up)
    monkeypatch.setattr(running, "now", now)
    running.start()
    running.knock()
    eventually(lambda: late["by"])
    eventually(lambda: running.service is not None and given_up(running.service) == 1)
    assert running.posts() == []


def given_up(service: Service) -> int:
    return sum(sender._pending.given_up for sender in service._senders)


def test_quiet_hours_and_kinds_are_each_addresses_own(running: Running) -> None:
    running.sets = ['notify.for=["door_knock"]']
    running.start()
    running.knock("hatch")
    running.knock("door")
    eventually(running.posts)
    assert [one.json["title"] for one in running.posts()] == ["Front door: somebody waits"]


def test_a_minute_without_a_broker_is_told_and_so_is_its_return(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This clock jumps a minute once the broker is gone."""
    real, ahead_s = running.now, [0.0]
    monkeypatch.setattr(running, "now", lambda: Now(real().t_s + ahead_s[0], real().wall_s))
    running.start()
    running.broker.kill()
    ahead_s[0] = 61.0
    eventually(running.posts)
    assert running.posts()[0].json["title"] == "Dark: the bar is not to be heard"
    running.broker.start()
    eventually(running.subscriber.client.is_connected)

    def back() -> bool:
        running.say(running.controller.heartbeat())
        return len(running.posts()) == 2

    eventually(back)
    assert running.posts()[1].json["title"] == "The bar is back"


def test_a_memory_that_cannot_be_read_is_forgotten(running: Running, tmp_path: Path) -> None:
    (tmp_path / MEMORY).write_bytes(b'{"seen": 7}')
    running.start()
    running.knock()
    eventually(running.posts)
    kept = tmp_path / MEMORY
    eventually(lambda: b"hatch" in kept.read_bytes())


def test_where_nothing_can_be_written_it_works_on(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running.folder = tmp_path / "gone"
    running.start()
    running.knock()
    running.knock("door")
    eventually(lambda: len(running.posts()) == 2)
    assert caplog.text.count("cannot be written (No such file or directory)") == 1


def test_italian(running: Running) -> None:
    running.sets = ['notify.language="it"']
    running.start()
    running.knock()
    eventually(running.posts)
    message = running.posts()[0].json
    assert (message["title"], message["actions"][0]["label"]) == (
        "Sportello: 1 in attesa",
        "Risposto",
    )


def test_without_a_port_there_is_no_button(running: Running) -> None:
    running.start()
    running.stop()
    running.config = without_port(running.config)  # type: ignore[method-assign]
    running.start()
    running.knock()
    eventually(running.posts)
    assert "actions" not in running.posts()[0].json


def without_port(config: Callable[[], Config]) -> Callable[[], Config]:
    from dataclasses import replace

    def changed() -> Config:
        usual = config()
        return replace(usual, notify=replace(usual.notify, answer_port=0))

    return changed


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "[notify] urls: has no address"),
        ({"mqtt": {"host": ""}, "notify": {"urls": ["json://127.0.0.1/x"]}}, "[mqtt] host: "),
        (
            {"notify": {"urls": ["json://127.0.0.1/x", "odd://secret"]}},
            "[notify] urls: address 2: odd://...: Apprise knows no such service",
        ),
    ],
)
def test_what_cannot_run_says_why(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("[", r"\[").replace(".", r"\.")):
        make_service(parse(document, "test"))


def test_a_port_that_is_taken_is_named(broker: Broker) -> None:
    notify = {"urls": ["json://127.0.0.1/x"], "answer_port": broker.port}
    notify["answer_host"] = "127.0.0.1"
    with pytest.raises(ConfigError, match="answer_port: cannot listen on 127"):
        make_service(parse({"notify": notify}, "test"))
