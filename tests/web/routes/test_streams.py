"""The streams and the server, over real sockets: whole states, the cap, and who is dropped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from waitress.task import ThreadedTaskDispatcher

from tests.support.fake_controller import FakeController, Serving, page_of, paired
from tests.support.wait import HANGS_S, eventually
from web.routes.streams import Streams
from web.security.pairing import Pairing
from web.server import ServeError, Server, bind


@pytest.fixture
def controller() -> Iterator[FakeController]:
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    yield controller
    controller.stop()


def cookie_of(app: Flask) -> str:
    client = paired(app)
    found = client.get_cookie("backdoor")
    assert found
    return f"backdoor={found.value}"


class Phone:
    """Reads one stream."""

    def __init__(self, serving: Serving) -> None:
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", serving.server.port, timeout=HANGS_S
        )
        self.connection.request("GET", "/events", headers={"Cookie": cookie_of(serving.app)})
        self.answer = self.connection.getresponse()

    def event(self) -> dict[str, str]:
        """Return the next event by its fields; a comment reads as an empty name."""
        fields: dict[str, str] = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line:
                return fields
            name, _, value = line.partition(": ")
            fields[name] = value

    def state(self, wanted: Any = lambda state: True) -> dict[str, Any]:
        """Return the next state that is as wanted."""
        while True:
            event = self.event()
            if "data" in event:
                state = json.loads(event["data"])
                if wanted(state):
                    return dict(state)

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@contextmanager
def phones(serving: Serving, count: int) -> Iterator[list[Phone]]:
    made = [Phone(serving) for _ in range(count)]
    try:
        yield made
    finally:
        for phone in made:
            phone.close()


def streams(serving: Serving) -> Streams:
    found = serving.app.extensions["backdoor"].streams
    assert isinstance(found, Streams)
    return found


def test_stream_brings_whole_states_with_growing_ids(
    controller: FakeController, tmp_path: Path
) -> None:
    controller.publish("night", {"since": "2026-11-22T18:00:00+00:00"}, retain=True)
    with Serving(page_of(controller, tmp_path)) as serving, phones(serving, 1) as [phone]:
        assert phone.answer.headers["Content-Type"].startswith("text/event-stream")
        assert phone.answer.headers["X-Accel-Buffering"] == "no"
        assert phone.answer.headers["Content-Encoding"] is None
        assert phone.event() == {"": "backdoor", "retry": "2000"}
        events = [phone.event() for _ in range(3)]
        assert all(set(event) == {"id", "data"} for event in events)
        assert [int(event["id"]) for event in events] == [1, 2, 3]
        before = json.loads(events[0]["data"])["page"]["night"]
        controller.publish("night", {"since": "2026-11-22T19:00:00+00:00"}, retain=True)
        phone.state(lambda state: state["page"]["night"] > before)
        state = json.loads(events[2]["data"])
        assert state["occupancy"] == controller.state["occupancy"]
        assert state["page"]["t"]["sentence"].startswith("Nobody inside.")


def test_stream_brings_a_change_at_once(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else wakes the stream here: no pulse and no heartbeat."""
    monkeypatch.setattr("web.routes.streams.REPEAT_S", 60.0)
    with Serving(page_of(controller, tmp_path)) as serving, phones(serving, 1) as [phone]:
        phone.state()
        controller.freeze()
        controller.inside(3, hatch={"light": "ON", "waiting": 1, "oldest_s": 0.0})
        state = phone.state(lambda state: state["hatch"]["light"] == "ON")
        assert state["page"]["s"]["seat3"] == "taken"


def test_stream_of_a_frozen_controller_says_stale(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, phones(serving, 1) as [phone]:
        phone.state(lambda state: state["link"] == "online")
        controller.freeze()
        state = phone.state(lambda state: state["link"] == "stale")
        assert 3000 <= state["age_ms"] < 6000


def test_stream_beyond_the_limit_gets_503(controller: FakeController, tmp_path: Path) -> None:
    app = page_of(controller, tmp_path, max_streams=3)
    with Serving(app) as serving, phones(serving, 4) as made:
        assert [phone.answer.status for phone in made] == [200, 200, 200, 503]
        assert made[3].answer.headers["Retry-After"] == "10"
        assert json.loads(made[3].answer.read()) == {"ok": False, "reason": "TooManyStreams"}
        made[0].close()
        eventually(lambda: streams(serving).count == 2)
        with phones(serving, 1) as [late]:
            assert late.answer.status == 200


def test_streams_all_open_leave_threads_for_other_requests(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, phones(serving, 20) as made:
        for phone in made:
            phone.state()
        connection = http.client.HTTPConnection("127.0.0.1", serving.server.port, timeout=HANGS_S)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_streams_end_with_a_new_secret(controller: FakeController, tmp_path: Path) -> None:
    with Serving(page_of(controller, tmp_path)) as serving, phones(serving, 1) as [phone]:
        phone.state()
        Pairing(tmp_path / "s").rotate()
        assert phone.answer.read() is not None
        eventually(lambda: streams(serving).count == 0)


def test_stream_to_a_phone_that_never_reads_is_dropped(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        phone = socket.create_connection(("127.0.0.1", serving.server.port))
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie_of(serving.app)}"
        phone.sendall(f"{request}\r\n\r\n".encode())
        eventually(lambda: streams(serving).count == 1)

        def dropped() -> bool:
            controller.show(faults=[{"name": "x" * 4000, "line": "y"}])
            return streams(serving).count == 0

        eventually(dropped, 30)
        phone.close()


def test_stream_has_an_end_and_the_next_one_begins_whole(
    controller: FakeController, tmp_path: Path
) -> None:
    app = page_of(controller, tmp_path)
    app.extensions["backdoor"].streams._lifetime_s = 2.0
    with Serving(app) as serving, phones(serving, 1) as [phone]:
        assert b"data: {" in phone.answer.read()
        eventually(lambda: streams(serving).count == 0)


def test_server_stop_ends_streams_and_closes_the_port(
    controller: FakeController, tmp_path: Path
) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        phone = Phone(serving)
        phone.state()
        serving.server.stop()
        phone.answer.read()
        phone.close()
    with bind("127.0.0.1", serving.server.port) as again:
        assert again.getsockname()[1] == serving.server.port
    assert not streams(serving).enter()


def test_server_port_in_use_is_a_clear_error(controller: FakeController, tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=rf"127.0.0.1:{port}: Address already in use; stop"):
            Server(page_of(controller, tmp_path), "127.0.0.1", port)


def test_server_host_that_is_not_ours_is_a_clear_error() -> None:
    with pytest.raises(ServeError, match=r"\[web\] host"):
        bind("no such host.invalid", 0)
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind("192.0.2.1", 0)


def test_server_trusts_forwarding_headers_from_this_machine_only(
    controller: FakeController, tmp_path: Path
) -> None:
    app = page_of(controller, tmp_path)
    with Serving(app) as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.server.port, timeout=HANGS_S)
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        secret = app.extensions["backdoor"].pairing.secret
        connection.request("GET", f"/pair/{secret}", headers=headers)
        answer = connection.getresponse()
        assert "Secure" in (answer.headers["Set-Cookie"] or "")
        answer.read()
        headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
        connection.request("GET", "/healthz", headers=headers)
        assert connection.getresponse().status == 421
        connection.close()


def answers(phone: socket.socket) -> bytes:
    """Return what comes until the page closes; bytes that were never read may make it abrupt."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := phone.recv(4096):
            received += chunk
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_connection_without_a_request_in_time_is_closed(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("web.server.ASKED_WITHIN_S", 0.5)
    with (
        Serving(page_of(controller, tmp_path)) as serving,
        socket.create_connection(("127.0.0.1", serving.server.port), timeout=10) as phone,
    ):
        phone.sendall(sent)
        assert answers(phone) == b""


def test_request_that_comes_byte_by_byte_is_closed(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.ASKED_WITHIN_S", 1.0)
    with (
        Serving(page_of(controller, tmp_path)) as serving,
        socket.create_connection(("127.0.0.1", serving.server.port), timeout=0.1) as phone,
    ):
        phone.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

        def closed() -> bool:
            try:
                phone.sendall(b"a")
                return phone.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        eventually(closed, 10)


def test_connection_may_rest_between_two_requests(
    controller: FakeController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server.ASKED_WITHIN_S", 0.5)
    with Serving(page_of(controller, tmp_path)) as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.server.port, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        resting = connection.sock
        with socket.create_connection(("127.0.0.1", serving.server.port), timeout=10) as silent:
            assert answers(silent) == b""  # so much later
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert connection.sock is resting
        connection.close()


def test_request_that_finds_no_thread_asleep_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    ThreadedTaskDispatcher().add_task(object())  # it has no thread at all
    assert caplog.text == ""


SCRIPT = """
import sys, threading
from pathlib import Path
from tests.support.fake_controller import FakeController, page_of
from web.server import Server, run
controller = FakeController(); controller.show(); controller.keep_alive()
server = Server(page_of(controller, Path(sys.argv[1])), "127.0.0.1", 0)
secret = server.app.extensions["backdoor"].pairing.secret
done = run(server, ready=lambda: print(server.port, secret, flush=True), stopping=lambda: None)
controller.stop()
sys.exit(done)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_process_ends_cleanly_by_signal_with_a_stream_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    assert process.stdout
    port, secret = process.stdout.readline().split()
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=HANGS_S)
    connection.request("GET", f"/pair/{secret}")
    answer = connection.getresponse()
    cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
    answer.read()
    connection.request("GET", "/events", headers={"Cookie": cookie})
    stream = connection.getresponse()
    assert stream.readline().startswith(b":")
    process.send_signal(number)  # the stream never ends by itself
    _, errors = process.communicate(timeout=HANGS_S)
    assert (process.returncode, errors) == (0, "")
    connection.close()


def test_streams_leave_no_thread_behind(controller: FakeController, tmp_path: Path) -> None:
    with Serving(page_of(controller, tmp_path)) as serving:
        before = set(threading.enumerate())
        for _ in range(3):
            with phones(serving, 20) as made:
                assert [phone.answer.status for phone in made] == [200] * 20
            eventually(lambda: streams(serving).count == 0)
        assert set(threading.enumerate()) <= before
