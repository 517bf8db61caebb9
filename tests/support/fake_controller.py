"""A scripted controller for the page's tests: real messages through the in-memory broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from controller.config.settings import Config, Web
from controller.mqtt.link import Link
from controller.mqtt.memory import InMemoryBroker
from controller.mqtt.message import Message, Topics
from tests.support.wait import HANGS_S
from web import create_app
from web.server import Server

Answer = Callable[[str, dict[str, Any]], dict[str, Any] | None]


def now_iso(ago_s: float = 0.0) -> str:
    """Return the wall time of so many seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds")


def calm() -> dict[str, Any]:
    """Return the snapshot of an empty room at the start of the evening."""
    return {
        "venue": "bar",
        "boot": "b00t",
        "release": "1.0",
        "seq": 1,
        "at": now_iso(),
        "occupancy": {
            "count": 0,
            "min": 0,
            "max": 0,
            "certain": True,
            "capacity": 4,
            "free_places": 4,
        },
        "door": {
            "mode": "Locked",
            "physical": "Closed",
            "lock": "Locked",
            "alarm": "Normal",
            "strike": False,
        },
        "session": None,
        "hatch": {
            "light": "OFF",
            "blinking": False,
            "waiting": 0,
            "oldest_s": None,
            "open": False,
        },
        "door_knock": None,
        "grant": None,
        "question": None,
        "undoable": [],
        "counting": "auto",
        "staff_pass": False,
        "over_capacity": False,
        "full": False,
        "faults": [],
        "lines": ["beam_inner", "beam_outer", "door_contact", "hatch_knock"],
    }


def joiner(bus: InMemoryBroker) -> Callable[..., Link]:
    """Return what makes the page's link to this broker in memory."""

    def join(
        *,
        subscriptions: Sequence[str],
        on_message: Callable[[Message], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
    ) -> Link:
        return bus.join(
            subscriptions=subscriptions,
            on_message=on_message,
            on_up=on_up,
            on_ack=lambda number: None,
        )

    return join


class FakeController:
    """Publishes what a test wants; ``answer`` returns the result of a command (None: no answer).

    Ages on its page stand still until `let_time_run`: a test may take its time.
    """

    def __init__(self, bus: InMemoryBroker | None = None) -> None:
        self.bus = bus or InMemoryBroker()
        self.topics = Topics("backdoor/bar")
        self.state = calm()
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.answer: Answer = lambda name, command: {"ok": True, "reason": None}
        self._alive = threading.Event()
        self._began_s: float | None = time.monotonic()
        self._link = self.bus.join(
            subscriptions=[self.topics("cmd/+")],
            on_message=self._receive_command,
            on_up=lambda: None,
            on_ack=lambda number: None,
            will=Message(self.topics("status"), b"offline", 1, True),
            birth=Message(self.topics("status"), b"online", 1, True),
        )
        self._link.start()

    def now_s(self) -> float:
        """Return the moment from which the page counts ages (s)."""
        return time.monotonic() if self._began_s is None else self._began_s

    def publish(self, name: str, body: Any, *, retain: bool = False) -> None:
        """Publish one message."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._link.publish(Message(self.topics(name), payload, retain=retain))

    def show(self, **parts: Any) -> None:
        """Change parts of the snapshot (dicts are merged) and publish it."""
        self.state["seq"] += 1
        self.state["at"] = now_iso()
        for key, value in parts.items():
            old: Any = self.state.get(key)
            both = isinstance(value, dict) and isinstance(old, dict)
            self.state[key] = {**old, **value} if both else value
        self.publish("state", deepcopy(self.state), retain=True)

    def inside(self, least: int, most: int | None = None, **parts: Any) -> None:
        """Show so many people inside."""
        most = least if most is None else most
        count = {
            "count": most,
            "min": least,
            "max": most,
            "certain": parts.pop("certain", least == most),
            "free_places": max(4 - most, 0),
        }
        mode = {"mode": "Blocked"} if most >= 4 else {}
        door = {**mode, **parts.pop("door", {})}
        self.show(occupancy=count, full=most >= 4, over_capacity=most > 4, door=door, **parts)

    def knock(self, place: str = "hatch", ago_s: float = 0.0) -> None:
        """Publish one knock."""
        self.publish("event/knock", {"seq": 9, "at": now_iso(ago_s), "place": place, "raps": 3})

    def heartbeat(self, **over: Any) -> None:
        """Publish one heartbeat."""
        beat = {"boot": self.state["boot"], "seq": self.state["seq"], "uptime_s": 5.0}
        self.publish("heartbeat", beat | over)

    def let_time_run(self) -> None:
        """Let ages on the page grow as they do."""
        self._began_s = None

    def keep_alive(self) -> None:
        """Publish a heartbeat twice a second until `freeze` or `stop`."""
        self.let_time_run()
        if not self._alive.is_set():
            self._alive.set()
            threading.Thread(target=self._send_heartbeats, daemon=True).start()

    def _send_heartbeats(self) -> None:
        while self._alive.is_set():
            self.heartbeat()
            threading.Event().wait(0.5)

    def freeze(self) -> None:
        """Publish nothing more, but stay connected."""
        self._alive.clear()

    def crash(self) -> None:
        """Break the connection: the broker publishes the will."""
        self.freeze()
        self._link.crash()

    def stop(self) -> None:
        """Disconnect in order."""
        self.freeze()
        self._link.stop([Message(self.topics("status"), b"offline", 1, True)])

    def _receive_command(self, message: Message) -> None:
        command = json.loads(message.payload)
        name = self.topics.name(message.topic).removeprefix("cmd/")
        self.commands.append((name, command))
        answer = self.answer(name, command)
        if answer is not None:
            self.publish("result", {"id": command["id"], **answer})


class FakeSimulator:
    """Notes what the page did to the simulated pins."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def act(self, name: str) -> None:
        """Note an action."""
        if name not in ("walk_in", "knock_hatch"):
            raise KeyError(name)
        self.done.append(name)

    def line(self, line: str, level: bool) -> None:
        """Note a level."""
        if line != "beam_outer":
            raise KeyError(line)
        self.done.append(f"{line}={int(level)}")


def settings(folder: Path, **web: Any) -> Config:
    """Return a configuration whose secret lies in this folder."""
    return replace(
        Config(), web=replace(Web(host="127.0.0.1", port=0), secret_file=str(folder / "s"), **web)
    )


class Client(FlaskClient):
    """Reads every answer to its end and closes it, as a browser does."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request."""
        return super().open(*args, **{"buffered": True, **kwargs})


def page_of(
    controller: FakeController, folder: Path, *, simulator: FakeSimulator | None = None, **web: Any
) -> Flask:
    """Return the page of this controller, its link started."""
    app = create_app(settings(folder, **web), link=joiner(controller.bus), simulator=simulator)
    app.test_client_class = Client
    mirror = app.extensions["backdoor"].mirror
    mirror._monotonic = controller.now_s
    mirror.start()
    controller.heartbeat()
    return app


def paired(app: Flask) -> FlaskClient:
    """Return a client that opened the secret link."""
    client = app.test_client()
    answer = client.get(f"/pair/{app.extensions['backdoor'].pairing.secret}")
    assert answer.status_code == 200
    return client


class Serving:
    """The page on a real socket for a `with` block; ``url`` is its address."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.server = Server(app, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.pair_url = f"{self.url}/pair/{app.extensions['backdoor'].pairing.secret}"
        self._thread = threading.Thread(target=self.server.serve)

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._thread.join(HANGS_S)
        assert not self._thread.is_alive()
