"""Servers of the test's own that take what a notification service takes, and write it down."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it came, and when (monotonic seconds)."""

    at_s: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


#: Returns status, headers and body for a request; may wait first.
Reply = Callable[[Request], tuple[int, dict[str, str], bytes]]


def fine(_request: Request) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"{}"


@dataclass
class Receiver:
    """What came, in order; ``reply`` may be changed at any time."""

    port: int = 0
    reply: Reply = fine
    requests: list[Request] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answers(self, *statuses: int, then: Reply = fine, **headers: str) -> None:
        """Answer with these statuses first, then as ``then`` does."""
        left = list(statuses)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}

        def reply(request: Request) -> tuple[int, dict[str, str], bytes]:
            return (left.pop(0), fields, b"{}") if left else then(request)

        self.reply = reply


@contextmanager
def receiver(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Receiver]:
    """Run one on loopback until the end of the block."""
    taken = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            request = Request(time.monotonic(), self.command, self.path, headers, body)
            taken.requests.append(request)
            status, more, answer = taken.reply(request)
            self.send_response(status)
            for name, value in (more | {"Content-Length": str(len(answer))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_DELETE = do_GET = _take

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # whoever hung up has been tested elsewhere

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    taken.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(port: int, method: str, path: str) -> tuple[int, dict[str, str], str]:
    """Ask the answer page on loopback; return status, headers and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()
