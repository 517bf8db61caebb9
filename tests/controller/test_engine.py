"""Sensing and rules joined: order, late edges, self-noise, progress."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from controller.engine import Engine, TimedEffects
from controller.events import Command, Edge, Effect, Note, Set
from controller.gpio.simulated import ACTS
from controller.rules.state import RuleSettings
from controller.sensing.settings import SensingSettings
from tests.tools.doorway.nights import night
from tests.tools.doorway.parties import CATEGORIES, believed, parties, truth
from tests.tools.doorway.scenes import Scene, evening
from tests.tools.doorway.steps import step_evening


def names(effects: TimedEffects) -> list[str]:
    return [effect.name for _, effect in effects if isinstance(effect, Note)]


def rest(engine: Engine) -> TimedEffects:
    effects: TimedEffects = []
    for line in sorted(engine.settings.lines):
        effects += engine.edge(Edge(0.0, line, level=False))
    return effects


def test_what_is_due_before_an_edge_happens_before_it() -> None:
    engine = Engine(RuleSettings(release_ms=5000.0), SensingSettings())
    rest(engine)
    engine.event(Command(1000.0, "access_door", 1))
    effects = engine.edge(Edge(60_000.0, "door_contact", level=True))
    assert effects[0][0] == 6000.0
    assert Set("strike", False) in [effect for _, effect in effects]


def test_edge_that_comes_late_is_taken_as_happening_now() -> None:
    engine = Engine(RuleSettings(), SensingSettings())
    rest(engine)
    engine.event(Command(10_000.0, "set_count", 1))
    engine.edge(Edge(5.0, "door_contact", level=True))
    effects = engine.advance(11_000.0)
    assert names(effects)[0] == "door_opened"
    assert effects[0][0] == 10_000.0 + SensingSettings().contact_settle_ms


def test_own_strike_is_no_knock() -> None:
    engine = Engine(RuleSettings(), SensingSettings())
    rest(engine)
    engine.event(Command(1000.0, "access_door", 1))
    effects: TimedEffects = []
    for move in ACTS["knock_door"][:20]:
        effects += engine.edge(Edge(1001.0 + move.at_ms - 700, move.line, bool(move.level)))
    assert "knock" not in names(effects)


def test_own_chime_is_no_knock_while_it_rings() -> None:
    engine = Engine(RuleSettings(), SensingSettings())
    rest(engine)
    engine.event(Command(1000.0, "lock_open"))  # rings for 15 s
    effects: TimedEffects = []
    for move in ACTS["knock_hatch"]:
        effects += engine.edge(Edge(12_000.0 + move.at_ms, move.line, bool(move.level)))
    assert "knock" not in names(effects + engine.advance(20_000.0))
    for move in ACTS["knock_hatch"]:
        effects += engine.edge(Edge(20_000.0 + move.at_ms, move.line, bool(move.level)))
    assert "knock" in names(effects + engine.advance(25_000.0))


@given(
    settle_ms=st.sampled_from([1.0, 30.0, 200.0, 1000.0]),
    pulled_ms=st.floats(1.0, 4999.9),
    bounces=st.lists(st.floats(0.3, 0.99), max_size=60),
    stopped_ms=st.none() | st.floats(1.0, 5000.0),
    party=st.integers(1, 4),
)
@example(30.0, 4990.0, [], None, 4)
@example(30.0, 4990.0, [0.5, 0.4], 4995.0, 2)
@example(200.0, 4900.0, [0.9] * 30, None, 2)
def test_by_hand_who_pulls_the_door_in_time_is_never_left_out_of_the_count(
    settle_ms: float,
    pulled_ms: float,
    bounces: list[float],
    stopped_ms: float | None,
    party: int,
) -> None:
    """However long the contact bounces (each time for a part of the settling time), and whatever
    ends the release meanwhile."""
    rules = RuleSettings(counting="manual", lines=frozenset({"door_contact", "exit_button"}))
    engine = Engine(rules, SensingSettings(contact_settle_ms=settle_ms))
    rest(engine)
    engine.event(Command(10_000.0, "access_door", party))
    stop_ms = inf if stopped_ms is None else 10_000.0 + max(stopped_ms, pulled_ms)
    at_ms, effects = 10_000.0 + pulled_ms, TimedEffects()
    lasting = [part * settle_ms for part in bounces[len(bounces) % 2 :]]
    for number, lasts_ms in enumerate([*lasting, 4000.0]):
        if at_ms > stop_ms:
            effects += engine.event(Command(stop_ms, "release_cancel"))
            stop_ms = inf
        effects += engine.edge(Edge(at_ms, "door_contact", level=number % 2 == 0))
        at_ms += lasts_ms
    effects += engine.edge(Edge(at_ms, "door_contact", level=False))
    effects += engine.advance(at_ms + 10_000.0)
    assert engine.state.occupancy.max == party
    assert Set("strike", True) not in [effect for _, effect in effects]
    assert "door_alarm" not in names(effects)


def test_deadline_that_is_not_consumed_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(RuleSettings(), SensingSettings())
    monkeypatch.setattr("controller.engine.deadline", lambda state, settings: 5.0)
    engine.event(Command(1.0, "ring_chime", 0))
    with pytest.raises(RuntimeError, match="no progress at 5"):
        engine.advance(6.0)


def test_next_deadline_is_the_earlier_of_both() -> None:
    engine = Engine(RuleSettings(), SensingSettings())
    rest(engine)
    engine.advance(100.0)
    first = engine.deadline()
    engine.event(Command(1000.0, "access_door", 1))
    after = engine.deadline()
    assert after is not None
    assert first is None or first >= 1000.0
    effects: list[Effect] = [effect for _, effect in engine.advance(after)]
    assert effects


@pytest.mark.parametrize("category", CATEGORIES)
def test_party_after_a_release_of_its_size_is_never_silently_wrong(category: str) -> None:
    for played in parties(category, 1, 900_000, 40):
        for width in {False, played.door_width_mm > 0}:
            inside = believed(played, release=True, width=width)
            assert inside.min <= truth(played) <= inside.max
            assert not inside.certain or inside.count == truth(played)


@pytest.mark.parametrize("made", [evening, step_evening])
def test_evening_with_its_releases_is_never_silently_wrong(
    made: Callable[..., Scene],
) -> None:
    asked = {True: 0, False: 0}
    for seed in range(900_000, 900_004):
        played = made(seed, crossings=80)
        sensing = SensingSettings(beam_spacing_mm=played.spacing_mm)
        for releases in asked:
            found = night(played.edges, played.crossings, sensing, releases=releases)
            asked[releases] += found.asked
            assert found.wrong == 0
    assert asked[True] <= asked[False]
