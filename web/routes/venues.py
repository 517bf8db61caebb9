"""All bars of one owner as tiles: which is open, which is full, which is stale.

Each controller publishes retained topics (``prefix/+/occupancy``...), so subscriptions are all that
is needed: nothing stands between a thousand doors and this page but the broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from flask import Blueprint, jsonify, render_template
from flask.typing import ResponseReturnValue

from controller.mqtt.message import Message
from web.messages import Json, json_object
from web.mirror import Mirror

log = logging.getLogger(__name__)

#: A controller publishes its states again every ten seconds; after three misses they are stale.
STALE_AFTER_S = 35.0
TOPICS = ("status", "occupancy", "session")
#: Nobody has more bars; nonsense topics at the broker must not cost memory.
MAX_VENUES = 5000


@dataclass(slots=True)
class Venue:
    """The last messages of one bar, and when its occupancy arrived (monotonic s)."""

    status: str = ""
    occupancy: Json = field(default_factory=dict)
    session: Json | None = None
    heard_s: float = 0.0

    def tile(self, name: str, now_s: float) -> Json:
        """Return what its tile shows."""
        link = "online" if now_s - self.heard_s < STALE_AFTER_S else "stale"
        return {
            "venue": name,
            "link": link if self.status == "online" and self.occupancy else "offline",
            "count": self.occupancy.get("count"),
            "certain": bool(self.occupancy.get("certain", False)),
            "capacity": self.occupancy.get("capacity"),
            "free_places": self.occupancy.get("free_places"),
            "phase": self.session.get("phase") if self.session else None,
        }


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

    def topics(self) -> list[str]:
        """Return the topics to subscribe to."""
        return [f"{self._prefix}/+/{name}" for name in TOPICS]

    def receive(self, _name: str, message: Message) -> None:
        """Take one message of any bar; one that makes no sense is logged and ignored."""
        venue, _, what = message.topic.removeprefix(f"{self._prefix}/").partition("/")
        if what not in TOPICS:
            return
        try:
            with self._lock:
                if venue in self._venues or len(self._venues) < MAX_VENUES:
                    self._take(self._venues.setdefault(venue, Venue()), what, message.payload)
        except (ValueError, RecursionError) as error:
            log.warning("%s: ignored, %s", message.topic, error)

    def _take(self, venue: Venue, what: str, payload: bytes) -> None:
        if what == "status":
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

    def tiles(self) -> list[Json]:
        """Return a tile for each bar, sorted by name."""
        now_s = self._monotonic()
        with self._lock:
            return [venue.tile(name, now_s) for name, venue in sorted(self._venues.items())]


def venues_routes(venues: Venues, mirror: Mirror) -> Blueprint:
    """Return the routes, for paired phones; the mirror's link brings the messages."""
    mirror.listen(venues.receive)
    routes = Blueprint("venues", __name__)

    @routes.get("/venues")
    def page() -> str:
        return render_template("venues.html", tiles=venues.tiles(), page_of=venues.page_of)

    @routes.get("/api/venues")
    def tiles() -> ResponseReturnValue:
        found: list[dict[str, Any]] = venues.tiles()
        return jsonify(found)

    return routes
