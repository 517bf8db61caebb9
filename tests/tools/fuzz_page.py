"""``python -m tests.tools.fuzz_page TOOL [CASES] [SEED]``: a stranger's requests at the real page.

TOOL is the command ``schemathesis``: it reads ``web/openapi.yaml`` and asks for all of it, as it is
told, at its edges, and wrong in every part; as a stranger, as a paired phone and a browser without
the page's token, and as the page itself. The page is on a real socket, behind it lives a house in
which people come and go. Each answer must be as the document says. Beside that, at our end of the
wire, `Gate` and `Judge` see that only the page itself asks the house for anything, one command with
an id of its own a request, and that the strike goes on only when the house let somebody in.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from controller.config.loader import parse
from controller.config.settings import NightsSettings, Space
from controller.events import Command
from controller.mqtt.message import Message
from controller.service.assembly import alone
from tests.support.demo import Demo, house
from tests.support.fake_controller import Serving, joiner, paired, settings
from tests.support.subscriber import BASE
from tests.support.wait import eventually
from web import create_app
from web.nights.feed import Feed

DOCUMENT = Path(__file__).parents[2] / "web" / "openapi.yaml"
#: House seconds in a real one: locks, releases and refilled buckets come and go within the run.
SPEED = 20.0
CASES, SEED = 300, 1
STRIKE_PIN = parse({}, "fuzz").lines["strike"].pin
ACTS = ("walk_in", "walk_out", "turn_back", "knock_hatch", "open_hatch", "close_hatch")
#: schemathesis's own settings: a stream of ours never ends by itself, and which number a command
#: takes depends on its name, which no document can say. 504 is told where the house did not answer
#: within its two seconds; `Judge` sees that it nearly always does.
SETTINGS = """
max-stream-events = 2
[generation]
database = "none"
[[operations]]
include-path = "/command/{name}"
[operations.checks]
positive_data_acceptance.expected-statuses = [200, 303, 400, 403, 404, 409, 504]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]
"""
JSON, HTML = "Accept: application/json", "Accept: text/html"


class Gate:
    """Counts what the page is asked and answers, and holds it against what it asked the house."""

    def __init__(self, app: Flask, asked: Callable[[], int]) -> None:
        self._inner, self._asked = app.wsgi_app, asked
        self.may_ask = False
        self.requests = 0
        self.answers: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._one_at_a_time = threading.Lock()
        app.wsgi_app = self  # type: ignore[method-assign, assignment]

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        def started(status: str, headers: Any, *rest: Any) -> Any:
            self.answers[int(status[:3])] += 1
            return start(status, headers, *rest)

        with self._one_at_a_time:
            before = self._asked()
            answer = self._inner(environ, started)
            self.requests += 1
            self._judge(environ, self._asked() - before)
            return answer

    def _judge(self, environ: dict[str, Any], asked: int) -> None:
        command = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].startswith("/comm")
        if asked > (1 if command and self.may_ask else 0):
            self.wrong.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} asked {asked}")


class Judge:
    """Reads what went over the wire: every command single, the strike on only for whoever fits."""

    def __init__(self, demo: Demo, strike_pin: int) -> None:
        self._demo, self._pin = demo, demo.pin(strike_pin)
        #: What was asked of the house so far.
        self.asked: list[Message] = []
        demo.bus.join(
            subscriptions=[f"{BASE}cmd/+"],
            on_message=self.asked.append,
            on_up=lambda: None,
            on_ack=lambda _: None,
        ).start()

    def check(self) -> dict[str, int]:
        """Return the figures, or fail."""
        mqtt = self._demo.mqtt
        ids = [json.loads(message.payload)["id"] for message in self.asked]
        assert len(set(ids)) == len(ids), "an id was used twice"
        assert not any(message.retain for message in self.asked), "a retained command"
        let_in = len(mqtt.events("access_granted"))
        results = {result["id"]: result["ok"] for result in mqtt.all("result")}
        unanswered = len(set(ids) - set(results))
        assert unanswered <= len(ids) / 50, f"{unanswered} of {len(ids)} commands were not answered"
        done = sum(results[id_] for id_ in ids if id_ in results)
        switched_on = sum(bool(state.state) for state in self._pin.states[1:])
        assert switched_on <= let_in <= done, (switched_on, let_in, done)
        for state in mqtt.all("state"):
            assert not state["door"]["strike"] or state["occupancy"]["max"] < 4, state
        return {"asked": len(ids), "done": done, "let_in": let_in}


def evening(demo: Demo, seed: int, over: threading.Event) -> None:
    """People come and go while the page is asked; now and then somebody sets all right again."""
    chance = random.Random(seed)
    clock, post = demo.running.clock, demo.running.loop.post
    while not over.is_set():
        demo.simulator.act(chance.choice(ACTS))
        if chance.random() < 0.3:
            post(Command(clock.now_ms(), "set_count", chance.randint(0, 3), cause="page"))
            for name in ("unblock_door", "lock_down_release", "lock_open_release"):
                post(Command(clock.now_ms(), name, cause="page"))


@contextmanager
def scene(folder: Path) -> Iterator[tuple[Flask, Gate, Judge]]:
    """A house, its page with everything that the document names, and an MQTT client between."""
    with house(folder, "web.metrics_token=0123456789abcdef", speed=SPEED) as demo:
        config = settings(folder, venues="+", metrics_token="0123456789abcdef")
        nights = NightsSettings(database=str(folder / "nights.db"))
        config = replace(config, space=Space("Bar"), nights=nights)
        feed = Feed(config, alone(demo.bus))
        app = create_app(config, link=joiner(demo.bus), speed=SPEED, feed=feed)
        judge = Judge(demo, STRIKE_PIN)
        gate = Gate(app, lambda: len(judge.asked))
        mirror = app.extensions["backdoor"].mirror
        mirror.start()
        feed.start()
        eventually(lambda: mirror.view().link == "online")
        over = threading.Event()
        people = threading.Thread(target=evening, args=(demo, SEED, over))
        people.start()
        try:
            yield app, gate, judge
        finally:
            over.set()
            people.join(30)
            feed.stop()
            mirror.stop()


def clients(app: Flask) -> dict[str, tuple[str, ...]]:
    """Return who asks, with the headers that make them so."""
    client = paired(app)
    found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
    cookie = client.get_cookie("backdoor")  # with what the token is held against
    assert cookie
    assert found
    known, token = f"Cookie: backdoor={cookie.value}", f"X-CSRFToken: {found[1]}"
    return {
        "stranger": (JSON,),
        "paired": (known, JSON),
        "browser": (known, HTML),
        "page": (known, token, JSON),
    }


OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--checks=all",
    "--workers=1",
    "--continue-on-failure",
    "--request-timeout=10",
    "--no-color",
    "--generation-with-security-parameters=false",  # who asks is ours to say
)
#: Without the page's token nothing is accepted, and that is what we want to see.
WITHOUT_TOKEN = "--exclude-checks=positive_data_acceptance"


def ask(tool: str, options: Iterable[str]) -> str:
    """Let schemathesis loose; return what it found wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "schemathesis.toml").write_text(SETTINGS)
        command = [str(Path(tool).absolute()), "run", str(DOCUMENT), *OPTIONS, *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else ""


def main(tool: str, cases: int, seed: int) -> int:
    """Ask as each of the four, print the figures."""
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as (app, gate, judge):
        failed = False
        with Serving(app) as page:
            same = (f"--url={page.url}", f"--seed={seed}", f"--max-examples={cases}")
            for name, headers in clients(app).items():
                gate.may_ask = name == "page"
                own = () if gate.may_ask else (WITHOUT_TOKEN,)
                before, began_s = gate.requests, time.monotonic()
                found = ask(tool, (*same, *own, *(f"--header={header}" for header in headers)))
                _tell(name, gate.requests - before, time.monotonic() - began_s, found)
                failed |= bool(found)
        figures = {"requests": gate.requests, "answers": dict(sorted(gate.answers.items()))}
        sys.stdout.write(f"{json.dumps(figures | judge.check())}\n")
        assert not gate.wrong, gate.wrong
        return 1 if failed else 0


def _tell(name: str, requests: int, took_s: float, found: str) -> None:
    how = "FAILED" if found else "each answered as the document says"
    sys.stdout.write(f"{name:8} {requests:,} requests: {how}, {took_s:.0f} s\n{found}")
    sys.stdout.flush()


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[2:4]]
    sys.exit(main(sys.argv[1], *(numbers + [CASES, SEED][len(numbers) :])))
