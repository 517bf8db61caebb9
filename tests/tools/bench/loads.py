"""Everything at its worst: chatter, crowds, floods, a frozen broker and a slow disk.

Each load is a generator for ``contextmanager``; it yields what was really given.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.tools.bench.contestants import ROOT, Contestant, Field

CLIENTS = 200
EDGES_S = 10_000.0
COMMANDS_S = 1000
SYNC_S = 0.5
#: No load goes on for longer than this, whatever happens to the bench.
LIMIT_S = 120.0


def chattering(house: Contestant) -> Iterator[str]:
    """A loose wire at the door's knock sensor."""
    house.ask("chatter", "door_knock", EDGES_S)
    began_s = time.monotonic()
    yield "in the same process"
    given = house.ask("chattered") / (time.monotonic() - began_s)
    house.ask("chatter", "door_knock", 0)
    print(f"  (the line gave {given:,.0f} edges/s)")


def frozen_and_slow(ground: Field, house: Contestant) -> Iterator[str]:
    """A broker that takes nothing and a card that takes half a second a sync."""
    ground.broker.freeze()
    house.ask("slow_disk", SYNC_S)
    try:
        yield "both at once"
    finally:
        house.ask("slow_disk", 0)
        ground.broker.thaw()


def slow_disk(house: Contestant) -> Iterator[str]:
    """A card that takes half a second a sync."""
    house.ask("slow_disk", SYNC_S)
    try:
        yield "0.5 s a step"
    finally:
        house.ask("slow_disk", 0)


def nothing() -> Iterator[str]:
    """Leave it in peace."""
    yield ""


def commanded(ground: Field) -> Iterator[str]:
    """A flood of fresh, sound commands that nobody needs, from a process of its own."""
    args = [sys.executable, "-m", "tests.tools.bench.loads", "commands", str(ground.broker.port)]
    with subprocess.Popen(args, cwd=ROOT, stdin=subprocess.PIPE) as flood:
        yield "answer_door"
        flood.communicate()


def streaming(ground: Field) -> Iterator[str]:
    """The page in a process of its own, with a crowd of streams in another."""
    page = ground.page(CLIENTS)
    args = [
        sys.executable,
        "-m",
        "tests.tools.bench.loads",
        "streams",
        str(page.port),
        page.pairing,
    ]
    with subprocess.Popen(
        args, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as crowd:
        assert crowd.stdout is not None
        yield crowd.stdout.readline().strip()
        crowd.communicate()
    page.end()


@contextmanager
def listening(ground: Field, crowd: int) -> Iterator[None]:
    """Let so many more subscribers hear everything."""
    port = str(ground.broker.port)
    args = [sys.executable, "-m", "tests.tools.bench.loads", "subscribers", port, str(crowd)]
    with subprocess.Popen(
        args, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as everybody:
        assert everybody.stdout is not None
        everybody.stdout.readline()
        yield
        everybody.communicate()


# --- the processes ------------------------------------------------------------------------------


def _until_closed() -> Event:
    """Return what is set when stdin ends or the time is over."""
    over = Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    Thread(target=wait, daemon=True).start()
    return over


def commands(port: str) -> None:
    """Publish a thousand commands a second until stdin ends."""
    over, client = _until_closed(), Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", int(port))
    client.loop_start()
    began_s, sent = time.monotonic(), 0
    while not over.is_set() and time.monotonic() < began_s + LIMIT_S:
        due = int((time.monotonic() - began_s) * COMMANDS_S)
        for _ in range(sent, due):
            body = {"id": uuid.uuid4().hex, "issued_at": time.time()}
            client.publish("backdoor/bar/cmd/answer_door", json.dumps(body))
        sent = due
        time.sleep(0.005)
    client.disconnect()
    client.loop_stop()


def streams(port: str, path: str) -> None:
    """Keep two hundred streams open and read whatever comes, until stdin ends."""
    over = _until_closed()
    cookie = _cookie(int(port), path)
    ask = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    given = 0
    for _ in range(CLIENTS):
        one = socket.create_connection(("127.0.0.1", int(port)), 5)
        one.sendall(ask)
        given += one.recv(65536).startswith(b"HTTP/1.1 200")
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
    print(f"{given} streams", flush=True)
    end_s = time.monotonic() + LIMIT_S
    while not over.is_set() and time.monotonic() < end_s:
        for key, _ in selector.select(0.2):
            if not key.fileobj.recv(65536):  # type: ignore[union-attr]
                selector.unregister(key.fileobj)


def subscribers(port: str, crowd: str) -> None:
    """Be so many MQTT 3.1.1 clients that subscribe to everything and only read."""
    over = _until_closed()
    selector = selectors.DefaultSelector()
    for number in range(int(crowd)):
        name = f"crowd{number:04}".encode()
        hello = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
        one = socket.create_connection(("127.0.0.1", int(port)), 5)
        one.sendall(b"\x10" + bytes([len(hello)]) + hello + b"\x82\6\0\1\0\1#\0")
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
    print("listening", flush=True)
    end_s = time.monotonic() + LIMIT_S
    while not over.is_set() and time.monotonic() < end_s:
        for key, _ in selector.select(0.2):
            key.fileobj.recv(65536)  # type: ignore[union-attr]


def _cookie(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = one.recv(65536).decode("latin-1")
    found = [line for line in head.split("\r\n") if line.lower().startswith("set-cookie:")]
    return "; ".join(line.split(":", 1)[1].split(";")[0].strip() for line in found)


if __name__ == "__main__":
    kinds: dict[str, Callable[..., None]] = {
        "commands": commands,
        "streams": streams,
        "subscribers": subscribers,
    }
    kinds[sys.argv[1]](*sys.argv[2:])
