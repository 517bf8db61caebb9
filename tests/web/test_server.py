"""The server under a crowd, and what systemd's watchdog is fed from."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from controller.config.schema import KEYS
from tests.support.certificate import make_certificate
from tests.support.fake_controller import FakeController, Serving, page_of
from tests.support.paired_phone import PairedPhone, a_crowd, a_page
from tests.support.wait import HANGS_S, eventually
from web.own_request import OwnRequest
from web.server import Server, Stranger


@pytest.fixture
def controller() -> Iterator[FakeController]:
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    yield controller
    controller.stop()


def paired_phone(serving: Serving, *, tls: bool) -> PairedPhone:
    secret = serving.app.extensions["backdoor"].pairing.secret
    return PairedPhone(serving.server.port, secret, tls=tls)


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
        phone = paired_phone(serving, tls=tls)
        with a_crowd(serving.server.port, manner):
            for _ in range(15):
                assert phone.command(phone.kept) == 200
                assert phone.command_on_a_new_connection() == 200
            assert len(serving.server._map) < 250
        phone.kept.close()


def test_phone_that_is_new_is_paired_in_spite_of_a_crowd(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, a_crowd(serving.server.port, "drip"):
        phone = paired_phone(serving, tls=False)
        assert phone.command(phone.kept) == 200
        phone.kept.close()


def test_page_with_the_most_streams_stays_below_1024_open_files(
    controller: FakeController, tmp_path: Path
) -> None:
    """systemd's soft limit, and the highest that `select` knows: some library may use it."""
    most = next(key for key in KEYS if (key.section, key.name) == ("web", "max_streams"))
    assert most.type.expected.endswith("to 200")
    app = page_of(controller, tmp_path, max_streams=200)
    with Serving(app) as serving:
        assert serving.server._listener.adj.connection_limit <= 1024 - 100


def test_page_under_a_soft_limit_of_1024_answers_hundreds_of_phones_in_a_crowd(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with a_page(200, 1024) as (port, secret), a_crowd(port, "idle"):
        phone = PairedPhone(port, secret)
        phones = [phone.connect() for _ in range(200)]
        assert {phone.command(one) for one in phones} == {200}
        assert phone.command_on_a_new_connection() == 200
        assert {phone.command(one) for one in phones[::20]} == {200}, "none was closed"
        for one in [*phones, phone.kept]:
            one.close()
    assert "no place" not in capfd.readouterr().err


def test_who_is_refused_costs_no_turn_of_the_loop(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paired phone waits behind all of them in the kernel's queue."""
    server = Server(page_of(controller, tmp_path), "127.0.0.1", 0)
    waiting = [socket.socket() for _ in range(200)]
    listener = server._listener
    monkeypatch.setattr(listener, "accept", lambda: (waiting.pop(), ("127.0.0.2", 9)))
    monkeypatch.setattr(listener.reserve, "refuses", lambda address: True)
    with pytest.raises(IndexError):
        listener.handle_accept()
    assert waiting == []
    server.stop()
    server.serve()


def test_thread_of_strangers_rests_after_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    now_s = iter([10.0, 10.02, 20.0, 29.0])
    monkeypatch.setattr("web.server.time.monotonic", lambda: next(now_s))
    monkeypatch.setattr("web.server.time.sleep", rests.append)
    answered = Mock()
    for _ in range(2):
        Stranger(answered).service()
    assert answered.service.call_count == 2
    assert rests == [pytest.approx(0.08), 0.1]


def test_listening_socket_outlives_a_system_without_a_place(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        phone = paired_phone(serving, tls=False)
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
    with Serving(page_of(controller, tmp_path)) as serving, a_crowd(serving.server.port, "ask"):
        assert all(serving.server._own_request.is_answered() for _ in range(5))


def test_page_that_does_not_listen_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asking = OwnRequest(
            socket.AF_INET, taken.getsockname(), tls=False, announce=lambda address: None
        )
        assert not asking.is_answered()
