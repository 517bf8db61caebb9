"""After a kill nothing is missing; after a power cut what is missing shows as a gap in ``seq``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import WIRING
from controller.journal.journal import Journal, read_last
from controller.service import assembly
from tests.support.demo import house
from tests.support.wait import eventually

EVACUATE = WIRING["evacuate"].pin


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What is on the disk of a house in the middle of its evening."""
    with house(tmp_path / "house") as demo:
        demo.simulator.act("walk_in")
        eventually(lambda: demo.mqtt.events("entry"))
        assert demo.mqtt.ask("set_count", count=2)["ok"]
        (tmp_path / "left").mkdir()
        for file in (tmp_path / "house").glob("journal.db*"):
            shutil.copy(file, tmp_path / "left")
    return tmp_path / "left"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()


def reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next house find a machine that was started ten seconds ago."""
    monkeypatch.setattr(assembly, "boot_id", lambda: "the next boot")
    monkeypatch.setattr(assembly, "boottime_ms", lambda: 10_000.0)


def newest(folder: Path) -> int:
    return read_last(str(folder / "journal.db"), 1)[-1].seq


def test_kill_is_followed_by_the_next_number(left: Path) -> None:
    last = newest(left)
    with house(left) as demo:
        assert demo.state["occupancy"]["count"] == 2
        assert demo.mqtt.ask("set_count", count=1)["ok"]
        eventually(lambda: demo.mqtt.events("count_adjusted"))
        seqs = [row.seq for row in read_last(str(left / "journal.db"), 99)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > last


def test_power_cut_reuses_no_number(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = newest(left)
    reboot(monkeypatch)
    with house(left) as demo:
        assert demo.state["seq"] > last
        assert not demo.state["occupancy"]["certain"]
        assert demo.mqtt.ask("set_count", count=1)["ok"]
        # What the broker may not have got before the cut comes first.
        eventually(lambda: (demo.mqtt.events("count_adjusted") or [{"seq": 0}])[-1]["seq"] > last)
        assert demo.mqtt.events("count_adjusted")[-1]["seq"] > last + 1000
        rows = read_last(str(left / "journal.db"), 9999)
        kept = {row.seq: json.loads(row.to_json()) for row in rows}
        events = demo.mqtt.events("count_adjusted")
        for event in events:
            event.pop("late_s", None)  # of this delivery, not of the event: the journal has none
        assert all(kept[event["seq"]] == event for event in events)


def test_clean_reboot_leaves_no_gap_in_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("set_count", count=1)["ok"]
    last = newest(tmp_path)
    reboot(monkeypatch)
    with house(tmp_path) as demo:
        assert demo.mqtt.ask("set_count", count=2)["ok"]
        eventually(lambda: demo.mqtt.events("count_adjusted"))
    assert last < newest(tmp_path) < last + 20


class Watched:
    """The states that were synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[Mapping[str, Any]] = []
        sync = Journal.sync

        def noted(journal: Journal) -> None:
            sync(journal)
            kept = journal.saved()
            self.synced.append({} if kept is None else kept.state)

        monkeypatch.setattr(Journal, "sync", noted)


def test_evacuation_by_input_is_on_disk_before_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fire and power cut come together: nobody asked for it, and no restart may forget it."""
    watched = Watched(monkeypatch)
    with house(tmp_path) as demo:
        demo.pin(EVACUATE).drive_high()
        eventually(lambda: demo.state["door"]["mode"] == "LockedOpen")
        assert any(state.get("locked_open") for state in watched.synced)
