"""A house that was renamed leaves no ghost, and touches nobody who bears its former name."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.loader import parse
from controller.config.settings import Config
from controller.integrations.announced import FILE, former_names
from controller.integrations.announcements import Announcer, WatchedTopics
from controller.mqtt.message import Message
from tests.support.wait import eventually

DEVICE = "homeassistant/device/backdoor_bar/config"


def named(folder: Path, venue: str) -> Config:
    journal = {"path": str(folder / "journal.db")}
    return parse({"house": {"venue": venue}, "journal": journal}, "x")


def test_former_names_are_remembered_until_they_are_taken_again(tmp_path: Path) -> None:
    assert former_names(named(tmp_path, "bar")) == []
    assert former_names(named(tmp_path, "bar")) == []
    (former,) = former_names(named(tmp_path, "attic"))
    assert former.status == "backdoor/bar/status"
    assert {DEVICE, "backdoor/bar/state", "backdoor/bar/hatch/light"} <= set(former.topics)
    assert len(former_names(named(tmp_path, "cellar"))) == 2
    assert [name.status for name in former_names(named(tmp_path, "bar"))] == [
        "backdoor/cellar/status",
        "backdoor/attic/status",
    ]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[["a"]]', '{"a": 1}', '[["a","#","b"]]', "3"])
def test_file_that_makes_no_sense_has_no_names(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert former_names(named(tmp_path, "bar")) == []
    assert [name.status for name in former_names(named(tmp_path, "attic"))] == [
        "backdoor/bar/status"
    ]


def test_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    assert former_names(named(tmp_path / "missing", "bar")) == []


@pytest.mark.parametrize(("status", "cleared"), [("offline", True), ("", True), ("online", False)])
def test_what_the_former_name_left_is_cleared_unless_somebody_lives_there(
    tmp_path: Path, status: str, cleared: bool
) -> None:
    former_names(named(tmp_path, "bar"))
    watched = WatchedTopics(former=former_names(named(tmp_path, "attic")))
    assert {DEVICE, "backdoor/bar/status"} <= set(watched.all())
    published: list[Message] = []
    repeated: list[object] = []
    announcer = Announcer(watched, repeated.append, published.append)
    for topic, payload in ((DEVICE, b"{}"), ("backdoor/bar/status", status.encode())):
        assert announcer.handle(Message(topic, payload, retain=True))
    announcer.handle(Message("backdoor/bar/state", b"{}"))  # live: somebody's, not left by us
    announcer.up()
    eventually(lambda: repeated)
    expected = {DEVICE} | ({"backdoor/bar/status"} if status else set()) if cleared else set()
    assert {message.topic for message in published} == expected
    assert all(message.retain and not message.payload for message in published)
