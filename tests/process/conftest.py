"""A controller in a process of its own, an MQTT client beside it, and a wall clock to set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.support.controller_process import Controller
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S
from tests.support.wall_clock import WallClock


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    made: list[Controller] = []

    def make(*sets: str, **environment: str) -> Controller:
        made.append(Controller(tmp_path, *sets))
        made[-1].start(**environment)
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait(HANGS_S)


@pytest.fixture
def mqtt(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[WallClock]:
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    yield WallClock(monkeypatch)
    monkeypatch.undo()
    time.tzset()
