"""One request, as bytes, at the page in this process: a target of `tests.tools.fuzz`.

The first line is who asks, method and target; then headers, an empty line and the body, as on the
wire. Whoever asks, no answer is a failure of ours; and only the page itself, with its token, gets
the house asked for anything: one command, with an id that was never used.
"""

from __future__ import annotations

import io
import re
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import run_wsgi_app

from tests.support.fake_controller import FakeController, page_of, paired

SEEDS = (
    b"page POST /command/access_door\nContent-Type: application/json\n\n" + b'{"party": 2}',
    b"page POST /command/set_count\nContent-Type: application/x-www-form-urlencoded\n"
    b"Accept: text/html\n\ncount=3&ask=1",
    b"page POST /lang\nContent-Type: application/x-www-form-urlencoded\n\nlanguage=it",
    b"paired POST /command/lock_open\n\n",
    b"paired GET /api/state?page=1\nAccept-Language: it;q=0.5, en\nAccept-Encoding: gzip\n\n",
    b"paired GET /events\nAccept: text/event-stream\n\n",
    b"stranger GET /pair/0123456789abcdef\nCookie: backdoor=x; theme=night\n\n",
    b"stranger GET /metrics\nAuthorization: Bearer x\nHost: 127.0.0.1:8080\n\n",
    b"stranger GET /static/app.css\nRange: bytes=0-9\nIf-Modified-Since: x\n\n",
    # found so: a query that is no text was a failure of ours, with its traceback in the log
    b"paired GET /api/state?\x80\n\n",
)
#: What waitress lets through as a header's name.
NAME = re.compile(rb"[A-Za-z0-9-]+")


class Door:
    """The page joined to a scripted house, and who may come to it."""

    def __init__(self, folder: Path) -> None:
        self.controller = FakeController()
        self.controller.show()
        self.app: Flask = page_of(
            self.controller, folder, venues="+", metrics_token="0123456789abcdef"
        )
        client = paired(self.app)
        found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
        cookie = client.get_cookie("backdoor")
        assert found
        assert cookie
        known = {"HTTP_COOKIE": f"backdoor={cookie.value}"}
        self.who: dict[bytes, dict[str, str]] = {
            b"page": known | {"HTTP_X_CSRFTOKEN": found[1]},
            b"paired": known,
        }


#: What the page may put into a command.
SENT = {
    "id", "issued_at", "cause", "boot", "by", "party", "count", "came", "question", "undoes"
}  # fmt: skip


@cache
def door() -> Door:
    """Return the one page that is asked all the time."""
    return Door(Path(tempfile.mkdtemp(prefix="backdoor-fuzz-")))


def request(data: bytes) -> None:
    """Ask, and judge the answer and what came of it."""
    here = door()
    who, environ = _environ(data)
    here.controller.commands.clear()
    here.controller.heartbeat()
    answer, status, headers = run_wsgi_app(here.app, environ | here.who.get(who, {}))
    with closing(answer):  # type: ignore[type-var]
        next(iter(answer), b"")
    assert int(status[:3]) < 500, status
    assert headers["X-Content-Type-Options"] == "nosniff"
    may_ask = who == b"page" and environ["REQUEST_METHOD"] == "POST"
    assert len(here.controller.commands) <= (1 if may_ask else 0), here.controller.commands
    for name, command in here.controller.commands:
        assert set(command) <= SENT
        assert environ["PATH_INFO"] == f"/command/{name}"


def _environ(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Read a request as a server does; what is missing is a GET of the page by a stranger."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    asked = first.split(b" ", 2)
    who, method, target = asked if len(asked) == 3 else (b"stranger", b"GET", b"/")
    path, _, query = target.partition(b"?")
    headers = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
    named = {
        "HTTP_" + name.decode().upper().replace("-", "_"): value.decode("latin-1")
        for name, value in headers.items()
        if NAME.fullmatch(name)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        named[name] = named.pop(f"HTTP_{name}", "")
    return who, {
        "HTTP_HOST": "127.0.0.1",
        **named,
        "REQUEST_METHOD": method.decode("latin-1"),
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
