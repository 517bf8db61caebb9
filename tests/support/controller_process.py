"""`backdoor run` as a process of its own, on mock pins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import Broker
from tests.support.wait import HANGS_S


class Controller:
    """The process, and the folder with its configuration, journal and log."""

    def __init__(self, folder: Path, *sets: str) -> None:
        self._config = folder / "backdoor.toml"
        self._config.write_text(
            f"""
            [pins]
            factory = "mock"
            [lines]
            hatch_knock = 17
            door_contact = 24
            strike = 16
            [journal]
            path = "{folder / "journal.db"}"
            [web]
            secret_file = "{folder / "secret"}"
            """
        )
        self.args = [part for change in sets for part in ("--set", change)]
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "controller", *args]

    def start(self, **environment: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("run", "--config", str(self._config), *self.args),
                stderr=log,
                env={**os.environ, **environment},
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(HANGS_S)

    def log(self) -> str:
        return (self.folder / "log").read_text()


def on(broker: Broker) -> str:
    return f"mqtt.port={broker.port}"
