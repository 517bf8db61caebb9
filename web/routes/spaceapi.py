"""GET /spaceapi.json, SpaceAPI v15: whether there is room; public, and never with a name.

Off unless the owner sets ``[space] name``. ``open`` is left out while it is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from controller.config.settings import Config
from controller.mqtt.message import Message
from web.bookings.calendar import time_zone
from web.bookings.slots import SlotQuery, opening_windows, parse_opening_hours
from web.messages import Json
from web.mirror import Mirror


class SpaceStatus:
    """Whether the bar is open, and since when."""

    def __init__(self, config: Config, mirror: Mirror, wall: Callable[[], datetime]) -> None:
        self._config, self._mirror, self._wall = config, mirror, wall
        self._hours = parse_opening_hours(config.book.open)
        self._zone = time_zone(config.book.timezone)
        self._last: bool | None = None
        self._since = wall()
        mirror.listen(self._receive)

    def _receive(self, name: str, message: Message) -> None:
        if name in ("state", "status"):
            self._update(self._mirror.view().state)

    def _update(self, state: Json) -> bool | None:
        is_open = self._open(state)
        if is_open != self._last:
            self._last, self._since = is_open, self._wall()
        return is_open

    def _open(self, state: Json) -> bool | None:
        """Return whether guests are welcome: a full room is open, a door closed by a person not."""
        if state.get("link") != "online" or not _makes_sense(state):
            return None
        welcome = state["full"] or state["door"]["mode"] in ("Locked", "Unlocked", "Accessed")
        return welcome and self._in_hours()

    def _in_hours(self) -> bool:
        now = self._wall()
        no_time = timedelta(0)
        query = SlotQuery(now, no_time, no_time, self._hours, self._zone)
        return not self._hours or any(
            opens <= now < shuts for opens, shuts in opening_windows(query)
        )

    def document(self) -> Json:
        """Return the document that the route answers."""
        space = self._config.space
        state = self._mirror.view().state
        is_open = self._update(state)
        return {
            "api_compatibility": ["15"],
            "space": space.name,
            "logo": space.logo,
            "url": space.url,
            "contact": {"email": space.email} if space.email else {},
            "state": {"lastchange": int(self._since.timestamp()), **_room(is_open, state)},
            **({} if is_open is None else _numbers(state)),
        }


def _makes_sense(state: Json) -> bool:
    """Return whether the snapshot has all that is shown; any client of the broker may send one."""
    counts = [state["occupancy"].get(key) for key in ("count", "capacity", "free_places")]
    numbers = all(type(count) is int for count in counts)
    return numbers and type(state.get("full")) is bool and type(state["door"].get("mode")) is str


def _room(is_open: bool | None, state: Json) -> Json:
    if is_open is None:
        return {}
    if not is_open:
        return {"open": False, "message": "closed"}
    free = int(state["occupancy"]["free_places"])
    return {"open": True, "message": f"{free} free" if free else "full"}


def _numbers(state: Json) -> Json:
    occupancy = state["occupancy"]
    return {
        "sensors": {"people_now_present": [{"value": occupancy["count"]}]},
        "ext_full": state["full"],
        "ext_free_places": occupancy["free_places"],
        "ext_capacity": occupancy["capacity"],
    }


def space_routes(config: Config, mirror: Mirror, wall: Callable[[], datetime]) -> Blueprint:
    """Return the route; it needs no pairing."""
    status = SpaceStatus(config, mirror, wall)
    routes = Blueprint("space", __name__)

    @routes.get("/spaceapi.json")
    def space() -> ResponseReturnValue:
        headers = {
            "Access-Control-Allow-Origin": "*",  # as SpaceAPI asks
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": "no-cache",
        }
        return jsonify(status.document()), 200, headers

    return routes
