"""The page of the wires: the header drawn, each wire live while somebody looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from flask import Blueprint, g, render_template
from flask.typing import ResponseReturnValue

from web.language import _
from web.presentation.wiring import WiringView, place, wire_name
from web.routes.page import answer, context, event_stream
from web.security.gate import wants_page

#: How long a browser without scripting waits for the levels that it has asked for, seconds.
FIRST_LIMIT_S = 2.0


def wiring_routes(view: WiringView) -> Blueprint:
    """Return the routes, for paired phones."""
    routes = Blueprint("wiring", __name__)

    @routes.get("/wiring")
    def show() -> str:
        return render_template(
            "wiring.html",
            pins=view.pins(),
            wires=[(line["line"], wire_name(line["line"]), place(line)) for line in view.wires()],
            rows=view.rows(),
            shown=_shown(view),
        )

    @routes.post("/wiring")
    def watch() -> ResponseReturnValue:
        """Ask the controller to publish the wires for half a minute; the page repeats it."""
        version = view.version
        outcome = context().mirror.command("watch_wiring", by=g.phone.name)
        if outcome.ok and wants_page():
            view.wait(version, FIRST_LIMIT_S)
        return answer(outcome, back="wiring.show")

    @routes.get("/wiring/events")
    def events() -> ResponseReturnValue:
        return event_stream(lambda goes_on: _follow(view, goes_on))

    return routes


def _follow(view: WiringView, goes_on: Callable[[], bool]) -> Iterator[str]:
    """Yield how the wires stand, with each message and every second."""

    def newest() -> tuple[int, str]:
        version = view.version
        values = {**_shown(view), "lines": view.rows()}
        return version, json.dumps(values, separators=(",", ":"))

    return context().streams.send(newest, view.wait, goes_on)


def _shown(view: WiringView) -> dict[str, str]:
    """Return what the page shows besides the wires: whether they are live, and the self-test."""
    app, live = context(), view.live()
    texts = app.self_test.part(app.mirror.view()).texts
    return {
        "layout": view.layout(),
        "live": "yes" if live else "no",
        "says": _("Live: touch a wire and look here") if live else _("No levels: not heard now"),
        "moved": view.moved(),
        "trial": texts["trial"],
        "step": texts["step"],
    }
