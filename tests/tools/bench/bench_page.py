"""From a knock on a simulated pin to the glow on a phone, beside a bare paho subscriber.

Controller, broker, page and Chromium are real; the broker's next-door neighbour is a subscriber of
twenty lines. The clock starts with the first pulse of the rap that decides the knock (the last
pulse train before the light). A second run keeps 200 clients at the page's door, and the
controller's own reaction (pin to hatch light) is measured in both.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Page, sync_playwright

from controller.config.settings import Mqtt
from controller.gpio.simulated import Move
from controller.mqtt.client import MqttLink
from tests.browser.bar import Bar
from tests.browser.conftest import ARGS, CHROMIUM
from tests.conftest import Broker
from tests.support.wait import eventually

KNOCKS = 200
CLIENTS = 200
QUIET_MS = 2000.0  # before a knock nobody moves; the detector wants that
RAPS_MS = (0.0, 260.0)
PULSES = ((0.0, 1.4), (2.6, 0.9), (5.1, 0.7), (8.4, 0.5), (12.0, 0.4))
WATCH = """
window.glows = [];
new MutationObserver(changes => changes.forEach(change => {
  if (change.target.dataset.state === "glow") requestAnimationFrame(() => glows.push(Date.now()));
})).observe(document.querySelector("g.hatch"), {attributes: true, attributeFilter: ["data-state"]});
0
"""


def rap(at_ms: float) -> list[Move]:
    """Return one rap of knuckles: five pulses."""
    return [
        Move(at_ms + start_ms + (0 if level else on_ms), "hatch_knock", level)
        for start_ms, on_ms in PULSES
        for level in (True, False)
    ]


class Figures:
    """Collects milliseconds from the deciding rap."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ms: list[float] = []

    def show(self) -> None:
        """Print one line."""
        ms = sorted(self.ms)
        p99 = ms[min(len(ms) - 1, round(len(ms) * 0.99))]
        print(f"  {self.name:<42} {statistics.median(ms):8.1f} {p99:8.1f} {ms[-1]:8.1f}")


class Neighbour:
    """A bare subscriber to the hatch light."""

    def __init__(self, broker: Broker) -> None:
        self.heard_s: list[float] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._heard
        self._client.connect(broker.host, broker.port)
        self._client.subscribe("backdoor/bar/hatch/light")
        self._client.loop_start()

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.payload == b"ON":
            self.heard_s.append(time.time())

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


class Run:
    """One series of knocks at one bar."""

    def __init__(self, bar: Bar, page: Page, neighbour: Neighbour) -> None:
        self.bar, self.page, self.neighbour = bar, page, neighbour
        self.rap_s: list[float] = []
        self.lit_s = 0.0
        drive = bar.running.factory.drive

        def noting(line: str, *, level: bool, stamp_ms: float | None = None) -> None:
            if line == "hatch_knock" and level:
                self.rap_s.append(time.time())
            drive(line, level=level, stamp_ms=stamp_ms)

        bar.running.factory.drive = noting
        light = bar.running.factory.pin(bar.config.lines["hatch_light"].pin)
        change = light._change_state

        def seen(value: bool) -> bool:
            if value:
                self.lit_s = time.time()
            return bool(change(value))

        light._change_state = seen

    def knock(self) -> tuple[float, float, float]:
        """Knock once; return ms to the light's pin, the neighbour and the glow."""
        glows = len(self.page.evaluate("glows"))
        heard = len(self.neighbour.heard_s)
        self.lit_s = 0.0
        while not self.lit_s:  # the detector may take two soft raps for music: knock again
            self.bar.simulator.play([move for at_ms in RAPS_MS for move in rap(QUIET_MS + at_ms)])
            with contextlib.suppress(AssertionError):
                eventually(lambda: self.lit_s, 0.5)
        eventually(lambda: len(self.page.evaluate("glows")) > glows)
        eventually(lambda: len(self.neighbour.heard_s) > heard)
        glow_s = self.page.evaluate("glows")[glows] / 1000
        decided = [at_s for at_s in self.rap_s if at_s <= self.lit_s]
        first = next(at_s for at_s in decided if decided[-1] - at_s < 0.1)
        assert self.bar.mirror.command("answer_hatch").ok
        eventually(lambda: not self.bar.state()["hatch"]["waiting"])
        return tuple(  # type: ignore[return-value]
            1000 * (at_s - first) for at_s in (self.lit_s, self.neighbour.heard_s[heard], glow_s)
        )


def measure(run: Run, knocks: int, title: str) -> None:
    """Knock so often and print the three lines."""
    pin, mqtt, glow = (
        Figures("knock -> hatch light's pin"),
        Figures("knock -> bare MQTT subscriber"),
        Figures("knock -> glow on the page"),
    )
    for _ in range(knocks):
        for figures, ms in zip((pin, mqtt, glow), run.knock(), strict=True):
            figures.ms.append(ms)
    print(f"{title} ({knocks} knocks; ms)                      median      p99    worst")
    for figures in (pin, mqtt, glow):
        figures.show()


@contextlib.contextmanager
def crowd(bar: Bar, clients: int) -> Iterator[None]:
    """Keep so many clients at the door: as many streams as there are, the others ask and ask."""
    cookie = bar.serving.app.test_client()
    cookie.get(bar.serving.pair_url.removeprefix(bar.serving.url))
    found = cookie.get_cookie("backdoor")
    headers = {"Cookie": f"backdoor={found.value}"} if found else {}
    over = threading.Event()
    counted = [0, 0, 0]

    def client() -> None:
        while not over.wait(2.0):
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(
                    "127.0.0.1", bar.serving.server.port, timeout=5
                )
                connection.request("GET", "/events", headers=headers)
                answer = connection.getresponse()
                counted[0 if answer.status == 200 else 1] += 1
                while answer.status == 200 and not over.is_set() and answer.readline():
                    pass
                connection.close()
                connection.request("GET", "/api/state?page=1", headers=headers)
                counted[2] += connection.getresponse().status == 200
                connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(10)
    print(f"  streams given {counted[0]}, refused {counted[1]}, states asked {counted[2]}")


def main() -> None:
    """Measure with one phone, then with a crowd."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a crowd waits: that is the point
    knocks = int(sys.argv[1]) if len(sys.argv) > 1 else KNOCKS
    if CHROMIUM is None:
        print("bench_page: no Chromium here, nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        broker = Broker(Path(folder))
        broker.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        links = partial(MqttLink, Mqtt(host=broker.host, port=broker.port))
        neighbour = Neighbour(broker)
        with Bar(Path(folder), links=links) as bar:
            page = browser.new_page()
            page.goto(bar.serving.pair_url)
            page.wait_for_url(bar.url)
            eventually(lambda: bar.mirror.view().link == "online")
            page.evaluate(WATCH)
            run = Run(bar, page, neighbour)
            measure(run, knocks, "one phone")
            with crowd(bar, CLIENTS):
                measure(run, max(knocks // 4, 5), f"{CLIENTS} clients")
        neighbour.close()
        browser.close()
        broker.kill()


if __name__ == "__main__":
    main()
