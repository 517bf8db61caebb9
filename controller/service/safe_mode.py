"""Safe mode: what still works when the controller keeps failing.

systemd starts it after five failures in ten minutes (``OnFailure=`` of the controller's unit). The
door is locked and opens for a release; the bartender counts; the page says why. What may have been
the cause is left out: beams, knock sensors, and all of the old state but the count (which asks),
the session and a lock-down. Where even the configuration or the pins are the cause, it runs
without any pin, because a page that explains is better than none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace

from controller.config.loader import ConfigError
from controller.config.settings import Config
from controller.events import OUTPUT_LINES, SWITCHES, Fault
from controller.gpio.factories import PinsError
from controller.rules.state import State
from controller.service.assembly import Running, World, assemble, real_world

log = logging.getLogger(__name__)

#: Switches that a hand moves, and what is switched; nothing that has to be judged.
LINES = frozenset((*SWITCHES, *OUTPUT_LINES))
FAULT = "SafeMode"


def safe_config(config: Config) -> Config:
    """Return a configuration in which nothing has to be judged and the bartender counts."""
    lines = {name: line for name, line in config.lines.items() if name in LINES}
    rules = replace(config.rules, counting="manual", entry="release")
    return replace(config, rules=rules).wired(lines)


def kept(state: State) -> State:
    """Return what of the last state is worth the risk; the rest starts anew."""
    return State(
        t_ms=state.t_ms,
        occupancy=replace(state.occupancy, doubted=True),
        session=state.session,
        locked_down=state.locked_down,
        locked_open=state.locked_open,
    )


#: What systemd calls the controller's end, and what the page calls it.
CAUSES = {"watchdog": "hung", "timeout": "hung", "oom-kill": "memory"}
#: How a controller ends that was asked to: then only its starts were too many.
TOLD_TO = ("", "0", "TERM")


def cause() -> str:
    """Return why the controller gave up, by what systemd (251 and later) passes on its end."""
    result = os.environ.get("MONITOR_SERVICE_RESULT", "")
    status = os.environ.get("MONITOR_EXIT_STATUS", "")
    if result in CAUSES or status == "ABRT":
        return CAUSES.get(result, "hung")
    if result in ("start-limit-hit", "success") and status in TOLD_TO:
        return "restarted"
    return "crashed" if result else "asked"


def ending() -> str:
    """Return how the controller ended last, for the log; empty if systemd does not say."""
    words = (os.environ.get(f"MONITOR_{name}", "") for name in ("EXIT_CODE", "EXIT_STATUS"))
    return " ".join(word for word in words if word)


def assemble_safely(load: Callable[[], Config], with_login: Callable[[Config], Config]) -> Running:
    """Assemble as much as works, and raise the fault that says why it is no more."""
    why = cause()
    try:
        config = safe_config(load())
    except ConfigError as error:
        log.error("safe mode without pins, so the strike stays off: %s", error)
        config, why = replace(Config(), factory="mock").wired({}), "config"
    config = with_login(config)
    try:
        running = assemble(config, _world(config))
    except PinsError as error:
        log.error("safe mode without pins, so the strike stays off: %s", error)
        config, why = replace(config, factory="mock").wired({}), "pins"
        running = assemble(config, _world(config))
    set_fault(running, why)
    return running


def _world(config: Config) -> World:
    return replace(real_world(config), kept=kept)


def set_fault(running: Running, why: str = "") -> None:
    """Raise the fault, or without a ``why`` clear one that a former safe mode left."""
    t_ms, loop = running.clock.now_ms(), running.loop
    for fault in loop.state.faults:
        if fault.name == FAULT:
            loop.post(Fault(t_ms, FAULT, fault.line, active=False))
    if why:
        log.error(
            "safe mode: locked, counted by hand; the controller %s (%s); "
            "see its log: journalctl -u backdoor-controller; "
            "then: systemctl restart backdoor-controller",
            why,
            ending() or "systemd did not say how it ended",
        )
        loop.post(Fault(t_ms, FAULT, why, active=True))
