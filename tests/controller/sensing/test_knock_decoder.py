"""Raps that no other test has: which events they give, where and when; and that nothing piles up.

Found by breaking the listener in small ways until no other test minded; each verdict was looked at.
"""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType

import pytest

from controller.events import Edge, Knock, KnockEnded
from controller.sensing.rhythms import learn, name_of
from controller.sensing.sensing import Senses
from controller.sensing.settings import SensingSettings
from tests.tools.doorway.scenes import evening
from tests.tools.doorway.score import sense
from tests.tools.doorway.sketch import edges, pulses

#: How many raps are a knock (if not 2), raps, and a contact that moves; + a knock and - its end.
TABLE = """
# the second rap comes just in time; it decides where, and when it is believed
h1000x1 h1130x3
    1980:+hatch,2 2330:-hatch,2
d1000x1 h1900x6
    nothing
h1000x9 d1900x4
    nothing
h1000x1 h1900x2
    nothing
d1000x4 h1300x3
    1424:+door,2 2500:-door,2
h1000x4 h1140x4
    1270:+hatch,2 2340:-hatch,2
h1000x9 h1169x9
    1329:+hatch,2 2369:-hatch,2
h1000x9 h1170x9
    1260:+hatch,2 2370:-hatch,2
h1000x9 h1150x9 h1300x9
    1310:+hatch,2 2500:-hatch,3
h1000x3 h1410x2
    2004.5:+hatch,2 2610:-hatch,2
h1000x4 h1420x4
    2029:+hatch,2 2620:-hatch,2
h1000x4 h1544x2
    2332.8:+hatch,2 2744:-hatch,2
h1000x4 h1570x2
    nothing
h1000x4 h1571x2
    nothing
# a door that moves takes what it shook, and no more
d1000x9 d1450x1 / D+1500
    nothing
h1000x6 h1140x9 / H+1200
    nothing
# raps about a soft one, in what sounds like music, and on both surfaces
h1000x3 d1905x5 h2810x4 d3710x6 h3910x6 h4480x1
    nothing
h1000x6 d1001x6 h1300x6 d1301x6
    1443:+hatch,2 2500:-hatch,2
h1000x6 d1001x6 h1450x6 d1451x6
    2102.5:+hatch,2 2650:-hatch,2
d1000x6 h1001x6 d1300x6 h1301x6 h1600x6 d1601x6
    1443:+door,2 2800:-door,3
# a knuckle is over after 68 ms, also with a pulse on the other side; what is longer is dragged
h1000x12 h1300x12
    1408:+hatch,2 2500:-hatch,2
h1000x13 h1300x13
    nothing
# slow, and one of four may be felt on both surfaces
h1000x4 h1500x2
    2225:+hatch,2 2700:-hatch,2
h1000x3 d1001x3 h1450x3 h1900x3
    nothing
h1000x3 d1001x3 h1450x3 h1900x3 h2350x3
    3002.5:+hatch,4 3550:-hatch,4
# closer than feet, even if soft
h1000x2 h1185x2
    1303:+hatch,2 2385:-hatch,2
# two slow ones that may be beats wait for the third; at another time it is none
h1000x5 h1500x4
    2225:+hatch,2 2700:-hatch,2
h1000x5 d1001x3 h1500x5 d1501x3
    2225:+hatch,2 2700:-hatch,2
h1000x5 d1001x3 h1500x5 d1501x3 h1900x5
    1966:+hatch,2 3100:-hatch,3
h1000x5 d1001x3 h1500x5 d1501x3 h1850x30
    2066:+hatch,2 2700:-hatch,2
h1000x5 d1001x3 h1500x5 d1501x3 h2000x5 d2001x3 h2500x5 d2501x3 h3000x5 d3001x3
    nothing
# in even music: a rap that falls on a beat, with another between them; two loud beats
h500x3 d501x3 h1000x3 d1001x3 h1500x3 h2000x3 d2001x3 h2500x3 d2501x3 h3000x7 d3001x6 h3200x5
    3266:+hatch,2 4400:-hatch,2
h500x3 d501x3 h1000x3 d1001x3 h1500x3 h2000x3 d2001x3 h2500x3 d2501x3 h3000x6 h3500x7
    nothing
# two people, each at a place of their own
h1000x6 d1200x6 d1480x6
    1552:+door,2 2680:-door,2
h1000x6 d1080x6 h1300x6 d1380x6
    1372:+hatch,2 1452:-hatch,2 1452:+door,2 2580:-door,2
h1000x4 d1100x6 h1300x4 d1400x6
    1360:+hatch,2 1472:-hatch,2 1472:+door,2 2600:-door,2
h1000x9 d1600x6 d1850x6
    1922:+door,2 3050:-door,2
h1000x9 d1700x6 d1950x6
    2022:+door,2 3150:-door,2
h1000x16 d1050x10 h1400x16 d1450x10
    1546:+hatch,2 2600:-hatch,2
h1000x16 d1064x12 h1400x16 d1464x12
    nothing
h1000x3 d1100x2 h2000x4 h2100x9 h2520x5 d2519x2
    2586:+hatch,2 3719:-hatch,2
h1000x3 d1100x2 h2000x4 h2100x6 h2520x4 d2519x2
    nothing
d1000x12 h1002x12 d1140x3 h1250x9 d2250x4 h2700x2 h2830x3 d2830x3
    1264:+door,2 4030:-door,4
h1000x12 d1700x3 h1701x2 h2250x2 d2249x1 h2750x2 h4750x3 d4752x1 h8250x3
    3476.45:+hatch,4 3950:-hatch,4
# one rap is enough (raps 1): which one, where, and what is no second one
1 h1000x3
    1054:+hatch,1 2200:-hatch,1
1 h1000x2
    1048:+hatch,1 2200:-hatch,1
1 h1000x9 d999x9
    1090:+door,1 2199:-door,1
1 h1000x9 h1350x2
    1090:+hatch,1 2200:-hatch,1
1 h1000x6 d1350x9 h1351x7
    1072:+hatch,1 2200:-hatch,1
1 h1000x3 h4500x2
    1054:+hatch,1 2200:-hatch,1 4548:+hatch,1 5700:-hatch,1
1 h1000x2 d1410x9 h2710x2
    1048:+hatch,1 2200:-hatch,1
1 d1000x3 h1550x5 h5050x4 d5052x2
    1054:+door,1 2200:-door,1
1 d1000x4 h1350x4 h1700x4 / D+2000
    1060:+door,1 1760:-door,1 1760:+hatch,2 2900:-hatch,2
# three are asked for (raps 3)
3 h1000x6 d1900x9 h1902x2 d2100x6 h2100x4
    nothing
3 h1000x9 d1100x9 h1300x9 d1400x9 h1600x9 d1700x9
    1690:+hatch,3 1790:-hatch,3 1790:+door,3 2900:-door,3
3 h1000x9 h1700x6 h2400x9 h3405x4 h3655x9 h4655x12
    2490:+hatch,3 5855:-hatch,6
"""
LINES = [line for line in TABLE.splitlines() if line and not line.startswith("#")]
EXPECTED = dict(zip(LINES[::2], (line.strip() for line in LINES[1::2]), strict=True))


@pytest.mark.parametrize("text", EXPECTED)
def test_raps(text: str) -> None:
    raps, drawn = (int(text[0]), text[2:]) if text[0].isdigit() else (2, text)
    drawn, _, moved = drawn.partition(" / ")
    events = sense(
        edges(f"{pulses(drawn)} {moved}", wired="hdDH"), SensingSettings(knock_raps=raps)
    )
    knocks = [
        f"{s.t_ms:g}:{'+' if isinstance(s, Knock) else '-'}{s.place},{s.raps}"
        for s in events
        if isinstance(s, Knock | KnockEnded)
    ]
    assert (" ".join(knocks) or "nothing") == EXPECTED[text]


def test_knock_of_many_raps_counts_to_thirty_two() -> None:
    events = sense(
        edges(pulses(" ".join(f"h{1000 + 200 * k}x6" for k in range(50))), wired="h"), TWO
    )
    assert [s.raps for s in events if isinstance(s, KnockEnded)] == [32]


def test_two_raps_of_middling_strength_are_put_off_until_no_rumble_follows() -> None:
    """Four short pulses each: 5.3, firm, and together too weak to be believed at once."""
    rows = [Edge(0.0, "hatch_knock", False)]
    for rap_ms in (1000.0, 1300.0):
        for pulse in range(4):
            rows += [Edge(rap_ms + 6 * pulse, "hatch_knock", True)]
            rows += [Edge(rap_ms + 6 * pulse + 1, "hatch_knock", False)]
    (knock,) = [s for s in sense(rows, TWO) if isinstance(s, Knock)]
    assert knock.t_ms == 1300 + 19 + 110


TWO = SensingSettings()


def held_by(root: object) -> int:
    """How many objects hang on this one."""
    seen: set[int] = set()
    left = [root]
    while left:
        found = left.pop()
        if id(found) not in seen and not isinstance(found, type | ModuleType | FunctionType):
            seen.add(id(found))
            left += gc.get_referents(found)
    return len(seen)


def test_memory_is_bounded() -> None:
    beats = " ".join(f"h{400 * k}x{2 + k % 3} d{400 * k + 1}x{1 + k % 4}" for k in range(9, 900))
    rows = [*edges(pulses("h400x9 h700x9 " + beats), wired="hd"), *evening(3, crossings=60).edges]
    senses = Senses(TWO, {"hatch_knock", "door_knock", "beam_outer", "beam_inner"})
    sizes = []
    for number, row in enumerate(sorted(rows, key=when)):
        while (due := senses.due) <= row.t_ms:
            senses.tick(due)
        senses.edge(row)
        if number % 500 == 499:
            sizes.append(held_by(senses))
    assert len(sizes) > 10
    assert max(sizes[2:]) <= max(sizes[:2]) + 60, sizes


def when(edge: Edge) -> float:
    """Time of an edge."""
    return edge.t_ms


# --- rhythms ------------------------------------------------------------------------------------


def test_what_is_learned_is_relative_to_the_longest_and_rounded() -> None:
    assert learn([0.0, 100.0, 300.0, 1000.0]) == (0.143, 0.286, 1.0)


def test_rhythm_of_another_length_hides_no_later_one() -> None:
    assert name_of([0, 100, 300], (("short", (1.0,)), ("right", (0.5, 1.0)))) == "right"
    assert name_of([0, 100, 300], ()) == ""


@pytest.mark.parametrize(
    ("gaps", "name"),
    [
        ((0.75, 1.0, 1.0), "Ada"),  # a quarter of the longest off, once
        ((0.76, 1.0, 1.0), ""),
        ((0.6, 0.9, 0.9), "Ada"),  # a little off everywhere
        ((0.6, 0.8, 0.9), ""),
        ((0.6, 1.0, 0.75), "Ada"),
        ((0.6, 1.0, 0.7), ""),
    ],
)
def test_how_far_off_a_rhythm_may_be(gaps: tuple[float, ...], name: str) -> None:
    assert name_of([0.0, 100.0, 300.0, 500.0], (("Ada", gaps),)) == name
