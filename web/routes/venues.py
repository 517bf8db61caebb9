"""All bars of one owner as tiles, first those that need a person; which is full, which is stale.

Each controller publishes retained topics (``prefix/+/occupancy``...), so subscriptions are all that
is needed: nothing stands between a thousand doors and this page but the broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Blueprint, jsonify, render_template
from flask.typing import ResponseReturnValue

from controller.mqtt.message import Message
from web.messages import Json, json_object, number
from web.mirror import Mirror

log = logging.getLogger(__name__)

#: A controller publishes its states again every ten seconds; after three misses they are stale.
STALE_AFTER_S = 35.0
TOPICS = ("status", "occupancy", "session", "state")
#: Two controllers under one name have sent by turns within this time.
TWINS_S = 120.0
#: A knock that waits longer needs a person.
KNOCK_S = 60.0
#: Nobody has more bars; nonsense topics at the broker must not cost memory.
MAX_VENUES = 5000


@dataclass(slots=True)
class Venue:
    """The last messages of one bar, and when its occupancy arrived (monotonic s)."""

    status: str = ""
    occupancy: Json = field(default_factory=dict)
    session: Json | None = None
    heard_s: float = 0.0
    state: Json = field(default_factory=dict)
    state_s: float = 0.0
    boots: dict[str, float] = field(default_factory=dict)
    twins_s: float | None = None

    def take_state(self, state: Json, *, live: bool, now_s: float) -> None:
        """Take a snapshot; a run that comes again after another is a second bar of this name."""
        boot = state["boot"]
        if live:  # what the broker kept may be older than what came
            again = self.boots.pop(boot, None)
            if again is not None and any(at_s > again for at_s in self.boots.values()):
                self.twins_s = now_s
            self.boots[boot] = now_s
            while len(self.boots) > MOST_BOOTS:
                del self.boots[next(iter(self.boots))]
        self.state, self.state_s = state, now_s

    def needs(self, link: str, now_s: float) -> str | None:
        """Return why this bar needs a person, the first of `NEEDS` that holds; None if it does not.

        What a bar that is away said last does not count.
        """
        twins = self.twins_s is not None and now_s - self.twins_s < TWINS_S
        if link != "online":
            return "twins" if twins else link
        return next((name for name, holds in NEEDS.items() if holds(self)), None) or (
            "twins" if twins else None
        )

    def tile(self, name: str, now_s: float) -> Json:
        """Return what its tile shows."""
        link = "online" if now_s - self.heard_s < STALE_AFTER_S else "stale"
        # No status is not "offline": a centre whose node fell over may have lost that one message.
        link = link if self.status != "offline" and self.occupancy else "offline"
        return {
            "venue": name,
            "link": link,
            "needs": self.needs(link, now_s),
            "count": self.occupancy.get("count"),
            "certain": bool(self.occupancy.get("certain", False)),
            "capacity": self.occupancy.get("capacity"),
            "free_places": self.occupancy.get("free_places"),
            "phase": self.session.get("phase") if self.session else None,
        }


def _part(venue: Venue, name: str) -> Mapping[str, Any]:
    part = venue.state.get(name)
    return part if isinstance(part, dict) else {}


def _over(venue: Venue) -> bool:
    return number(venue.occupancy, "count") > number(venue.occupancy, "capacity", 99)


def _knock(venue: Venue) -> bool:
    waits_s = max(
        number(_part(venue, "hatch"), "oldest_s"), number(_part(venue, "door_knock"), "age_s")
    )
    return waits_s > KNOCK_S


#: Why a bar needs a person, the worst first.
NEEDS: Mapping[str, Callable[[Venue], bool]] = {
    "evacuation": lambda venue: _part(venue, "door").get("mode") == "LockedOpen",
    "forced": lambda venue: _part(venue, "door").get("alarm") == "DoorForcedOpen",
    "over": _over,
    "lock": lambda venue: _part(venue, "door").get("lock") == "Fault",
    "left_open": lambda venue: _part(venue, "door").get("alarm") == "DoorOpenTooLong",
    "knock": _knock,
    "overtime": lambda venue: (venue.session or {}).get("phase") == "overtime",
    "doubt": lambda venue: not venue.occupancy.get("certain", False),
    "fault": lambda venue: bool(venue.state.get("faults")),
}
#: Their order on the page: a bar that is away stands below an alarm and above a knock.
ORDER = (
    "evacuation", "forced", "over", "lock", "twins", "offline", "stale", "left_open", "knock",
    "overtime", "doubt", "fault", None,
)  # fmt: skip
MOST_BOOTS = 8


class Heard(NamedTuple):
    """What one bar said last: its status, and its state with the age of that."""

    name: str
    status: str
    state: Json
    age_s: float


class Venues:
    """All bars below one prefix: written by the link's thread, read by many."""

    def __init__(
        self,
        prefix: str,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        own: str = "",
        url: str = "",
    ) -> None:
        """``own`` is this bar's name, ``url`` the address of any bar's page with ``{venue}``."""
        self._prefix, self._own, self._url = prefix, own, url
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._venues: dict[str, Venue] = {}
        #: Topics whose last message made no sense: the log has it once.
        self._bad: set[str] = set()

    def topics(self) -> list[str]:
        """Return the topics to subscribe to."""
        return [f"{self._prefix}/+/{name}" for name in TOPICS]

    def receive(self, _name: str, message: Message) -> None:
        """Take one message of any bar; one that makes no sense is logged, once, and ignored."""
        venue, _, what = message.topic.removeprefix(f"{self._prefix}/").partition("/")
        if what not in TOPICS:
            return
        try:
            with self._lock:
                if venue in self._venues or len(self._venues) < MAX_VENUES:
                    found = self._venues.setdefault(venue, Venue())
                    self._take(found, what, message.payload, live=not message.retain)
            self._bad.discard(message.topic)
        except (ValueError, RecursionError) as error:
            if message.topic not in self._bad:
                self._bad.add(message.topic)
                log.warning("%s: ignored until it makes sense, %s", message.topic, error)

    def _take(self, venue: Venue, what: str, payload: bytes, live: bool) -> None:
        if what == "state":
            state = json_object(payload, boot=str)
            venue.take_state(state, live=live, now_s=self._monotonic())
        elif what == "status":
            venue.status = payload.decode("utf-8", "replace")
        elif what == "session":
            venue.session = None if payload == b"null" else json_object(payload, phase=str)
        else:
            venue.occupancy = json_object(payload, count=int, capacity=int, free_places=int)
            venue.heard_s = self._monotonic()

    def page_of(self, venue: str) -> str:
        """Return the address of a bar's page; "" when it is not known."""
        if venue == self._own:
            return "/"
        web = self._url.startswith(("http://", "https://"))
        return self._url.replace("{venue}", quote(venue, safe="")) if web else ""

    def heard(self) -> list[Heard]:
        """Return what each bar said last, sorted by name."""
        now_s = self._monotonic()
        with self._lock:
            return [
                Heard(name, venue.status, venue.state, now_s - venue.state_s)
                for name, venue in sorted(self._venues.items())
            ]

    def tiles(self) -> list[Json]:
        """Return a tile for each bar, sorted by name."""
        now_s = self._monotonic()
        with self._lock:
            return [venue.tile(name, now_s) for name, venue in sorted(self._venues.items())]

    def by_need(self) -> list[Json]:
        """Return the tiles, first those of the bars that need a person."""
        return sorted(self.tiles(), key=lambda tile: ORDER.index(tile["needs"]))


def venues_routes(venues: Venues, mirror: Mirror) -> Blueprint:
    """Return the routes, for paired phones; the mirror's link brings the messages."""
    mirror.listen(venues.receive)
    routes = Blueprint("venues", __name__)

    @routes.get("/venues")
    def page() -> str:
        return render_template("venues.html", tiles=venues.by_need(), page_of=venues.page_of)

    @routes.get("/api/venues")
    def tiles() -> ResponseReturnValue:
        found: list[dict[str, Any]] = venues.tiles()
        return jsonify(found)

    return routes
