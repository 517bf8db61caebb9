"""A few rounds of what ``make chaos`` does a thousand times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wait import HANGS_S
from tests.tools.chaos.rot import processes, rot
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


@pytest.mark.parametrize("seed", [1, 2])
def test_disk_that_rots_stops_no_start_and_makes_no_count_certain(
    seed: int, in_memory: Path
) -> None:
    done = rot(in_memory, rounds=100, seed=1000 * seed, tell=quiet)
    assert sum(done[said] for said in ("certain", "asks", "safe mode")) == 100


def test_start_on_a_damaged_journal_killed_at_instants_leaves_its_doubt() -> None:
    """In a process of its own, which has one thread only and may fork."""
    asked = [sys.executable, "-m", "tests.tools.chaos.rounds", "instants", "5"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=HANGS_S * 10)
    assert done.returncode == 0, done.stderr
    assert '"bad rows"' in done.stdout


def test_real_starts_on_a_rotten_disk_killed_at_random_instants(in_memory: Path) -> None:
    done = processes(in_memory, rounds=4, seed=5, tell=quiet)
    assert done["starts"] + done.get("safe mode", 0) == 4
