"""An event as a message of NATS, and back."""

from __future__ import annotations

import pytest

from controller.codec import encode
from web.centre import wire
from web.nights.events import Event, parse

EVENING_S = 1_795_636_800.0


def event(venue: str = "bar", **more: object) -> Event:
    body = {"seq": 7, "boot": "b1", "t_ms": 1500.0, "at": "2026-11-25T20:00:00.250+00:00", **more}
    return parse(venue, "entry", encode({**body, "count": 2, "min": 2, "max": 2}))


@pytest.mark.parametrize("venue", ["bar", "bar-1", "a.b", "Città"])
@pytest.mark.parametrize("prefix", ["backdoor", "a/b", "x.y"])
def test_event_comes_back_as_it_went(prefix: str, venue: str) -> None:
    sent = event(venue)
    subject, body = wire.subject(prefix, sent), wire.body(sent, "store1", 4)
    assert wire.read(prefix, subject, body, 5.0) == wire.Arrived(sent, "store1", 4, 5.0)


def test_event_of_before_the_clock_was_set_comes_back_without_a_time() -> None:
    sent = event(at="1970-01-01T00:00:07+00:00")
    assert sent.at_s == 0
    assert wire.read("b", wire.subject("b", sent), wire.body(sent, "s", 4), 5.0).event == sent


def test_subject_is_the_topic_as_nats_maps_it() -> None:
    assert wire.subject("backdoor", event()) == "backdoor.bar.event.entry"
    assert wire.subject("a/b", event("x.y")) == "a.b.x//y.event.entry"
    assert wire.events_of("a/b", wire.FRESH) == "a.b.*.event.*"


def test_what_waited_long_goes_in_a_lane_of_its_own() -> None:
    sent = event()
    subject = wire.subject("backdoor", sent, wire.LATE)
    assert subject == "backdoor.bar.late.entry"
    assert wire.read("backdoor", subject, wire.body(sent, "s", 4), 5.0).event == sent


def test_another_run_with_the_same_number_is_another_message() -> None:
    assert wire.message_id(event()) == "bar:b1:7"
    assert wire.message_id(event(boot="b2")) == "bar:b2:7"


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("backdoor.bar.state", b"{}"),
        ("other.bar.event.entry", b"{}"),
        ("backdoor.bar.x.event.entry", b"{}"),
        ("backdoor.bar.event.entry.x", b"{}"),
        ("backdoor..event.entry", b"{}"),
        ("backdoor.bar.event.entry", b"no json"),
        ("backdoor.bar.event.entry", b'{"seq": 0, "boot": "b", "t_ms": 1}'),
        ("backdoor.bar.event.entry", b'{"seq": 1, "boot": "a b", "t_ms": 1}'),
    ],
)
def test_what_no_bar_sends_is_refused(subject: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"event|malformed|missing|run"):
        wire.read("backdoor", subject, body, 5.0)


@pytest.mark.parametrize(("store", "places"), [(7, 4), ("s" * 65, 4), ("s", 21), ("s", "x")])
def test_what_is_strange_beside_the_event_is_left_out(store: object, places: object) -> None:
    body = encode({"seq": 1, "boot": "b", "t_ms": 1.0, "store": store, "places": places})
    found = wire.read("backdoor", "backdoor.bar.event.entry", body, 5.0)
    assert (found.store == "") or (found.places == 0)
