"""Knocks: raps that are a knock at once, what only sounds like one, and rhythms with a name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from controller.events import Edge, Knock, KnockEnded, Sensed
from controller.sensing.knocks import Knocks
from controller.sensing.rhythms import learn, name_of
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.tools.doorway import any_wall
from tests.tools.doorway.any_wall import any_hour
from tests.tools.doorway.score import listen, sense
from tests.tools.doorway.sketch import edges, pulses
from tests.tools.doorway.wall import KINDS, NOISES, TOGETHER, hour

TRACES = Path(__file__).parents[2] / "traces"
HELD_OUT = 800_000


def heard(text: str, settings: SensingSettings | None = None, also: str = "") -> list[Sensed]:
    """Return the knocks of these raps (and sketched edges)."""
    events = sense(edges(pulses(text) + " " + also, wired="hdDH"), settings or SensingSettings())
    return [s for s in events if isinstance(s, Knock | KnockEnded)]


def short(events: list[Sensed]) -> list[tuple[str, str, int]]:
    """Kind, place and raps of each."""
    return [
        (type(s).__name__, s.place, s.raps) for s in events if isinstance(s, Knock | KnockEnded)
    ]


def test_second_rap_is_a_knock_at_once_and_its_silence_the_end() -> None:
    events = heard("h1000x6 h1300x6 h1600x6")
    assert short(events) == [("Knock", "hatch", 2), ("KnockEnded", "hatch", 3)]
    assert events[0].t_ms == 1300 + 32 + 40  # the rap's own ringing, and the gap that ends it
    assert events[1].t_ms == 1600 + 1200


def test_cross_talk_does_not_name_the_other_surface() -> None:
    assert short(heard("d1000x6 h1002x2 d1300x6 h1303x3"))[0] == ("Knock", "door", 2)
    assert short(heard("h999x2 d1000x6 d1300x6 h1299x3"))[0] == ("Knock", "door", 2)
    assert short(heard("h1000x4 d1001x4 h1300x4 d1301x4"))[0] == ("Knock", "hatch", 2)


@pytest.mark.parametrize("later_ms", [300, 600, 900, 1100, 1300])
@pytest.mark.parametrize(("first", "second"), ["hd", "dh"])
def test_knock_at_the_other_place_is_heard_while_the_first_is_still_on(
    first: str, second: str, later_ms: int
) -> None:
    at_ms = 1300 + later_ms
    events = heard(f"{first}1000x6 {first}1300x6 {second}{at_ms}x6 {second}{at_ms + 250}x6")
    places = {"h": "hatch", "d": "door"}
    knocks = [k.place for k in events if isinstance(k, Knock)]
    assert knocks == [places[first], places[second]]
    assert [k.raps for k in events if isinstance(k, KnockEnded)] == [2, 2]


def test_one_rap_at_the_other_place_is_no_knock() -> None:
    assert [k.place for k in heard("h1000x6 h1300x6 d1700x6") if isinstance(k, Knock)] == ["hatch"]
    late = heard("h1000x6 h1300x6 d1550x6 h1800x6 h2050x6 d2800x6")
    assert [k.place for k in late if isinstance(k, Knock)] == ["hatch"]


def test_one_rap_is_a_knock_only_where_it_is_set_so() -> None:
    assert heard("h1000x6") == []
    once = SensingSettings(knock_raps=1)
    assert short(heard("h1000x6", once)) == [("Knock", "hatch", 1), ("KnockEnded", "hatch", 1)]
    assert heard("h1000x1", once) == []
    # soon after other sounds even a single rap must be a strong one
    assert short(heard("h1000x1 h3000x2 h5500x9", once))[0] == ("Knock", "hatch", 1)
    assert len(heard("h1000x1 h3000x2 h5500x9", once)) == 2


def test_three_raps_where_it_is_set_so() -> None:
    thrice = SensingSettings(knock_raps=3)
    assert heard("h1000x6 h1300x6", thrice) == []
    assert short(heard("h1000x6 h1300x6 h1600x6", thrice))[0] == ("Knock", "hatch", 3)
    assert heard("h1000x2 h1300x2", thrice) == []  # a soft pair, waited for, is still only two


def test_soft_quick_pair_waits_for_rumble_and_a_soft_slow_one_for_the_next_beat() -> None:
    quick = heard("h1000x2 h1300x3")
    assert short(quick)[0] == ("Knock", "hatch", 2)
    assert 1300 < quick[0].t_ms < 1300 + 150
    slow = heard("h1000x3 h1500x3")
    assert short(slow)[0] == ("Knock", "hatch", 2)
    assert slow[0].t_ms == pytest.approx(1500 + 1.45 * 500)
    assert heard("h1000x3 h1500x3 h2000x3 h2500x3 h3000x3") == []
    assert heard("h1000x1 h1500x2") == []  # too soft for so slow
    assert heard("h1000x3 d1001x3 h1500x3 d1501x3") == []  # heard everywhere: a beat


def test_music_is_not_a_knock_and_a_knock_in_music_is() -> None:
    beats = " ".join(f"h{t}x2 d{t + 2}x2" for t in range(1000, 9000, 500))
    assert heard(beats) == []
    events = heard(beats + " h5200x9 h5420x9")
    assert short(events) == [("Knock", "hatch", 2), ("KnockEnded", "hatch", 2)]


def test_dragging_slams_and_phones_are_rumble() -> None:
    drag = " ".join(f"h{t}x3" for t in range(1000, 3000, 75))
    assert heard(drag) == []
    assert heard("h1000x30 d1010x40 h1300x9 h1600x9") == []
    assert short(heard("h1000x30 h1800x6 h2000x6"))[0][0] == "Knock"
    assert heard("h1000x6 h1100x3") == []  # too close for knuckles
    assert len(heard("h1000x6 h1300x6 h1600x30")) == 2  # a knock stays one, whatever follows


def test_door_or_hatch_that_moves_masks_before_and_after() -> None:
    raps = "h1000x6 h1300x6"
    assert heard(raps, also="D+990") == []
    assert heard(raps, also="H+990") == []
    assert heard("h1000x6 h1350x6", also="D+1200") == []
    assert len(heard(raps, also="D+1500")) == 2  # reported before the door moved
    assert len(heard("h1000x6 h3000x6 h3300x6", also="D+2500")) == 2


@pytest.mark.parametrize("key", ["D", "H"])
def test_knock_waits_until_it_is_known_whether_a_door_moves(key: str) -> None:
    raps = "h1000x6 h1300x6"  # decided at 1372
    flicker = f"{key}+1360 {key}-1363"
    assert [k.t_ms for k in heard(raps, also=flicker) if isinstance(k, Knock)] == [1393.0]
    assert heard(raps, also=f"{key}+1360") == []
    late = f"{key}+1375"
    assert [k.t_ms for k in heard(raps, also=late) if isinstance(k, Knock)] == [1372.0]


def test_own_strike_and_chime_are_muted() -> None:
    senses = Senses(SensingSettings(), {"hatch_knock"})
    for edge in edges(pulses("h1000x6"), wired="h"):
        senses.edge(edge)
    senses.mute_knocks(1001.0)
    events: list[Sensed] = []
    for edge in edges(pulses("h1150x6 h1500x6"), wired=""):
        while (due := senses.due) <= edge.t_ms:
            events += senses.tick(due)
        events += senses.edge(edge)
    assert events == []


def test_pulse_that_began_before_the_start_is_no_knock() -> None:
    knocks = Knocks(SensingSettings())
    assert knocks.edge(0, 5.0, False) == []
    assert knocks.edge(0, 10.0, True) == []
    assert knocks.edge(1, 11.0, False) == []
    assert knocks.tick(60.0) == []


def test_rhythm_has_its_name_at_any_tempo() -> None:
    shave = [0, 400, 600, 800, 1200, 2000, 2400]
    settings = SensingSettings(
        regulars=(("Ada", learn([2 * t for t in shave])), ("Bo", (1.0, 0.5)))
    )
    events = heard(" ".join(f"h{1000 + t}x6" for t in shave), settings)
    assert [s.regular for s in events if isinstance(s, KnockEnded)] == ["Ada"]
    other = heard("h1000x6 h1300x6 h1600x6", settings)
    assert [s.regular for s in other if isinstance(s, KnockEnded)] == [""]
    assert [type(s) for s in events] == [type(s) for s in other]


def test_learning_needs_two_raps_and_a_name_three() -> None:
    assert learn([]) == learn([5.0]) == learn([5.0, 5.0]) == ()
    assert learn([0, 100, 300]) == (0.5, 1.0)
    assert name_of([0.0, 100.0], (("x", (1.0,)),)) == ""
    assert name_of([0, 100, 300], (("far", (0.4, 1.0)), ("near", (0.52, 1.0)))) == "near"


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("double", 0.985),
        ("triple", 0.985),
        ("rhythm", 0.99),
        ("soft", 0.92),
        ("in loud bass", 0.85),
    ],
)
def test_held_out_knocks(kind: str, share: float) -> None:
    heard = [listen(hour(HELD_OUT + k, {kind: KINDS[kind]}), SensingSettings()) for k in range(5)]
    true, found = sum(h.true for h in heard), sum(h.found for h in heard)
    assert found >= share * true
    assert sum(h.placed for h in heard) >= 0.97 * found


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("bottle", 0),
        ("phone", 0),
        ("slam", 0),
        ("strike", 0),
        ("drag", 2),
        ("music", 1),
        ("steps", 2),
    ],
)
def test_held_out_noises(kind: str, most: int) -> None:
    assert listen(hour(HELD_OUT, {kind: NOISES[kind]}), SensingSettings()).false <= most


@pytest.mark.parametrize("kind", TOGETHER)
def test_held_out_knocks_that_both_sensors_hear_alike(kind: str) -> None:
    heard = [
        listen(hour(HELD_OUT + k, {kind: TOGETHER[kind]}), SensingSettings()) for k in range(3)
    ]
    assert sum(h.found for h in heard) >= 0.92 * sum(h.true for h in heard)
    assert sum(h.false for h in heard) <= 1


@pytest.mark.parametrize(
    ("kind", "share"), [("ordinary", 0.94), ("faint", 0.84), ("both at once", 0.9)]
)
def test_held_out_knocks_on_walls_of_many_kinds(kind: str, share: float) -> None:
    walls = [any_hour(HELD_OUT + k, {kind: any_wall.KNOCKS[kind]}) for k in range(3)]
    heard = [listen(wall, SensingSettings()) for wall in walls]
    assert sum(h.found for h in heard) >= share * sum(h.true for h in heard)
    assert sum(h.false for h in heard) <= 1


def test_held_out_footsteps_with_heel_and_toe() -> None:
    walls = [any_hour(HELD_OUT + k, {"": any_wall.NOISES["footsteps"]}) for k in range(2)]
    assert sum(listen(wall, SensingSettings()).false for wall in walls) <= 20  # of 300 walks


def test_raps_that_both_surfaces_feel_are_not_two_people_who_take_turns() -> None:
    events = heard("h1000x9 d1002x6 h1300x6 d1302x9")
    assert short(events)[0][:1] == ("Knock",)
    assert short(events)[0][2] == 2


def test_faint_raps_are_a_knock_once_no_next_step_came() -> None:
    faint = heard("h1000x1 h1250x1")
    assert short(faint)[0] == ("Knock", "hatch", 2)
    assert faint[0].t_ms == 1000 + 700
    assert short(heard("h1000x1 h1150x1 h1300x1"))[0] == ("Knock", "hatch", 3)  # even: no feet
    assert heard("h1000x1 h1150x1") == []  # heel and toe


def test_heel_and_toe_are_not_a_knock() -> None:
    feet = " ".join(f"h{t}x3 h{t + 150}x2" for t in range(1000, 5000, 500))
    assert heard(feet) == []


def test_rap_between_the_beats_need_not_be_louder_than_they_are() -> None:
    beats = " ".join(f"h{t}x3 d{t + 2}x3" for t in range(1000, 9000, 500))
    assert short(heard(f"{beats} h6150x4 h6350x4"))[0] == ("Knock", "hatch", 2)
    assert heard(f"{beats} h6150x2 h6350x2") == []
    uneven = " ".join(f"h{t}x3 d{t + 2}x3" for t in (1000, 1500, 2150, 2700, 3300, 4000, 4550))
    assert heard(f"{uneven} h4800x4 h5000x4") == []


def test_hour_of_another_generator() -> None:
    with (TRACES / "knocks.csv").open(newline="") as file:
        rows = [Edge(float(r["t_ms"]), r["line"], r["level"] == "1") for r in csv.DictReader(file)]
    truth = json.loads((TRACES / "knocks.truth.json").read_text())["episodes"]
    events = sense(rows, SensingSettings())
    knocks = [k for k in events if isinstance(k, Knock)]
    ends = [k for k in events if isinstance(k, KnockEnded)]
    assert [(k.place, k.raps) for k in ends] == [(e["sensor"], e["raps"]) for e in truth]
    for knock, episode in zip(knocks, truth, strict=True):
        assert episode["t_ms"] < knock.t_ms < episode["t_last_ms"] + 900


def test_pulse_that_never_began_is_not_taken_back() -> None:
    knocks = Knocks(SensingSettings())
    knocks.unpulse(0)  # nothing was heard at all
    knocks.edge(0, 0.0, True)
    heard = knocks._hit
    knocks.unpulse(1)  # nor anything there
    assert knocks._hit is heard is not None
    knocks.unpulse(0)
    assert knocks._hit is None
