"""What the installed services take on the machine they run on: memory, and time after a kill.

Run there as root by the release's own Python; prints JSON. It needs nothing of the checkout.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

CONTROLLER = "backdoor-controller"
UNITS = (CONTROLLER, "backdoor-web", "backdoor-notify", "mosquitto")
LOGIN = Path("/etc/backdoor/web-test.login")
#: All of them are in this control group, where the machine has one of that name.
GROUP = Path("/sys/fs/cgroup/bar.slice")
MIB = 1024 * 1024
#: The machine comes to rest before it is measured, and between two kills.
REST_S = 10.0
#: An emulated machine beside a busy one takes its time.
LIMIT_S = 900.0


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition; return what it returned."""
    end_s = time.monotonic() + LIMIT_S
    while not (found := condition()):
        if time.monotonic() > end_s:
            sys.exit(f"not within {LIMIT_S:g} s: {condition}")
        time.sleep(0.05)
    return found


def show(unit: str, what: str) -> str:
    """Return a property of a unit."""
    command = ("systemctl", "show", "--value", "-p", what, unit)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def memory_mib(unit: str) -> dict[str, float]:
    """Return a service's RSS and PSS in MiB."""
    rollup = Path("/proc", show(unit, "MainPID"), "smaps_rollup").read_text()
    lines = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return {kind: round(int(lines[kind].split()[0]) / 1024, 1) for kind in ("Rss", "Pss")}


def group() -> dict[str, float]:
    """Return what the control group of all took: MiB at most and now, and what it was refused."""
    if not GROUP.exists():
        return {}
    stat = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    events = dict(line.split() for line in (GROUP / "memory.events").read_text().splitlines())
    peak, now = (int((GROUP / f"memory.{name}").read_text()) for name in ("peak", "current"))
    found = {"peak": peak, "now": now, "anonymous": int(stat["anon"]), "files": int(stat["file"])}
    return {
        **{name: round(size / MIB, 1) for name, size in found.items()},
        "killed": int(events["oom_kill"]),
    }


class Status:
    """When the broker last said that the controller is there."""

    def __init__(self) -> None:
        self.online_s = 0.0
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(*LOGIN.read_text().strip().split(":", 1))
        client.on_connect = lambda client, *_: client.subscribe("backdoor/bar/status", 1)
        client.on_message = self._on_message
        client.connect("127.0.0.1")
        client.loop_start()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.online_s = time.monotonic() if message.payload == b"online" else 0.0


def kill(status: Status) -> dict[str, float]:
    """Kill the controller; return the seconds until it works again, and where they went."""
    time.sleep(REST_S)
    subprocess.run(("systemctl", "reset-failed", CONTROLLER), check=True)  # five end in safe mode
    pid = int(show(CONTROLLER, "MainPID"))
    status.online_s = 0.0
    killed_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    online_s = until(lambda: status.online_s)
    until(lambda: show(CONTROLLER, "SubState") == "running")
    started_s, ready_s = (
        int(show(CONTROLLER, f"{name}TimestampMonotonic")) / 1e6
        for name in ("ExecMainStart", "ActiveEnter")
    )
    steps = {"pause": started_s - killed_s, "start": ready_s - started_s,
             "broker": online_s - ready_s, "all": online_s - killed_s}  # fmt: skip
    took = {name: round(took_s, 3) for name, took_s in steps.items()}
    sys.stderr.write(f"{took}\n")
    return took


def main() -> None:
    """Measure, and print it."""
    until(lambda: all(show(unit, "SubState") == "running" for unit in UNITS[:2]))
    status = Status()
    until(lambda: status.online_s)
    time.sleep(3 * REST_S)
    units = [unit for unit in UNITS if show(unit, "MainPID") != "0"]
    memory = {unit: memory_mib(unit) for unit in units}
    sys.stderr.write(f"{memory}\n")
    kills = [kill(status) for _ in range(int(sys.argv[1]))]
    json.dump({"memory": memory, "kills": kills, "group": group()}, sys.stdout)


if __name__ == "__main__":
    main()
