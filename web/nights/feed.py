"""From the broker into the store: each event once, and nothing lost while either is away.

The subscription is durable: the broker keeps the events while this process is away. An event is
acknowledged when the store has it on its disk. What a broker loses the controllers are asked for,
by its number (`backfill`). While the store takes nothing (a full disk, a
Postgres out of reach) the link is down as well, and the broker keeps the events for that long too.

Of all pages on one store one writes: the one that holds the store's lock. Its name at the broker
belongs to the store, so another page that takes over goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic, time
from typing import Any, Protocol

from controller.codec import encode
from controller.config.settings import Config
from controller.mqtt.link import Link, LinkError
from controller.mqtt.message import Message
from web.nights.backfill import Backfill, read_answer
from web.nights.database import Database, StoreError, connect
from web.nights.events import Event, parse
from web.nights.store import Store

log = logging.getLogger(__name__)

#: The longest that the broker is asked to keep events for us; the installer's broker does.
KEPT_S = 7 * 86_400
#: A changed night is folded this often; the store is tried again after the others.
FOLD_EVERY_S = 15.0
RETRY_S = (2.0, 60.0)
FORGET_EVERY_S = 6 * 3600.0
#: The store is left to itself after so long; what it has not kept the broker still has.
STOP_S = 6.0
#: Messages that make no sense are named in the log, but not for ever.
NAMED_PROBLEMS = 20


class Links(Protocol):
    """Makes a link to the broker; it is not started yet."""

    def __call__(self, **arguments: Any) -> Link:
        """Return the link."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How the feed stands: ``problem`` in words, or empty; whether this page is the writer."""

    problem: str = ""
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the centre does not take events, in words, and since when, monotonic seconds.

    The wall clock may be set meanwhile: a Pi learns the time by the network that was away.
    """

    problem: str
    since_s: float

    @property
    def lasts_s(self) -> float:
        """For how many seconds."""
        return monotonic() - self.since_s


class Outgoing(Protocol):
    """Sends what is in the outbox to the centre of many bars, from `start` to `stop`."""

    trouble: Trouble | None

    def start(self) -> None:
        """Begin in the background."""

    def wake(self) -> None:
        """Say that there is more."""

    def hold(self, after: int | None) -> None:
        """Let events above this number wait: what comes before them is asked for; or no more."""

    def stop(self) -> None:
        """Leave; what is not acknowledged stays in the outbox."""


class History(Protocol):
    """What fills the history that the page shows."""

    @property
    def status(self) -> FeedStatus:
        """How it stands."""

    @property
    def sends(self) -> bool:
        """Whether this bar's events go to a centre."""

    @property
    def trouble(self) -> Trouble | None:
        """Why the centre does not take events now; None also where there is none."""

    def start(self) -> None:
        """Begin in the background."""

    def stop(self) -> None:
        """Leave."""


class CentreHistory:
    """The history of many bars: `backdoor centre` fills it, and this page only reads it."""

    status = FeedStatus()
    sends = False
    trouble = None

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Feed:
    """Keeps the store up to date in a thread of its own, from `start` to `stop`."""

    def __init__(
        self,
        config: Config,
        links: Links,
        *,
        now_s: Callable[[], float] = time,
        open_database: Callable[[str], Database] | None = None,
        outgoing: Callable[[str], Outgoing] | None = None,
    ) -> None:
        """``outgoing`` makes for a store's id what sends its events to a centre."""
        self._address = config.nights.database
        self._keep = config.nights.keep_nights
        self._prefix, self._venue = config.mqtt.prefix, config.venue
        self._all_venues = bool(config.web.venues)
        self._capacities: Mapping[str, int] = {config.venue: config.rules.capacity}
        self._links, self._now_s = links, now_s
        self._open = open_database or (lambda address: connect(address, writing=True))
        self._lock = Lock()
        self._store: Store | None = None
        self._backfill = Backfill()
        self._link: Link | None = None
        self._make_outgoing = outgoing
        self._outgoing: Outgoing | None = None
        #: Above which number events wait that are committed.
        self._held: int | None = None
        self._broken = ""
        #: The last problem that was logged, until the store takes events again.
        self._logged = ""
        self._problems = 0
        self._wake = Flag()
        self._stopping = False
        self.status = FeedStatus()
        self._thread = Thread(target=self._run, name="nights", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what has come, and leave; the broker keeps what comes then."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    # --- the feed's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        delay_s = RETRY_S[0]
        while not self._stopping:
            began_s = monotonic()
            try:
                self._serve()
            except StoreError as error:
                self._say(str(error))
            except Exception as error:
                log.exception("nights: unexpected error; it begins again. Please report this")
                self._say(f"internal error: {error!r}")
            steady = monotonic() - began_s > RETRY_S[1]
            delay_s = RETRY_S[0] if steady else min(2 * delay_s, RETRY_S[1])
            if not self._stopping:
                self._wake.wait(delay_s)

    def _say(self, problem: str) -> None:
        if problem and problem != self._logged:
            log.warning("nights: %s; the broker keeps the events meanwhile", problem)
        if not problem and self._logged:
            log.warning("nights: the store takes events again")
        self._logged = problem
        self.status = FeedStatus(problem, writing=not problem)

    def _serve(self) -> None:
        """Feed until we are to stop or the store fails."""
        database = self._open(self._address)
        try:
            while not database.lock():
                self.status = FeedStatus()
                if self._stopping or self._wake.wait(RETRY_S[0]):
                    return
            outbox_of = self._venue if self._make_outgoing else ""
            self._feed(Store(database, self._capacities, self._now_s, outbox_of=outbox_of))
        finally:
            database.close()

    def _feed(self, store: Store) -> None:
        self._store, self._broken = store, ""
        self._backfill = Backfill()
        link = self._links(
            client_id=f"backdoor-nights-{self._venue}-{store.id}",
            subscriptions=[f"{self._whose()}/event/+", f"{self._whose()}/backfill"],
            on_message=self._on_message,
            on_up=self._on_up,
            on_down=lambda _why: None,  # the mirror's link says so already
            on_ack=lambda _number: None,
            durable=True,
            kept_s=KEPT_S,
            commit=self._commit,
        )
        self._link = link
        self._start_outgoing(store)
        link.start()
        self._say("")
        try:
            self._work(store)
        finally:
            link.stop()
            self._link = None
            if self._outgoing is not None:
                self._outgoing.stop()
            with self._lock:
                self._store = None
        if not self._broken:
            store.fold_changed()

    def _start_outgoing(self, store: Store) -> None:
        if self._make_outgoing is not None:
            self._outgoing, self._held = self._make_outgoing(store.id), None
            store.holes_changed = True
            self._settle(store)
            self._outgoing.start()

    @property
    def sends(self) -> bool:
        """Whether this bar's events go to a centre."""
        return self._make_outgoing is not None

    @property
    def trouble(self) -> Trouble | None:
        """Why the centre does not take events now; None also where there is none."""
        return self._outgoing.trouble if self._outgoing is not None else None

    def _work(self, store: Store) -> None:
        forget_s = 0.0
        while not self._stopping:
            if self._broken:
                raise StoreError(self._broken)
            with self._lock:
                self._settle(store)
                store.fold_changed()
                if monotonic() >= forget_s:
                    store.forget(self._keep)
                    forget_s = monotonic() + FORGET_EVERY_S
            self._ask()
            self._wake.wait(FOLD_EVERY_S)
            if not self._stopping:
                self._wake.clear()

    def _whose(self) -> str:
        return f"{self._prefix}/{'+' if self._all_venues else self._venue}"

    def _settle(self, store: Store) -> None:
        """Commit; events whose predecessors are asked for wait from before they can be seen."""
        store.flush()
        if store.holes_changed:
            store.holes_changed = False
            self._backfill.found(store.ranges())
        if self._outgoing is None:
            store.commit()
            return
        hold = self._backfill.hold(self._venue, monotonic())
        strictest = min((one for one in (self._held, hold) if one is not None), default=None)
        self._outgoing.hold(strictest)
        store.commit()
        self._outgoing.hold(hold)
        self._held = hold
        self._outgoing.wake()

    def _ask(self) -> None:
        """Ask for what is missing. Not under the lock: the answer may come within the call."""
        with self._lock:
            requests = self._backfill.due(monotonic()) if self._store is not None else []
            link = self._link
        for venue, after, until in requests:
            if link is not None:
                payload = encode({"after": after, "until": until})
                topic = f"{self._prefix}/{venue}/backfill/request"
                link.publish(Message(topic, payload, qos=1))

    # --- the link's thread ----------------------------------------------------------------------

    def _on_up(self) -> None:
        """Look what is missing: a broker that was away may have lost what it had for us."""
        try:
            with self._lock:
                if self._store is not None and not self._broken:
                    self._backfill.found(self._store.ranges())
                    self._backfill.up()
        except StoreError as error:
            self._broken = str(error)
        self._ask()

    def _on_message(self, message: Message) -> None:
        """Take one message; one that makes no sense is named in the log and left out."""
        if message.retain:  # events never are: somebody keeps an old one
            return
        topic = message.topic.removeprefix(f"{self._prefix}/")
        venue, _, name = topic.partition("/event/")
        try:
            if name:
                self._add([parse(venue, name, message.payload)])
            else:
                self._take_answer(topic.removesuffix("/backfill"), message.payload)
        except StoreError as error:
            self._broken = str(error)
        except (ValueError, RecursionError) as error:
            self._leave_out(message.topic, str(error))

    def _leave_out(self, topic: str, why: str) -> None:
        self._problems += 1
        if self._problems <= NAMED_PROBLEMS:
            log.warning("nights: %s: left out, %s", topic, why)

    def _add(self, events: Iterable[Event]) -> None:
        with self._lock:
            if self._store is not None and not self._broken:
                for event in events:
                    self._store.add(event)

    def _take_answer(self, venue: str, payload: bytes) -> None:
        """Take what a journal had, and ask for the rest."""
        answer = read_answer(venue, payload)
        for why in answer.refused:
            self._leave_out(f"{self._prefix}/{venue}/backfill", why)
        self._add(answer.events)
        with self._lock:
            self._backfill.answered(venue, answer, monotonic())
            if self._store is not None:
                self._store.holes_changed = True
        self._ask()

    def _commit(self) -> None:
        """Make what has come last; raise LinkError, and the broker sends it again."""
        with self._lock:
            if self._store is None:
                raise LinkError("the nights' store is closed")
            try:
                if not self._broken:
                    self._settle(self._store)
            except StoreError as error:
                self._broken = str(error)
        if self._broken:
            self._wake.set()
            raise LinkError("the nights' store takes nothing; its events stay here")
