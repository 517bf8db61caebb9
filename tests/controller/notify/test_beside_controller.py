"""The real controller's messages, as it publishes them, decided on here."""

from __future__ import annotations

from pathlib import Path

from controller.clock import wall_s
from controller.notify.decide import Decider, Snapshot
from controller.notify.notices import Notice, Now, Withdrawal
from tests.support.demo import Demo, house
from tests.support.subscriber import BASE
from tests.support.wait import eventually


def decided(demo: Demo) -> list[tuple[str, str]]:
    """Return key and word of all that is told of what the controller has said so far."""
    now = Now(1000.0, wall_s())
    decider = Decider(now, merge_ms=30_000.0, most_an_hour=30)
    found = []
    for message in list(demo.mqtt.messages):
        name = message.topic.removeprefix(BASE)
        for outgoing in decider.handle(name, message.payload, now):
            word = outgoing.word if isinstance(outgoing, Notice) else ""
            found.append((outgoing.key, word))
    return found


def test_a_knock_and_its_answer(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("knock_hatch")
        eventually(lambda: demo.state["hatch"]["waiting"] == 1)
        assert decided(demo) == [("hatch", "hatch_waits")]
        assert demo.mqtt.ask("answer_hatch")["ok"]
        eventually(lambda: demo.state["hatch"]["waiting"] == 0)
        assert decided(demo) == [("hatch", "hatch_waits"), (Withdrawal("hatch").key, "")]


def test_a_knock_at_the_door_until_it_opens(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        demo.simulator.act("knock_door")
        eventually(lambda: demo.state["door_knock"] is not None)
        demo.simulator.act("open_door")
        eventually(lambda: demo.state["door_knock"] is None)
        assert decided(demo) == [("door", "door_waits"), ("door", "")]


def test_an_evacuation_begins_and_ends_once(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("lock_open")["ok"]
        eventually(lambda: demo.state["door"]["mode"] == "LockedOpen")
        assert demo.mqtt.ask("lock_open_release")["ok"]
        eventually(lambda: demo.state["door"]["mode"] != "LockedOpen")
        assert decided(demo) == [("evacuation", "evacuation"), ("evacuation", "evacuation_over")]


def test_a_snapshot_has_all_that_is_looked_at(tmp_path: Path) -> None:
    with house(tmp_path) as demo:
        assert set(Snapshot.__struct_fields__) <= set(demo.state)
