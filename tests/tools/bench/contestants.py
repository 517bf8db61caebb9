"""Processes to measure, each at its end of a pipe, on one broker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import Broker, free_port
from tests.support.wait import eventually
from web.security.pairing import Pairing

ROOT = Path(__file__).parents[3]
MEMORY = Path("/dev/shm")
#: As `systemd/backdoor-controller.service` and `backdoor-web.service` run them; nobody else has a
#: unit of his own. It is worth 3 % from an edge to its message, and more under load.
#: Without the right to it, `nice` says so and goes on.
DOOR_FIRST = ("nice", "-n", "-5")
PAGE_LAST = ("nice", "-n", "5")
#: Outside the checkout and outside our locks.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "backdoor-bench"
MQTT_IO = "mqtt-io==2.7.0"
MQTT_IO_CONFIG = """
mqtt: {{host: 127.0.0.1, port: {port}, topic_prefix: {topics}}}
gpio_modules: [{{name: pins, module: gpiozero}}]
digital_inputs:
  - {{name: door, module: pins, pin: 24, pullup: true{interrupt}}}
  - {{name: knock, module: pins, pin: 17, pullup: true{interrupt}}}
digital_outputs:
  - {{name: strike, module: pins, pin: 16}}
logging: {{version: 1, disable_existing_loggers: true}}
"""


class Contestant:
    """One process that a hand moves; ``name`` is how tables call it."""

    def __init__(self, name: str, args: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                args,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def ready(self) -> None:
        """Wait until it works."""
        if self.answer() != "ready":
            raise RuntimeError(f"{self.name}: {self._log.read_text()}")

    def ask(self, *words: Any) -> Any:
        """Send one order and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: {self._log.read_text()}")
        return json.loads(line)

    def end(self) -> None:
        """Let it end by itself; otherwise end it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()


class Page:
    """``backdoor web`` in a process of its own."""

    def __init__(self, folder: Path, broker_port: int, streams: int) -> None:
        self.port = free_port()
        sets = {
            "mqtt.port": broker_port,
            "web.host": "'127.0.0.1'",
            "web.port": self.port,
            "web.max_streams": streams,
            "web.secret_file": f"'{folder / 'secret'}'",
        }
        config = folder / "page.toml"
        config.write_text("")
        changes = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        args = [sys.executable, "-m", "controller", "web", "--config", str(config), *changes]
        args = [*PAGE_LAST, *args]
        with (folder / "page.log").open("w") as log:
            self.process = subprocess.Popen(args, cwd=ROOT, stderr=log, stdout=log)
        eventually(self._listens, limit_s=20)
        self.pairing = f"/pair/{Pairing(folder / 'secret').secret}"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        """Stop it; may be called twice."""
        self.process.terminate()
        self.process.wait(15)


class Messages:
    """``backdoor notify`` in a process of its own, with an ntfy, a Gotify and a webhook."""

    def __init__(self, ground: Field, hosts: Sequence[str]) -> None:
        urls = [f"ntfy://{hosts[0]}/bar", f"gotify://{hosts[1]}/token-of-the-bar"]
        config = ground.folder / "messages.toml"
        config.write_text(
            f"""
            [mqtt]
            port = {ground.broker.port}
            [hatch]
            merge = 0
            [notify]
            urls = {[*urls, f"json://{hosts[2]}/hook"]}
            most_an_hour = 1000
            """
        )
        command = [sys.executable, "-m", "controller", "notify", "--config", str(config)]
        log = ground.broker.log
        with (ground.folder / "messages.log").open("w") as errors:
            self._process = subprocess.Popen([*PAGE_LAST, *command], cwd=ROOT, stderr=errors)
        eventually(lambda: "SUBACK to backdoor-notify-bar" in log.read_text(), limit_s=30)

    def __enter__(self) -> Messages:
        return self

    def __exit__(self, *_: object) -> None:
        self.stand(False)
        self._process.terminate()
        self._process.wait(15)

    def stand(self, still: bool) -> None:
        """Let it stand still, or work again."""
        self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)


class Field:
    """The ground: a broker, a folder, and whoever was asked to come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # In memory, so that the broker's own log does not wait for the journal's disk.
        memory = MEMORY if MEMORY.is_dir() else None
        self._memory = tempfile.TemporaryDirectory(prefix="backdoor-bench-", dir=memory)
        lines = ["allow_anonymous true", "set_tcp_nodelay true"]
        self.broker = Broker(Path(self._memory.name), lines)
        self._all: list[Contestant] = []
        self._pages: list[Page] = []

    def ours(self, *sets: str, name: str = "backdoor") -> Contestant:
        """Start our controller as its unit does, with changes to its configuration."""
        home = self.folder / f"house{len(self._all)}"
        home.mkdir()
        args = [sys.executable, "-m", "tests.tools.bench.stand", str(home), str(self.broker.port)]
        return self._come(name, [*DOOR_FIRST, *args, *sets])

    def rival(self, kind: str, name: str) -> Contestant:
        """Start a script of `rivals`."""
        args = [sys.executable, "-m", "tests.tools.bench.rivals", kind, str(self.broker.port)]
        return self._come(name, args)

    def mqtt_io(self, polling: bool = False) -> Contestant | None:
        """Start mqtt-io; None, and one line that says why, where it can't be had."""
        python = mqtt_io_python()
        if python is None:
            return None
        config = self.folder / f"mqtt-io-{polling}.yml"
        interrupt = "" if polling else ", interrupt: both"
        topics = "polled" if polling else "io"  # its client id is made from this
        config.write_text(
            MQTT_IO_CONFIG.format(port=self.broker.port, interrupt=interrupt, topics=topics)
        )
        args = [str(python), "-m", "tests.tools.bench.rivals", "mqtt-io", str(self.broker.port)]
        return self._come("mqtt-io, polling" if polling else "mqtt-io", [*args, str(config)])

    def page(self, streams: int = 20) -> Page:
        """Start the web page, with room for so many streams."""
        self._pages.append(Page(self.folder, self.broker.port, streams))
        return self._pages[-1]

    def _come(self, name: str, args: Sequence[str]) -> Contestant:
        one = Contestant(name, args, self.folder / f"contestant{len(self._all)}.log")
        self._all.append(one)
        one.ready()
        return one

    def end(self) -> None:
        """Send everybody home."""
        for page in self._pages:
            page.end()
        for contestant in self._all:
            contestant.end()
        self.broker.kill()
        self._memory.cleanup()


@contextmanager
def field(folder: Path) -> Iterator[Field]:
    """Open the ground, and clear it at the end."""
    ground = Field(folder)
    ground.broker.start()
    try:
        yield ground
    finally:
        ground.end()


def mqtt_io_python() -> Path | None:
    """Return the Python of an environment with mqtt-io, made on first use."""
    home = CACHE / MQTT_IO
    python = home / "bin" / "python"
    if (home / "done").exists():
        return python
    try:
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MQTT_IO]
        subprocess.run([str(python), *install, "gpiozero", "paho-mqtt>=2"], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"mqtt-io is left out: {MQTT_IO} can't be installed here ({error})")
        return None
    (home / "done").touch()
    return python
