"""The service: a durable link to the broker, the decider, a sender for each address, answers.

One thread owns the decider: the link and the answers' server hand it what they got by a queue.
"""

from __future__ import annotations

import logging
import os
import queue
import uuid
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Condition
from zoneinfo import ZoneInfo

import msgspec

from controller.clock import boottime_ms, wall_s
from controller.codec import encode, iso
from controller.config import atomic_file
from controller.config.loader import ConfigError
from controller.config.settings import Config
from controller.mqtt.client import MqttLink
from controller.mqtt.link import Link
from controller.mqtt.message import Message, Topics
from controller.notify.answer_page import PATH, AnswerPage, AnswerServer, own_url
from controller.notify.answers import Answers
from controller.notify.channels import Channel, ChannelError, open_channel
from controller.notify.decide import Decider, Memory
from controller.notify.notices import Notice, Now, Outgoing
from controller.notify.routing import route
from controller.notify.sender import Sender
from controller.notify.venues import TOPICS as VENUE_TOPICS
from controller.notify.venues import VenuesDecider
from controller.systemd import Notifier

log = logging.getLogger(__name__)

TOPICS = ("event/+", "state", "status", "heartbeat")
#: How long a tap waits until the house says that the knock is answered, in seconds.
CONFIRM_S = 2.0
#: The watchdog is fed this often, from the loop that decides.
ALIVE_EVERY_S = 3.0
MEMORY = "sent.json"
#: Said by the house when a knock of this place is answered.
ANSWERED = {"event/hatch_answered": "hatch", "event/door_answered": "door"}


def moment() -> Now:
    """Return now, by the machine's clocks."""
    return Now(boottime_ms() / 1000, wall_s())


class Service:
    """Runs until `stop`; ``folder`` keeps what must not be sent twice, None keeps nothing."""

    def __init__(
        self,
        config: Config,
        channels: list[Channel],
        *,
        folder: Path | None = None,
        notifier: Notifier | None = None,
        now: Callable[[], Now] = moment,
    ) -> None:
        self._now, self._notifier = now, notifier or Notifier()
        self._file = folder / MEMORY if folder is not None else None
        self._kept = b""
        memory = _remembered(self._file)
        self._all_below = f"{config.mqtt.prefix}/" if config.notify.venues else ""
        self._decider = _decider(config, now(), memory)
        shown = [*memory.standing, *memory.waiting]
        self._senders = _senders(config, channels, now, shown)
        self._answers = Answers()
        self._answered = Condition()
        self._answers_of = dict.fromkeys(ANSWERED.values(), 0)
        self._server: AnswerServer | None = None
        self._url = ""
        if config.notify.answer_port and not self._all_below:
            self._serve(config)
        self._inbox: queue.SimpleQueue[Callable[[], list[Outgoing]] | None] = queue.SimpleQueue()
        self._topics = Topics.of(config)
        self._link = self._make_link(config)

    def _make_link(self, config: Config) -> Link:
        topics = [self._topics(name) for name in TOPICS]
        if self._all_below:
            topics = [f"{self._all_below}+/{name}" for name in VENUE_TOPICS]
        return MqttLink(
            config.mqtt,
            client_id=f"backdoor-notify-{config.venue}",
            subscriptions=topics,
            on_message=self._on_message,
            on_up=lambda: self._inbox.put(lambda: self._reached(True)),
            on_down=lambda _why: self._inbox.put(lambda: self._reached(False)),
            on_ack=lambda _: None,
            durable=not self._all_below,  # what stands is kept by the broker itself
        )

    def _serve(self, config: Config) -> None:
        notify, app = config.notify, AnswerPage(self.answer, config.notify.language)
        try:
            self._server = AnswerServer(app, notify.answer_host, notify.answer_port)
        except OSError as error:
            where, why = f"{notify.answer_host}:{notify.answer_port}", os.strerror(error.errno or 0)
            way_out = "choose another port, or 0 for no button"
            raise ConfigError(
                [f"[notify] answer_port: cannot listen on {where} ({why}); {way_out}"]
            ) from None
        self._url = own_url(notify.answer_url, config.web.public_url, self._server.port)

    # --- the loop -------------------------------------------------------------------------------

    def run(self) -> None:
        """Decide until `stop` is called."""
        for sender in self._senders:
            sender.start()
        if self._server is not None:
            self._server.start()
        self._link.start()
        self._notifier.ready()
        while self._turn():
            self._notifier.watchdog()
        self._notifier.stopping()
        self._link.stop()
        if self._server is not None:
            self._server.stop()
        for sender in self._senders:
            sender.stop()

    def stop(self) -> None:
        """Let `run` end; from any thread or a signal handler."""
        self._inbox.put(None)

    def _turn(self) -> bool:
        wait_s = min(self._decider.due_s() - self._now().t_s, ALIVE_EVERY_S)
        try:
            item = self._inbox.get(timeout=max(wait_s, 0.0))
        except queue.Empty:
            item = list  # nothing heard: only time has passed
        if item is None:
            return False
        out = item()
        self._send(out + self._decider.tick(self._now()))
        return True

    def _on_message(self, message: Message) -> None:
        """Take a message from the link's thread; a stored event is none."""
        if self._all_below:
            name = message.topic.removeprefix(self._all_below)
        else:
            name = self._topics.name(message.topic)
        if message.retain and name.startswith("event/"):
            return
        self._inbox.put(lambda: self._decide(name, message.payload))

    def _decide(self, name: str, payload: bytes) -> list[Outgoing]:
        out = self._decider.handle(name, payload, self._now())
        if name in ANSWERED:
            with self._answered:
                self._answers_of[ANSWERED[name]] += 1
                self._answered.notify_all()
        if self._file is not None and (name.startswith("event/") or out):
            self._remember(self._file)
        return out

    def _reached(self, reached: bool) -> list[Outgoing]:
        self._decider.broker(reached, self._now())
        return []

    def _send(self, out: list[Outgoing]) -> None:
        for outgoing in out:
            linked = self._linked(outgoing)
            for sender in self._senders:
                sender.put(linked)

    def _linked(self, outgoing: Outgoing) -> Outgoing:
        """Give a notice of a knock its link; one whose knock is over takes its link away."""
        with self._answered:
            if not isinstance(outgoing, Notice):
                self._answers.revoke(outgoing.key)
            elif outgoing.answers and self._url:
                secret = self._answers.issue(outgoing.answers, self._now().t_s)
                return replace(outgoing, link=f"{self._url}{PATH}{secret}")
        return outgoing

    def _remember(self, file: Path) -> None:
        """Keep what must not be sent twice: a file that is replaced whole, when it changes."""
        kept = msgspec.json.encode(self._decider.memory())
        if kept == self._kept:
            return
        self._kept, new = kept, file.with_suffix(".new")
        try:
            new.write_bytes(kept)
            new.replace(file)
        except OSError as error:
            log.warning("%s: cannot be written (%s)", file, error.strerror)
            self._file = None

    # --- answers --------------------------------------------------------------------------------

    def answer(self, secret: str) -> str:
        """Answer the knock of this secret, once, and wait until the house confirms it."""
        with self._answered:
            place = self._answers.redeem(secret, self._now().t_s)
            if place is None:
                return "void"
            before = self._answers_of[place]
            self._ask(place)
            done = self._answered.wait_for(lambda: self._answers_of[place] > before, CONFIRM_S)
        return "answered" if done else "unconfirmed"

    def _ask(self, place: str) -> None:
        """Send the only two commands that this service may send."""
        body = {"id": uuid.uuid4().hex, "issued_at": iso(wall_s()), "boot": self._decider.boot}
        self._link.publish(Message(self._topics(f"cmd/answer_{place}"), encode(body), qos=1))


def _decider(config: Config, now: Now, memory: Memory) -> Decider | VenuesDecider:
    """Return who decides: for this bar, or by ``[notify] venues`` for all of them."""
    most = config.notify.most_an_hour
    if config.notify.venues:
        own = version("backdoor")
        return VenuesDecider(now, most_an_hour=most, release=own, memory=memory)
    merge_ms = config.rules.knock_merge_ms
    return Decider(now, merge_ms=merge_ms, most_an_hour=most, memory=memory)


def _senders(
    config: Config, channels: list[Channel], now: Callable[[], Now], shown: list[str]
) -> list[Sender]:
    """Return a sender for each channel, with the rules of its address."""
    notify = config.notify
    zone = ZoneInfo(config.book.timezone) if config.book.timezone else None
    return [
        Sender(channel, route(settings, zone), now, notify.language, shown)
        for channel, settings in zip(channels, notify.channels(), strict=True)
    ]


def _remembered(file: Path | None) -> Memory:
    """Return what was kept; what cannot be read is forgotten."""
    try:
        if file is None:
            return Memory()
        return msgspec.json.decode(atomic_file.read_regular(file), type=Memory)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("%s: forgotten, %s", file, error)
        return Memory()


def channels_of(config: Config) -> list[Channel]:
    """Return a channel for each address; raises `ConfigError` with every one that is wrong."""
    found, problems = [], []
    for number, settings in enumerate(config.notify.urls, 1):
        try:
            found.append(open_channel(settings.url, config.venue))
        except ChannelError as error:
            problems.append(f"[notify] urls: address {number}: {error}")
    if problems:
        raise ConfigError(problems)
    return found


def make_service(config: Config) -> Service:
    """Return the service as systemd starts it; raises `ConfigError`."""
    if not config.notify.urls:
        raise ConfigError(["[notify] urls: has no address; name one, or run without"])
    if not config.mqtt.host:
        raise ConfigError(['[mqtt] host: the messages need the broker, got ""; name one'])
    folder = os.environ.get("STATE_DIRECTORY", "")
    return Service(config, channels_of(config), folder=Path(folder) if folder else None)
