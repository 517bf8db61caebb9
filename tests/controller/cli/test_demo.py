"""The demo as a visitor gets it: one process, one link, pins that can be moved over HTTP."""

from __future__ import annotations

import http.cookiejar
import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.cli.demo import (
    NO_NETWORK,
    ON_THIS_MACHINE,
    OPEN_TO_THE_NETWORK,
    Options,
    demo_config,
)
from controller.config.loader import ConfigError
from tests.conftest import Broker
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually
from web import pair_link
from web.security.hosts import Hosts
from web.security.pairing import own_address, qr_text


class Visitor:
    """A phone that speaks HTTP."""

    def __init__(self, link: str) -> None:
        self.base = link.partition("/pair/")[0]
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self.get(link)
        self.page = self.get(f"{self.base}/")

    def get(self, url: str) -> str:
        with closing(self._opener.open(url, timeout=HANGS_S)) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **data: Any) -> Any:
        body = "&".join(f"{key}={value}" for key, value in data.items()).encode()
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        assert token
        headers = {"Accept": "application/json", "X-CSRFToken": token[1]}
        request = urllib.request.Request(self.base + path, body, headers)
        try:
            with closing(self._opener.open(request, timeout=HANGS_S)) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read()) | {"status": error.code}

    @property
    def state(self) -> Any:
        return json.loads(self.get(f"{self.base}/api/state"))


class Process:
    def __init__(self, *args: str, **env: str) -> None:
        command = [sys.executable, "-u", "-m", "controller", "demo", *args]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=os.environ | env
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()

    def visit(self, address: str = "127.0.0.1") -> Visitor:
        assert self.line.startswith(f"page: http://{address}:"), self.end()
        return Visitor(self.line.removeprefix("page: ").strip())

    def end(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        self.process.communicate(timeout=HANGS_S)
        return self.process.returncode, out, err


@pytest.fixture
def demo() -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(*args: str, **env: str) -> Process:
        made.append(Process("--port", "0", *args, **env))
        return made[-1]

    yield make
    for one in made:
        with one.process as process:  # closes its pipes, however it ended
            process.kill()


def test_demo_is_full_after_four_simulated_guests(demo: Callable[..., Process]) -> None:
    process = demo("--speed", "20")
    visitor = process.visit()
    assert visitor.state["link"] == "online"  # ready when it says so
    for _ in range(4):
        assert visitor.post("/bench/walk_in") == {"ok": True}
    eventually(lambda: visitor.state["occupancy"]["count"] == 4)
    assert visitor.state["full"] is True
    refused = visitor.post("/command/access_door", party=1)
    assert (refused["ok"], refused["reason"]) == (False, "CapacityReached")
    assert visitor.post("/bench/knock_hatch") == {"ok": True}
    eventually(lambda: visitor.state["hatch"]["light"] == "ON")
    assert visitor.post("/command/answer_hatch")["ok"]
    eventually(lambda: visitor.state["hatch"]["light"] == "OFF")
    assert visitor.post("/bench/line/door_contact/1") == {"ok": True}
    eventually(lambda: visitor.state["door"]["physical"] == "Open")
    assert visitor.post("/bench/fly")["status"] == 404
    assert visitor.post("/bench/line/strike/1")["status"] == 404
    code, out, err = process.end()
    assert (code, out, lines_of(err)) == (0, "", [])  # without a terminal: the link and no more


def lines_of(err: str) -> list[str]:
    """What was said on stderr, without what waitress says of a thread that is slow to end."""
    return [line for line in err.splitlines() if not line.endswith("thread(s) still running")]


def test_demo_is_opened_by_a_phone_on_the_local_network(demo: Callable[..., Process]) -> None:
    address = own_address()
    process = demo("--lan")
    if address is None:  # this machine is on no network
        assert process.process.wait(15) == 2
        assert process.process.stderr is not None
        assert process.process.stderr.read() == f"{NO_NETWORK}\n"
        return
    visitor = process.visit(address)
    assert visitor.post("/bench/walk_in") == {"ok": True}
    eventually(lambda: visitor.state["occupancy"]["count"] == 1)
    with pytest.raises(urllib.error.HTTPError, match="403"):  # who is not paired stays outside
        urllib.request.urlopen(f"{visitor.base}/api/state", timeout=10)
    code, out, err = process.end()
    assert (code, out, lines_of(err)) == (0, "", [OPEN_TO_THE_NETWORK])


@pytest.mark.parametrize("address", ["192.168.7.3", "100.64.0.3", "203.0.113.3", "9.9.9.9"])
def test_demo_page_answers_to_the_address_of_its_link(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cli.demo.own_address", lambda: address)
    web = demo_config(None, (), tmp_path, Options(lan=True), None).web
    assert web.host == "0.0.0.0"
    assert Hosts(web.allowed_hosts, web.public_url).allows(f"{address}:8080")


def test_demo_for_phones_without_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cli.demo.own_address", lambda: None)
    with pytest.raises(ConfigError, match=f"^{re.escape(NO_NETWORK)}$"):
        demo_config(None, (), tmp_path, Options(lan=True), None)


def test_demo_is_on_loopback_whatever_the_file_says(tmp_path: Path) -> None:
    sets = ("web.host=0.0.0.0", "web.public_url=https://door.example")
    config = demo_config(None, sets, tmp_path, Options(), 8099)
    assert pair_link(config).startswith("http://127.0.0.1:8099/pair/")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_demo_draws_the_link_at_a_terminal_that_can_show_it(encoding: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "controller", "demo", "--port", "0"]
    env = os.environ | {"PYTHONIOENCODING": encoding}
    with subprocess.Popen(command, stdout=theirs, env=env) as process, open(ours, "rb") as screen:
        os.close(theirs)
        lines = [screen.readline().decode().rstrip()]
        link = lines[0].removeprefix("page: ")
        drawn = qr_text(link).splitlines() + ON_THIS_MACHINE.splitlines()
        try:
            if encoding == "utf-8":
                lines += [screen.readline().decode().rstrip() for _ in drawn]
                assert lines[1:] == drawn
                assert len(lines) < 24  # a terminal of the usual size has all of it
        finally:
            process.terminate()
        with suppress(OSError):  # the terminal went with its last process
            assert screen.read() == b""


@pytest.mark.parametrize("by_broker", [False, True])
def test_demo_runs_on_a_mac(by_broker: bool, demo: Callable[..., Process], broker: Broker) -> None:
    args = ["--mqtt", f"127.0.0.1:{broker.port}"] if by_broker else []
    process = demo(*args, PYTHONPATH="tests/support/mac")
    visitor = process.visit()
    eventually(lambda: visitor.state["link"] == "online")
    assert visitor.post("/bench/walk_in") == {"ok": True}
    eventually(lambda: visitor.state["occupancy"]["count"] == 1)
    code, out, err = process.end()
    assert (code, out, lines_of(err)) == (0, "", [])


def test_demo_plays_a_trace(demo: Callable[..., Process], tmp_path: Path) -> None:
    trace = tmp_path / "evening.csv"
    trace.write_text(
        "t_ms,line,level\n0,door_contact,0\n1000,cmd:set_count,3\n2000,door_contact,1\n"
    )
    process = demo("--trace", str(trace), "--speed", "10", "--inside", "1")
    visitor = process.visit()
    eventually(lambda: visitor.state["door"]["physical"] == "Open")
    assert visitor.state["occupancy"]["count"] == 3
    assert process.process.stdout is not None
    lines = [process.process.stdout.readline() for _ in range(2)]
    assert lines == ["trace: 3 rows, 0.0 min\n", "trace: played\n"]
    assert process.end()[0] == 0


def test_demo_with_a_real_broker(demo: Callable[..., Process], broker: Broker) -> None:
    with closing(Subscriber(broker.port)) as mqtt:
        visitor = demo("--mqtt", f"127.0.0.1:{broker.port}").visit()
        eventually(lambda: visitor.state["link"] == "online")
        visitor.post("/bench/walk_in")
        eventually(lambda: mqtt.all("event/entry"))
        eventually(lambda: visitor.state["occupancy"]["count"] == 1)
        broker.kill()
        visitor.post("/bench/walk_in")
        eventually(lambda: visitor.state["link"] == "offline")
        broker.start()
        eventually(
            lambda: len({e["seq"] for e in mqtt.all("event/entry")}) == 2,
        )
        eventually(lambda: visitor.state["link"] == "online")
        assert visitor.state["occupancy"]["count"] == 2


def test_demo_reports_a_port_in_use(broker: Broker) -> None:
    process = Process("--port", str(broker.port))
    _, err = process.process.communicate(timeout=HANGS_S)
    assert process.process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{broker.port}" in err
    assert "make run PORT=" in err
    assert len(err.splitlines()) == 1
