"""The demo as a visitor gets it: one process, one link, pins that can be moved over HTTP."""

from __future__ import annotations

import http.cookiejar
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Broker
from tests.test_run import Subscriber
from tests.waiting import eventually


class Visitor:
    """A phone that speaks HTTP."""

    def __init__(self, link: str) -> None:
        self.base = link.partition("/pair/")[0]
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self.get(link)
        self.page = self.get(f"{self.base}/")

    def get(self, url: str) -> str:
        with closing(self._opener.open(url, timeout=10)) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **data: Any) -> Any:
        body = "&".join(f"{key}={value}" for key, value in data.items()).encode()
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        assert token
        headers = {"Accept": "application/json", "X-CSRFToken": token[1]}
        request = urllib.request.Request(self.base + path, body, headers)
        try:
            with closing(self._opener.open(request, timeout=30)) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read()) | {"status": error.code}

    @property
    def state(self) -> Any:
        return json.loads(self.get(f"{self.base}/api/state"))


class Process:
    def __init__(self, *args: str) -> None:
        command = [sys.executable, "-u", "-m", "controller", "demo", *args]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()

    def visit(self) -> Visitor:
        assert self.line.startswith("page: http://127.0.0.1:"), self.end()
        return Visitor(self.line.removeprefix("page: ").strip())

    def end(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@pytest.fixture
def demo() -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(*args: str) -> Process:
        made.append(Process("--port", "0", *args))
        return made[-1]

    yield make
    for one in made:
        if one.process.returncode is None:
            one.process.kill()
            one.process.communicate(timeout=10)


def test_four_guests_by_the_bench_fill_the_house(demo: Callable[..., Process]) -> None:
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
    code, _, err = process.end()
    # waitress says so of a thread that is slow to end, and goes on.
    said = [line for line in err.splitlines() if not line.endswith("thread(s) still running")]
    assert (code, said) == (0, [])


def test_a_trace_is_played(demo: Callable[..., Process], tmp_path: Path) -> None:
    trace = tmp_path / "evening.csv"
    trace.write_text(
        "t_ms,line,level\n0,door_contact,0\n1000,cmd:set_count,3\n2000,door_contact,1\n"
    )
    process = demo("--trace", str(trace), "--speed", "10", "--inside", "1")
    visitor = process.visit()
    eventually(lambda: visitor.state["door"]["physical"] == "Open")
    assert visitor.state["occupancy"]["count"] == 3
    assert process.process.stdout is not None
    said = [process.process.stdout.readline() for _ in range(2)]
    assert said == ["trace: 3 rows, 0.0 min\n", "trace: played\n"]
    assert process.end()[0] == 0


def test_a_real_broker_in_between(demo: Callable[..., Process], broker: Broker) -> None:
    with closing(Subscriber(broker)) as ear:
        visitor = demo("--mqtt", f"127.0.0.1:{broker.port}").visit()
        eventually(lambda: visitor.state["link"] == "online")
        visitor.post("/bench/walk_in")
        eventually(lambda: ear.all("event/entry"))
        eventually(lambda: visitor.state["occupancy"]["count"] == 1)
        broker.kill()
        visitor.post("/bench/walk_in")
        eventually(lambda: visitor.state["link"] == "offline")
        broker.start()
        eventually(lambda: len({e["seq"] for e in ear.all("event/entry")}) == 2, limit_s=15)
        eventually(lambda: visitor.state["link"] == "online")
        assert visitor.state["occupancy"]["count"] == 2


def test_a_port_in_use_is_said_plainly(broker: Broker) -> None:
    process = Process("--port", str(broker.port))
    _, err = process.process.communicate(timeout=15)
    assert process.process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{broker.port}" in err
    assert len(err.splitlines()) == 1
