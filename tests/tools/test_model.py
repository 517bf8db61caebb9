"""A part of the model check small enough for every run, and proof that it would see a fault.

The whole walk is ``make model``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings
from msgspec import structs

from controller.events import (
    INPUT_LINES,
    Command,
    Contact,
    Effect,
    Event,
    Fault,
    Note,
    Passage,
    Started,
    Tick,
)
from controller.rules.occupancy import Occupancy, settled
from controller.rules.state import Grant, RuleSettings, State
from controller.rules.step import step
from controller.rules.transition import count_data
from tests.tools.model.alphabet import all_moves
from tests.tools.model.slices import FORGOTTEN, MOST_STEPS, TIMERS, forget, moves, part
from tests.tools.model.space import Move, key, normal, unseen
from tests.tools.model.walk import Slice, Walk

TimedEffects = tuple[State, tuple[Effect, ...]]
ONE = RuleSettings(capacity=1)
SMALL = [part(name, ONE) for name in ("knocks", "alarms", "sessions")]
MANUAL = part("guests", replace(ONE, counting="manual"))
TWO_WITNESSES = [
    part("witness", RuleSettings(capacity=capacity, lines=frozenset(INPUT_LINES) - without))
    for capacity, without in ((1, set()), (2, {"door_contact"}), (3, set()))
]


@pytest.mark.parametrize("small", [*SMALL, MANUAL], ids=lambda small: small.name)
def test_every_state_of_a_small_slice_keeps_the_laws(small: Slice) -> None:
    seen = Walk(small).run()
    assert not seen.ways, seen.ways[0]
    assert seen.states > 50


@pytest.mark.parametrize("part_of", TWO_WITNESSES, ids=lambda part_of: part_of.name)
def test_nobody_is_let_in_too_many_whatever_the_beams_take_for_one(part_of: Slice) -> None:
    seen = Walk(part_of).run(30_000)
    assert not seen.ways, seen.ways[0]
    assert seen.states > 200


@pytest.mark.parametrize("counting", ["auto", "manual"])
@pytest.mark.parametrize("without", [set(), {"door_contact"}])
def test_wrong_taps_that_are_taken_back_leave_the_truth(counting: str, without: set[str]) -> None:
    lines = frozenset(INPUT_LINES) - without
    seen = Walk(part("taps", RuleSettings(2, "release", counting, lines=lines))).run(15_000)
    assert not seen.ways, seen.ways[0]
    assert seen.states > 200


# --- would it see a fault? -----------------------------------------------------------------------


def _strike_back_on(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A door that closes with nobody through it makes the release live again."""
    after, effects = step(state, event, rules)
    shut = isinstance(event, Contact) and event.line == "door_contact" and not event.active
    if shut and after.grant is not None:
        after = structs.replace(after, grant=replace(after.grant, live=True))
    return after, effects


def _one_too_many(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """The rules believe in a place more than there is."""
    return step(state, event, replace(rules, capacity=rules.capacity + 1))


def _forgets_the_lock(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    after, effects = step(state, event, rules)
    return (structs.replace(after, locked_open=False), effects) if isinstance(event, Started) else (
        after, effects)  # fmt: skip


def _silent(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    after, effects = step(state, event, rules)
    return after, () if isinstance(event, Fault) else effects


def _half_refused(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A refused set_count ends the staff pass all the same."""
    after, effects = step(state, event, rules)
    if isinstance(event, Command) and event.name == "set_count" and event.number == -1:
        after = structs.replace(after, staff_pass=False)
    return after, effects


def _beams_alone(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A release is closed by what the beams saw, as it was before there were two witnesses."""
    after, effects = step(state, event, rules)
    if after.grant is not None:
        after = structs.replace(after, grant=replace(after.grant, most=0))
    return after, effects


def _straggler_answers(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A guest who is let in later is taken for the one who was missing."""
    after, effects = step(state, event, rules)
    if state.question is not None and isinstance(event, Passage) and event.least > 0:
        after = structs.replace(after, question=None, occupancy=settled(after.occupancy.count))
    return after, effects


def _never_asks(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    after, effects = step(state, event, rules)
    return structs.replace(after, question=None), effects


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (_beams_alone, "truth"),
        (_straggler_answers, "questions_are_told"),
        (_never_asks, "questions_are_told"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_fault_in_the_question_is_found(
    fault: Callable[[State, Event, RuleSettings], TimedEffects], law: str
) -> None:
    seen = Walk(part("witness", RuleSettings(capacity=2)), step=fault).run(30_000)
    assert seen.ways
    assert law in seen.ways[0]


def _undos_stand_still(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """What is put back is what was there, whoever has come and gone since."""
    after, effects = step(state, event, rules)
    if isinstance(event, Passage):
        still = tuple(
            replace(now, before=structs.replace(now.before, occupancy=old.before.occupancy))
            for now, old in zip(after.undos, state.undos, strict=False)
        )
        after = structs.replace(after, undos=still)
    return after, effects


def _undo_lets_in(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A release that a wrong count has spent is open again."""
    after, effects = step(state, event, rules)
    if isinstance(event, Command) and event.name == "undo" and after.grant is not None:
        after = structs.replace(after, grant=replace(after.grant, live=True, over=False))
    return after, effects


def _undo_twice(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    after, effects = step(state, event, rules)
    if isinstance(event, Command) and event.name == "undo":
        after = structs.replace(after, undos=state.undos)
    return after, effects


def _stop_stops_nothing(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    after, effects = step(state, event, rules)
    if isinstance(event, Command) and event.name == "release_cancel":
        after = structs.replace(after, grant=state.grant, timers=state.timers)
    return after, effects


def _counted_without_asking(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A let-in that is taken back is believed not to have been."""
    after, effects = step(state, event, rules)
    one = bool(state.undos) and state.undos[0].party == state.occupancy.max == 1
    if one and isinstance(event, Command) and event.name == "undo":
        people, told = state.undos[0].before.occupancy, ("question_asked", "question_ended")
        after = structs.replace(after, question=None, occupancy=people)
        others = [e for e in effects if not (isinstance(e, Note) and e.name in told)]
        return after, (*others, Note("count_adjusted", {"after": count_data(people)}))
    return after, effects


def _opens_too_late(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
    """A release whose time ends does not wait for a door that is opening."""
    if not isinstance(event, Tick):
        return step(state, event, rules)
    after, effects = step(structs.replace(state, door_opening=False), event, rules)
    return structs.replace(after, door_opening=state.door_opening), effects


@pytest.mark.parametrize(
    ("fault", "counting", "law"),
    [
        (_opens_too_late, "auto", "truth"),
        (_opens_too_late, "manual", "truth"),
        (_undos_stand_still, "auto", "truth"),
        (_undo_lets_in, "auto", "outputs_are_the_difference"),
        (_undo_twice, "auto", "taking_back_opens_nothing"),
        (_stop_stops_nothing, "auto", "stopped_is_off"),
        (_counted_without_asking, "manual", "truth"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_fault_in_taking_back_is_found(
    fault: Callable[[State, Event, RuleSettings], TimedEffects], counting: str, law: str
) -> None:
    slice_ = part("taps", RuleSettings(capacity=2, counting=counting))
    seen = Walk(slice_, step=fault).run(60_000)
    assert seen.ways
    assert law in seen.ways[0]


@pytest.mark.parametrize(
    ("fault", "name", "law"),
    [
        (_strike_back_on, "guests", "outputs_are_the_difference"),
        (_one_too_many, "guests", "outputs_are_the_difference"),
        (_forgets_the_lock, "locks", "locks_end_by_a_person"),
        (_silent, "guests", "changes_of_the_count_are_noted"),
        (_half_refused, "guests", "refused_means_nothing_happened"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_fault_in_the_rules_is_found_with_a_short_way_to_it(
    fault: Callable[[State, Event, RuleSettings], TimedEffects], name: str, law: str
) -> None:
    seen = Walk(part(name, RuleSettings(capacity=1)), step=fault).run(100_000)
    assert seen.ways
    assert law in seen.ways[0]
    assert len(seen.ways[0].splitlines()) <= 7


# --- may the slices be walked apart? -------------------------------------------------------------


@st.composite
def walks(draw: st.DrawFn) -> tuple[RuleSettings, list[str]]:
    """A house and a way through its whole alphabet."""
    rules = RuleSettings(
        capacity=draw(st.integers(1, 3)),
        entry=draw(st.sampled_from(["release", "walk_in"])),
        counting=draw(st.sampled_from(["auto", "manual"])),
        lines=frozenset(INPUT_LINES) - draw(st.sampled_from([frozenset(), {"door_contact"}])),
    )
    return rules, draw(st.lists(st.sampled_from(sorted(all_moves(rules))), max_size=30))


def _after(rules: RuleSettings, way: list[str]) -> State:
    state, alphabet = normal(State(), rules), all_moves(rules)
    for label in way:
        moved = alphabet[label](state, rules)
        if moved is not None:
            state = normal(step(*moved, rules)[0], rules)
    return state


RELEASED = (ONE, ["access_door 1"])
STAFF_AT_THE_BEAM = (ONE, ["staff_pass"])
OVER_WITH_SOMEBODY_IN_THE_DOORWAY = (
    replace(ONE, counting="manual", lines=ONE.lines - {"door_contact"}),
    ["access_door 1", "doorway busy", "release rings"],
)


@pytest.mark.parametrize("name", sorted(set(FORGOTTEN) - set(MOST_STEPS)))
@settings(max_examples=40)
@given(walk=walks())
@example(RELEASED)
@example(STAFF_AT_THE_BEAM)
@example(OVER_WITH_SOMEBODY_IN_THE_DOORWAY)
def test_slice_does_the_same_whatever_it_forgets(
    name: str, walk: tuple[RuleSettings, list[str]]
) -> None:
    """From any reachable state in which what speaks to the slice is at rest, each move of the
    slice leads to the same kept part as from that state with everything forgotten at rest."""
    rules, way = walk
    state = _settled(_at_rest(name, _after(rules, way), rules), rules)
    assert _at_rest(name, state, rules) == state
    at_rest = forget(name, rules, state)
    for label, move in moves(name, rules).items():
        whole, alone = (_kept(name, rules, begin, move) for begin in (state, at_rest))
        assert whole == alone, label


def _at_rest(name: str, state: State, rules: RuleSettings) -> State:
    """Return the state with what speaks to the slice at rest, timers and all left as they were.

    So is what the beams saw of a release.
    """
    if state.grant is not None:
        state = structs.replace(state, grant=unseen(state.grant, rules))
    others = tuple(fault for fault in state.faults if fault.name != FAULT_SPEAKS.get(name))
    speakers = {field: getattr(State(), field) for field in SPEAKS[name]}
    return structs.replace(state, **{"faults": others, **speakers})


def _settled(state: State, rules: RuleSettings) -> State:
    """Return what the rules make of a state when nothing happens: only such a state is ever left.

    A field put at rest by hand leaves its consequences behind: a timer that runs for a release
    that is gone.
    """
    return normal(step(state, Tick(0.0), rules)[0], rules)


def _kept(name: str, rules: RuleSettings, begin: State, move: Move) -> object:
    """Return what a slice keeps of the state after a move, None where it cannot happen."""
    moved = move(begin, rules)
    if moved is None:
        return None
    return key(forget(name, rules, normal(step(*moved, rules)[0], rules)))


#: What a slice leaves out though it does speak to what it keeps: walked there by another slice.
SPEAKS: dict[str, tuple[str, ...]] = {
    "guests": ("blocked", "locked_down", "locked_open", "question"),
    "locks": ("faults", "staff_pass", "question"),
    "sessions": ("faults", "grant", "staff_pass", "question"),
    "alarms": ("faults", "occupancy", "staff_pass", "blocked", "locked_down", "question"),
    "bolt": ("locked_down", "locked_open", "staff_pass", "question"),
    "knocks": (),
}
#: Where faults are kept: the one among them that no move of the slice raises.
FAULT_SPEAKS = {"guests": "LockNotLocked", "bolt": "BeamStuck"}


@pytest.mark.parametrize("name", sorted(SPEAKS))
def test_only_what_a_slice_forgets_is_put_at_rest_for_it(name: str) -> None:
    assert set(SPEAKS[name]) <= set(FORGOTTEN[name])


@pytest.mark.parametrize("name", sorted(FORGOTTEN))
def test_what_a_slice_keeps_changes_in_its_walk(name: str) -> None:
    seen: dict[str, set[object]] = {field: set() for field in State.__struct_fields__}

    def see(state: State, event: Event, rules: RuleSettings) -> TimedEffects:
        for field, values in seen.items():
            values.add(repr(getattr(state, field)))
        return step(state, event, rules)

    Walk(part(name, ONE), step=see).run(100_000)
    still = {field for field, values in seen.items() if len(values) == 1}
    assert still - {"t_ms"} <= set(FORGOTTEN[name])


def test_every_timer_is_walked() -> None:
    assert frozenset().union(*TIMERS.values()) == frozenset(everything_that_rings())


def everything_that_rings() -> set[str]:
    return {label.split()[0] for label in all_moves(RuleSettings()) if label.endswith(" rings")}


def test_normal_state_stands_for_itself() -> None:
    rules = RuleSettings()
    state = _after(rules, ["access_door 2", "one coming in", "Knock hatch", "set_count 1"])
    assert key(normal(state, rules)) == key(state)
    assert state.grant is not None
    other = structs.replace(state, occupancy=Occupancy(2, 2, 2), grant=Grant(1))
    assert key(normal(other, rules)) != key(state)
