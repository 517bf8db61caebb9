"""The bartender's phone page: shows the newest snapshot, its age, and asks the controller.

Reading order: `snapshot` and `mirror` (what we know), `room`, `look` and `evening` (what it means
in words and pictures), `pairing` and `gate` (who may see it), `streams` and `views` (how it gets
to the phone), `serve`. From the controller only its vocabulary, wire, config and link are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from controller.config.settings import Config
from controller.mqtt.message import Topics
from web.language import speak, spoken
from web.mirror import LinkFactory, Mirror
from web.presentation.bookings import BookingsView
from web.presentation.selftest import SelfTestView
from web.routes.metrics import metrics_routes
from web.routes.page import AppContext, page
from web.routes.simulator import ACTIONS, Bench, bench_routes
from web.routes.spaceapi import space_routes
from web.routes.streams import Streams
from web.routes.venues import Venues, venues_routes
from web.security.gate import Hosts, gate, wants_page
from web.security.pairing import AttemptLimiter, Pairing, page_url

__all__ = ["Bench", "LinkFactory", "create_app", "pair_link"]

COOKIE_LASTS = timedelta(days=400)  # the longest that browsers grant


def create_app(
    config: Config,
    *,
    link: LinkFactory,
    bench: Bench | None = None,
    wall: Callable[[], datetime] | None = None,
    speed: float = 1.0,
) -> Flask:
    """Make the page; its link is in ``app.extensions["backdoor"].mirror`` and not started yet.

    ``bench`` opens the drawer of the demo; ``wall`` and ``speed`` are the demo's clock, when it
    runs faster than the wall's.
    """
    web = config.web
    app = Flask(__name__)
    app.config.update(
        SESSION_COOKIE_NAME="backdoor",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=COOKIE_LASTS,
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_STREAMS=web.max_streams,
        TLS=(web.tls_cert, web.tls_key),
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    mirror = Mirror(Topics(f"{config.mqtt.prefix}/{config.venue}"), wall=wall, speed=speed)
    venues = Venues(config.mqtt.prefix) if web.venues else None
    mirror.connect(link, venues.topics() if venues else ())
    pairing = Pairing(Path(web.secret_file))
    bookings = BookingsView(config, mirror, wall or _utc_now) if config.book.url else None
    app.extensions["backdoor"] = AppContext(
        mirror,
        pairing,
        Streams(mirror, most=web.max_streams),
        AttemptLimiter(),
        SelfTestView(mirror, wall=wall or _utc_now),
        bookings,
    )
    gate(app, pairing, Hosts(web.allowed_hosts, web.public_url))
    speak(app, web.language)
    csrf = CSRFProtect(app)
    app.register_blueprint(page)
    app.register_blueprint(metrics_routes(mirror, web.metrics_token))
    if venues:
        mirror.listen(venues.receive)
        app.register_blueprint(venues_routes(venues))
    if config.space.name:
        app.register_blueprint(space_routes(config, mirror, wall or _utc_now))
    if bench is not None:
        routes = bench_routes(bench)
        csrf.exempt(routes)
        app.register_blueprint(routes)
    app.jinja_env.globals.update(
        version=_version(app),
        bench_actions=ACTIONS if bench is not None else {},
        theme=_theme,
        language=spoken,
    )
    app.register_error_handler(HTTPException, _plain_error)
    return app


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _theme() -> str:
    """Return this phone's choice, `night` or `light`; nothing when it follows its own setting."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in ("night", "light") else ""


def pair_link(config: Config) -> str:
    """Return the link that pairs a phone; makes the secret when there is none yet."""
    web = config.web
    base = page_url(web.host, web.port, web.public_url, tls=bool(web.tls_cert))
    return f"{base}/pair/{Pairing(Path(web.secret_file)).secret}"


def _version(app: Flask) -> str:
    """Return a mark of everything that a phone may have cached: new files, new address."""
    digest = hashlib.sha256()
    for folder in (app.static_folder, app.template_folder):
        for path in sorted((Path(app.root_path) / str(folder)).iterdir()):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _plain_error(error: HTTPException) -> ResponseReturnValue:
    """Say what went wrong in one line, without a traceback; scripts get JSON."""
    if isinstance(error.response, Response):
        return error.response
    response = _error_page(error.code or 500, error.name)
    for name, value in error.get_headers():  # which methods there are, when to come again
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _error_page(status: int, name: str) -> Response:
    if not wants_page():
        answer = jsonify(ok=False, reason=name.replace(" ", ""), state="refused")
    elif status < 500:  # what failed may fail again: a 500 needs no template
        answer = make_response(render_template("error.html", status=status))
    else:
        answer = Response(f"{status}: something went wrong here.\n", mimetype="text/plain")
    answer.status_code = status
    return answer
