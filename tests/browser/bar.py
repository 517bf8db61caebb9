"""Controller and page in one process for the browser's tests, on simulated pins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from controller.config.settings import Config, JournalSettings
from controller.gpio.simulated import Simulator
from controller.mqtt.memory import InMemoryBroker
from controller.rules.occupancy import Occupancy, settled
from controller.rules.state import State
from controller.service.assembly import World, alone, assemble, simulated
from controller.service.heartbeat import TICKS_PER_HEARTBEAT
from controller.service.publisher import LinkMaker
from tests.support.fake_controller import Serving, settings
from tests.support.wait import HANGS_S
from web import create_app


class Bar:
    """Controller, simulator and page, joined by a bus in memory or by the links that are given."""

    def __init__(
        self,
        folder: Path,
        *,
        inside: int | Occupancy = 0,
        links: LinkMaker | None = None,
        **web: Any,
    ) -> None:
        self.config: Config = replace(
            settings(folder, **web),
            factory="mock",
            journal=JournalSettings(path=str(folder / "journal.db")),
        )
        links = links or alone(InMemoryBroker())
        occupancy = settled(inside) if isinstance(inside, int) else inside
        fresh = State(occupancy=occupancy)
        self.running = assemble(
            self.config, World(partial(simulated, self.config), links, fresh=fresh)
        )
        # The first heartbeat need not wait a second.
        self.running.loop._components.heartbeat._ticks = TICKS_PER_HEARTBEAT - 1
        self.simulator = Simulator(self.running.clock, self.running.factory, self.running.loop.post)
        join = partial(links, client_id="page", on_ack=lambda number: None)
        self.app = create_app(self.config, link=join, simulator=self.simulator)
        self.mirror = self.app.extensions["backdoor"].mirror
        self.serving = Serving(self.app)
        self._thawed = threading.Event()
        self._thread = threading.Thread(target=self.running.loop.run)

    def __enter__(self) -> Bar:
        self.running.loop.begin(self.running.absence)
        self._thread.start()
        self.mirror.start()
        self.serving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.simulator.stop()
        self.running.loop.stop()
        self._thread.join(HANGS_S)
        self.serving.__exit__()
        self.mirror.stop()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"{self.serving.url}/"

    def is_on(self, line: str) -> bool:
        """Return whether an output pin is high."""
        return bool(self.running.factory.pin(self.config.lines[line].pin).state)

    def state(self) -> dict[str, Any]:
        """Return the snapshot as the page has it."""
        return dict(self.mirror.view().state)

    def freeze(self) -> None:
        """Make the controller's loop hang until `thaw`."""
        self._thawed.clear()
        self.running.loop.post(self._hang)

    def _hang(self) -> None:
        self._thawed.wait(30)

    def thaw(self) -> None:
        """End `freeze`."""
        self._thawed.set()


BarMaker = Callable[..., Bar]
