"""The bench drawer's routes, in the demo only: hands on the simulated pins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flask import Blueprint, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

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


class Bench(Protocol):
    """Hands on the pins; both return when the last edge has been fed, KeyError for what is not."""

    def act(self, name: str) -> None:
        """Play one action with its real timing."""

    def line(self, line: str, level: bool) -> None:
        """Bring one line to a level."""


def bench_routes(bench: Bench) -> Blueprint:
    """Return the routes for this bench."""
    routes = Blueprint("bench", __name__)

    @routes.post("/bench/<action>")
    def act(action: str) -> ResponseReturnValue:
        try:
            bench.act(action)
        except KeyError:
            return jsonify(ok=False, reason=f"no such action: {action}"), 404
        return _done()

    @routes.post("/bench/line/<line>/<int:level>")
    def line(line: str, level: int) -> ResponseReturnValue:
        if level not in (0, 1):
            return jsonify(ok=False, reason="the level is 0 or 1"), 404
        try:
            bench.line(line, bool(level))
        except KeyError:
            return jsonify(ok=False, reason=f"no such line: {line}"), 404
        return _done()

    return routes


def _done() -> ResponseReturnValue:
    if request.form.get("back") and wants_page():
        return redirect(url_for("page.home"), 303)
    return jsonify(ok=True)
