"""Where a calendar comes from: files, good servers and bad ones. No message has the address."""

from __future__ import annotations

import base64
import gzip
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.config.types import CALENDAR_SCHEMES
from tests.support.ics import TONIGHT
from web.bookings import fetch
from web.bookings.download import MAX_BYTES, CalendarError, CalendarSource

SECRET = "private-4f6b21"


class Server(ThreadingHTTPServer):
    """A server that answers as a test says, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[Handler], None] = lambda handler: handler.say(200, TONIGHT)
        self.asked: list[tuple[str, Any]] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}.ics?key={SECRET}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of a caller that went away."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers))
        self.server.answer(self)

    def say(self, status: int, body: bytes, phrase: str = "", **headers: str) -> None:
        self.send_response(status, phrase or None)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def say_nonsense(self) -> None:
        self.wfile.write(f"{SECRET}\r\n\r\n".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield httpd
        httpd.ended.set()
        httpd.shutdown()
        thread.join()


def refused(url: str) -> str:
    """Return the reason why this address can't be used, which must not contain any of it."""
    with pytest.raises(CalendarError) as caught:
        CalendarSource(url).get()
    assert SECRET not in str(caught.value), "a private address is a secret"
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_configuration_takes_the_schemes_that_are_fetched() -> None:
    """They stand twice: what fetches is a process of its own, which imports nothing of ours."""
    assert set(CALENDAR_SCHEMES) == set(fetch.SCHEMES)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://127.0.0.1:1/{SECRET}.ics", "can't be read (Connection refused)"),
        (f"ftp://127.0.0.1/{SECRET}.ics", "no http or https address"),
        (f"file:///etc/{SECRET}", "no http or https address"),
        (f"http:///{SECRET}.ics", "no http or https address"),
        (f"http://127.0.0.1:{SECRET}/x.ics", "can't be read"),
        (f"http://[{SECRET}/x.ics", "can't be read"),
        (f"http://a..b{'x' * 80}/{SECRET}", "can't be read"),
        (f"/no/such/{SECRET}.ics", "No such file"),
        (f"/{SECRET}\0", "not a file name"),
        ("/", "directory"),
        ("/dev/zero", "no ordinary file"),
    ],
)
def test_address_that_cannot_be_used(url: str, says: str) -> None:
    assert says in refused(url)
    assert SECRET not in repr(CalendarSource(url))


def test_file_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "book.ics")
    assert "no ordinary file" in refused(str(tmp_path / "book.ics"))


def test_server_that_drips_is_left_when_its_time_is_over(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There used to be no end to it: each byte began the time limit anew."""

    def drip(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        while not server.ended.wait(0.05):
            handler.wfile.write(b"x")

    server.answer = drip
    monkeypatch.setattr("web.bookings.download.TOTAL_S", 3.0)
    began = time.monotonic()
    assert refused(server.url) == "takes too long to read"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("to", ["file:///etc/passwd", "https://127.0.0.1/x", "ftp://127.0.0.1/x"])
def test_redirect_to_another_scheme_is_not_followed(server: Server, to: str) -> None:
    server.answer = lambda handler: handler.say(302, b"", Location=to)
    assert "another scheme" in refused(server.url)


def test_redirect_that_never_ends(server: Server) -> None:
    server.answer = lambda handler: handler.say(302, b"", Location=handler.path)
    assert "in circles" in refused(server.url)


def test_password_of_the_address_goes_to_its_server_only(server: Server) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.02,))
        thread.start()
        server.answer = lambda handler: handler.say(302, b"", Location=other.url)
        url = server.url.replace("http://", f"http://bar:{SECRET}%21@")
        assert CalendarSource(url).get() == TONIGHT
        other.shutdown()
        thread.join()
    pair = base64.b64encode(f"bar:{SECRET}!".encode()).decode()
    assert server.asked[0][1]["Authorization"] == f"Basic {pair}"
    assert other.asked[0][1]["Authorization"] is None


@pytest.mark.parametrize("status", [401, 404, 410, 500, 503, 599])
def test_refusal_is_told_in_our_words(server: Server, status: int) -> None:
    """There used to be the server's own words, and some repeat the address."""
    server.answer = lambda handler: handler.say(status, b"", phrase=f"no {SECRET}")
    assert str(status) in refused(server.url)


def test_answer_that_is_no_http(server: Server) -> None:
    server.answer = Handler.say_nonsense
    assert "can't be read" in refused(server.url)


def test_answer_that_is_cut_off_on_its_way(server: Server) -> None:
    server.answer = lambda handler: handler.say(200, TONIGHT, Content_Length="99999")
    assert refused(server.url) == "was cut off on its way"
    packed = gzip.compress(TONIGHT)[:-9]
    server.answer = lambda handler: handler.say(200, packed, Content_Encoding="gzip")
    assert refused(server.url) == "was cut off on its way"


def test_packed_answer_is_unpacked_and_a_bomb_is_not(server: Server) -> None:
    for packing, packed in (("gzip", gzip.compress(TONIGHT)), ("deflate", zlib.compress(TONIGHT))):
        server.answer = lambda h, p=packed, name=packing: h.say(200, p, Content_Encoding=name)  # type: ignore[misc]
        assert CalendarSource(server.url).get() == TONIGHT
    bomb = gzip.compress(b"\n" * (200 * 1024 * 1024), 1)
    server.answer = lambda handler: handler.say(200, bomb, Content_Encoding="gzip")
    assert refused(server.url) == "is larger than 5 MB"
    server.answer = lambda handler: handler.say(200, b"?", Content_Encoding="br")
    assert "packed" in refused(server.url)


def test_answer_that_is_too_large(server: Server) -> None:
    server.answer = lambda handler: handler.say(200, b"x" * (MAX_BYTES + 1))
    assert refused(server.url) == "is larger than 5 MB"


def test_unchanged_calendar_is_not_sent_again_and_its_charset_is_kept(server: Server) -> None:
    source = CalendarSource(f"  {server.url} ")
    kind = "text/calendar; charset=ISO-8859-1"
    server.answer = lambda handler: handler.say(200, TONIGHT, ETag='"1"', Content_Type=kind)
    assert source.get() == TONIGHT
    server.answer = lambda handler: handler.say(304, b"")
    assert source.get() is None
    assert server.asked[-1][1]["If-None-Match"] == '"1"'
    assert source.charset.lower() == "iso-8859-1"
    source.forget()
    assert source.get() is None
    assert server.asked[-1][1]["If-None-Match"] is None


def test_address_with_letters_that_need_quoting(server: Server) -> None:
    source = CalendarSource(server.url.replace(".ics", " prenotazioni è.ics"))
    assert source.get() == TONIGHT
    assert server.asked[0][0] == f"/{SECRET}%20prenotazioni%20%C3%A8.ics?key={SECRET}"
