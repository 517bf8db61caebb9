"""The server under a crowd, and what systemd's watchdog is fed from."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import crowd
from tests.support.certificate import make_certificate
from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.wait import HANGS_S, eventually
from web.own_request import OwnRequest
from web.server import Server


@pytest.fixture
def controller() -> Iterator[FakeController]:
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    yield controller
    controller.stop()


class PairedPhone:
    """Asks over real connections, with TLS where the page has it."""

    def __init__(self, serving: Serving, *, tls: bool) -> None:
        self._port, self._tls = serving.server.port, tls
        self._headers = {"Referer": f"{'https' if tls else 'http'}://127.0.0.1:{self._port}/"}
        secret = serving.app.extensions["backdoor"].pairing.secret
        self.kept = self.connect()
        self._ask(self.kept, "GET", f"/pair/{secret}")
        status, page = self._ask(self.kept, "GET", "/")
        token = re.search(r'data-csrf="([^"]+)"', page)
        assert status == 200
        assert token
        self._headers |= {"X-CSRFToken": token[1], "Accept": "application/json"}

    def connect(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWERED_S)
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, context=context, timeout=ANSWERED_S
        )

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str
    ) -> tuple[int, str]:
        connection.request(method, path, headers=self._headers)
        answer = connection.getresponse()
        cookie = answer.headers["Set-Cookie"]
        if cookie:
            self._headers["Cookie"] = cookie.partition(";")[0]
        return answer.status, answer.read().decode()

    def command(self, connection: http.client.HTTPConnection) -> int:
        return self._ask(connection, "POST", "/command/staff_pass")[0]

    def command_on_a_new_connection(self) -> int:
        connection = self.connect()
        try:
            return self.command(connection)
        finally:
            connection.close()


#: Some 0.1 s on a machine that has nothing else to do; who was kept out waits for ever.
ANSWERED_S = 20.0


@contextmanager
def a_crowd(serving: Serving, manner: str) -> Iterator[None]:
    """Hold 2,000 connections from 50 addresses until the end of the block."""
    program = [sys.executable, crowd.__file__, str(serving.server.port), manner, "2000", "50"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as here:
        assert here.stdin
        assert here.stdout
        try:
            if manner != "shake":  # that many handshakes take a while
                assert here.stdout.readline() == b"here\n"
            yield
        finally:
            here.stdin.close()


@pytest.mark.parametrize(
    ("manner", "tls"),
    [
        ("idle", False),
        ("drip", False),
        ("ask", False),
        ("idle", True),
        ("hello", True),
        ("shake", True),
    ],
)
def test_crowd_of_2000_keeps_no_paired_phone_out(
    controller: FakeController, tmp_path: Path, manner: str, tls: bool
) -> None:
    files = make_certificate(tmp_path) if tls else ("", "")
    app = page_of(controller, tmp_path, tls_cert=files[0], tls_key=files[1])
    with Serving(app) as serving:
        phone = PairedPhone(serving, tls=tls)
        with a_crowd(serving, manner):
            for _ in range(15):
                assert phone.command(phone.kept) == 200
                assert phone.command_on_a_new_connection() == 200
            assert len(serving.server._map) < 250
        phone.kept.close()


def test_phone_that_is_new_is_paired_in_spite_of_a_crowd(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, a_crowd(serving, "drip"):
        phone = PairedPhone(serving, tls=False)
        assert phone.command(phone.kept) == 200
        phone.kept.close()


def test_listening_socket_outlives_a_system_without_a_place(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        phone = PairedPhone(serving, tls=False)
        listener = serving.server._listener
        accept, wanted = type(listener).accept, [errno.EMFILE, errno.ECONNABORTED, errno.ENOBUFS]

        def fails_at_first(self: Any) -> Any:
            if wanted:
                raise OSError(wanted.pop(), "not now")
            return accept(self)

        monkeypatch.setattr(type(listener), "accept", fails_at_first)
        for _ in range(3):
            assert phone.command_on_a_new_connection() == 200
        assert wanted == []
        phone.kept.close()


# --- what the watchdog is fed from ----------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_watchdog_is_fed_by_an_answer_only(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    """A page whose every answer waits for a lock turns its loop and answers nobody."""
    monkeypatch.setattr("web.own_request.ASK_EVERY_S", 0.05)
    monkeypatch.setattr("web.own_request.ANSWERED_WITHIN_S", 1.0)
    files = make_certificate(tmp_path) if tls else ("", "")
    app = page_of(controller, tmp_path, tls_cert=files[0], tls_key=files[1])
    server, fed, failed = Server(app, "127.0.0.1", 0), [], []
    ask = OwnRequest.is_answered

    def noted(self: OwnRequest) -> bool:
        answered = ask(self)
        failed.append(not answered)
        return answered

    monkeypatch.setattr(OwnRequest, "is_answered", noted)
    thread = threading.Thread(target=server.serve, args=(lambda: fed.append(1),))
    thread.start()
    try:
        eventually(lambda: len(fed) >= 2)
        with app.extensions["backdoor"].mirror._changed:
            failed.clear()
            eventually(lambda: sum(failed) >= 2)
            before = len(fed)
            eventually(lambda: sum(failed) >= 4)
            assert len(fed) == before
        eventually(lambda: len(fed) > before)
    finally:
        server.stop()
        thread.join(HANGS_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.0.0.9", "::1", "::", "localhost"])
def test_page_asks_itself_where_it_listens(
    controller: FakeController, tmp_path: Path, host: str
) -> None:
    app, fed = page_of(controller, tmp_path), threading.Event()
    server = Server(app, host, 0)
    thread = threading.Thread(target=server.serve, args=(fed.set,))
    thread.start()
    try:
        assert fed.wait(HANGS_S)
    finally:
        server.stop()
        thread.join(HANGS_S)


def test_request_to_itself_has_a_place_in_a_crowd(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, a_crowd(serving, "ask"):
        assert all(serving.server._own_request.is_answered() for _ in range(5))


def test_page_that_does_not_listen_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asking = OwnRequest(
            socket.AF_INET, taken.getsockname(), tls=False, announce=lambda address: None
        )
        assert not asking.is_answered()
