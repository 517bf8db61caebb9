"""One message, as bytes, from a broker that lies to the page: a target of `tests.tools.fuzz`.

The first line is the topic below ``backdoor/bar``, the rest the payload. Whatever the page hears,
each of its routes still answers, and the next true state is shown as if nothing had been.
"""

from __future__ import annotations

import json
import tempfile
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from flask.testing import FlaskClient

from controller.config.settings import Space
from controller.mqtt.message import Message
from tests.support.fake_controller import FakeController, calm, joiner, paired, settings
from web import create_app
from web.mirror import Mirror

ROUTES = ("/", "/api/state?page=1", "/metrics", "/venues", "/spaceapi.json")

STATE = calm() | {
    "occupancy": {
        "count": 2,
        "min": 1,
        "max": 3,
        "certain": False,
        "capacity": 4,
        "free_places": 1,
    },
    "session": {
        "started_at": "2026-11-22T21:00:00+00:00",
        "ends_at": "2026-11-22T23:00:00+00:00",
        "remaining_s": 512.5,
        "phase": "last_call",
    },
    "door_knock": {"at": "2026-11-22T21:03:04+00:00", "age_s": 3.5, "raps": 2},
    "grant": {"party": 1, "entered": 0, "remaining_s": 2.5},
    "faults": [{"name": "BeamStuck", "line": "beam_outer", "since": "2026-11-22T21:03:04+00:00"}],
}
NIGHT = {
    "since": "2026-11-22T11:00:00+00:00",
    "points": [["2026-11-22T20:00:00+00:00", 1, 1, 1], ["2026-11-22T20:30:00+00:00", 2, 1, 3]],
    "sessions": [{"started_at": "2026-11-22T20:00:00+00:00", "ended_at": None}],
    "knocks": [["2026-11-22T20:10:00+00:00", "hatch"]],
    "totals": {"guests": 3, "sessions": 1, "knocks": 1, "denied": 0, "uncertain": 1},
    "last": [{"at": "2026-11-22T20:30:00+00:00", "name": "entry", "data": {"count": 2}}],
}
TOLD: dict[str, Any] = {
    "state": STATE,
    "night": NIGHT,
    "heartbeat": {"boot": "b00t", "seq": 3, "uptime_s": 5.0},
    "occupancy": STATE["occupancy"],
    "session": STATE["session"],
    "event/knock": {"seq": 9, "at": "2026-11-22T21:03:04+00:00", "place": "hatch", "raps": 3},
    "event/session_ended": {"seq": 10, "at": "2026-11-22T21:03:04+00:00", "lasted_s": 7200.0},
    "event/access_denied": {"seq": 11, "at": "2026-11-22T21:03:04+00:00", "reason": "Blocked"},
    "result": {"id": "a", "ok": False, "reason": "Blocked"},
}
SEEDS = tuple(f"{name}\n{json.dumps(body)}".encode() for name, body in TOLD.items())


@cache
def page() -> tuple[FakeController, Mirror, FlaskClient]:
    """Return one page with all that it can have, joined to a scripted house."""
    controller = FakeController()
    folder = Path(tempfile.mkdtemp(prefix="backdoor-fuzz-"))
    config = settings(folder, venues="+", metrics_token="0123456789abcdef")
    app = create_app(replace(config, space=Space("Bar")), link=joiner(controller.bus))
    mirror = app.extensions["backdoor"].mirror
    mirror._monotonic = controller.now_s
    mirror.start()
    return controller, mirror, paired(app)


def heard(data: bytes) -> None:
    """Let the page hear it, look at every route, and then at a true state."""
    controller, mirror, client = page()
    topic, _, payload = data.partition(b"\n")
    name = topic.decode("utf-8", "replace")
    controller.show()
    controller.heartbeat()
    mirror.receive(Message(f"backdoor/bar/{name}", payload))
    for route in ROUTES:
        answer = client.get(route)
        assert answer.status_code < 500, (route, answer.status_code)
    controller.publish("status", b"online", retain=True)
    controller.publish("night", NIGHT, retain=True)
    controller.show()
    controller.heartbeat()
    assert client.get("/healthz").status_code == 200


# --- what is JSON and not what was agreed -------------------------------------------------------

ODD: st.SearchStrategy[Any] = st.sampled_from(
    (
        None,
        True,
        -1,
        10**12,
        1e300,
        0.5,
        "",
        "NaN",
        "\u202e%(x)s{{",
        [],
        [[]],
        {},
        {"a": {}},
        [None],
    )
)


def cases() -> st.SearchStrategy[bytes]:
    """True messages of which one to three values are odd, or gone."""
    harm = st.lists(st.tuples(st.integers(0, 200), ODD, st.booleans()), min_size=1, max_size=3)
    return st.builds(_harmed, st.sampled_from(sorted(TOLD)), harm)


def _harmed(name: str, harms: list[tuple[int, Any, bool]]) -> bytes:
    body = deepcopy(TOLD[name])
    for place, odd, gone in harms:
        spots = list(_spots(body))
        if spots:
            part, key = spots[place % len(spots)]
            if gone:
                del part[key]
            else:
                part[key] = deepcopy(odd)
    return f"{name}\n{json.dumps(body)}".encode()


def _spots(part: Any) -> Any:
    """Yield every place of this JSON as its container and key."""
    for key in list(part) if isinstance(part, dict) else range(len(part)):
        yield part, key
        if isinstance(part[key], dict | list):
            yield from _spots(part[key])
