"""HTTPS with an own certificate, over real sockets."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import pytest

from tests.support.certificate import make_certificate
from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.wait import HANGS_S, eventually
from web.server import ServeError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def controller() -> Iterator[FakeController]:
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    yield controller
    controller.stop()


@pytest.fixture
def serving(
    controller: FakeController, tmp_path: Path, certificate: tuple[str, str]
) -> Iterator[Serving]:
    cert, key = certificate
    with Serving(page_of(controller, tmp_path, tls_cert=cert, tls_key=key)) as serving:
        yield serving


def connect(serving: Serving, cert: str) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=cert)
    return http.client.HTTPSConnection(
        "localhost", serving.server.port, context=context, timeout=HANGS_S
    )


def test_tls_page_and_stream_are_encrypted(serving: Serving, certificate: tuple[str, str]) -> None:
    phone = connect(serving, certificate[0])
    phone.request("GET", f"/pair/{serving.app.extensions['backdoor'].pairing.secret}")
    answer = phone.getresponse()
    cookie = answer.headers["Set-Cookie"] or ""
    assert "Secure" in cookie
    answer.read()
    phone.request("GET", "/", headers={"Cookie": cookie.partition(";")[0]})
    answer = phone.getresponse()
    assert answer.status == 200
    assert b"Backdoor" in answer.read()
    phone.request("GET", "/events", headers={"Cookie": cookie.partition(";")[0]})
    stream = phone.getresponse()
    assert stream.readline().startswith(b":")
    while not stream.readline().startswith(b"data: {"):
        pass
    phone.close()
    stream.close()
    streams = serving.app.extensions["backdoor"].streams
    eventually(lambda: streams.count == 0)


def test_tls_connection_without_tls_is_closed_and_harms_nobody(
    serving: Serving, certificate: tuple[str, str]
) -> None:
    with socket.create_connection(("127.0.0.1", serving.server.port), timeout=HANGS_S) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        with suppress(ConnectionResetError):
            while chunk := plain.recv(4096):
                received += chunk
        assert b"HTTP" not in received
    phone = connect(serving, certificate[0])
    phone.request("GET", "/healthz")
    assert phone.getresponse().status == 200
    phone.close()


def test_tls_crowd_without_a_handshake_keeps_nobody_out(
    serving: Serving, certificate: tuple[str, str]
) -> None:
    address = ("127.0.0.1", serving.server.port)
    with ExitStack() as crowd:
        for _ in range(200):
            crowd.enter_context(socket.create_connection(address, timeout=5))
        phone = connect(serving, certificate[0])
        phone.request("GET", "/healthz")
        assert phone.getresponse().status == 200
        phone.close()


def test_tls_connection_without_a_handshake_in_time_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.ASKED_WITHIN_S", 0.5)
    address = ("127.0.0.1", serving.server.port)
    for sent in (b"", b"\x16\x03\x01"):  # nothing, and a record's first bytes
        with socket.create_connection(address, timeout=10) as silent:
            silent.sendall(sent)
            assert silent.recv(1) == b""


# Python 3.11 leaves a socket that it could not wrap to the garbage collector, which closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_client_that_hangs_up_at_once_ends_no_other(
    serving: Serving, certificate: tuple[str, str]
) -> None:
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", serving.server.port), timeout=5) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    phone = connect(serving, certificate[0])
    phone.request("GET", "/healthz")
    assert phone.getresponse().status == 200
    phone.close()


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 60_000])
def test_body_of_many_records_arrives_whole(
    serving: Serving, certificate: tuple[str, str], size: int
) -> None:
    phone = connect(serving, certificate[0])
    for _ in range(2):  # on one connection
        phone.request("POST", "/healthz", b"x" * size)
        answer = phone.getresponse()
        assert answer.status == 405
        answer.read()
    phone.close()


def test_request_in_pieces_of_a_record_is_answered(
    serving: Serving, certificate: tuple[str, str]
) -> None:
    """Bytes cross one at a time: the page sees half of every record."""
    context = ssl.create_default_context(cafile=certificate[0])
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", serving.server.port), timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def until_done(step: Callable[[], object]) -> object:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    for byte in out.read():
                        wire.sendall(bytes([byte]))
                    into.write(wire.recv(65_536))

        until_done(tls.do_handshake)
        tls.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 OK" in cast("bytes", until_done(lambda: tls.read(4096)))


def test_phone_that_never_reads_is_dropped_with_tls_too(
    controller: FakeController, serving: Serving, certificate: tuple[str, str]
) -> None:
    phone = connect(serving, certificate[0])
    phone.request("GET", f"/pair/{serving.app.extensions['backdoor'].pairing.secret}")
    cookie = (phone.getresponse().headers["Set-Cookie"] or "").partition(";")[0]
    phone.request("GET", "/events", headers={"Cookie": cookie})
    streams = serving.app.extensions["backdoor"].streams
    eventually(lambda: streams.count == 1)

    def dropped() -> bool:
        controller.show(faults=[{"name": "x" * 4000, "line": "y"}])
        return bool(streams.count == 0)

    eventually(dropped, 30)
    phone.close()


def test_tls_files_that_cannot_be_used_are_named_with_the_reason(
    tmp_path: Path, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    controller = FakeController()
    for pair, words in (
        ((cert, ""), r"\[web\] tls_key: there is no file ''"),
        (("/nowhere.pem", key), r"\[web\] tls_cert: there is no file '/nowhere.pem'"),
        ((key, cert), r"\[web\] tls_cert, tls_key: cannot use .*PEM"),
    ):
        app = page_of(controller, tmp_path, tls_cert=pair[0], tls_key=pair[1])
        with pytest.raises(ServeError, match=words):
            Serving(app)
