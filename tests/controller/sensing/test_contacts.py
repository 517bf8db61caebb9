"""Switches: when a level counts, and what one reads as that never comes to rest."""

from __future__ import annotations

import pytest

from controller.events import SWITCHES, Contact, Fault, Knock, Opening, Passage, Sensed
from controller.sensing.contacts import CALM_MS, READS_AS
from controller.sensing.settings import SensingSettings
from tests.support.noise import LASTS_MS, at_rest, both, hum, knock_at
from tests.tools.doorway.score import sense
from tests.tools.doorway.sketch import edges

#: Every and active, ms: never at rest, or moving more often than any hand.
NO_LEVEL = [(1.0, 0.5), (10.0, 5.0), (20.0, 10.0), (20.0, 5.0), (20.0, 17.0), (100.0, 40.0)]
#: It leaves its level for a moment again and again.
FLICKERS = [(60.0, 3.0), (300.0, 3.0), (300.0, 29.0), (1000.0, 3.0), (2000.0, 3.0)]


def chatter(events: list[Sensed], line: str) -> list[tuple[float, bool]]:
    """When the line's fault began and ended."""
    named = [s for s in events if isinstance(s, Fault) and s.line == line]
    assert {s.name for s in named} <= {"LineChatter"}
    return [(s.t_ms, s.active) for s in named]


def levels(events: list[Sensed], line: str) -> list[bool]:
    """What the line was reported as, first reading left out."""
    return [s.active for s in events if isinstance(s, Contact) and s.line == line][1:]


@pytest.mark.parametrize(("every_ms", "active_ms"), [*NO_LEVEL, *FLICKERS])
@pytest.mark.parametrize("line", SWITCHES)
def test_switch_that_does_not_rest_is_a_fault_within_five_seconds_and_until_it_is_calm(
    line: str, every_ms: float, active_ms: float
) -> None:
    events = sense([*at_rest(), *hum(line, every_ms, active_ms)], SensingSettings())
    (begun_ms, begun), (over_ms, over) = chatter(events, line)
    assert (begun, over) == (True, False)
    assert begun_ms <= 8000.0
    assert LASTS_MS - every_ms + CALM_MS - 1000 <= over_ms <= LASTS_MS + CALM_MS + 2000


@pytest.mark.parametrize(("every_ms", "active_ms"), [*NO_LEVEL, *FLICKERS])
@pytest.mark.parametrize("line", ["door_contact", "hatch_contact"])
def test_contact_that_does_not_rest_deafens_no_knock_sensor(
    line: str, every_ms: float, active_ms: float
) -> None:
    knocks = [edge for k in range(5) for edge in knock_at("hd"[k % 2], 9011.3 + 2000 * k)]
    noise = hum(line, every_ms, active_ms)
    events = sense(both(at_rest(), noise, knocks), SensingSettings())
    heard = [s.place for s in events if isinstance(s, Knock)]
    assert heard == ["hatch", "door", "hatch", "door", "hatch"]


@pytest.mark.parametrize(("every_ms", "active_ms"), NO_LEVEL[:5])
@pytest.mark.parametrize("line", SWITCHES)
def test_switch_without_a_level_reads_as_is_safe_and_then_as_it_is(
    line: str, every_ms: float, active_ms: float
) -> None:
    events = sense([*at_rest(), *hum(line, every_ms, active_ms)], SensingSettings())
    assert levels(events, line) == ([True, False] if READS_AS[line] else [])


def test_safe_is_an_open_door_a_drawn_bolt_a_shut_hatch_no_press_and_an_alarm() -> None:
    safe = {"door_contact", "bolt_contact", "evacuate"}
    assert {line for line in SWITCHES if READS_AS[line]} == safe


@pytest.mark.parametrize(("every_ms", "active_ms"), FLICKERS)
@pytest.mark.parametrize("line", SWITCHES)
def test_switch_that_flickers_reads_as_where_it_rests(
    line: str, every_ms: float, active_ms: float
) -> None:
    assert (
        levels(sense([*at_rest(), *hum(line, every_ms, active_ms)], SensingSettings()), line) == []
    )


def test_real_move_of_a_contact_that_flickers_counts_and_masks() -> None:
    flicker = hum("door_contact", 300.0, 3.0)
    moved = [*edges("D+9130 D-12200", wired=""), *knock_at("h", 9150.0), *knock_at("h", 15_000.0)]
    quiet = [edge for edge in flicker if not 9100 < edge.t_ms < 12_300]
    events = sense(both(at_rest(), quiet, moved), SensingSettings())
    assert levels(events, "door_contact") == [True, False]
    assert len([s for s in events if isinstance(s, Knock)]) == 1


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("D+1000 D-1005 D+1010", [(1000.0, True)]),
        ("D+1000 D-1005", [(1000.0, True), (1035.0, False)]),
        ("D+1000 D-1000.1", [(1000.0, True), (1000.1, False)]),
        ("D+1000 D-3000 D+3005 D-3010", [(1000.0, True)]),
        ("H+1000 H-1005", []),
    ],
)
def test_shut_door_whose_contact_moves_may_be_opening_until_it_has_settled(
    text: str, reported: list[tuple[float, bool]]
) -> None:
    events = sense(edges(text, wired=text[0]), SensingSettings())
    moving = [s for s in events if isinstance(s, Opening)]
    assert [(s.t_ms, s.active) for s in moving] == reported
    opened = [s for s in events if isinstance(s, Contact) and s.line == "door_contact" and s.active]
    assert len(opened) == [s.active for s in moving].count(True) - len(moving[1::2])


@pytest.mark.parametrize(("every_ms", "active_ms"), [*NO_LEVEL, *FLICKERS])
def test_door_contact_that_does_not_rest_is_not_opening_for_ever(
    every_ms: float, active_ms: float
) -> None:
    noise = hum("door_contact", every_ms, active_ms)
    events = sense([*at_rest(), *noise], SensingSettings())
    since_ms = None
    for event in events:
        if isinstance(event, Opening) and event.active:
            assert since_ms is None
            since_ms = event.t_ms
        elif isinstance(event, Opening) or (
            isinstance(event, Contact) and event.line == "door_contact"
        ):
            assert since_ms is None or event.t_ms - since_ms <= 2100.0
            since_ms = None
    assert since_ms is None


def test_switch_that_rests_at_another_level_after_hum_is_reported_when_calm() -> None:
    noise = [*hum("hatch_contact", 20.0, 10.0, to_ms=9000.0), *edges("H+9000", wired="")]
    events = sense([*at_rest(), *noise], SensingSettings())
    opened = [s for s in events if isinstance(s, Contact) and s.line == "hatch_contact"][1:]
    assert [(s.t_ms, s.active) for s in opened] == [(9000.0 + CALM_MS, True)]


@pytest.mark.parametrize("presses", [8, 14])
def test_hand_that_presses_again_and_again_is_no_fault(presses: int) -> None:
    text = " ".join(f"X+{1000 + 340 * k} X-{1150 + 340 * k}" for k in range(presses))
    events = sense(edges(text, wired="X"), SensingSettings())
    assert len(levels(events, "exit_button")) == 2 * presses
    assert chatter(events, "exit_button") == []


def test_slam_that_rattles_the_contact_for_a_moment_is_no_fault() -> None:
    rattle = " ".join(f"D+{5000 + 60 * k} D-{5004 + 60 * k}" for k in range(20))
    events = sense(edges(f"D+1000 D-3000 {rattle}", wired="D"), SensingSettings())
    assert chatter(events, "door_contact") == []
    assert levels(events, "door_contact") == [True, False]


def test_flickers_that_are_seconds_apart_are_no_fault() -> None:
    text = " ".join(f"D+{3000 + 2600 * k} D-{3003 + 2600 * k}" for k in range(20))
    assert chatter(sense(edges(text, wired="D"), SensingSettings()), "door_contact") == []


def test_door_whose_contact_chatters_may_be_open_so_nobody_is_a_phantom() -> None:
    walk = edges("O+15000 I+15112 O-15350 I-15462", wired="")
    for every_ms, active_ms in ((1.0, 0.5), (20.0, 10.0), (2000.0, 3.0)):
        noise = hum("door_contact", every_ms, active_ms, since_ms=3300.0)
        events = sense(both(at_rest(), noise, walk), SensingSettings())
        assert [(s.least, s.most) for s in events if isinstance(s, Passage)] == [(1, 1)]
    late = edges("O+40000 I+40112 O-40350 I-40462", wired="")
    events = sense(both(at_rest(), hum("door_contact", 20.0, 10.0), late), SensingSettings())
    assert [s.why for s in events if isinstance(s, Passage)] == ["phantom"]


def test_settling_time_of_zero_takes_hum_for_moves_but_not_for_long() -> None:
    noise = hum("hatch_contact", 20.0, 10.0)
    knocks = [edge for k in range(3) for edge in knock_at("h", 9011.3 + 2000 * k)]
    events = sense(both(at_rest(), noise, knocks), SensingSettings(contact_settle_ms=0.0))
    assert len(levels(events, "hatch_contact")) <= 12
    assert chatter(events, "hatch_contact")[0][0] < 4000.0
    assert len([s for s in events if isinstance(s, Knock)]) == 3
