"""Where a phone answers a knock: ``POST /answered/SECRET``. A GET only shows one button.

What a link in a message leads to is fetched by more than people (a messenger draws a preview, a
scanner looks for harm), so only a POST answers. ntfy's button posts by itself; every other channel
shows the link, and the page behind it has a form with one button.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from html import escape
from threading import Event, Thread
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

#: With nothing to do it only looks for connections that are too slow.
LOOK_EVERY_S = 5.0
STOP_LIMIT_S = 5.0
PATH = "/answered/"
#: What an attempt comes to: HTTP status and the words, English and Italian.
ANSWERS = {
    "answered": ("200 OK", ("Answered.", "Risposto.")),
    "void": (
        "404 Not Found",
        ("This link answers nothing any more.", "Questo link non risponde più a niente."),
    ),
    "unconfirmed": (
        "502 Bad Gateway",
        ("The bar did not confirm it: open the page.", "Il bar non conferma: apri la pagina."),
    ),
}
PAGE = (
    '<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Backdoor</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    "<style>body{{font:1.5rem sans-serif;text-align:center;padding:3rem 1rem}}"
    "button{{font:inherit;padding:1rem 3rem}}</style>{body}"
)
BUTTON = ("Answered", "Risposto")
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    ),
]

StartResponse = Callable[[str, list[tuple[str, str]]], object]
#: Takes a secret; returns one of `ANSWERS`.
Answer = Callable[[str], str]


class AnswerPage:
    """The WSGI application."""

    def __init__(self, answer: Answer, language: str) -> None:
        self._answer = answer
        self._language = language

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path, method = str(environ.get("PATH_INFO", "")), environ.get("REQUEST_METHOD")
        secret = path.removeprefix(PATH)
        if not path.startswith(PATH) or not secret or "/" in secret:
            return self._reply(start, *ANSWERS["void"])
        if method == "POST":
            return self._reply(start, *ANSWERS[self._answer(secret)])
        if method not in ("GET", "HEAD"):
            return self._reply(start, "405 Method Not Allowed", ("POST", "POST"))
        # The same for every secret, right or wrong: looking tells nothing.
        button = escape(BUTTON[self._language == "it"])
        return self._page(start, "200 OK", f'<form method="post"><button>{button}</button></form>')

    def _reply(self, start: StartResponse, status: str, words: tuple[str, str]) -> Iterable[bytes]:
        return self._page(start, status, f"<p>{escape(words[self._language == 'it'])}</p>")

    def _page(self, start: StartResponse, status: str, body: str) -> Iterable[bytes]:
        start(status, HEADERS)
        return [PAGE.format(lang=self._language, body=body).encode()]


class AnswerServer:
    """Serves the page in a thread; small requests, few connections, no secret in any log."""

    def __init__(self, app: AnswerPage, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family)
        self._stopping = Event()
        self._map: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._map,
            sockets=[bound],
            threads=2,
            connection_limit=50,
            channel_timeout=10,
            cleanup_interval=5,
            max_request_body_size=4096,
            max_request_header_size=8192,
            ident=None,
            log_socket_errors=False,
        )
        self.port = int(bound.getsockname()[1])
        self._thread = Thread(target=self._run, name="answers", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and give the port back."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # closed: it has ended already
            self._server.pull_trigger()
        self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                wasyncore.loop(timeout=LOOK_EVERY_S, map=self._map, use_poll=True, count=1)
        finally:
            self._server.task_dispatcher.shutdown(timeout=2)
            wasyncore.close_all(self._map)


def own_url(answer_url: str, public_url: str, port: int) -> str:
    """Return the page's address for phones: as configured, by the main page's host, or our name."""
    if answer_url:
        return answer_url.rstrip("/")
    host = public_url.partition("://")[2].partition("/")[0]
    host = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return f"http://{host or socket.gethostname() + '.local'}:{port}"
