"""Our controller as a contestant: the real service in its own process, with a hand on its pins.

``python -m tests.tools.bench.stand FOLDER PORT [SECTION.KEY=VALUE ...]``: journal, flight recorder
and link run as in a bar; only the pins are mock pins.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from controller.events import Command
from controller.gpio.pins import Pins
from controller.service.assembly import Running, assemble, real_world
from tests.support.demo import demo_config
from tests.support.wait import eventually
from tests.tools.bench.hand import Hand, serve

WALK_IN = "door.entry=walk_in"
UNSETTLED = "sensing.contact_settle=0"
PR_SET_TIMERSLACK = 29


class Stand:
    """What the bench may ask of us besides moving pins."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._loop = running.loop

    def reset(self) -> int:
        """Three inside, nobody in the doorway, the door open to one more."""
        eventually(lambda: not self._loop.state.busy and not self._loop.state.coming_in)
        self._loop.post(Command(self._running.clock.now_ms(), "set_count", 3, cause="page"))
        eventually(lambda: self._loop.state.occupancy.max == 3)
        return 3

    def people(self) -> int:
        """Return how many are inside once the passage is decided; -1 when it is not sure."""
        with suppress(AssertionError):
            eventually(lambda: self._loop.state.occupancy.count != 3, limit_s=1)
        occupancy = self._loop.state.occupancy
        return occupancy.count if occupancy.certain else -1

    def slow_disk(self, sync_s: float) -> float:
        """Let every write and every sync take so long from now on."""
        journal: Any = self._running.loop._components.publisher._writer._journal
        for name in ("write", "sync"):
            usual = getattr(type(journal), name)
            setattr(journal, name, partial(_slowly, sync_s, partial(usual, journal)))
        return sync_s

    def state(self) -> str:
        """Return the rules' state, for whoever wonders."""
        return repr(self._loop.state)


def _slowly(wait_s: float, work: Callable[..., None], *args: Any) -> None:
    time.sleep(wait_s)
    work(*args)


def timers_as_in_our_unit() -> None:
    """Do what ``TimerSlackNSec=1us`` in its unit does for the controller and all its threads."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(1000), 0, 0, 0)


def main(folder: str, port: str, *sets: str) -> None:
    """Be the house until stdin ends."""
    timers_as_in_our_unit()
    config = demo_config(Path(folder), *sets)
    config = replace(config, mqtt=replace(config.mqtt, host="127.0.0.1", port=int(port)))
    running = assemble(config, real_world(config))
    running.loop.begin(running.absence)
    thread = Thread(target=running.loop.run, name="house")
    thread.start()
    stand = Stand(running)
    wired = {line: (s.pin, s.active == "high") for line, s in config.lines.items()}
    pins: Pins = running.pins
    hand = Hand(pins._factory, wired, pins._factory.pin(wired["strike"][0]))
    gc.collect()
    gc.freeze()  # as `backdoor run` does
    try:
        serve(
            hand,
            {
                "reset": stand.reset,
                "people": stand.people,
                "slow_disk": stand.slow_disk,
                "state": stand.state,
            },
        )
    finally:
        running.loop.stop()
        thread.join(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
