"""Shared by all tests: a real mosquitto on a free port."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import examples
from tests.support.wait import eventually

examples.draw_the_same_everywhere()

MOSQUITTO = shutil.which(
    "mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
)


def own_ports() -> Iterator[int]:
    """Return ports that no other worker uses, not even one of another run on this machine.

    They are below those that the kernel gives to connections. A block belongs to who holds the lock
    of its file, so a broker that was stopped finds its port free again.
    """
    for block in range(40):
        with suppress(OSError):  # another worker's, or another user's file
            lock = os.open(Path(tempfile.gettempdir()) / f"backdoor-ports-{block}", os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
            return itertools.count(12_000 + 500 * block)
    raise AssertionError("all blocks of ports are taken: forty workers run on this machine")


PORTS = own_ports()


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses, now or later in this run."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("never: there is always a next number")


class Broker:
    """One mosquitto process that can be stopped, killed, frozen and started again."""

    def __init__(self, directory: Path, lines: Sequence[str] = ("allow_anonymous true",)) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        listener = [f"listener {self.port} {self.host}", "max_packet_size 2000000"]
        self._config.write_text("\n".join([*user, *listener, *lines]) + "\n")
        self.log = directory / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it takes connections."""
        assert MOSQUITTO, "mosquitto is missing: sudo apt install mosquitto"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config), "-v"], stdout=log, stderr=log
            )
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def stop(self) -> None:
        """End it as systemd does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does: retained messages are forgotten."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            eventually(lambda: self._ended_by(how))
            self._process = None

    def _ended_by(self, how: signal.Signals) -> bool:
        """Ask it to end. A broker that listens, and is not in its loop yet, forgets the signal."""
        assert self._process is not None
        self._process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return self._process.returncode is not None


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder that waits for no disk, where there is one: killed processes lose nothing there."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="backdoor-test-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a link more time to send its last messages, as a busy machine needs."""
    for module in ("client", "connection"):
        monkeypatch.setattr(f"controller.mqtt.{module}.STOP_LIMIT_S", 10.0)


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start brokers with lines of ``mosquitto.conf`` of their own."""
    brokers: list[Broker] = []

    def make(*lines: str) -> Broker:
        directory = tmp_path / f"broker{len(brokers)}"
        directory.mkdir()
        brokers.append(Broker(directory, lines or ("allow_anonymous true",)))
        brokers[-1].start()
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    """One broker, open to all, running."""
    return make_broker()


@pytest.fixture
def in_milan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine stand in Milan."""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
