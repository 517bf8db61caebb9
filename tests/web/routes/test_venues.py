"""All bars as tiles: from one subscription, each with how fresh its word is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from controller.codec import encode
from controller.mqtt.message import Message
from tests.support.fake_controller import FakeController, joiner, paired, settings
from tests.support.openapi import fits
from web import create_app
from web.routes.venues import MAX_VENUES, STALE_AFTER_S, TWINS_S, Venues


def occupancy(count: int, certain: bool = True) -> bytes:
    occupancy = {"count": count, "min": count, "max": count, "certain": certain}
    return encode({**occupancy, "capacity": 4, "free_places": 4 - count})


def test_venues_have_a_tile_each_with_its_link() -> None:
    now = [100.0]
    venues = Venues("bars/rome", lambda: now[0])
    assert venues.topics()[0] == "bars/rome/+/status"
    for name, count in (("b", 4), ("a", 1)):
        venues.receive("", Message(f"bars/rome/{name}/occupancy", occupancy(count)))
        venues.receive("", Message(f"bars/rome/{name}/status", b"online"))
    venues.receive("", Message("bars/rome/a/session", encode({"phase": "overtime"})))
    venues.receive("", Message("bars/rome/c/status", b"online"))
    first, second, third = venues.tiles()
    assert (first["venue"], first["free_places"], first["phase"]) == ("a", 3, "overtime")
    assert (second["venue"], second["count"], second["link"]) == ("b", 4, "online")
    assert third["link"] == "offline", "it has said nothing yet"
    venues.receive("", Message("bars/rome/a/session", b"null"))
    venues.receive("", Message("bars/rome/b/status", b"offline"))
    now[0] += STALE_AFTER_S
    first, second, _ = venues.tiles()
    assert (first["link"], first["phase"]) == ("stale", None)
    assert second["link"] == "offline"


def state(boot: str = "b1", parts: Mapping[str, object] = MappingProxyType({})) -> bytes:
    door = {"mode": "Locked", "alarm": "Normal", "lock": "Locked"}
    return encode({"boot": boot, "door": door, "hatch": {"oldest_s": 0}, "faults": [], **parts})


def heard(venues: Venues, name: str, count: int = 1, *, certain: bool = True) -> None:
    venues.receive("", Message(f"bars/{name}/occupancy", occupancy(count, certain)))
    venues.receive("", Message(f"bars/{name}/status", b"online"))
    venues.receive("", Message(f"bars/{name}/state", state()))


def test_bars_that_need_a_person_come_first_and_say_why() -> None:
    venues = Venues("bars")
    parts: dict[str, dict[str, object]] = {
        "fine": {},
        "evacuated": {"door": {"mode": "LockedOpen"}},
        "forced": {"door": {"alarm": "DoorForcedOpen"}},
        "broken": {"door": {"lock": "Fault"}},
        "open": {"door": {"alarm": "DoorOpenTooLong"}},
        "knocked": {"hatch": {"oldest_s": 61}},
        "just_knocked": {"hatch": {"oldest_s": 59}},
        "at_door": {"door_knock": {"age_s": 61}},
        "faulty": {"faults": [{}]},
        "full": {},
        "crowded": {},
        "unsure": {},
        "late": {},
        "strange": {"door": 7, "hatch": None},
    }
    for name, part in parts.items():
        count = {"crowded": 5, "full": 4}.get(name, 1)
        heard(venues, name, count, certain=name != "unsure")
        venues.receive("", Message(f"bars/{name}/state", state(parts=part)))
    venues.receive("", Message("bars/late/session", encode({"phase": "overtime"})))
    venues.receive("", Message("bars/dark/status", b"offline"))
    assert [(tile["venue"], tile["needs"]) for tile in venues.by_need()] == [
        ("evacuated", "evacuation"),
        ("forced", "forced"),
        ("crowded", "over"),
        ("broken", "lock"),
        ("dark", "offline"),
        ("open", "left_open"),
        ("at_door", "knock"),
        ("knocked", "knock"),
        ("late", "overtime"),
        ("unsure", "doubt"),
        ("faulty", "fault"),
        ("fine", None),
        ("full", None),
        ("just_knocked", None),
        ("strange", None),
    ]


def test_two_bars_with_one_name_are_said_and_a_restart_is_not() -> None:
    now = [100.0]
    venues = Venues("bars", lambda: now[0])

    def needs(*boots: str, retain: bool = False) -> str | None:
        for boot in boots:
            now[0] += 1
            venues.receive("", Message("bars/a/state", state(boot), retain=retain))
        (tile,) = venues.tiles()
        found: str | None = tile["needs"]
        return found

    heard(venues, "a")
    assert needs("b1", "b1", "b2", "b2", "b3") is None, "restarts"
    assert needs("b2", retain=True) is None, "what the broker kept is old"
    assert needs("b4", "b3") == "twins"
    now[0] += TWINS_S
    venues.receive("", Message("bars/a/occupancy", occupancy(1)))
    assert needs() is None


def test_venues_ignore_messages_that_make_no_sense_and_log_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    venues = Venues("bars")
    with caplog.at_level(logging.WARNING):
        for body in (b"{", b"[]", b'{"count": "x"}', b"\xff"):
            for _ in range(3):
                venues.receive("", Message("bars/a/occupancy", body))
                venues.receive("", Message("bars/a/session", body))
            venues.receive("", Message("bars/a/session", b"null"))
    assert caplog.text.count("bars/a/occupancy: ignored") == 1, "until it makes sense"
    assert caplog.text.count("bars/a/session: ignored") == 4
    venues.receive("", Message("bars/a/event/entry", b"{}"))
    assert [tile["link"] for tile in venues.tiles()] == ["offline"]


def test_venues_are_limited_in_number() -> None:
    venues = Venues("bars")
    for number in range(MAX_VENUES + 10):
        venues.receive("", Message(f"bars/{number}/status", b"online"))
    assert len(venues.tiles()) == MAX_VENUES


def test_venues_page_shows_the_tiles(tmp_path: Path) -> None:
    controller = FakeController()
    controller.show()
    config = settings(tmp_path)
    config = replace(config, web=replace(config.web, venues="+"))
    app = create_app(config, link=joiner(controller.bus))
    app.extensions["backdoor"].mirror.start()
    client = paired(app)
    assert "offline" in client.get("/venues").text
    controller.publish("occupancy", occupancy(3, certain=False))
    page = client.get("/venues").text
    assert "~3/4" in page
    assert '<a href="/">bar</a>' in page
    assert "1 free" in page
    (tile,) = fits(client.get("/api/venues"), "get", "/api/venues")
    assert (tile["venue"], tile["link"], tile["count"]) == ("bar", "online", 3)
    assert app.test_client().get("/venues").status_code == 403


@pytest.mark.parametrize(
    ("venue", "url", "address"),
    [
        ("bar", "", "/"),
        ("bar", "https://{venue}.local", "/"),
        ("attic", "", ""),
        ("attic", "https://{venue}.local:8443", "https://attic.local:8443"),
        ("a b/c", "https://bars.example/{venue}/", "https://bars.example/a%20b%2Fc/"),
        ("attic", "javascript:alert(1)", ""),
    ],
)
def test_tile_leads_to_the_page_of_its_bar(venue: str, url: str, address: str) -> None:
    assert Venues("bars", own="bar", url=url).page_of(venue) == address


def test_venues_page_is_off_by_default(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), link=joiner(FakeController().bus))
    assert paired(app).get("/venues").status_code == 404
