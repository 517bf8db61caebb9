"""What a user would run instead: a script of one file, in two versions, and mqtt-io.

``python -m tests.tools.bench.rivals callback|queue|mqtt-io|empty PORT [CONFIG]``, on mock pins,
with a `Hand`. It imports nothing of ours but that hand, since mqtt-io has an environment of its
own.
"""

from __future__ import annotations

import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

from gpiozero import Button, Device, OutputDevice
from gpiozero.pins.mock import MockFactory
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.tools.bench.hand import Hand, serve

OUTER, INNER, KNOCK, DOOR, STRIKE = 22, 23, 17, 24, 16
INPUTS = {
    "beam_outer": (OUTER, False),
    "beam_inner": (INNER, False),
    "hatch_knock": (KNOCK, False),
    "door_contact": (DOOR, False),
}
CAPACITY = 4


def connected(port: int) -> Client:
    """Return a paho client with its own network thread, as its documentation shows it."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.subscribe("script/set", 1)
    client.loop_start()
    return client


class Script:
    """The whole bar in one file; the rule runs in gpiozero's callback."""

    def __init__(self, port: int) -> None:
        self.outer, self.inner = Button(OUTER), Button(INNER)
        self.hatch, self.door = Button(KNOCK), Button(DOOR)
        self.strike = OutputDevice(STRIKE)
        self.client = connected(port)
        self.count = 0
        self.seen: list[str] = []
        self.outer.when_pressed = lambda: self.happens("outer")
        self.inner.when_pressed = lambda: self.happens("inner")
        self.outer.when_released = lambda: self.happens("clear")
        self.inner.when_released = lambda: self.happens("clear")
        self.hatch.when_pressed = lambda: self.happens("knock")
        self.door.when_pressed = lambda: self.happens("door")
        self.client.on_message = lambda _client, _data, message: self.happens(
            message.payload.decode()
        )

    def happens(self, what: str) -> None:
        """Do at once what follows."""
        self.follow(what)

    def follow(self, what: str) -> None:
        """Keep the count and the strike; tell the broker."""
        if what in ("outer", "inner"):
            self.seen.append(what)
        elif what == "clear" and not (self.outer.is_pressed or self.inner.is_pressed):
            self.passed()
        elif what in ("ON", "OFF"):
            self.strike.value = what == "ON"
        elif what in ("knock", "door"):
            self.client.publish(f"script/{what}", '{"open": true}', 1)

    def passed(self) -> None:
        """Count who went through."""
        if set(self.seen) == {"outer", "inner"}:
            self.count += 1 if self.seen[0] == "outer" else -1
            if self.count >= CAPACITY:
                self.strike.off()
            self.client.publish("script/count", self.count, 1, retain=True)
        self.seen.clear()

    def reset(self) -> int:
        """Three inside, the door open to one more."""
        self.count = CAPACITY - 1
        self.strike.on()
        return self.count

    def people(self) -> int:
        """Return how many it believes to be inside."""
        return self.count


class TwoThreads(Script):
    """The same, with a queue and a thread that keeps the rule: the floor for any one loop."""

    def __init__(self, port: int) -> None:
        self.queue: SimpleQueue[str] = SimpleQueue()
        super().__init__(port)
        threading.Thread(target=self.work, daemon=True).start()

    def happens(self, what: str) -> None:
        """Hand it to the thread."""
        self.queue.put(what)

    def work(self) -> None:
        """Do one thing after the other."""
        while True:
            self.follow(self.queue.get())


def mqtt_io(config: str, factory: MockFactory) -> None:
    """Run mqtt-io's own main in a thread, as ``python -m mqtt_io CONFIG`` does."""
    from mqtt_io import server  # type: ignore[import-not-found]
    from mqtt_io.__main__ import main  # type: ignore[import-not-found]

    class InThread(server.MqttIo):  # type: ignore[misc]
        """Signals belong to the main thread, which is the hand's."""

        def run(self) -> None:
            self.loop.add_signal_handler = lambda *_: None
            super().run()

    import mqtt_io.__main__ as entry

    entry.MqttIo = InThread
    sys.argv = ["mqtt_io", config]
    threading.Thread(target=main, daemon=True).start()
    while factory.pin(STRIKE).function != "output":
        time.sleep(0.01)
    time.sleep(0.5)  # it has claimed its pins; give it time for the broker


def main(kind: str, port: str, config: str = "") -> None:
    """Be one contestant until stdin ends."""
    factory = Device.pin_factory = MockFactory()
    words: dict[str, Any] = {}
    if kind == "mqtt-io":
        mqtt_io(config, factory)
    elif kind == "empty":
        connected(int(port))
    else:
        script = {"callback": Script, "queue": TwoThreads}[kind](int(port))
        words = {"reset": script.reset, "people": script.people}
    serve(Hand(factory, INPUTS, factory.pin(STRIKE)), words)


if __name__ == "__main__":
    main(*sys.argv[1:])
