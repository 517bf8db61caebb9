"""The house that Home Assistant is shown: in this process, or in one of its own that is killed.

``python -m tests.homeassistant.house FOLDER PORT VENUE`` runs one, and does each act that it reads.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server, socket
from threading import Thread
from typing import Any

from controller.gpio.simulated import Simulator
from controller.service.assembly import World, assemble, link_maker, simulated
from tests.support.demo import demo_config
from tests.support.wait import HANGS_S


class House:
    """The real service on simulated pins and a real broker; its time may run faster."""

    def __init__(self, folder: Path, port: int, *sets: str, speed: float = 1.0) -> None:
        config = demo_config(folder, "homeassistant.commands=true", *sets)
        self.config = replace(config, mqtt=replace(config.mqtt, host="127.0.0.1", port=port))
        self.speed = speed

    def start(self) -> None:
        world = World(partial(simulated, self.config), link_maker(self.config), speed=self.speed)
        self.running = assemble(self.config, world)
        self.simulator = Simulator(self.running.clock, self.running.factory, self.running.loop.post)
        self.running.loop.begin(self.running.absence)
        self._thread = Thread(target=self.running.loop.run, daemon=True)
        self._thread.start()

    def __enter__(self) -> House:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pin(self, number: int) -> Any:
        return self.running.factory.pin(number)

    def stop(self) -> None:
        self.simulator.stop()
        self.running.loop.stop()
        self._thread.join(HANGS_S)


class HouseProcess:
    """A house in a process of its own."""

    def __init__(self, folder: Path, port: int, venue: str) -> None:
        self._command = [sys.executable, "-m", __name__, str(folder), str(port), venue]
        self._log = folder / "log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> HouseProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(kill=False)

    def start(self) -> None:
        pipe = subprocess.PIPE
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self._log.read_text()

    def act(self, name: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()

    def end(self, *, kill: bool) -> None:
        assert self._process is not None
        if kill:
            self._process.send_signal(signal.SIGKILL)
        self._process.communicate(timeout=HANGS_S)  # with nothing more to read it stops by itself


class Cable:
    """A connection to a broker that can be cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = create_server(("127.0.0.1", 0))
        self._ends: list[socket] = []
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    Thread(target=self._carry, args=ends, daemon=True).start()

    @staticmethod
    def _carry(source: socket, sink: socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(SHUT_RDWR)

    def cut(self) -> None:
        """Cut the connections that there are; new ones are taken."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Cut all, and take no more."""
        self._listener.shutdown(SHUT_RDWR)
        self._listener.close()
        self.cut()


def main(folder: str, port: str, venue: str) -> None:
    """Do each act that is read, and stop when there are no more."""
    house = House(Path(folder), int(port), f"house.venue={venue}")
    house.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        house.simulator.act(line.strip())
    house.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
