"""When to publish again for others: Home Assistant or a bulb has (re)started.

Home Assistant publishes ``online`` when it has (re)started, a bulb when it is back. Both are given
a moment, then how things stand is published again. However often they say it meanwhile, it is
published once, so a device that flaps costs one message per pause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from random import uniform
from threading import Lock, Timer

from controller.integrations.announced import FormerName
from controller.integrations.devices import is_online
from controller.mqtt.message import Message

#: Home Assistant asks for a short random pause; with none, what is published too early is lost.
BIRTH_PAUSE_S = (1.0, 3.0)
#: After a connect the broker first sends what it retained; what of it is stale must go first.
CONNECT_PAUSE_S = (0.5, 0.8)
#: A device that is back may not have subscribed yet.
BACK_PAUSE_S = (0.3, 0.6)


class Repeat(Enum):
    """What is to be published again."""

    EVERYTHING = "everything"
    #: Other people's bulb, at the hatch light's level.
    LIGHT = "light"


class DelayedCall:
    """Calls ``what`` once, a random pause after the first of any number of requests."""

    def __init__(self, what: Callable[[], None], pause_s: tuple[float, float]) -> None:
        self._what = what
        self._pause_s = pause_s
        self._lock = Lock()
        self._waiting = False

    def request(self) -> None:
        """Call it in a while, unless that is under way already."""
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        timer = Timer(uniform(*self._pause_s), self._call)
        timer.daemon = True
        timer.start()

    def _call(self) -> None:
        with self._lock:
            self._waiting = False
        self._what()


@dataclass(frozen=True, slots=True)
class WatchedTopics:
    """Other people's topics: Home Assistant's ``birth``, devices ``back``, ``stale`` discovery.

    ``former`` are the names that this house had before.
    """

    birth: str = ""
    back: Sequence[str] = ()
    stale: Sequence[str] = ()
    former: Sequence[FormerName] = ()

    def all(self) -> list[str]:
        """Return what to subscribe to."""
        ghosts = {topic for name in self.former for topic in (name.status, *name.topics)}
        return sorted({self.birth, *self.back, *self.stale, *ghosts} - {""})


class Announcer:
    """Calls ``repeat`` when something is to be published again, from a thread of its own.

    ``publish`` clears what is found retained on a stale topic.
    """

    def __init__(
        self,
        watched: WatchedTopics,
        repeat: Callable[[Repeat], None],
        publish: Callable[[Message], None],
    ) -> None:
        self._watched = watched
        self._topics = frozenset(watched.all())
        self._publish = publish
        everything = partial(repeat, Repeat.EVERYTHING)
        self._connected = DelayedCall(lambda: self._begin(everything), CONNECT_PAUSE_S)
        #: What the broker has kept under our former names.
        self._kept: dict[str, bytes] = {}
        self._born = DelayedCall(everything, BIRTH_PAUSE_S)
        self._device_back = DelayedCall(partial(repeat, Repeat.LIGHT), BACK_PAUSE_S)

    def up(self) -> None:
        """Have everything published after a connect, as soon as what is stale has gone."""
        self._connected.request()

    def handle(self, message: Message) -> bool:
        """Take a message on a watched topic; return whether it was one."""
        if message.topic not in self._topics:
            return False
        watched = self._watched
        if message.retain and any(message.topic in name.topics for name in watched.former):
            self._kept[message.topic] = message.payload
        if message.topic == watched.birth and message.payload == b"online":
            self._born.request()
        elif message.topic in watched.back and is_online(message.payload):
            self._device_back.request()
        elif message.topic in watched.stale and message.payload:
            self._clear(message.topic)
        return True

    def _begin(self, everything: Callable[[], None]) -> None:
        """Clear what our former names left, unless another house lives there, and publish all."""
        kept, self._kept = self._kept, {}
        for name in self._watched.former:
            if kept.get(name.status) != b"online":
                for topic in name.topics:
                    if kept.get(topic):
                        self._clear(topic)
        everything()

    def _clear(self, topic: str) -> None:
        self._publish(Message(topic, b"", qos=1, retain=True))
