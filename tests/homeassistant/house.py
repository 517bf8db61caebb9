"""The house that Home Assistant is shown: in this process, or in one of its own that is killed.

``python -m tests.homeassistant.house FOLDER PORT VENUE`` runs one, and does each act that it reads.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
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
