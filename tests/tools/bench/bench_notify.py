"""From the rap that makes it a knock to the request at a phone's server, with the page closed.

``python -m tests.tools.bench.bench_notify [knocks]``. Real services on simulated pins: for each of
a few bars a controller and `backdoor notify`, all at one real mosquitto; ntfy, Gotify and a webhook
are servers of this bench. In between the notify services stand still (SIGSTOP), so that the
controller's own way from rap to MQTT is measured with and without them, in the same minutes. And:
what the service weighs, and how often an idle controller wakes up beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from controller.config.loader import parse
from controller.config.settings import Config
from controller.gpio.simulated import ACTS, Simulator
from controller.service.assembly import World, assemble, link_maker, simulated
from tests.conftest import Broker, free_port
from tests.support.receivers import Receiver, receiver
from tests.support.wait import eventually
from tests.tools.bench.measure import Report, Samples

KNOCKS = 100
BARS = 4
#: The second of its two raps decides; it begins so long after the act, seconds.
DECIDES_S = ACTS["knock_hatch"][len(ACTS["knock_hatch"]) // 2].at_ms / 1000
#: After a knock, until the next party: silence ends the knock, and its message is on its way.
PAUSE_S = 1.6
IDLE_S = 20.0
MIB = 1024.0


@dataclass
class Bar:
    """One controller in this process, its notify service, and what came of each knock."""

    name: str
    broker: Broker
    folder: Path
    phones: list[Receiver]
    raps_s: list[float] = field(default_factory=list)
    heard_s: list[float] = field(default_factory=list)

    def config(self) -> Config:
        phones = self.phones
        urls = [f"ntfy://{phones[0].host}/{self.name}", f"json://{phones[2].host}/{self.name}"]
        urls.insert(1, f"gotify://{phones[1].host}/token-of-{self.name}")
        text = f"""
            [house]
            venue = "{self.name}"
            [mqtt]
            port = {self.broker.port}
            [hatch]
            merge = 0
            [journal]
            path = "{self.folder / self.name}.db"
            [notify]
            urls = {urls}
            most_an_hour = 1000
            answer_host = "127.0.0.1"
            answer_port = {free_port()}
        """
        self.file.write_text(text)
        return replace(parse(tomllib.loads(text), "bench"), factory="mock")

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @contextmanager
    def runs(self) -> Iterator[None]:
        config = self.config()
        running = assemble(config, World(partial(simulated, config), link_maker(config)))
        loop = running.loop
        self.hands = Simulator(running.clock, running.factory, loop.post, loop.wait_until_published)
        thread = Thread(target=loop.run, name=self.name)
        loop.begin(running.absence)
        thread.start()
        command = [sys.executable, "-m", "controller", "notify", "--config", str(self.file)]
        self.notify = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        log, id_ = self.broker.log, f"Sending SUBACK to backdoor-notify-{self.name}"
        eventually(lambda: id_ in log.read_text())
        try:
            yield
        finally:
            self.notify.send_signal(signal.SIGCONT)
            self.notify.terminate()
            self.notify.wait(30)
            self.hands.stop()
            loop.stop()
            thread.join(30)

    def knock(self) -> None:
        """Let one party knock, and wait until the next may."""
        self.raps_s.append(time.monotonic() + DECIDES_S)
        self.hands.act("knock_hatch")
        time.sleep(PAUSE_S)


class Listener:
    """Hears each bar's knocks on MQTT."""

    def __init__(self, broker: Broker, bars: list[Bar]) -> None:
        by_topic = {f"backdoor/{bar.name}/event/knock": bar for bar in bars}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("backdoor/+/event/knock", 1)
        self._client.on_message = lambda _c, _d, m: by_topic[m.topic].heard_s.append(
            time.monotonic()
        )
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def play(bars: list[Bar], rounds: int) -> None:
    """Let all bars be knocked at so often, side by side."""
    hands = [Thread(target=lambda bar=bar: [bar.knock() for _ in range(rounds)]) for bar in bars]
    for one in hands:
        one.start()
        time.sleep(0.7)  # not all in the same moment
    for one in hands:
        one.join()


def forget(bars: list[Bar], phones: list[Receiver]) -> None:
    for bar in bars:
        bar.raps_s.clear()
        bar.heard_s.clear()
    for phone in phones:
        phone.requests.clear()


def arrived(bar: Bar, phone: Receiver) -> list[float]:
    """Return when this bar's messages came to this phone, in order."""
    mine = [r.at_s for r in phone.requests if r.method == "POST" and bar.name in told_by(r)]
    return sorted(mine)


def told_by(request: Any) -> str:
    """Return what of a request names its bar."""
    headers = request.headers
    return f"{headers.get('x-sequence-id', '')} {request.path} {headers.get('x-gotify-key', '')}"


def delays(raps_s: list[float], came_s: list[float]) -> list[float]:
    """Return for each rap how long (ms) until the first arrival before the next rap."""
    found = []
    for rap_s, next_s in zip(raps_s, [*raps_s[1:], float("inf")], strict=True):
        first = next((at_s for at_s in came_s if rap_s <= at_s < next_s), None)
        if first is not None:
            found.append(1000 * (first - rap_s))
    return found


def measure(report: Report, bars: list[Bar], phones: list[Receiver], knocks: int) -> None:
    each = max(knocks // BARS // 5, 1)
    to_phone = {name: Samples(name, unit="ms") for name in ("ntfy", "Gotify", "webhook")}
    beside, alone = Samples("with notify", unit="ms"), Samples("notify stands still", unit="ms")
    lost = 0
    for _ in range(5):
        play(bars, each)
        for bar in bars:
            beside.values += delays(bar.raps_s, bar.heard_s)
            for phone, samples in zip(phones, to_phone.values(), strict=True):
                came = delays(bar.raps_s, arrived(bar, phone))
                samples.values += came
                lost += len(bar.raps_s) - len(came)
        forget(bars, phones)
        for bar in bars:
            bar.notify.send_signal(signal.SIGSTOP)
        play(bars, max(each // 4, 1))
        for bar in bars:
            alone.values += delays(bar.raps_s, bar.heard_s)
            bar.notify.send_signal(signal.SIGCONT)
        time.sleep(2.0)
        forget(bars, phones)
    ntfy, *others = to_phone.values()
    report.compare("rap to request at the phone's server", ntfy, others)
    report.compare("rap to MQTT: the controller's own way", beside, [alone])
    report.table("lost or late", [{"knocks": len(beside.values), "messages missing": lost}])


def weigh(report: Report, bars: list[Bar]) -> None:
    rows = []
    for bar in bars[:1]:
        status = Path(f"/proc/{bar.notify.pid}/status").read_text()
        sizes = {
            line.split(":")[0]: line.split()[1] for line in status.splitlines() if " kB" in line
        }
        rows.append(
            {
                "what": "after all of that",
                "RSS MiB": round(int(sizes["VmRSS"]) / MIB, 1),
                "at most MiB": round(int(sizes["VmHWM"]) / MIB, 1),
            }
        )
    report.table("the notify service", rows)


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process went to sleep and woke up again."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        found += int(text.split("voluntary_ctxt_switches:")[1].split()[0])
    return found


def idle(report: Report, broker: Broker, folder: Path, phones: list[Receiver]) -> None:
    """Compare an idle controller's wake-ups beside a notify service and without one."""
    bar = Bar("idle", broker, folder, phones)
    bar.config()
    run = [sys.executable, "-m", "controller", "run", "--set", "pins.factory=mock"]
    quiet = {"stderr": subprocess.DEVNULL, "env": dict(os.environ)}
    controller = subprocess.Popen([*run, "--config", str(bar.file)], **quiet)  # type: ignore[call-overload]
    time.sleep(4.0)
    per_s: dict[str, list[float]] = {"nobody": [], "notify": []}
    for beside in ("nobody", "notify", "notify", "nobody") * 2:  # what drifts hits both alike
        notify = None
        if beside == "notify":
            command = [sys.executable, "-m", "controller", "notify", "--config", str(bar.file)]
            notify = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        time.sleep(4.0)
        before = wake_ups(controller.pid)
        time.sleep(IDLE_S)
        per_s[beside].append((wake_ups(controller.pid) - before) / IDLE_S)
        if notify is not None:
            notify.terminate()
            notify.wait(30)
    controller.terminate()
    controller.wait(30)
    rows = [
        {"beside it": name, "wake-ups/s": round(sum(found) / len(found), 2), "each": str(found)}
        for name, found in per_s.items()
    ]
    report.table("an idle controller", rows)


def main(knocks: int) -> None:
    report = Report("notify")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backdoor-bench-")))
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.kill)
        phones = [stack.enter_context(receiver()) for _ in range(3)]
        idle(report, broker, folder, phones)
        bars = [Bar(f"bar{n}", broker, folder, phones) for n in range(BARS)]
        listener = Listener(broker, bars)
        stack.callback(listener.close)
        for bar in bars:
            stack.enter_context(bar.runs())
        measure(report, bars, phones, knocks)
        weigh(report, bars)
    report.save()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KNOCKS)
