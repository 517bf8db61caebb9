"""What is sent of many bars: in virtual time, and by a real nats-server to a phone's server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from controller.config.loader import parse
from controller.notify.decide import Memory
from controller.notify.notices import Notice, Now, Outgoing, Withdrawal
from controller.notify.service import Service, channels_of
from controller.notify.venues import SHOWN, SILENT_S, UNANSWERED_S, VenuesDecider
from controller.notify.words import render
from tests.support.controller_says import EVENING_S, ControllerSays
from tests.support.nats import Node, nats_nodes
from tests.support.receivers import Receiver, receiver
from tests.support.subscriber import Subscriber
from tests.support.wait import HANGS_S, eventually

OWN = "0.3.0"


def now(at_s: float) -> Now:
    return Now(1000.0 + at_s, EVENING_S + at_s)


class Owner:
    """The decider of an owner of two bars, and what their controllers say."""

    def __init__(self) -> None:
        self.decider = VenuesDecider(now(0.0), most_an_hour=30, release=OWN)
        self.decider.broker(True, now(0.0))
        self.bars = {name: ControllerSays() for name in ("bar", "nook")}
        self.release = OWN

    def state(self, venue: str, at_s: float) -> list[Outgoing]:
        name, payload = self.bars[venue].snapshot(at_s)
        fields = json.loads(payload) | ({"release": self.release} if self.release else {})
        return self.decider.handle(f"{venue}/{name}", json.dumps(fields).encode(), now(at_s))

    def status(self, venue: str, status: bytes, at_s: float) -> list[Outgoing]:
        return self.decider.handle(f"{venue}/status", status, now(at_s))

    def tick(self, at_s: float) -> list[Outgoing]:
        return self.decider.tick(now(at_s))

    def restart(self, at_s: float) -> None:
        kept = msgspec.json.decode(msgspec.json.encode(self.decider.memory()), type=Memory)
        self.decider = VenuesDecider(now(at_s), most_an_hour=30, release=OWN, memory=kept)
        self.decider.broker(True, now(at_s))


@pytest.fixture
def owner() -> Owner:
    owner = Owner()
    for venue in owner.bars:
        assert owner.status(venue, b"online", 0.0) == owner.state(venue, 0.0) == []
    return owner


def words(sent: list[Outgoing]) -> list[str]:
    return [
        f"gone {one.key}" if isinstance(one, Withdrawal) else f"{one.data['venue']} {one.word}"
        for one in sent
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"alarm": "DoorForcedOpen"}, "DoorForcedOpen"),
        ({"over_capacity": True}, "over_capacity"),
        ({"mode": "LockedOpen"}, "evacuation"),
    ],
)
def test_what_begins_at_a_bar_is_sent_at_once_with_its_name_and_once(
    owner: Owner, change: dict[str, Any], word: str
) -> None:
    before = {name: getattr(owner.bars["nook"], name) for name in change}
    vars(owner.bars["nook"]).update(change)
    (notice,) = owner.state("nook", 5.0)
    assert isinstance(notice, Notice)
    assert (notice.severity, notice.word, notice.standing) == ("critical", word, True)
    assert render(notice, now(5.0).t_s, "en")[0].startswith("nook: Alarm: ")
    assert owner.state("nook", 15.0) == owner.tick(16.0) == owner.state("bar", 17.0) == []
    vars(owner.bars["nook"]).update(before)
    assert words(owner.state("nook", 20.0)) == [f"nook {word}_over"]


def test_knock_that_nobody_answers_is_sent_after_five_minutes(owner: Owner) -> None:
    owner.bars["bar"].waiting, owner.bars["bar"].since_s = 2, 10.0
    for at_s in range(10, int(10 + UNANSWERED_S), 10):
        assert owner.state("bar", at_s) == owner.state("nook", at_s) == []
    (notice,) = owner.tick(10 + UNANSWERED_S)  # by its age, though no state says so yet
    assert isinstance(notice, Notice)
    assert render(notice, now(10 + UNANSWERED_S).t_s, "it") == (
        "bar: Sportello: nessuno ha risposto, 5 min",
        "2 in attesa.",
    )
    owner.bars["bar"].waiting = 0
    owner.state("nook", 318.0)
    assert words(owner.state("bar", 320.0)) == ["gone bar/hatch_unanswered"]
    owner.bars["bar"].door_since_s = 320.0
    owner.state("bar", 320.0)
    for at_s in range(330, 620, 10):
        assert owner.state("bar", at_s) == owner.state("nook", at_s) == []
    assert words(owner.state("bar", 620.0)) == ["bar door_unanswered"]


def test_bar_that_hangs_is_sent_after_three_states_that_did_not_come(owner: Owner) -> None:
    owner.state("nook", 30.0)
    assert owner.tick(SILENT_S - 1) == []
    assert owner.decider.due_s() <= now(SILENT_S).t_s
    assert words(owner.tick(SILENT_S)) == ["bar bar_silent"]
    assert words(owner.state("bar", 50.0)) == ["bar bar_silent_over"]


def test_controller_that_is_off_is_sent_but_not_one_that_restarts(owner: Owner) -> None:
    assert owner.status("bar", b"offline", 10.0) == owner.tick(12.9) == []
    assert owner.status("bar", b"online", 12.9) == owner.tick(14.0) == []
    owner.status("bar", b"offline", 20.0)
    assert words(owner.tick(23.0)) == ["bar bar_offline"]
    owner.state("nook", 30.0)
    assert words(owner.status("bar", b"online", 60.0)) == ["bar bar_offline_over"]


def test_what_stood_at_a_bar_that_is_dark_stands_on(owner: Owner) -> None:
    owner.bars["bar"].over_capacity = True
    owner.state("bar", 1.0)
    owner.status("bar", b"offline", 2.0)
    assert words(owner.tick(6.0)) == ["bar bar_offline"]
    owner.bars["bar"].over_capacity = False
    owner.status("bar", b"online", 9.0)
    assert words(owner.state("bar", 9.0)) == ["bar over_capacity_over"]


@pytest.mark.parametrize("release", ["0.2.9", "", "nonsense", "9" * 5000])
def test_old_release_is_sent_once_and_withdrawn_after_the_upgrade(
    owner: Owner, release: str
) -> None:
    owner.release = release
    (notice,) = owner.state("nook", 5.0)
    assert isinstance(notice, Notice)
    assert (notice.word, notice.severity, notice.kind) == ("old_release", "info", "fault")
    text = render(notice, now(5.0).t_s, "en")[0]
    assert (release[:SHOWN] or "?") in text
    assert len(text) < 200
    assert owner.state("nook", 15.0) == []
    owner.release = OWN
    assert words(owner.state("nook", 25.0)) == ["gone nook/old_release"]


def test_release_that_one_bar_claims_makes_no_other_old(owner: Owner) -> None:
    """What most of them have does; and numbers are compared as such: 0.10.0 is newer than 0.9.0."""
    owner.release = "999.0"
    assert owner.state("nook", 5.0) == owner.tick(6.0) == []
    owner.bars["cave"] = ControllerSays()
    owner.release = "0.10.0"
    assert owner.state("nook", 7.0) == []
    assert words(owner.state("cave", 8.0)) == ["bar old_release"]
    assert words(owner.state("bar", 9.0)) == ["gone bar/old_release"]


def test_centre_that_is_away_is_one_message_and_no_bar_is_judged(owner: Owner) -> None:
    owner.bars["bar"].mode = "LockedOpen"
    owner.state("bar", 1.0)
    owner.decider.broker(False, now(10.0))
    owner.decider.broker(False, now(20.0))
    assert owner.tick(10 + SILENT_S - 1) == []
    (notice,) = owner.tick(10 + SILENT_S)
    assert isinstance(notice, Notice)
    assert render(notice, now(45.0).t_s, "en")[0] == "Dark: no bar is to be heard"
    assert owner.tick(200.0) == []
    owner.decider.broker(True, now(300.0))
    (over,) = owner.tick(300.0)
    assert isinstance(over, Notice)
    assert over.word == "centre_away_over"
    assert owner.state("bar", 302.0) == []  # still evacuated: sent before
    assert words(owner.tick(300 + SILENT_S)) == ["nook bar_silent"]


def test_restart_says_nothing_twice_and_forgets_nothing(owner: Owner) -> None:
    owner.bars["bar"].over_capacity = True
    assert words(owner.state("bar", 1.0)) == ["bar over_capacity"]
    owner.restart(2.0)
    assert owner.tick(3.0) == owner.state("nook", 3.0) == owner.state("bar", 3.0) == []
    owner.bars["bar"].over_capacity = False
    assert words(owner.state("bar", 4.0)) == ["bar over_capacity_over"]


def test_more_than_allowed_is_one_summary(owner: Owner) -> None:
    sent = []
    for number in range(40):
        owner.bars[f"b{number}"] = ControllerSays(over_capacity=True)
        sent += owner.state(f"b{number}", 1.0)
    assert len([one for one in sent if isinstance(one, Notice)]) == 30
    later = [one for one in owner.tick(3700.0) if one.key == "more_alarm"]
    assert [one.data for one in later if isinstance(one, Notice)] == [{"n": 10}]


@pytest.mark.parametrize(
    ("name", "payload"),
    [("bar/state", b"{"), ("bar/state", b"[]"), ("bar/other", b"{}"), ("x", b""), ("", b"\xff")],
)
def test_what_makes_no_sense_is_ignored(owner: Owner, name: str, payload: bytes) -> None:
    assert owner.decider.handle(name, payload, now(1.0)) == []


def test_bar_that_makes_no_sense_is_logged_once_until_it_does(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in (b"{", b"[]", b"{"):
        owner.decider.handle("bar/state", payload, now(1.0))
    owner.decider.handle("nook/state", b"{", now(1.0))
    assert [record.args[0] for record in caplog.records] == ["bar/state", "nook/state"]  # type: ignore[index]
    owner.state("bar", 2.0)
    owner.decider.handle("bar/state", b"{", now(3.0))
    assert len(caplog.records) == 3


# --- the service, at a real centre ----------------------------------------------------------------


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Node]:
    with nats_nodes(tmp_path / "nats") as (node,):
        yield node


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


#: What the phone shows of what happens to a bar; `hung` and `dark` say nothing any more.
HAPPENS: dict[str, tuple[dict[str, Any], str]] = {
    "forced": ({"alarm": "DoorForcedOpen"}, "Alarm: door forced open"),
    "over": ({"over_capacity": True}, "Alarm: 5 inside, too many"),
    "fire": ({"mode": "LockedOpen"}, "Alarm: evacuation"),
    "hatch": ({"waiting": 1, "since_s": -UNANSWERED_S}, "Hatch: nobody has answered, 5 min"),
    "door": ({"door_since_s": -UNANSWERED_S}, "Front door: nobody has answered, 5 min"),
    "old": ({}, "An old release: 0.0.1"),
    "hung": ({}, "Dark: the bar is not to be heard"),
    "dark": ({}, "Dark: its controller is off"),
}


def test_what_needs_the_owner_is_on_the_phone_within_seconds(
    nats: Node, phone: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a real node, each of eight bars with its own; three missed states are made short."""
    monkeypatch.setattr("controller.notify.venues.SILENT_S", 6.0)
    mqtt = {"host": ["127.0.0.1:1", f"127.0.0.1:{nats.mqtt_port}"]}  # one node is dead
    notify = {"urls": [f"ntfy://{phone.host}/owner"], "venues": "+"}
    config = parse({"mqtt": mqtt, "notify": notify}, "test")
    service = Service(config, channels_of(config))
    thread = Thread(target=service.run)
    thread.start()
    says = {venue: ControllerSays() for venue in HAPPENS}
    quiet: set[str] = set()
    with closing(Subscriber(nats.mqtt_port)) as bar:

        def said() -> set[str]:
            for venue in HAPPENS.keys() - quiet:
                _, payload = says[venue].snapshot(1.0)
                release = "0.0.1" if venue == "old" and quiet else "9999.0"
                whole = json.dumps(json.loads(payload) | {"release": release})
                bar.publish(f"backdoor/{venue}/state", whole.encode(), 1, retain=True)
            return {request.json["title"] for request in phone.requests}

        for venue in HAPPENS:
            bar.publish(f"backdoor/{venue}/status", b"online", 1, retain=True)
        eventually(lambda: said() is not None)
        bar.publish("backdoor/dark/status", b"offline", 1, retain=True)
        for venue, (change, _) in HAPPENS.items():
            vars(says[venue]).update(change)
        quiet |= {"hung", "dark"}
        wanted = {f"{venue}: {title}" for venue, (_, title) in HAPPENS.items()}
        began_s = time.monotonic()
        eventually(lambda: wanted <= said())
        took_s = time.monotonic() - began_s
        others = {title for title in said() - wanted if "Dark" not in title and "back" not in title}
        assert not others
    service.stop()
    thread.join(HANGS_S)
    assert took_s < HANGS_S  # on a calm machine some three seconds, those of `dark`, and six
