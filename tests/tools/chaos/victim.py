"""A house that lives through an endless evening in its own process, to be killed at any instant.

Usage: ``python -m tests.tools.chaos.victim FOLDER PORT SEED``; it says ``ready`` when it works.
"""

from __future__ import annotations

import random
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

from controller.events import Command
from controller.gpio.simulated import Simulator
from controller.service.assembly import Running, World, assemble, link_maker, simulated
from tests.support.demo import demo_config

ACTS = ("walk_in", "walk_in", "walk_out", "turn_back", "knock_hatch", "knock_door", "open_hatch",
        "close_hatch", "press_release")  # fmt: skip
#: Some hundred events a second: more in ten minutes than in a month of evenings.
SPEED = 50.0


def evening(running: Running, bench: Simulator, seed: int) -> None:
    """Play one act after the other, for ever; sometimes somebody settles the count."""
    chance = random.Random(seed)
    while True:
        bench.act(chance.choice(ACTS))
        if chance.random() < 0.2:
            now_ms, count = running.clock.now_ms(), chance.randint(0, 3)
            running.loop.post(Command(now_ms, "set_count", count, cause="page"))


def main(folder: str, port: str, seed: str) -> None:
    """Run until killed."""
    config = demo_config(Path(folder))
    config = replace(config, mqtt=replace(config.mqtt, host="127.0.0.1", port=int(port)))
    world = World(partial(simulated, config), link_maker(config), speed=SPEED)
    running = assemble(config, world)
    loop = running.loop
    bench = Simulator(running.clock, running.factory, loop.post)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    loop.begin(running.absence)
    strike = running.factory.pin(config.lines["strike"].pin)
    assert not any(was.state for was in strike.states), "the strike was on at the start"
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    Thread(target=evening, args=(running, bench, int(seed)), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
