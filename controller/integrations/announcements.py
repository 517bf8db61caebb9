"""The house around us: who must be told again, and when.

Home Assistant says ``online`` when it has (re)started, a bulb when it is back on its feet. Both are
given a moment and then told how things stand. However often they say it meanwhile, they are told
once, so a device that flaps costs one message per pause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import uniform
from threading import Lock, Timer

from controller.integrations.devices import is_online
from controller.mqtt.message import Message

#: Home Assistant asks for a short random pause; with none, what is said too early is lost.
BIRTH_PAUSE_S = (1.0, 3.0)
#: After a connect the broker first tells what it kept; what of it is stale must go before we tell.
CONNECT_PAUSE_S = (0.5, 0.8)
#: A device that reports for duty may not have subscribed yet.
BACK_PAUSE_S = (0.3, 0.6)


class Later:
    """Calls ``what`` once, a random pause after the first of any number of asks."""

    def __init__(self, what: Callable[[], None], pause_s: tuple[float, float]) -> None:
        self._what = what
        self._pause_s = pause_s
        self._lock = Lock()
        self._waiting = False

    def ask(self) -> None:
        """Call it in a while, unless that is under way already."""
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        timer = Timer(uniform(*self._pause_s), self._ring)
        timer.daemon = True
        timer.start()

    def _ring(self) -> None:
        with self._lock:
            self._waiting = False
        self._what()


@dataclass(frozen=True, slots=True)
class Hears:
    """Topics of the house: Home Assistant's ``birth``, devices ``back``, ``stale`` discovery."""

    birth: str = ""
    back: Sequence[str] = ()
    stale: Sequence[str] = ()


class Home:
    """Hears the house; ``everything`` and ``devices`` tell it again, from a thread of their own.

    ``publish`` clears what is found retained on a stale topic.
    """

    def __init__(
        self,
        hears: Hears,
        everything: Callable[[], None],
        devices: Callable[[], None],
        publish: Callable[[Message], None],
    ) -> None:
        self._birth = hears.birth
        self._back = frozenset(hears.back)
        self._stale = frozenset(hears.stale)
        self._publish = publish
        self._connected = Later(everything, CONNECT_PAUSE_S)
        self._everything = Later(everything, BIRTH_PAUSE_S)
        self._devices = Later(devices, BACK_PAUSE_S)

    def topics(self) -> list[str]:
        """Return what to subscribe to."""
        return sorted({self._birth, *self._back, *self._stale} - {""})

    def up(self) -> None:
        """Tell everything after a connect, as soon as what is stale has gone."""
        self._connected.ask()

    def hears(self, message: Message) -> bool:
        """Take a message if it is the house's; tell whether it was."""
        if message.topic == self._birth and message.payload == b"online":
            self._everything.ask()
        elif message.topic in self._back and is_online(message.payload):
            self._devices.ask()
        elif message.topic in self._stale and message.payload:
            self._publish(Message(message.topic, b"", qos=1, retain=True))
        return message.topic in (self._birth, *self._back, *self._stale)
