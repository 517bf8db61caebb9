"""HTTPS with an own certificate, over real sockets."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import pytest

from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.wait import eventually
from web.server import ServeError

OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Make a certificate for localhost as the README says."""
    assert OPENSSL, "openssl is missing: sudo apt install openssl"
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    )
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [OPENSSL, *made.split(), *names, "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def serving(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[Serving]:
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    cert, key = certificate
    with Serving(page_of(controller, tmp_path, tls_cert=cert, tls_key=key)) as serving:
        yield serving
    controller.stop()


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
