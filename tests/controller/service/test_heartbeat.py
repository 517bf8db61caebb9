"""The loop's histogram, when it started, and the radio's table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from controller.clock import Clock
from controller.service.heartbeat import BOUNDS_S, Latency, StartTime, signal_dbm
from tests.support.wait import eventually
from tests.support.wall_clock import WallClock

TABLE = """\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0
"""


def test_latency_counts_each_turn_at_its_bound() -> None:
    latency = Latency()
    for took_s in (0.0001, 0.0005, 0.0006, 0.3, 5.0):
        latency.add(took_s)
    values = latency.as_dict()
    assert values["bounds_s"] == BOUNDS_S
    assert values["turns"] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert values["sum_s"] == 5.3012


@pytest.mark.parametrize(("text", "dbm"), [(TABLE, -56), (TABLE[:160], None), ("x\ny\nz z", None)])
def test_signal_is_none_without_a_readable_row(text: str, dbm: int | None, tmp_path: Path) -> None:
    (tmp_path / "wireless").write_text(text)
    assert signal_dbm(str(tmp_path / "wireless")) == dbm
    assert signal_dbm(str(tmp_path / "none")) is None


def test_start_time_is_the_same_second_until_the_clock_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each change of it is a row in Home Assistant's recorder; a fast demo makes none either."""
    wall, clock = WallClock(monkeypatch), Clock(speed=20)
    started = StartTime(clock)
    at = started.at()
    eventually(lambda: clock.now_ms() > 10_000)
    assert started.at() == at
    wall.ahead_s = 60.0
    later = started.at()
    assert 59 <= (datetime.fromisoformat(later) - datetime.fromisoformat(at)).total_seconds() <= 61
