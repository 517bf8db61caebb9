"""The routes below /bench, in the demo only: buttons that move the simulated pins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flask import Blueprint, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect

from web.language import lazy
from web.security.gate import wants_page

ACTIONS: Mapping[str, Any] = {
    "walk_in": lazy("Walk in"),
    "walk_out": lazy("Walk out"),
    "turn_back": lazy("Turn back"),
    "knock_hatch": lazy("Knock at hatch"),
    "knock_door": lazy("Knock at door"),
    "open_door": lazy("Open door"),
    "close_door": lazy("Close door"),
    "open_hatch": lazy("Open hatch"),
    "close_hatch": lazy("Close hatch"),
    "press_release": lazy("Release button"),
}


class Simulator(Protocol):
    """Moves the pins: both methods return after the last edge; KeyError for an unknown name."""

    def act(self, name: str) -> None:
        """Play one action with its real timing."""

    def line(self, line: str, level: bool) -> None:
        """Set one line to a level."""


def simulator_routes(simulator: Simulator, csrf: CSRFProtect) -> Blueprint:
    """Return the routes of this simulator; scripts may use them, so they need no CSRF token."""
    routes = Blueprint("simulator", __name__)
    csrf.exempt(routes)

    @routes.post("/bench/<action>")
    def act(action: str) -> ResponseReturnValue:
        try:
            simulator.act(action)
        except KeyError:
            return jsonify(ok=False, reason=f"no such action: {action}"), 404
        return _done()

    @routes.post("/bench/line/<line>/<int:level>")
    def line(line: str, level: int) -> ResponseReturnValue:
        if level not in (0, 1):
            return jsonify(ok=False, reason="the level is 0 or 1"), 404
        try:
            simulator.line(line, bool(level))
        except KeyError:
            return jsonify(ok=False, reason=f"no such line: {line}"), 404
        return _done()

    return routes


def _done() -> ResponseReturnValue:
    if request.form.get("back") and wants_page():
        return redirect(url_for("page.home"), 303)
    return jsonify(ok=True)
