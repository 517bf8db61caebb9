"""The page over a real mosquitto: the same as in memory, and through the broker's death."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from controller.config.settings import Mqtt
from controller.mqtt.client import MqttLink
from tests.browser.bar import Bar
from tests.conftest import Broker
from tests.support.wait import eventually


@pytest.fixture
def bar(tmp_path: Path, broker: Broker) -> Iterator[Bar]:
    links = partial(MqttLink, Mqtt(host=broker.host, port=broker.port))
    with Bar(tmp_path, links=links) as bar:
        eventually(lambda: bar.state()["link"] == "online")
        yield bar


def test_command_through_the_broker_and_back(bar: Bar) -> None:
    client = bar.app.test_client()
    client.get(bar.serving.pair_url.removeprefix(bar.serving.url))
    found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
    assert found
    headers = {"X-CSRFToken": found[1], "Accept": "application/json"}
    first = client.post("/command/access_door", data={"party": 2}, headers=headers)
    assert (first.status_code, first.json and first.json["state"]) == (200, "done")
    eventually(lambda: bar.is_on("strike"))
    second = client.post("/command/access_door", data={"party": 1}, headers=headers)
    assert (second.status_code, second.json and second.json["reason"]) == (409, "ReleaseOpen")


def test_knock_through_the_broker_reaches_the_page_once(bar: Bar) -> None:
    bar.simulator.act("knock_hatch")
    eventually(lambda: bar.state()["hatch"]["light"] == "ON")
    eventually(lambda: bar.mirror.view().knock["n"] == 1)
    eventually(lambda: bar.mirror.view().night.get("totals", {}).get("knocks") == 1)


def test_broker_that_dies_is_offline_and_one_that_returns_online(bar: Bar, broker: Broker) -> None:
    broker.kill()
    eventually(lambda: bar.state()["link"] == "offline")
    assert bar.mirror.command("access_door", party=1).state == "not_answered"
    bar.simulator.act("walk_in")
    assert not bar.is_on("strike")
    broker.start()
    eventually(lambda: bar.state()["link"] == "online")
    assert bar.state()["occupancy"]["count"] == 1
    assert not bar.is_on("strike")


def test_controller_that_hangs_is_stale_though_its_link_lives(bar: Bar) -> None:
    bar.freeze()
    eventually(lambda: bar.state()["link"] == "stale", 6)
    bar.thaw()
    eventually(lambda: bar.state()["link"] == "online", 6)
