"""A Home Assistant with a house and a light, on a broker with the rights that the installer gives.

These tests need a release of Home Assistant, which ``make test-ha`` installs: not run elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.mqtt.message import Message
from tests.conftest import Broker
from tests.homeassistant.homeassistant import HomeAssistant
from tests.homeassistant.house import House
from tests.homeassistant.releases import VERSION
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually

collect_ignore_glob = [] if VERSION else ["test_*.py"]

sys.path.insert(0, str(Path(__file__).parents[2] / "systemd"))
from installer.broker import ROLES  # noqa: E402

LOGIN = {"username": "homeassistant", "password": "tender"}
#: Where the owner has not let Home Assistant ask for anything.
SILENT = "silent"
VENUES = ("bar", "attic", "cable", "killed", "stopped", "old", "new", "larger", "idle", "evening")
#: When a device goes, Home Assistant clears its topic once more, and then wonders at itself.
ITSELF = "No device components to cleanup"


def rights() -> str:
    """Return the broker's access list: the installer's own lines for Home Assistant."""
    _, topics = ROLES["homeassistant"]
    lines = ["topic readwrite #", "user homeassistant", "topic readwrite test/#"]
    for venue in (SILENT, *VENUES):
        *reads, asks = (line.format(base=f"backdoor/{venue}") for line in topics)
        lines += [*reads, asks if venue == SILENT else asks.removeprefix("#")]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ha")


@pytest.fixture(scope="session")
def broker(folder: Path) -> Iterator[Broker]:
    passwords, access = folder / "passwords", folder / "acl"
    passwords.write_text(":".join(LOGIN.values()) + "\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    access.write_text(rights())
    for file in (passwords, access):
        file.chmod(0o600)
    lines = ("allow_anonymous true", f"password_file {passwords}", f"acl_file {access}")
    made = Broker(folder, lines)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def house(folder: Path, broker: Broker) -> Iterator[House]:
    address = "web.public_url='http://backdoor.local:8080'"
    made = House(folder, broker.port, address, "door.release_time=2")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def mqtt(broker: Broker) -> Iterator[Subscriber]:
    """What else is on the broker: a light, and whoever listens."""
    subscriber = Subscriber(broker.port)
    light = {
        "name": "Shelf",
        "unique_id": "shelf",
        "schema": "json",
        "command_topic": "test/shelf",
        "brightness": True,
        "supported_color_modes": ["brightness"],
    }
    payload = json.dumps(light).encode()
    subscriber.send_message(Message("homeassistant/light/shelf/config", payload, retain=True))
    yield subscriber
    subscriber.close()


@pytest.fixture(scope="session")
def ha(folder: Path, broker: Broker, house: House, mqtt: Subscriber) -> Iterator[HomeAssistant]:
    made = HomeAssistant(folder / "config")
    made.start()
    made.join(broker.host, broker.port, **LOGIN)
    eventually(lambda: made.state("light.shelf") == "unknown", 30)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _calm(ha: HomeAssistant, broker: Broker, request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may make Home Assistant complain, or ask for what the broker denies it."""
    complaints, asked = len(ha.complaints()), broker.log.read_text().count("Denied PUBLISH")
    yield
    marker = request.node.get_closest_marker("its_own")
    known = (ITSELF, *(marker.args if marker else ()))
    new = ha.complaints()[complaints:]
    assert [line for line in new if not any(word in line for word in known)] == []
    denied = [line for line in broker.log.read_text().splitlines() if "Denied PUBLISH" in line]
    assert [line for line in denied[asked:] if "/cmd/" in line] == []
