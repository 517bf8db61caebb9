"""A centre for the installed bar: a NATS node in its machine, and a Postgres of the host's."""

from __future__ import annotations

import json
import select
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from threading import Thread
from typing import Any

from tests.installed.machine import Machine
from tests.support.certificate import make_certificate
from tests.support.nats import program
from tests.support.postgres import postgres_server

#: The node's name, and the page of all bars, whose port is not the bar's page's.
HOST, PAGE_PORT = "n1.bars", 8090
FOLDER = "/etc/backdoor-centre"
#: Where Postgres is for who is in the machine, which has no network.
SOCKET_FOLDER, SOCKET_PORT = "srv/postgres", 5432
INSIDE = f"postgresql://backdoor@/{{name}}?host=/{SOCKET_FOLDER}"

#: A phone at the page of all.
TILES = """
import http.cookiejar, sys, urllib.request
jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
phone = urllib.request.build_opener(jar)
secret = open("/var/lib/backdoor-centre/pairing.secret").read().strip()
phone.open("http://127.0.0.1:{port}/pair/" + secret)
sys.stdout.write(phone.open("http://127.0.0.1:{port}/api/venues").read().decode())
"""
#: Somebody at the node who has the bar's own rights there, and asks for what a centre may not.
ASKS = """
import json, ssl, time, paho.mqtt.client as paho
user, _, password = open("/root/bar.centre").read().strip().partition(":")
client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="elsewhere")
client.username_pw_set(user, password)
client.tls_set("{folder}/ca.pem")
client.connect("{host}", 8883)
client.loop_start()
for retain in (False, True):
    now = time.time()
    body = {{"id": str(now), "issued_at": now, "count": 4, "cause": "elsewhere"}}
    sent = client.publish("backdoor/bar/cmd/set_count", json.dumps(body), qos=1, retain=retain)
    sent.wait_for_publish(10)
    assert sent.is_published()
client.disconnect()
"""


@contextmanager
def database(machine: Machine) -> Iterator[str]:
    """Run a Postgres for a `with` block; yield its address on the host, with an empty database."""
    folder = machine.root / SOCKET_FOLDER
    folder.mkdir(parents=True)
    with postgres_server() as server:
        address = server.new_database()
        with _reached(folder / f".s.PGSQL.{SOCKET_PORT}", server.port):
            yield address


@contextmanager
def _reached(path: Path, port: int) -> Iterator[None]:
    """Let whoever sees this socket reach a port of this host's."""

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as near:
                others = {self.request: near, near: self.request}
                while True:
                    for source in select.select(list(others), [], [])[0]:
                        data = source.recv(65536)
                        if not data:
                            return
                        others[source].sendall(data)

    with ThreadingUnixStreamServer(str(path), Relay) as server:
        server.daemon_threads = True  # they end with the connections, and those with Postgres
        path.chmod(0o666)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(30)


def prepare_node(machine: Machine, certificates: Path) -> None:
    """Do what the owner of a NATS node does: its program, certificates and configuration."""
    cert, key = make_certificate(certificates, HOST)
    for name, source in (("cert", cert), ("key", key), ("ca", cert)):
        shutil.copy(source, machine.root / f"{FOLDER[1:]}/{name}.pem")
    with (machine.root / "etc/hosts").open("a") as hosts:
        hosts.write(f"127.0.0.1 {HOST}\n")
    shutil.copy(program(), machine.root / "usr/local/bin/nats-server")
    text = machine.do("backdoor", "centre", "node", HOST, HOST)
    (machine.root / f"{FOLDER[1:]}/nats-server.conf").write_text(text)


def fill_in(machine: Machine, address: str) -> None:
    """Do what the owner does to `centre.toml`."""
    file = machine.root / f"{FOLDER[1:]}/centre.toml"
    text = file.read_text()
    for old, new in (
        ('["tls://n1.example:4222", "tls://n2.example:4222", "tls://n3.example:4222"]',
         f'["tls://{HOST}:4222"]'),
        ('["n1.example", "n2.example", "n3.example"]', f'["{HOST}"]'),
        ("postgresql://backdoor:PASSWORD@db.example/backdoor",
         INSIDE.format(name=address.rpartition("/")[2])),
        ("port = 8080", f"port = {PAGE_PORT}"),
    ):  # fmt: skip
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text)


def tiles(machine: Machine) -> list[dict[str, Any]]:
    """Return the tiles of the page of all; none while it cannot be asked."""
    done = machine.tell("/opt/backdoor/.venv/bin/python", "-", text=TILES.format(port=PAGE_PORT))
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return found


def ask_from_the_node(machine: Machine) -> None:
    """Publish a command at the node, under the bar's own topic, once and to be kept."""
    machine.python(ASKS.format(folder=FOLDER, host=HOST))
