"""A few rounds of what ``make chaos`` does a thousand times."""

from __future__ import annotations

from pathlib import Path

from tests.support.wait import HANGS_S
from tests.tools.chaos.rounds import brokers, cuts, kills


def quiet(line: str) -> None:
    """Tell nobody."""


def test_killed_at_random_instants_of_an_evening(tmp_path: Path) -> None:
    assert kills(tmp_path, rounds=4, seed=7, tell=quiet)["events"] > 0


def test_the_broker_killed_stopped_and_frozen_in_the_evening(tmp_path: Path) -> None:
    assert brokers(tmp_path, rounds=3, seed=7, tell=quiet, limit_s=HANGS_S)["events"] > 0


def test_the_journal_cut_in_its_last_writes(in_memory: Path) -> None:
    done = cuts(in_memory, rounds=75, seed=7, tell=quiet)
    assert done == {"cuts of the tail": 225, "cuts of the wal": 225}
