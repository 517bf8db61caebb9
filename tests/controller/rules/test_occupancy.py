"""The one gate of the count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.occupancy import MOST_PEOPLE, Occupancy, gate, moved, settled, unseen

passages = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(sorted)


def as_tuple(occupancy: Occupancy) -> tuple[int, int, int, bool]:
    return occupancy.count, occupancy.min, occupancy.max, occupancy.certain


@pytest.mark.parametrize(
    ("before", "least", "most", "after"),
    [
        (settled(2), 1, 1, (3, 3, 3, True)),
        (settled(2), -1, -1, (1, 1, 1, True)),
        (settled(2), 0, 1, (2, 2, 3, False)),
        (settled(2), 1, 2, (3, 3, 4, False)),
        (settled(2), -1, 0, (2, 1, 2, False)),
        (settled(2), -2, -1, (1, 0, 1, False)),
        (settled(0), -1, -1, (0, 0, 1, False)),
        (settled(0), -1, 1, (0, 0, 1, False)),
        (settled(99), 1, 1, (99, 99, 99, False)),
    ],
)
def test_passage_moves_only_the_bounds_that_it_must(
    before: Occupancy, least: int, most: int, after: tuple[int, int, int, bool]
) -> None:
    assert as_tuple(moved(before, least, most)) == after


def test_clear_exit_after_a_possible_entry_is_certain() -> None:
    assert as_tuple(moved(moved(settled(0), 0, 1), -1, -1)) == (0, 0, 0, True)


def test_doubted_count_stays_uncertain_until_it_is_set() -> None:
    doubted = moved(settled(0), -1, -1)
    assert not moved(moved(doubted, 1, 1), -2, -2).certain
    assert settled(0).certain


def test_unseen_widens_the_range_and_keeps_the_count() -> None:
    assert as_tuple(unseen(settled(3), least=0, most=4)) == (3, 0, 4, False)


@given(st.lists(passages, max_size=30))
def test_truth_stays_inside_the_range_as_long_as_each_verdict_holds(
    verdicts: list[list[int]],
) -> None:
    occupancy, truth = settled(0), 0
    for least, most in verdicts:
        step = max(least, min(most, -truth if truth + most < 0 else most))
        if truth + step < 0 or truth + step > MOST_PEOPLE:
            continue
        truth += step
        occupancy = moved(occupancy, least, most)
        assert 0 <= occupancy.min <= occupancy.count <= occupancy.max <= MOST_PEOPLE
        assert occupancy.min <= truth <= occupancy.max


@given(st.builds(Occupancy, st.integers(), st.integers(), st.integers(), st.booleans()))
def test_gate_makes_any_restored_count_legal(found: Occupancy) -> None:
    passed = gate(found)
    assert 0 <= passed.min <= passed.count <= passed.max <= MOST_PEOPLE
    assert gate(passed) == passed
