"""What the house costs a small Pi: memory, CPU and wake-ups while nothing happens, start, disk.

Controller and page run as their units start them, with a real broker, all lines wired and the pins
on a faked chip (the kernel side of it costs nothing while idle, and is not in the figures). Memory,
wake-ups and writes are the same on a Pi; CPU seconds are of this machine's processor.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from controller.config.settings import WIRING
from tests.conftest import Broker, free_port
from tests.tools.bench.bench_growth import evening_cost

IDLE_S = float(os.environ.get("IDLE_S", "30"))
EVENTS = 100
MIB = 1024.0


class Process:
    """One of ours, by what the kernel says of it."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        address = str(folder / f"notify-{time.monotonic_ns()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(address)
            notify.settimeout(30)
            began_s = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env={**os.environ, "NOTIFY_SOCKET": address, "RUNTIME_DIRECTORY": runtime_dir()},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while notify.recv(4096) != b"READY=1":
                pass
        self.start_s = time.monotonic() - began_s
        self.proc = Path(f"/proc/{self._process.pid}")

    def memory_mib(self) -> tuple[float, float]:
        """Return RSS and PSS in MiB."""
        text = (self.proc / "smaps_rollup").read_text()
        found = dict(line.split(":", 1) for line in text.splitlines()[1:])
        rss, pss = (int(found[name].split()[0]) / MIB for name in ("Rss", "Pss"))
        return rss, pss

    def cpu_s(self) -> float:
        """Return the CPU seconds used so far."""
        fields = (self.proc / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wake_ups(self) -> int:
        """Return how often its threads have gone to sleep of their own will."""
        lines = [
            line
            for task in (self.proc / "task").iterdir()
            for line in (task / "status").read_text().splitlines()
        ]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))

    def written(self) -> int:
        """Return the bytes that it made the disk write."""
        text = (self.proc / "io").read_text()
        return int(next(x.split()[1] for x in text.splitlines() if x.startswith("write_bytes")))

    def stop(self) -> None:
        """End it as systemd does."""
        self._process.terminate()
        self._process.wait(20)


def runtime_dir() -> str:
    """Return a folder in memory, as systemd gives one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()


def configuration(folder: Path, port: int) -> Path:
    """Write a configuration with all lines wired."""
    lines = "\n".join(f"{name} = {line.pin}" for name, line in WIRING.items())
    file = folder / "backdoor.toml"
    file.write_text(
        f'[mqtt]\nport = {port}\n[web]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        f'secret_file = "{folder}/secret"\n[journal]\npath = "{folder}/journal.db"\n'
        f"[lines]\n{lines}\n"
    )
    return file


def show(what: str, controller: str, page: str) -> None:
    """Print one row."""
    print(f"{what:<44} {controller:>12} {page:>12}")


def idle(processes: Sequence[Process]) -> list[tuple[float, float]]:
    """Return CPU seconds a minute and wake-ups a second of each, with nothing happening."""
    time.sleep(3)  # the start's own work
    before = [(each.cpu_s(), each.wake_ups()) for each in processes]
    time.sleep(IDLE_S)
    after = [(each.cpu_s(), each.wake_ups()) for each in processes]
    return [
        ((new[0] - old[0]) * 60 / IDLE_S, (new[1] - old[1]) / IDLE_S)
        for old, new in zip(before, after, strict=True)
    ]


def an_event(controller: Process, port: int) -> tuple[float, float]:
    """Return the bytes on the disk and the milliseconds of CPU that one journalled event costs."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    before, began_s = controller.written(), controller.cpu_s()
    for number in range(EVENTS):
        body = {"id": f"b{number}", "issued_at": time.time(), "count": number % 2}
        client.publish("backdoor/bar/cmd/set_count", json.dumps(body), qos=1).wait_for_publish(5)
        time.sleep(0.1)
    client.disconnect()
    client.loop_stop()
    used_ms = (controller.cpu_s() - began_s) * 1000
    return (controller.written() - before) / EVENTS, used_ms / EVENTS


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        broker = Broker(folder)
        broker.start()
        config = str(configuration(folder, broker.port))
        controller = Process(("-m", "tests.tools.bench.on_chip", "run", "--config", config), folder)
        page = Process(("-m", "controller", "web", "--config", config), folder)
        try:
            quiet = idle((controller, page))
            show("", "controller", "page")
            show("start to READY, s", f"{controller.start_s:.2f}", f"{page.start_s:.2f}")
            rss, pss = zip(controller.memory_mib(), page.memory_mib(), strict=True)
            show("RSS, MiB", *(f"{each:.1f}" for each in rss))
            show("PSS, MiB", *(f"{each:.1f}" for each in pss))
            show("CPU while idle, s a minute", *(f"{cpu:.2f}" for cpu, _ in quiet))
            show("wake-ups while idle, a second", *(f"{each:.1f}" for _, each in quiet))
            before = controller.written()
            time.sleep(20)
            still = (controller.written() - before) * 180 / 1024
            show("written while idle, KiB an hour", f"{still:.0f}", "")
            written, cpu_ms = an_event(controller, broker.port)
            show("written for one event, KiB (and one fsync)", f"{written / 1024:.1f}", "")
            show("CPU for one event, ms, idling included", f"{cpu_ms:.1f}", "")
            evening = evening_cost(folder)
            show("written in an evening, MB", f"{evening['written MB']}", "")
            show("the file system writes, MB", f"{evening['on disk MB']}", "")
            show("syncs in an evening", f"{evening['syncs']}", "")
        finally:
            page.stop()
            controller.stop()
            broker.stop()


if __name__ == "__main__":
    main()
