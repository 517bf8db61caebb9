"""What Home Assistant's own recorder writes of us: by its database, in the controller's time."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.homeassistant.homeassistant import HomeAssistant
from tests.homeassistant.house import House
from tests.support.wait import eventually

pytestmark = pytest.mark.timeout(600)

HOUR_S = 3600.0
#: An hour in three quarters of a minute: longer than a state is shown that nobody repeats.
FAST = 80.0
#: Two hours of one party; see the integrations' README.
EVENING_ROWS = 130


def rows(ha: HomeAssistant, venue: str) -> int:
    return len(ha.recorded(f"%.backdoor_{venue}%"))


def settled(ha: HomeAssistant, venue: str) -> int:
    """Return how many rows there are when no more come."""
    seen = [-1, rows(ha, venue)]

    def no_more() -> bool:
        time.sleep(4.0)  # the recorder writes once a second
        seen.append(rows(ha, venue))
        return seen[-1] == seen[-2]

    eventually(no_more)
    return seen[-1]


def pass_by(house: House, seconds: float) -> None:
    """Wait until so much of the house's time has gone by."""
    until_ms = house.running.clock.now_ms() + seconds * 1000
    eventually(lambda: house.running.clock.now_ms() >= until_ms, 300)


def party_of_four(house: House) -> None:
    """Each is let in, they knock for four rounds, and leave after two hours and a bit."""
    act = house.simulator.act
    for _ in range(4):
        act("press_release")
        act("walk_in")
    for _ in range(4):
        act("knock_hatch")
        pass_by(house, 60.0)
        act("open_hatch")
        act("close_hatch")
    pass_by(house, 2 * HOUR_S)
    for _ in range(4):
        act("walk_out")


@pytest.mark.parametrize("guests", [0, 3])
def test_hour_in_which_nothing_happens_writes_nothing(
    ha: HomeAssistant, broker: Broker, tmp_path: Path, guests: int
) -> None:
    """Nobody inside, or a party that sits and drinks."""
    with House(tmp_path, broker.port, "house.venue=idle", speed=FAST) as house:
        eventually(lambda: ha.state("lock.backdoor_idle") == "locked")
        for _ in range(guests):
            house.simulator.act("walk_in")
        eventually(lambda: ha.state("sensor.backdoor_idle_guests") == str(guests))
        before = settled(ha, "idle")
        assert before > 0
        pass_by(house, HOUR_S)
        assert ha.recorded("%.backdoor_idle%")[before:] == []


def test_evening_writes_no_more_than_is_stated(
    ha: HomeAssistant, broker: Broker, tmp_path: Path
) -> None:
    with House(tmp_path, broker.port, "house.venue=evening", speed=FAST) as house:
        eventually(lambda: ha.state("lock.backdoor_evening") == "locked")
        before = settled(ha, "evening")
        party_of_four(house)
        eventually(lambda: ha.state("sensor.backdoor_evening_session") == "no_session")
        settled(ha, "evening")
        by_entity = Counter(name for name, _ in ha.recorded("%.backdoor_evening%")[before:])
    print(by_entity.total(), by_entity.most_common())  # noqa: T201 - with -s
    assert by_entity.total() <= EVENING_ROWS, by_entity.most_common()
