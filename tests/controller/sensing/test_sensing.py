"""All lines together: switches, storms, time, and that nothing depends on how it is driven."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.codec import encode
from controller.events import (
    INPUT_LINES,
    SWITCHES,
    Contact,
    Doorway,
    Edge,
    Fault,
    Knock,
    Opening,
    Passage,
    Sensed,
)
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.support.noise import LASTS_MS, at_rest, both, hum, knock_at, spike
from tests.support.sensed import storm
from tests.tools.doorway.scenes import evening
from tests.tools.doorway.score import sense
from tests.tools.doorway.sketch import edges, pulses

STORMY = ("beam_outer", "hatch_knock", "door_contact", "exit_button")


def contacts(events: list[Sensed]) -> list[tuple[float, str, bool]]:
    """Switches reported, in order."""
    return [(c.t_ms, c.line, c.active) for c in events if isinstance(c, Contact)]


def test_switch_reports_its_first_level_and_then_settled_ones() -> None:
    events = sense(edges("D+1000 D-1002 D+1004 D-2000 D+2003", wired="D"), SensingSettings())
    assert contacts(events) == [(0.0, "door_contact", False), (1034.0, "door_contact", True)]


def test_press_with_settling_time_zero_counts_once_it_is_no_spike() -> None:
    events = sense(edges("X+1000 X-1001", wired="X"), SensingSettings(contact_settle_ms=0.0))
    assert contacts(events)[1:] == [(1000.2, "exit_button", True), (1001.2, "exit_button", False)]


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
    walk = edges("O+6000 I+6090 O-6300 I-6390 D+6010", wired="OID")
    both = sorted([Edge(0.0, "hatch_knock", False), *walk, *storm("hatch_knock")], key=at)
    events = sense(both, SensingSettings())
    assert [(p.least, p.most) for p in events if isinstance(p, Passage)] == [(1, 1)]
    assert (6040.0, "door_contact", True) in contacts(events)


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
    slow = [Edge(75.0 * k, "hatch_knock", k % 2 == 1) for k in range(3000)]
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


# --- knock sensors and beams that never rest -----------------------------------------------------


@pytest.mark.parametrize(
    ("every_ms", "active_ms"), [(10.0, 5.0), (20.0, 10.0), (20.4, 1.0), (55.0, 3.0)]
)
@pytest.mark.parametrize(("line", "other"), [("hatch_knock", "d"), ("door_knock", "h")])
def test_knock_sensor_that_hums_is_a_fault_and_the_other_is_heard(
    line: str, other: str, every_ms: float, active_ms: float
) -> None:
    knocks = [edge for k in range(4) for edge in knock_at(other, 9011.3 + 2000 * k)]
    events = sense(both(at_rest(), hum(line, every_ms, active_ms), knocks), SensingSettings())
    begun, over = [s for s in events if isinstance(s, Fault)]
    assert (begun.name, begun.line, over.name, over.line) == ("LineChatter", line) * 2
    assert begun.t_ms <= 8000.0
    assert LASTS_MS <= over.t_ms <= LASTS_MS + 3000
    places = [s.place for s in events if isinstance(s, Knock)]
    assert places == ["door" if other == "d" else "hatch"] * 4


def test_knock_sensor_that_was_muted_is_heard_again_when_it_is_quiet() -> None:
    rows = both(at_rest(), hum("hatch_knock", 20.0, 10.0), knock_at("h", LASTS_MS + 5000))
    assert len([s for s in sense(rows, SensingSettings()) if isinstance(s, Knock)]) == 1


@pytest.mark.parametrize(("every_ms", "active_ms"), [(2.0, 1.0), (10.0, 5.0), (20.0, 10.0)])
@pytest.mark.parametrize("line", ["beam_outer", "beam_inner"])
def test_beam_that_hums_is_a_fault_and_counts_nobody(
    line: str, every_ms: float, active_ms: float
) -> None:
    events = sense([*at_rest(), *hum(line, every_ms, active_ms)], SensingSettings())
    begun, over = [s for s in events if isinstance(s, Fault)]
    assert (begun.name, begun.line, over.name) == ("BeamChatter", line, "BeamChatter")
    assert begun.t_ms <= 8000.0
    assert over.t_ms >= LASTS_MS
    assert not [s for s in events if isinstance(s, Passage) and (s.least, s.most) != (0, 0)]


# --- one spike on several lines ------------------------------------------------------------------

LASTING = [0.01, 0.3, 5.0, 20.0, 31.0, 45.0, 60.0, 300.0, 900.0]


def moves(events: list[Sensed]) -> list[Sensed]:
    """What somebody or something did, first readings, what is not known yet and faults left out."""
    first = [Contact(0.0, line, False) for line in SWITCHES]
    doorway = [s for s in events if isinstance(s, Doorway)]
    assert all(s.coming_in == 0 for s in doorway)
    return [s for s in events if s not in first and not isinstance(s, Fault | Doorway | Opening)]


@pytest.mark.parametrize("lasts_ms", LASTING)
@pytest.mark.parametrize("settle_ms", [0.0, 30.0])
def test_spike_on_all_lines_is_interference_and_moves_nobody(
    lasts_ms: float, settle_ms: float
) -> None:
    settings_ = SensingSettings(contact_settle_ms=settle_ms)
    events = sense([*at_rest(), *spike(5000.0, lasts_ms)], settings_)
    assert moves(events) == []
    begun, over = [s for s in events if isinstance(s, Fault)]
    assert (begun.name, begun.line, begun.active) == ("LineInterference", "inputs", True)
    assert (over.name, over.line, over.active) == ("LineInterference", "inputs", False)
    assert begun.t_ms < 5000.1
    assert 9999.0 < over.t_ms < 10_000.1 + lasts_ms


@pytest.mark.parametrize(
    "lines",
    [
        ("release_button", "evacuate"),
        ("hatch_knock", "release_button"),
        ("door_contact", "bolt_contact"),
        ("beam_outer", "exit_button"),
        ("beam_outer", "beam_inner", "hatch_knock"),
        tuple(reversed(INPUT_LINES)),
    ],
)
def test_spike_on_any_lines_that_have_no_one_cause_moves_nobody(lines: tuple[str, ...]) -> None:
    events = sense([*at_rest(), *spike(5000.0, 45.0, lines)], SensingSettings())
    assert [s for s in moves(events) if not isinstance(s, Passage)] == []
    assert not [s for s in events if isinstance(s, Passage) and (s.least, s.most) != (0, 0)]
    assert "LineInterference" in {s.name for s in events if isinstance(s, Fault)}


@pytest.mark.parametrize("every_ms", [270.0, 2300.0])
def test_spikes_that_go_on_are_one_fault_and_no_knock(every_ms: float) -> None:
    train = [edge for k in range(20) for edge in spike(5000.0 + every_ms * k, 40.0)]
    events = sense([*at_rest(), *train], SensingSettings())
    assert moves(events) == []
    assert len([s for s in events if isinstance(s, Fault)]) == 2


@pytest.mark.parametrize("lasts_ms", [0.01, 1.0, 10.0, 40.0])
def test_real_guest_and_real_knock_survive_a_spike_at_any_time(lasts_ms: float) -> None:
    door = edges("D+3000 D-9000", wired="")
    walk = edges("O+5000 I+5112 O-5350 I-5462", wired="")
    for t_ms in range(4950, 5520, 11):
        noise = spike(t_ms + 0.5, lasts_ms)
        events = sense(both(at_rest(), door, walk, noise), SensingSettings())
        assert [(s.least, s.most) for s in events if isinstance(s, Passage)] == [(1, 1)], t_ms
        assert contacts(events)[len(SWITCHES) :] == [
            (3030.0, "door_contact", True),
            (9030.0, "door_contact", False),
        ]
        raps = edges(pulses("h5000x6 h5240x6 h5480x6"), wired="")  # one may be hidden
        events = sense(both(at_rest(), raps, noise), SensingSettings())
        assert [s.place for s in events if isinstance(s, Knock)] == ["hatch"], t_ms


def test_door_that_moves_in_a_spike_is_late_but_told() -> None:
    rows = both(at_rest(), spike(5000.0, 40.0), edges("D+5020 D-8000 D+12000", wired=""))
    opened = contacts(sense(rows, SensingSettings()))[len(SWITCHES) :]
    assert [active for _, _, active in opened] == [True, False, True]
    assert 5040.0 < opened[0][0] < 5100.0


def test_levels_that_a_spike_leaves_are_believed_after_a_second_but_no_press() -> None:
    rows = [*at_rest(), *spike(5000.0, 60_000.0)]
    events = sense([row for row in rows if row.t_ms < 10_000], SensingSettings())
    told = {line for _, line, active in contacts(events) if active}
    assert told == set(SWITCHES) - {"release_button", "exit_button"}
    assert {t_ms > 6000.0 for t_ms, _, active in contacts(events) if active} == {True}
    assert {s.line for s in events if isinstance(s, Fault) and s.name == "BeamStuck"} == {
        "beam_outer",
        "beam_inner",
    }


def test_guest_who_comes_while_it_is_not_known_whether_the_door_is_open_is_no_phantom() -> None:
    spiked = spike(5000.0, 60_000.0, ("door_contact", "hatch_contact"))
    walk = edges("O+5300 I+5412 O-5650 I-5762", wired="")
    rows = [row for row in both(at_rest(), spiked, walk) if row.t_ms < 10_000]
    events = sense(rows, SensingSettings())
    assert [(s.least, s.most) for s in events if isinstance(s, Passage)] == [(1, 1)]


@pytest.mark.parametrize(
    "lines",
    [
        ("beam_outer", "beam_inner"),
        ("hatch_knock", "door_knock"),
        ("hatch_knock", "door_knock", "door_contact"),
        ("door_knock", "bolt_contact"),
        ("beam_inner", "hatch_knock"),
    ],
)
def test_what_light_or_one_blow_can_do_is_no_interference(lines: tuple[str, ...]) -> None:
    events = sense([*at_rest(), *spike(5000.0, 2.0, lines)], SensingSettings())
    assert not [s for s in events if isinstance(s, Fault)]


def test_line_that_chatters_makes_no_interference_of_what_it_meets() -> None:
    noise = hum("bolt_contact", 300.0, 3.0)
    presses = edges(" ".join(f"X+{9000 + 900 * k} X-{9300 + 900 * k}" for k in range(5)), wired="")
    events = sense(both(at_rest(), noise, presses), SensingSettings())
    assert [s.name for s in events if isinstance(s, Fault)] == ["LineChatter"] * 2
    assert len([c for c in contacts(events) if c[1] == "exit_button"]) == 11


def test_edges_found_by_re_reading_at_one_moment_are_no_interference() -> None:
    lines = ("door_contact", "evacuate")
    lost = [Edge(5000.0, line, True, resync=True) for line in lines]
    events = sense([*at_rest(), *lost], SensingSettings())
    assert contacts(events)[len(SWITCHES) :] == [(5030.0, line, True) for line in lines]


def test_edge_a_moment_later_than_a_tenth_of_a_millisecond_is_no_interference() -> None:
    rows = [Edge(5000.0, "exit_button", True), Edge(5000.11, "door_contact", True)]
    events = sense([*at_rest(), *rows], SensingSettings())
    assert len(contacts(events)) == len(SWITCHES) + 2
