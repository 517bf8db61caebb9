"""Checks before every request (host, pairing) and security headers after it.

Closed unless marked open: a new route is for paired phones only, unless its name stands in
`PUBLIC_ENDPOINTS`.
"""

from __future__ import annotations

import gzip
import ipaddress
import logging
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request, session
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from itsdangerous import URLSafeTimedSerializer

from web.security.pairing import Pairing, PairingError

log = logging.getLogger(__name__)

PUBLIC_ENDPOINTS = frozenset(
    {"static", "page.pair", "page.healthz", "metrics.metrics", "space.space"}
)
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


class Hosts:
    """The host names of this page; a request for another name is DNS rebinding or a mistake."""

    def __init__(self, allowed: Collection[str], public_url: str) -> None:
        own = socket.gethostname().lower()
        public = urlsplit(public_url).hostname or ""
        self._names = {"localhost", own, f"{own.split('.')[0]}.local", public.lower()}
        self._names |= {name.lower() for name in allowed}

    def allows(self, host: str) -> bool:
        """Return whether a Host header has one of our names or an address of a private network."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return bool(name) and name in self._names
        return address.is_private or address.is_link_local or name in self._names


class DerivedKeySessions(SecureCookieSessionInterface):
    """Signed cookies with a key from the pairing secret; a new secret counts at once."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the signer for the present secret, which CSRF tokens use too; None without."""
        try:
            app.secret_key = self._pairing.signing_key()
        except PairingError as error:
            log.error("%s", error)
            return None
        return super().get_signing_serializer(app)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is for HTTPS only: if the page came by HTTPS."""
        return request.is_secure


def wants_page() -> bool:
    """Return whether a person with a browser asks, not a script."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], "text/html")
    return best == "text/html" and "X-CSRFToken" not in request.headers


def gate(app: Flask, pairing: Pairing, hosts: Hosts) -> None:
    """Add the checks before every request and the headers after it."""
    app.session_interface = DerivedKeySessions(pairing)

    @app.before_request
    def check_host() -> ResponseReturnValue | None:
        if hosts.allows(request.environ.get("HTTP_HOST", "")):
            return None
        return Response("This is not the host you are looking for.\n", 421, mimetype="text/plain")

    @app.before_request
    def check_query() -> None:
        try:
            request.query_string.decode()
        except UnicodeDecodeError:
            abort(400)

    @app.before_request
    def check_paired() -> ResponseReturnValue | None:
        endpoint = request.endpoint
        if endpoint is None or endpoint in PUBLIC_ENDPOINTS or session.get("paired"):
            return None
        if wants_page():
            return render_template("unpaired.html"), 403
        return jsonify(ok=False, reason="NotPaired"), 403

    app.after_request(_add_headers)


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
