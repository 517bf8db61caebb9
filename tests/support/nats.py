"""Real nats-servers of this run's own: one, or a cluster of three, on free ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.conftest import free_port
from tests.support.wait import eventually


def program() -> str:
    """Return the server's program: the wheel puts it beside the Python, Debian on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: make dev"
    return found


class Node:
    """One server; it keeps its data through `kill` and `start`."""

    def __init__(self, name: str, folder: Path, routes: Sequence[int], own: int) -> None:
        self.name, self.folder = name, folder
        self.port, self.mqtt_port, self._http_port = free_port(), free_port(), free_port()
        self._cluster_port, self._routes = own, routes
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it takes connections: in a cluster, when two are there."""
        self.begin()
        self.wait()

    def wait(self) -> None:
        """Return when it takes connections."""
        eventually(self._answers)

    def healthy(self) -> bool:
        """Return whether it is there and has all that the others have."""
        try:
            with urlopen(f"http://127.0.0.1:{self._http_port}/healthz", timeout=2):
                return True
        except HTTPError as error:  # anything but 200
            error.close()
        except OSError:
            pass
        return False

    def begin(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(self._config(), encoding="utf-8")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), "-c", str(config)], stdout=log, stderr=log, env=_environment()
            )

    def _config(self) -> str:
        cluster = ""
        if len(self._routes) > 1:
            routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._routes)
            cluster = (
                f"cluster {{ name: test, listen: 127.0.0.1:{self._cluster_port},"
                f" routes: [{routes}] }}\n"
            )
        return (
            f"server_name: {self.name}\nlisten: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{self.folder}", max_mem: 64MB, max_file: 4GB,'
            f" sync_interval: always }}\nhttp: 127.0.0.1:{self._http_port}\n"
            f"mqtt {{ listen: 127.0.0.1:{self.mqtt_port} }}\n{cluster}"
        )

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as client:
            client.settimeout(1.0)
            return client.recv(4) == b"INFO"
        return False

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it stands: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid


def _environment() -> dict[str, str]:
    # Two cores are shared with what is tested: the garbage collector need not take all.
    return {**os.environ, "GOMAXPROCS": "2"}


@contextmanager
def nats_nodes(folder: Path, count: int = 1) -> Iterator[list[Node]]:
    """Run a server, or a cluster of so many, for a `with` block."""
    ports = [free_port() for _ in range(count)]
    nodes = [Node(f"n{i}", folder / f"n{i}", ports, port) for i, port in enumerate(ports, 1)]
    with begun(nodes):
        for node in nodes:
            node.wait()
        yield nodes


@contextmanager
def begun(nodes: Sequence[Node]) -> Iterator[None]:
    """Start these servers, for a `with` block."""
    try:
        for node in nodes:
            node.begin()
        yield
    finally:
        for node in nodes:
            node.kill()
