"""The bartender's phone page: shows the controller's newest snapshot and its age, sends commands.

From the controller only events, codec, config, mqtt and systemd are imported.

In reading order:

    messages       the controller's JSON, checked and read with care
    mirror         a copy of its state; how commands are sent
    presentation   what that means, in words and pictures
    security       who may see it
    routes         how it gets to the phone
    bookings       the owner's calendar
    nights         the history
    centre         many bars: the sender in each, and the centre
    language       the phone's choice, else its browser's
    errors         what a request that fails gets
    lean           style and script without comments
    server         waitress on our own socket; the page as a process
    reserve        places for connections: the paired come first
    own_request    what the watchdog is fed from
    tls            HTTPS with the owner's certificate
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from controller.config.phones_file import phones_file
from controller.config.settings import Config, Web
from controller.mqtt.message import Topics
from web.errors import error_response
from web.language import current_language, init_languages, plural
from web.lean import lean_files
from web.mirror import LinkFactory, Mirror
from web.nights.feed import History
from web.presentation.bookings import BookingsView
from web.presentation.centre import CentreView, Waiting
from web.presentation.selftest import SelfTestView
from web.presentation.wiring import WiringView
from web.routes.metrics import metrics_routes
from web.routes.nights import nights_routes
from web.routes.page import AppContext, page
from web.routes.phones import phones_routes
from web.routes.simulator import ACTIONS, Simulator, simulator_routes
from web.routes.spaceapi import space_routes
from web.routes.streams import Streams
from web.routes.venue_metrics import VenueGauges
from web.routes.venues import Venues, venues_routes
from web.routes.wiring import wiring_routes
from web.security.gate import DerivedKeySessions, gate
from web.security.hosts import Hosts
from web.security.pairing import AttemptLimiter, Pairing, page_url
from web.security.phones import Phones


def create_app(
    config: Config,
    *,
    link: LinkFactory,
    simulator: Simulator | None = None,
    wall: Callable[[], datetime] | None = None,
    speed: float = 1.0,
    feed: History | None = None,
) -> Flask:
    """Return the page; start its link with ``app.extensions["backdoor"].mirror.start()``.

    ``simulator`` adds the demo's buttons that move the pins; ``wall`` and ``speed`` are the demo's
    clock, when it runs faster than real time; ``feed`` fills the history, and with it the page
    shows it.
    """
    web, wall = config.web, wall or _utc_now
    app = Flask(__name__)
    app.config.update(_flask_settings(web))
    mirror = Mirror(Topics.of(config), wall=wall, speed=speed)
    venues = _venues(config) if web.venues else None
    mirror.connect(link, venues.topics() if venues else [])
    centre = _centre(config, feed)
    pairing = Pairing(Path(web.secret_file))
    phones = Phones(phones_file(config), pairing.generation, wall=_utc_now)
    app.extensions["backdoor"] = AppContext(
        mirror=mirror,
        pairing=pairing,
        phones=phones,
        streams=Streams(mirror, most=web.max_streams),
        attempts=AttemptLimiter(),
        self_test=SelfTestView(mirror, wall=wall),
        bookings=BookingsView(config, mirror, wall) if config.book.url else None,
        centre=centre,
    )
    own_url = partial(page_url, web.host, web.port, web.public_url, tls=bool(web.tls_cert))
    gate(
        app,
        DerivedKeySessions(app, pairing, phones),
        Hosts(web.allowed_hosts, web.public_url),
        own_url,
    )
    lean_files(app)
    init_languages(app, web.language)
    csrf = CSRFProtect(app)
    app.register_blueprint(page)
    app.register_blueprint(phones_routes(web.public_url, own_url))
    app.register_blueprint(wiring_routes(WiringView(mirror, config.lines)))
    app.register_blueprint(
        metrics_routes(mirror, web.metrics_token, VenueGauges(venues) if venues else None, centre)
    )
    if venues is not None:
        app.register_blueprint(venues_routes(venues, mirror))
    if config.space.name:
        app.register_blueprint(space_routes(config, mirror, wall))
    if feed is not None:
        app.register_blueprint(nights_routes(config, lambda: feed.status, centre))
    if simulator is not None:
        app.register_blueprint(simulator_routes(simulator, csrf))
    app.register_error_handler(HTTPException, error_response)
    app.jinja_env.globals.update(
        version=_version(app),
        release=version("backdoor"),
        simulator_actions=ACTIONS if simulator is not None else {},
        nights=feed is not None,
        theme=_theme,
        language=current_language,
        plural=plural,
    )
    return app


def _centre(config: Config, feed: History | None) -> CentreView | None:
    """Return how events reach the centre; None for a bar that sends to none."""
    if feed is None or not feed.sends:
        return None
    return CentreView(lambda: feed.trouble, Waiting(config.nights.database))


def _venues(config: Config) -> Venues:
    return Venues(config.mqtt.prefix, own=config.venue, url=config.web.venue_url)


def pair_link(config: Config) -> str:
    """Return the link that pairs a phone; make the secret when there is none yet."""
    web = config.web
    base = page_url(web.host, web.port, web.public_url, tls=bool(web.tls_cert))
    return f"{base}/pair/{Pairing(Path(web.secret_file)).secret}"


def _flask_settings(web: Web) -> dict[str, Any]:
    return {
        "WTF_CSRF_TIME_LIMIT": None,
        "MAX_CONTENT_LENGTH": 64 * 1024,
        "MAX_STREAMS": web.max_streams,
        "TLS": (web.tls_cert, web.tls_key),
        "SEND_FILE_MAX_AGE_DEFAULT": timedelta(days=365),
    }


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _theme() -> str:
    """Return this phone's choice, `night` or `light`; "" when it follows the phone's setting."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in ("night", "light") else ""


def _version(app: Flask) -> str:
    """Return a digest of all that a phone may have in its cache: new files get new addresses."""
    digest = hashlib.sha256()
    for folder in (app.static_folder, app.template_folder):
        for path in sorted((Path(app.root_path) / str(folder)).iterdir()):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
