"""A controller that is frozen or stuck looks like one: silent, grey, and soon restarted."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from controller.service.assembly import alone
from tests.conftest import Broker
from tests.support.controller_process import Controller, on
from tests.support.demo import house
from tests.support.mirror import mirror_on
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually


@pytest.fixture
def let_go() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def hang(hangs: Event, let_go: Event) -> None:
    """Tell the test that this thread hangs, and hang."""
    hangs.set()
    let_go.wait()


def test_hanging_loop_greys_the_page_within_three_seconds(
    tmp_path: Path, let_go: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house(tmp_path) as demo:
        mirror = mirror_on(partial(alone(demo.bus), client_id="page", on_ack=lambda _: None))
        eventually(lambda: mirror.view().link == "online")
        hangs = Event()
        demo.running.loop.post(partial(hang, hangs, let_go))
        assert hangs.wait(HANGS_S)
        monkeypatch.setattr(mirror, "_monotonic", lambda: (mirror._received_at or 0.0) + 2.9)
        assert mirror.view().link == "online"
        monkeypatch.setattr(mirror, "_monotonic", lambda: (mirror._received_at or 0.0) + 3.1)
        assert mirror.view().link == "stale"
        assert mirror.command("access_door").state == "not_answered"
        monkeypatch.setattr(mirror, "_monotonic", monotonic)
        let_go.set()
        eventually(lambda: mirror.view().link == "online")
        mirror.stop()


def test_hanging_loop_does_not_feed_the_watchdog(
    tmp_path: Path, let_go: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def heard() -> bytes:
            try:
                return systemd.recv(1000)
            except BlockingIOError:
                return b""

        def fed() -> bool:
            return heard() == b"WATCHDOG=1"

        with house(tmp_path) as demo:
            eventually(fed)
            stuck = Event()
            demo.running.loop.post(partial(hang, stuck, let_go))
            assert stuck.wait(HANGS_S)
            while heard():
                pass  # what was said before
            stuck_at = monotonic()
            while monotonic() < stuck_at + 2.5:
                assert not fed()
            let_go.set()
            eventually(fed)


def test_frozen_process_is_noticed_through_the_broker(
    controller: Callable[..., Controller], broker: Broker
) -> None:
    one = controller(on(broker))
    settings = Mqtt(host=broker.host, port=broker.port)
    join = partial(
        MqttLink, settings, client_id="page", on_ack=lambda _: None, will=None, birth=None
    )
    mirror = mirror_on(join)
    with closing(Subscriber(broker.port)) as mqtt:
        eventually(lambda: mirror.view().link == "online")
        assert one.process is not None
        os.kill(one.process.pid, signal.SIGSTOP)
        eventually(lambda: mirror.view().link != "online")
        beats = len(mqtt.all("heartbeat"))
        os.kill(one.process.pid, signal.SIGCONT)
        eventually(lambda: len(mqtt.all("heartbeat")) > beats)
        eventually(lambda: mirror.view().link == "online")
    mirror.stop()
