"""A paired phone at a real page, with a crowd at the same door."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import crowd, page_process

#: Some 0.1 s on a machine that has nothing else to do; who was kept out waits for ever.
ANSWERED_S = 20.0


class PairedPhone:
    """Pairs itself by the secret link; with TLS where the page has it."""

    def __init__(self, port: int, secret: str, *, tls: bool = False) -> None:
        self._port, self._tls = port, tls
        self._headers = {"Referer": f"{'https' if tls else 'http'}://127.0.0.1:{port}/"}
        self.kept = self.connect()
        self.ask(self.kept, "GET", f"/pair/{secret}")
        status, page = self.ask(self.kept, "GET", "/")
        token = re.search(r'data-csrf="([^"]+)"', page)
        assert status == 200
        assert token
        self._headers |= {"X-CSRFToken": token[1], "Accept": "application/json"}

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, which is opened by the first request."""
        if not self._tls:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWERED_S)
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, context=context, timeout=ANSWERED_S
        )

    def ask(
        self, connection: http.client.HTTPConnection, method: str, path: str
    ) -> tuple[int, str]:
        """Send a request; return status and text of the answer."""
        connection.request(method, path, headers=self._headers)
        answer = connection.getresponse()
        cookie = answer.headers["Set-Cookie"]
        if cookie:
            self._headers["Cookie"] = cookie.partition(";")[0]
        return answer.status, answer.read().decode()

    def command(self, connection: http.client.HTTPConnection) -> int:
        """Send a command that does no harm; return the answer's status."""
        return self.ask(connection, "POST", "/command/staff_pass")[0]

    def command_on_a_new_connection(self) -> int:
        """Send a command as a phone that has just woken up does."""
        connection = self.connect()
        try:
            return self.command(connection)
        finally:
            connection.close()


@contextmanager
def a_crowd(port: int, manner: str) -> Iterator[None]:
    """Hold 2,000 connections from 50 addresses until the end of the block."""
    program = [sys.executable, crowd.__file__, str(port), manner, "2000", "50"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as here:
        assert here.stdin
        assert here.stdout
        try:
            if manner != "shake":  # that many handshakes take a while
                assert here.stdout.readline() == b"here\n"
            yield
        finally:
            here.stdin.close()


@contextmanager
def a_page(*numbers: int) -> Iterator[tuple[int, str]]:
    """Run the page as a process (see `page_process`); yield its port and its secret."""
    program = [sys.executable, "-m", page_process.__name__, *map(str, numbers)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True) as page:
        assert page.stdin
        assert page.stdout
        try:
            port, secret = page.stdout.readline().split()
            yield int(port), secret
        finally:
            page.stdin.close()
