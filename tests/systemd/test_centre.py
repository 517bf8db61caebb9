"""The bridge to a centre: what the installer writes, on real brokers and a real nats-server."""

from __future__ import annotations

import argparse
import itertools
import socket
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import Broker, free_port
from tests.support.certificate import make_certificate
from tests.support.nats import Node, nats_nodes
from tests.support.secured_centre import Centre
from tests.support.wait import eventually

SHIPPED = Path("systemd/backdoor.toml").read_text()
SECRET = "a-long-enough-password"


def options(**given: Any) -> argparse.Namespace:
    usual = {
        "centre": [], "no_centre": False, "centre_credentials": None, "centre_ca": None,
        "centre_commands": None,
    }  # fmt: skip
    return argparse.Namespace(**{**usual, **given})


class Bar:
    """A bar as it is installed: the owner's file, its broker and the bridge, on paths of a test."""

    def __init__(self, parts: Any, folder: Path, text: str = SHIPPED) -> None:
        self.parts, self.folder = parts, folder
        self.config = folder / "backdoor.toml"
        self.config.write_text(text)
        self.port = 1883
        self.credentials = folder / "bar.centre"
        self.credentials.write_text(f"bar:{SECRET}\n")

    def install(self, **given: Any) -> bool:
        """Do the installer's steps; return whether the bridge changed."""
        asked = options(**given)
        centre, executor = self.parts.centre, self.parts.executor
        if asked.no_centre:
            centre.leave(executor, self.config)
        text = centre.prepare(executor, asked, self.config, self.config.read_text())
        self.parts.broker.broker(
            executor,
            text,
            None,
            centre=centre.wanted(asked),
            centre_commands=centre.commands(asked),
        )
        return bool(centre.bridge(executor, asked, text))

    def join(self, *hosts: str, **given: Any) -> bool:
        return self.install(centre=list(hosts), centre_credentials=str(self.credentials), **given)

    @property
    def bridge(self) -> str:
        return str(self.parts.centre.BRIDGE.read_text())


@pytest.fixture
def bar(parts: Any, tmp_path: Path) -> Bar:
    return Bar(parts, tmp_path)


def refused(bar: Bar, call: Callable[[], object]) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        call()
    assert type(caught.value).__name__ == "StopError"
    return str(caught.value)


def test_centre_is_in_the_configuration_and_all_else_stays(bar: Bar) -> None:
    assert bar.join("one.example", "two.example:8884")
    before, after = tomllib.loads(SHIPPED), tomllib.loads(bar.config.read_text())
    assert after.pop("centre") == {
        "servers": ["tls://one.example:4222", "tls://two.example:4222"],
        "credentials": str(bar.parts.centre.CREDENTIALS),
        "ca": "",
    }
    before.pop("centre")
    assert after == before
    assert "\naddresses one.example:8883 two.example:8884\n" in bar.bridge
    assert "bridge_capath /etc/ssl/certs\nbridge_insecure false\n" in bar.bridge
    assert bar.parts.centre.BRIDGE.stat().st_mode & 0o777 == 0o600
    assert bar.parts.centre.CREDENTIALS.stat().st_mode & 0o777 == 0o640


def test_configuration_of_before_gets_the_section(parts: Any, tmp_path: Path) -> None:
    bar = Bar(parts, tmp_path, "[house]\ncapacity = 4\n\n[lines]\nstrike = 16")
    bar.join("one.example")
    assert tomllib.loads(bar.config.read_text())["lines"] == {"strike": 16}
    assert tomllib.loads(bar.config.read_text())["centre"]["servers"] == ["tls://one.example:4222"]


@pytest.mark.parametrize(
    "section", ['[centre]\nservers = [\n  "tls://a:4222",\n]\n', "[ centre ]\n", "[centre]"]
)
def test_section_that_cannot_be_written_is_left_as_it_is(
    parts: Any, tmp_path: Path, section: str
) -> None:
    bar = Bar(parts, tmp_path, section)
    why = refused(bar, lambda: bar.join("one.example"))
    assert 'servers = ["tls://one.example:4222"]' in why
    assert bar.config.read_text() == section


@pytest.mark.parametrize(
    ("mqtt", "address"),
    [
        ("", "127.0.0.1:1883"),
        ('host = "bar.local:1884"', "bar.local:1884"),
        ('host = "a_b:1884"', "a_b:1884"),
        ('host = "bar.local"\nport = 1885', "bar.local:1885"),
        ('host = "[::1]:1884"', "::1:1884"),
        ('host = "::1"', "::1:1883"),
        ('host = "[::1]"\nport = 1885', "::1:1885"),
        ('host = [{ host = "[::1]", port = 1884 }, "other"]', "::1:1884"),
        ('port = 1885\nhost = ["n1", "n2:1884"]', "n1:1885"),
    ],
)
def test_bars_broker_stands_in_the_bridge_as_mosquitto_reads_it(
    parts: Any, mqtt: str, address: str
) -> None:
    assert parts.centre.house_broker(f"[mqtt]\n{mqtt}\n") == address


@pytest.mark.parametrize(
    ("mqtt", "said"),
    [
        ("tls = true", "bridge_capath /etc/ssl/certs\nbridge_insecure false\n"),
        ('tls = true\nca = "/ca.pem"', "bridge_cafile /ca.pem\nbridge_insecure false\n"),
        ('host = [{ host = "n1", tls = true, ca = "/1.pem" }]', "bridge_cafile /1.pem\n"),
        ('tls = true\nhost = [{ host = "n1", tls = false }]', ""),
        ('host = ["n1", { host = "n2", tls = true }]', ""),
    ],
)
def test_bars_broker_is_reached_by_tls_as_the_controller_reaches_it(
    parts: Any, tmp_path: Path, mqtt: str, said: str
) -> None:
    bar = Bar(parts, tmp_path, f"[lines]\n[mqtt]\n{mqtt}\n")
    bar.join("one.example")
    house = bar.bridge.partition("connection centre")[0]
    assert said in house if said else "bridge_" not in house


def test_own_certificate_is_kept_and_trusted(bar: Bar, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("certificate")
    bar.join("one.example", centre_ca=str(ca))
    kept = bar.parts.centre.CA
    assert kept.read_text() == "certificate"
    assert f"bridge_cafile {kept}\nbridge_insecure false\n" in bar.bridge
    assert tomllib.loads(bar.config.read_text())["centre"]["ca"] == str(kept)


def test_upgrade_keeps_the_centre_and_what_it_may(bar: Bar) -> None:
    bar.join("one.example", centre_commands=True)
    assert "topic cmd/+ in 0 backdoor/bar/ backdoor/bar/" in bar.bridge
    assert (
        "\ntopic write backdoor/bar/cmd/+"
        in bar.parts.broker.RIGHTS.read_text().split("user backdoor-centre")[1]
    )
    before = bar.bridge, bar.config.read_text()
    assert not bar.install()
    assert (bar.bridge, bar.config.read_text()) == before
    assert bar.install(centre_commands=False)
    assert "cmd" not in bar.bridge
    assert "\n#topic write" in bar.parts.broker.RIGHTS.read_text().split("user backdoor-centre")[1]


@pytest.mark.parametrize("damage", [b"", b"\xff\x00", b"# centre: \xff:x\n", b"# centre: \n"])
def test_damaged_bridge_is_made_anew_from_the_configuration(bar: Bar, damage: bytes) -> None:
    bar.join("one.example", "127.0.0.1")
    before = bar.bridge
    bar.parts.centre.BRIDGE.write_bytes(damage)
    assert bar.install()
    assert bar.bridge == before
    bar.parts.centre.BRIDGE.write_bytes(damage)
    bar.config.write_text(SHIPPED)
    why = refused(bar, bar.install)
    assert why.endswith("is damaged; give --centre HOST again, or --no-centre")


def test_without_a_centre_nothing_of_it_is_there_and_leaving_removes_all(bar: Bar) -> None:
    assert not bar.install()
    assert "centre" not in bar.parts.broker.RIGHTS.read_text()
    assert not (bar.parts.broker.ETC / "centre.login").exists()
    bar.join("one.example")
    bar.install(no_centre=True)
    assert not list(bar.parts.broker.ETC.glob("centre*"))
    assert "backdoor-centre" not in bar.parts.broker.RIGHTS.read_text()
    assert tomllib.loads(bar.config.read_text()) == tomllib.loads(SHIPPED)


def test_bridge_of_a_version_before_goes_and_the_centres_unit_of_that_name_stays(bar: Bar) -> None:
    """Two bridges with one login would throw each other out."""
    unit, executor = bar.folder / "backdoor-centre.service", bar.parts.executor
    bar.parts.centre.remove_former(executor, bar.folder)
    unit.write_text(Path("systemd/backdoor-centre.service").read_text())
    bar.parts.centre.remove_former(executor, bar.folder)
    assert unit.exists()
    unit.write_text(Path("systemd/backdoor-bridge.service").read_text())
    bar.parts.centre.remove_former(executor, bar.folder)
    assert not unit.exists()
    assert executor.ran == ["systemctl disable -q --now backdoor-centre.service"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("a b", "--centre a b: must be a host, or host:port"),
        ("one:99999", "--centre one:99999: must be a host, or host:port"),
        ("tls://one", "--centre tls://one: must be a host, or host:port"),
    ],
)
def test_host_that_is_none_is_refused(bar: Bar, wrong: str, said: str) -> None:
    assert refused(bar, lambda: bar.join(wrong)).startswith(said)
    assert bar.config.read_text() == SHIPPED


def test_credentials_that_are_missing_or_anothers_are_refused(bar: Bar) -> None:
    missing = refused(bar, lambda: bar.install(centre=["one.example"]))
    assert "missing; --centre-credentials FILE names what the centre gave you" in missing
    bar.credentials.write_text(f"nook:{SECRET}\n")
    others = refused(bar, lambda: bar.join("one.example"))
    assert 'is for the bar "nook", and this one is "bar": set [house] venue = "nook"' in others
    bar.credentials.write_text("two\nlines\n")
    assert "must be one line" in refused(bar, lambda: bar.join("one.example"))
    assert SECRET not in missing + others
    assert "give --centre HOST" in refused(bar, lambda: bar.install(centre_commands=True))


def test_venue_that_nats_would_split_is_refused(parts: Any, tmp_path: Path) -> None:
    bar = Bar(parts, tmp_path, '[house]\nvenue = "bar.two"\n[lines]\n')
    assert 'venue = "bar.two": the centre takes letters' in refused(bar, lambda: bar.join("one"))


# --- on real brokers ------------------------------------------------------------------------------


class Listener:
    """An MQTT client that keeps the latest of each topic."""

    def __init__(self, port: int, user: str = "", password: str = "", ca: str = "") -> None:
        self.latest: dict[str, bytes] = {}
        self.client = Client(CallbackAPIVersion.VERSION2)
        if ca:
            self.client.tls_set(ca)
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_message = lambda _c, _d, m: self.latest.update({m.topic: bytes(m.payload)})
        self.client.on_connect = lambda c, *_: c.subscribe("backdoor/#", 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        eventually(self.client.is_connected)

    def say(self, topic: str, payload: str, *, retain: bool = True) -> None:
        """Publish, and return once the broker has it."""
        self.client.publish(f"backdoor/bar/{topic}", payload, 1, retain).wait_for_publish(60)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def house(bar: Bar, make_broker: Callable[..., Broker], tmp_path: Path) -> Iterator[Any]:
    """Start the bar's broker as installed, and the bridge to a port; return the controller."""
    made: list[Listener] = []

    def start(port: int, host: str = "127.0.0.1", **given: Any) -> Listener:
        bar.join(f"{host}:{port}", **given)
        etc, broker = bar.parts.broker.ETC, bar.parts.broker
        passwords, rights = tmp_path / "passwords", tmp_path / "rights"
        passwords.write_text("".join(file.read_text() for file in sorted(etc.glob("*.login"))))
        rights.write_text(broker.RIGHTS.read_text())
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
        for file in (passwords, rights):
            file.chmod(0o600)
        text = broker.SETTINGS.read_text().replace(str(broker.RIGHTS), str(rights))
        text = text.replace(str(broker.PASSWORDS), str(passwords))
        own = make_broker(*(line for line in text.splitlines() if "listener" not in line))
        make_broker(*bar.bridge.replace("127.0.0.1:1883", f"127.0.0.1:{own.port}").splitlines())
        user, _, password = (etc / "controller.login").read_text().strip().partition(":")
        made.append(Listener(own.port, user, password))
        return made[-1]

    yield start
    for listener in made:
        listener.close()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Node]:
    with nats_nodes(tmp_path / "nats") as (node,):
        yield node


LIVE = ("status", "occupancy", "session", "door", "state", "night")


def test_live_state_is_kept_by_a_real_nats_server_and_events_stay(house: Any, nats: Node) -> None:
    controller = house(nats.mqtt_port)
    for topic in LIVE:
        controller.say(topic, f"{topic} 1")
    controller.say("event/knock", "{}", retain=False)
    controller.say("heartbeat", "{}", retain=False)
    wanted = {f"backdoor/bar/{topic}": f"{topic} 1".encode() for topic in LIVE}
    eventually(lambda: kept(nats) == wanted)
    nats.kill()
    controller.say("state", "state 2")
    nats.start()
    eventually(lambda: kept(nats)["backdoor/bar/state"] == b"state 2")


def kept(nats: Node) -> dict[str, bytes]:
    """Return what the server keeps of each topic, as a client that comes later gets it."""
    with closing(Listener(nats.mqtt_port)) as late, suppress(AssertionError):
        eventually(lambda: len(late.latest) >= len(LIVE), 2.0)
    return late.latest


@pytest.mark.parametrize("opted_in", [False, True])
def test_command_from_the_centre_comes_in_only_if_the_bar_opted_in(
    house: Any, nats: Node, opted_in: bool
) -> None:
    controller = house(nats.mqtt_port, centre_commands=opted_in or None)
    with closing(Listener(nats.mqtt_port)) as centre:
        eventually(lambda: controller.say("status", "online") or centre.latest)
        for number in range(3):
            centre.say("cmd/block_door", str(number), retain=False)
        centre.say("state", "forged")
        controller.say("status", "offline")
        eventually(lambda: centre.latest["backdoor/bar/status"] == b"offline")
        if opted_in:
            eventually(lambda: controller.latest.get("backdoor/bar/cmd/block_door") == b"2")
    assert ("backdoor/bar/cmd/block_door" in controller.latest) == opted_in
    assert "backdoor/bar/state" not in controller.latest


def test_bridge_goes_by_tls_with_the_bars_own_rights(
    bar: Bar, house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what `backdoor centre bar add` wrote, at a node as `backdoor centre node` configures."""
    certificate, _ = make_certificate(tmp_path)
    monkeypatch.setattr(bar.parts.centre, "LOOPBACK", ())  # as a host elsewhere
    centre = Centre(tmp_path / "centre", tmp_path)
    centre.folder.mkdir()
    bar.credentials.write_text(f"bar:{centre.add('bar')}")
    with running(centre):
        controller = house(centre.server.mqtt_port, host="127.0.0.1", centre_ca=certificate)
        with closing(centre_listener(centre, certificate)) as seen:
            eventually(lambda: controller.say("state", "now") or seen.latest)
            centre.run("bar", "revoke", "bar")  # its Pi was stolen
            log = centre.folder / "log"
            refused = 'authentication error - User "bar"'
            eventually(lambda: refused in log.read_text())  # it was thrown out, and tried again
            controller.say("state", "stolen")
            before = log.read_text().count(refused)
            eventually(lambda: log.read_text().count(refused) > before)
            assert seen.latest == {"backdoor/bar/state": b"now"}


@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1"])
def test_bridge_hears_a_bars_broker_with_tls_also_by_ipv6(
    parts: Any, nats: Node, make_broker: Callable[..., Broker], tmp_path: Path, host: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    text = f'[lines]\n[mqtt]\nhost = "{host}:{port}"\n'
    tls = f'tls = true\nca = "{certificate}"\n' if host == "127.0.0.1" else ""
    files = (f"certfile {certificate}", f"keyfile {key}") if tls else ()
    bar = Bar(parts, tmp_path, text + tls)
    bar.join(f"127.0.0.1:{nats.mqtt_port}")
    address = "127.0.0.1" if tls else "::1"
    own = make_broker("allow_anonymous true", f"listener {port} {address}", *files)
    make_broker(*bar.bridge.splitlines())
    with closing(Listener(nats.mqtt_port)) as seen, closing(Listener(own.port)) as controller:
        controller.say("state", "now")  # which the broker keeps
        eventually(lambda: seen.latest == {"backdoor/bar/state": b"now"})


@contextmanager
def running(centre: Centre) -> Iterator[None]:
    centre.server.start()
    try:
        yield
    finally:
        centre.server.kill()


def centre_listener(centre: Centre, certificate: str) -> Listener:
    return Listener(centre.server.mqtt_port, "centre", centre.password(), certificate)


class HostileCentre:
    """Lets the bridge in, and sends at once what nobody subscribed to."""

    def __init__(self) -> None:
        self.port = free_port()
        self.sent = threading.Event()
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with closing(client), suppress(OSError):
                self._treat(client)

    def _treat(self, client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"\x20\x02\x00\x00")
        self._forge(client)
        while packet := client.recv(4000):
            self._forge(client)
            if b"proof 2" in packet:  # what it sent before this has been read
                self.sent.set()

    def _forge(self, client: socket.socket) -> None:
        for topic in (b"backdoor/bar/cmd/access_door", b"backdoor/bar/state"):
            body = len(topic).to_bytes(2, "big") + topic + b"forged"
            client.sendall(bytes([0x30, len(body)]) + body)

    def close(self) -> None:
        self._server.close()


def test_hostile_centre_opens_no_door(house: Any) -> None:
    """A bridge in the bar's own broker would let it (mosquitto 2.0.11): so ours is not there."""
    with closing(HostileCentre()) as hostile:
        controller = house(hostile.port)
        for number in itertools.count():
            controller.say("state", f"proof {number}")
            if hostile.sent.wait(0.2):
                break
            assert number < 300
        controller.say("status", "last")
        eventually(lambda: controller.latest.get("backdoor/bar/status") == b"last")
        assert "backdoor/bar/cmd/access_door" not in controller.latest
        assert controller.latest["backdoor/bar/state"].startswith(b"proof")
