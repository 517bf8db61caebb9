"""One thread a channel: what it takes, what it says, and that nothing ends it."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import pytest

from controller.config.notify import KINDS, ChannelSettings
from controller.notify.channels import Result, Words
from controller.notify.notices import Notice, Outgoing, Withdrawal
from controller.notify.pending import Outcome
from controller.notify.routing import route
from controller.notify.sender import Sender
from controller.notify.service import moment
from tests.support.wait import eventually


class Phone:
    """A channel that does what this test says and writes down what it got."""

    name = "phone://..."

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.results: list[Result | Exception] = []
        self.known = True
        self.closed = False

    def resolve(self) -> bool:
        return self.known

    def send(self, outgoing: Outgoing, words: Words) -> Result:
        self.got.append((outgoing.key, words.title))
        result = self.results.pop(0) if self.results else Result(Outcome.SENT)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def sender(phone: Phone) -> Iterator[Sender]:
    settings = ChannelSettings("phone://x", KINDS, "", "warning")
    one = Sender(phone, route(settings), moment, "en")
    one.start()
    yield one
    one.stop()
    eventually(lambda: phone.closed)


def fault(line: str, severity: str = "warning") -> Notice:
    data = {"name": "BeamDead", "line": line}
    return Notice(line, "fault", severity, "fault", 0.0, inf, data, standing=True)


TITLE = "Fault: a light beam sees nothing"


def test_it_sends_what_its_route_lets_pass(sender: Sender, phone: Phone) -> None:
    sender.put(fault("quiet", "info"))
    sender.put(fault("x"))
    eventually(lambda: phone.got)
    sender.put(Withdrawal("x"))
    eventually(lambda: len(phone.got) == 2)
    assert phone.got == [("x", TITLE), ("x", "")]


def test_a_bug_in_a_plugin_costs_one_message_and_not_the_thread(
    sender: Sender, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.results = [ZeroDivisionError()]
    sender.put(fault("x"))
    eventually(lambda: phone.got)
    sender.put(fault("y"))
    eventually(lambda: len(phone.got) == 2)
    assert [key for key, _ in phone.got] == ["x", "y"]
    assert "a bug, ours or Apprise's" in caplog.text


def test_trouble_is_logged_once_and_its_end_once(
    sender: Sender, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.results = [Result(Outcome.RETRY, "answers 500")] * 2
    sender.put(fault("x"))
    eventually(lambda: "works again" in caplog.text)
    assert [record.getMessage() for record in caplog.records] == [
        "phone://...: answers 500",
        "phone://...: works again",
    ]


def test_without_a_name_server_it_waits_until_there_is_one(
    sender: Sender, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.known = False
    sender.put(fault("x"))
    eventually(lambda: "its name cannot be looked up" in caplog.text)
    phone.known = True
    eventually(lambda: phone.got)
