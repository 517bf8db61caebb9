"""All lines together: switches, storms, time, and that nothing depends on how it is driven."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.codec import encode
from controller.events import (
    INPUT_LINES,
    Contact,
    Doorway,
    Edge,
    Fault,
    Knock,
    Passage,
    Sensed,
)
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.support.sensed import storm
from tests.tools.doorway.scenes import evening
from tests.tools.doorway.score import sense
from tests.tools.doorway.sketch import edges

STORMY = ("beam_outer", "hatch_knock", "door_contact", "exit_button")


def contacts(events: list[Sensed]) -> list[tuple[float, str, bool]]:
    """Switches reported, in order."""
    return [(c.t_ms, c.line, c.active) for c in events if isinstance(c, Contact)]


def test_switch_reports_its_first_level_and_then_settled_ones() -> None:
    events = sense(edges("D+1000 D-1002 D+1004 D-2000 D+2003", wired="D"), SensingSettings())
    assert contacts(events) == [(0.0, "door_contact", False), (1034.0, "door_contact", True)]


def test_press_with_settling_time_zero_counts_at_its_edge() -> None:
    events = sense(edges("X+1000 X-1001", wired="X"), SensingSettings(contact_settle_ms=0.0))
    assert contacts(events)[1:] == [(1000.0, "exit_button", True), (1001.0, "exit_button", False)]


def test_two_switches_settle_each_for_itself() -> None:
    events = sense(edges("D+1000 X+1010", wired="DX"), SensingSettings())
    assert contacts(events)[2:] == [(1030.0, "door_contact", True), (1040.0, "exit_button", True)]


def test_known_level_and_unknown_line_give_no_event() -> None:
    senses = Senses(SensingSettings(), {"beam_outer", "beam_inner", "hatch_knock"})
    assert senses.due == inf
    assert senses.edge(Edge(0.0, "evacuate", True)) == []
    assert senses.edge(Edge(0.0, "hatch_knock", True)) == []
    assert senses.edge(Edge(0.0, "beam_outer", False)) == []
    assert senses.edge(Edge(5.0, "beam_outer", False, resync=True)) == []
    assert senses.due == inf
    assert senses.tick(10.0) == []


def test_edge_found_by_re_reading_the_pin_is_an_edge() -> None:
    events = edges("O+1000 I+1090 O-1300 I-1390")
    found = [Edge(e.t_ms, e.line, e.level, resync=True) for e in events]
    assert sense(found, SensingSettings()) == sense(events, SensingSettings())


@pytest.mark.parametrize("line", STORMY)
def test_storm_is_a_fault_within_a_fifth_of_a_second_and_until_it_is_quiet(line: str) -> None:
    events = sense(
        [Edge(0.0, line, False), *storm(line)], SensingSettings(), {*STORMY, "beam_inner"}
    )
    begun, over = [s for s in events if isinstance(s, Fault)]
    assert begun.name == over.name == ("BeamChatter" if line == "beam_outer" else "LineChatter")
    assert begun.line == over.line == line
    assert begun.active
    assert not over.active
    assert begun.t_ms <= 5200.0
    assert 8000.0 < over.t_ms <= 15_000.0
    assert not [s for s in events if isinstance(s, Knock | Passage)]


def test_storm_does_not_hold_up_the_other_lines() -> None:
    walk = edges("O+6000 I+6090 O-6300 I-6390 D+6000", wired="OID")
    both = sorted([Edge(0.0, "hatch_knock", False), *walk, *storm("hatch_knock")], key=at)
    events = sense(both, SensingSettings())
    assert [(p.least, p.most) for p in events if isinstance(p, Passage)] == [(1, 1)]
    assert (6030.0, "door_contact", True) in contacts(events)


def at(edge: Edge) -> float:
    """When."""
    return edge.t_ms


def test_beam_in_a_storm_leaves_passages_of_the_other_uncertain_and_comes_back() -> None:
    walk = edges("I+6090 I-6390 O+20000 I+20090 O-20300 I-20390")
    events = sense(sorted([*walk, *storm("beam_outer")], key=at), SensingSettings())
    assert [(p.least, p.most, p.why) for p in events if isinstance(p, Passage)] == [
        (-1, 1, "beam_chatter"),
        (1, 1, ""),
    ]
    assert [d.busy for d in events if isinstance(d, Doorway)][-1] is False


def test_many_edges_over_a_long_time_are_no_storm() -> None:
    slow = [Edge(10.0 * k, "hatch_knock", k % 2 == 1) for k in range(3000)]
    assert not [s for s in sense(slow, SensingSettings()) if isinstance(s, Fault)]


def test_storm_that_goes_on_is_one_fault() -> None:
    events = sense(
        [Edge(0.0, "hatch_knock", False), *storm("hatch_knock", lasts_ms=6000)], SensingSettings()
    )
    assert len([s for s in events if isinstance(s, Fault)]) == 2


MOVES = st.lists(
    st.tuples(
        st.sampled_from(INPUT_LINES),
        st.booleans(),
        st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 400.0), st.floats(0.0, 90_000.0)),
    ),
    max_size=150,
)


@given(MOVES)
@settings(deadline=None, max_examples=150)
def test_any_edges_consume_deadlines_and_free_the_doorway(
    moves: list[tuple[str, bool, float]],
) -> None:
    now, rows = 0.0, [Edge(0.0, line, False) for line in INPUT_LINES]
    for line, level, later_ms in moves:
        now += later_ms
        rows.append(Edge(now, line, level))
    rows += [Edge(now + 1, line, False) for line in INPUT_LINES]
    events = sense(rows, SensingSettings())  # asserts that each tick consumes its deadline
    busy = [d for d in events if isinstance(d, Doorway)]
    assert not busy or (busy[-1].busy, busy[-1].coming_in) == (False, 0)
    assert all(p.least <= p.most for p in events if isinstance(p, Passage))
    assert all(0 <= d.coming_in <= 64 for d in busy)


def test_same_edges_give_the_same_events_also_in_pieces() -> None:
    rows = evening(7, crossings=30).edges
    once = sense(rows, SensingSettings())
    assert encode(sense(rows, SensingSettings())) == encode(once)
    ticked = Senses(SensingSettings(), {e.line for e in rows})
    events: list[Sensed] = []
    for row in rows:
        events += _woken(ticked, row.t_ms)
        ticked.tick(row.t_ms - 0.001)  # a tick too many changes nothing
        events += ticked.edge(row)
    assert [s for s in events + _woken(ticked, inf) if isinstance(s, Passage)] == [
        s for s in once if isinstance(s, Passage)
    ]


def _woken(senses: Senses, until_ms: float) -> list[Sensed]:
    events: list[Sensed] = []
    while (due := senses.due) < inf and due <= until_ms:
        events += senses.tick(due)
    return events


def test_lost_edges_that_are_re_read_converge() -> None:
    walk = edges("O+1000 I+1090 O-1300 I-1390")
    lost = [e for e in walk if e.t_ms != 1300.0]
    lost.append(Edge(1400.0, "beam_outer", False, resync=True))
    events = sense(sorted(lost, key=at), SensingSettings())
    assert [d.busy for d in events if isinstance(d, Doorway)][-1] is False
    assert [(p.least, p.most) for p in events if isinstance(p, Passage)] == [(0, 0)]
