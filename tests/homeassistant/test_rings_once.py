"""A knock rings once, whatever happens to clocks, connection and controller around it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.homeassistant.homeassistant import HomeAssistant
from tests.homeassistant.house import House, HouseProcess
from tests.support.cable import Cable
from tests.support.subscriber import Subscriber
from tests.support.wait import eventually
from tests.support.wall_clock import WallClock

pytestmark = pytest.mark.timeout(300)


class Bell:
    """The hatch's bell of one venue, who knocks there, and what the broker passed on."""

    def __init__(
        self, venue: str, ha: HomeAssistant, mqtt: Subscriber, knock: Callable[[], object]
    ) -> None:
        self.name = f"event.backdoor_{venue}_knock_at_the_hatch"
        self._topic = f"backdoor/{venue}/event/knock"
        self._ha, self._mqtt, self._knock = ha, mqtt, knock

    def ready(self) -> None:
        """Wait until Home Assistant shows it."""
        eventually(lambda: self._ha.state(self.name) not in ("", "unavailable"))

    def numbers(self) -> list[int]:
        """Return the number of each knock that was sent, in order, those sent again as well."""
        return [json.loads(payload)["seq"] for payload in self._mqtt.payloads(self._topic)]

    def rings(self) -> int:
        return self._ha.rings(self.name)

    def knock(self) -> None:
        """Knock until it rings."""
        before = self.rings()

        def rung() -> bool:
            self._knock()
            time.sleep(1.0)  # a knock is two raps, and the recorder writes once a second
            return self.rings() > before

        eventually(rung)

    def sent_again(self, number: int) -> bool:
        return self.numbers().count(number) > 1


def test_connection_cut_after_a_knock(
    ha: HomeAssistant, broker: Broker, mqtt: Subscriber, tmp_path: Path
) -> None:
    cable = Cable(broker.port)
    with closing(cable), House(tmp_path, cable.port, "house.venue=cable") as house:
        bell = Bell("cable", ha, mqtt, lambda: house.simulator.act("knock_hatch"))
        bell.ready()
        house.simulator.act("knock_hatch")
        eventually(bell.numbers)
        (number,) = bell.numbers()
        time.sleep(0.6)  # the instant at which it once rang twice
        cable.cut(silently=False)
        cable.mend()
        eventually(lambda: bell.sent_again(number))
        bell.ready()
        bell.knock()  # whatever comes again has come before it
        assert bell.rings() == len(set(bell.numbers()))


@pytest.mark.parametrize(("venue", "kill"), [("killed", True), ("stopped", False)])
def test_controller_is_killed_or_stopped_after_a_knock(
    ha: HomeAssistant, broker: Broker, mqtt: Subscriber, tmp_path: Path, venue: str, kill: bool
) -> None:
    with HouseProcess(tmp_path, broker.port, venue) as house:
        bell = Bell(venue, ha, mqtt, lambda: house.act("knock_hatch"))
        bell.ready()
        house.act("knock_hatch")
        eventually(bell.numbers)
        (number,) = bell.numbers()
        house.end(kill=kill)
        eventually(lambda: ha.state(bell.name) == "unavailable")
        house.start()
        bell.ready()
        bell.knock()  # whatever comes again has come before it
        assert bell.sent_again(number) is kill
        assert bell.rings() == len(set(bell.numbers()))


def test_clock_of_home_assistant_is_ahead(
    ha: HomeAssistant, house: House, mqtt: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ahead of a house that is behind: every knock rings, and Problem says what is wrong."""
    bell = Bell("bar", ha, mqtt, lambda: house.simulator.act("knock_hatch"))
    problem = "binary_sensor.backdoor_bar_problem"
    clock = WallClock(monkeypatch)
    clock.ahead_s = -35.0
    bell.knock()
    bell.knock()

    def said() -> str:
        return str(ha.states()[problem]["attributes"].get("reason", ""))

    def asked() -> bool:
        ha.call("button.press", "button.backdoor_bar_hatch_answered")
        return "ClockDiffers" in said()

    eventually(asked)
    assert ha.state(problem) == "on"
    assert "homeassistant, 35" in said() or "homeassistant, 34.9" in said()
    assert ha.state("binary_sensor.backdoor_bar_hatch_light") == "on"  # nothing stale is done
    clock.ahead_s = 0.0

    def works() -> bool:
        ha.call("button.press", "button.backdoor_bar_hatch_answered")
        return ha.state("binary_sensor.backdoor_bar_hatch_light") == "off"

    eventually(works)
    eventually(lambda: ha.state(problem) == "off")
