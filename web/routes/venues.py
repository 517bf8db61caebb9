"""All bars of one owner as tiles: who is open, who is full, whose word is old.

The house tells it all on retained topics (``prefix/+/occupancy``...), so one subscription is the
whole of it: nothing of ours stands between a thousand doors and this page but the broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, jsonify, render_template
from flask.typing import ResponseReturnValue

from controller.mqtt.message import Message
from web.messages import Json, json_object

log = logging.getLogger(__name__)

#: A door tells its states anew every ten seconds; after three misses its word is old.
STALE_AFTER_S = 35.0
HEARD = ("status", "occupancy", "session")
#: Nobody has more bars; a broker full of nonsense must not cost memory.
MOST = 5000


@dataclass(slots=True)
class Venue:
    """What one bar said last, and when (monotonic s)."""

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
    """Hears every bar below one prefix; filled by the link's thread, read by many."""

    def __init__(self, prefix: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._venues: dict[str, Venue] = {}

    def topics(self) -> list[str]:
        """Return what to subscribe to."""
        return [f"{self._prefix}/+/{name}" for name in HEARD]

    def hear(self, _name: str, message: Message) -> None:
        """Take one message of any bar; what makes no sense is logged and ignored."""
        venue, _, what = message.topic.removeprefix(f"{self._prefix}/").partition("/")
        if what not in HEARD:
            return
        try:
            with self._lock:
                if venue in self._venues or len(self._venues) < MOST:
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

    def tiles(self) -> list[Json]:
        """Return a tile for each bar, by name."""
        now_s = self._monotonic()
        with self._lock:
            return [venue.tile(name, now_s) for name, venue in sorted(self._venues.items())]


def venues_routes(venues: Venues) -> Blueprint:
    """Return the routes, for paired phones."""
    routes = Blueprint("venues", __name__)

    @routes.get("/venues")
    def page() -> str:
        return render_template("venues.html", tiles=venues.tiles())

    @routes.get("/api/venues")
    def tiles() -> ResponseReturnValue:
        found: list[dict[str, Any]] = venues.tiles()
        return jsonify(found)

    return routes
