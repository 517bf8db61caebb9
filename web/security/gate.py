"""Checks before every request (host, pairing) and security headers after it.

Closed unless marked open: a new route is for paired phones only, unless its name stands in
`PUBLIC_ENDPOINTS`.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import (
    Flask,
    Request,
    Response,
    abort,
    current_app,
    g,
    jsonify,
    render_template,
    request,
    session,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.http import dump_cookie, parse_cookie

from web.language import _
from web.security.hosts import Hosts, host_name
from web.security.pairing import Pairing, PairingError
from web.security.phones import Phone, Phones, device_name

log = logging.getLogger(__name__)

PUBLIC_ENDPOINTS = frozenset(
    {"static", "page.pair", "page.healthz", "metrics.metrics", "space.space"}
)
COOKIE_LIFETIME = timedelta(days=400)  # the longest that browsers allow
COOKIE = "backdoor"
#: Not Strict: a link to the page from another site or app would show a stranger's page. A POST from
#: elsewhere comes without this cookie, and a GET changes nothing.
SAME_SITE = "Lax"
LONGEST_NAME = 253  # characters of a host name
MIN_COMPRESSED = 600  # bytes; for less the header costs more than compression saves
TEXT = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/manif")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class DerivedKeySessions(SecureCookieSessionInterface):
    """Signed cookies with a key from the pairing secret; a new secret counts at once.

    No clock of ours has a say: a Pi that was without power begins in the past. A cookie is good as
    long as its signature is, and the phone counts its 400 days by itself (`Max-Age`; an `Expires`
    would be a date of our clock).
    """

    def __init__(self, app: Flask, pairing: Pairing, phones: Phones) -> None:
        self._app, self._pairing, self._phones = app, pairing, phones

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the signer for the present secret, which CSRF tokens use too; None without."""
        try:
            app.secret_key = self._pairing.signing_key()
        except PairingError as error:
            log.error("%s", error)
            return None
        return super().get_signing_serializer(app)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the phone's cookie says, however old it is; None without a secret."""
        signer = self.get_signing_serializer(app)
        if signer is None:
            return None
        return self.session_class(_content(signer, request.cookies.get(COOKIE, "")))

    def is_paired(self, cookie_header: str) -> bool:
        """Return whether a request with this Cookie header is a paired phone's; for the server."""
        value = parse_cookie(cookie_header).get(COOKIE, "")
        signer = self.get_signing_serializer(self._app) if value else None
        return signer is not None and self._phones.is_welcome(_content(signer, value), value)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Give the phone its cookie when it changed; an empty one ends at once."""
        if session.accessed:
            response.vary.add("Cookie")
        signer = self.get_signing_serializer(app) if session.modified else None
        if signer is None:
            return
        cookie = dump_cookie(
            COOKIE,
            signer.dumps(dict(session)) if session else "",
            max_age=COOKIE_LIFETIME if session else 0,
            sync_expires=False,
            httponly=True,
            secure=request.is_secure,
            samesite=SAME_SITE,
        )
        response.headers.add("Set-Cookie", cookie)


def _content(signer: URLSafeTimedSerializer, value: str) -> dict[str, Any]:
    """Return what a cookie holds; nothing if we have not signed it."""
    try:
        content = signer.loads(value)
    except BadSignature:
        return {}
    return content if isinstance(content, dict) else {}


def wants_page() -> bool:
    """Return whether a person with a browser asks, not a script."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], "text/html")
    return best == "text/html" and "X-CSRFToken" not in request.headers


def this_phone() -> Phone | None:
    """Return the paired phone that asks, seen now; its cookie gets its id if it had none."""
    name = device_name(request.user_agent.string, _("Phone"))
    phones: Phones = current_app.extensions["backdoor"].phones
    phone = phones.recognise(session, request.cookies.get(COOKIE, ""), name)
    if phone is not None and "phone" not in session:
        session["phone"] = phone.id
    return phone


def gate(
    app: Flask, sessions: DerivedKeySessions, hosts: Hosts, own_url: Callable[[], str]
) -> None:
    """Add the checks before every request and the headers after it.

    ``own_url`` returns an address of the page that always works: whoever came by a name that is not
    ours is shown it.
    """
    app.session_interface = sessions

    @app.before_request
    def check_host() -> ResponseReturnValue | None:
        host = request.environ.get("HTTP_HOST", "")
        return None if hosts.allows(host) else _unknown_host(host, own_url())

    @app.before_request
    def check_query() -> None:
        try:
            request.query_string.decode()
        except UnicodeDecodeError:
            abort(400)

    @app.before_request
    def check_paired() -> ResponseReturnValue | None:
        endpoint = request.endpoint
        g.phone = None
        if endpoint is None or endpoint in PUBLIC_ENDPOINTS:
            return None
        g.phone = this_phone()
        if g.phone is not None:
            return None
        if wants_page():
            return render_template("unpaired.html"), 403
        return jsonify(ok=False, reason="NotPaired"), 403

    app.after_request(_add_headers)


def _unknown_host(host: str, url: str) -> ResponseReturnValue:
    """Answer a request for a name that is not ours: which it was, and the two ways out."""
    if not wants_page():
        return jsonify(ok=False, reason="UnknownHost"), 421
    name = host_name(host)[:LONGEST_NAME] or "?"
    return render_template("unknown_host.html", name=name, url=url), 421


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return _compressed(response)


def _compressed(response: Response) -> Response:
    """Compress text that is long enough; a stream is never held back for it."""
    if (response.is_streamed and not response.direct_passthrough) or not (
        response.mimetype or ""
    ).startswith(TEXT):
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or request.accept_encodings["gzip"] <= 0:
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) >= MIN_COMPRESSED:
        response.set_data(gzip.compress(body, 9, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
