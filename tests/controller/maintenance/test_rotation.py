"""Which backups stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from controller.maintenance.rotation import STAMP, Kept, prune, to_keep

FIRST = datetime.fromisoformat("2025-01-01T08:30")


def nights(count: int) -> list[datetime]:
    return [FIRST + timedelta(days=number) for number in range(count)]


def test_a_year_of_mornings_leaves_days_weeks_and_months() -> None:
    stay = sorted(to_keep(nights(365), Kept()), reverse=True)
    assert stay[:7] == nights(365)[:-8:-1]
    assert {each.isocalendar()[1] for each in stay} >= {1, 52, 51, 50}
    assert {(each.year, each.month) for each in stay} == {(2025, month) for month in range(1, 13)}
    assert len(stay) <= 7 + 4 + 12


def test_each_morning_in_turn_keeps_what_all_at_once_would() -> None:
    kept: set[datetime] = set()
    for each in nights(800):
        kept = to_keep({*kept, each}, Kept())
    assert kept == to_keep(nights(800), Kept())


def test_a_bar_that_was_shut_for_months_keeps_its_old_ones() -> None:
    made = [*nights(10), FIRST + timedelta(days=200)]
    assert len(to_keep(made, Kept())) >= 7


def test_two_of_one_day_keep_the_later() -> None:
    made = [FIRST, FIRST + timedelta(hours=1)]
    assert to_keep(made, Kept()) == {made[1]}


def test_prune_touches_nothing_but_this_bars_backups(tmp_path: Path) -> None:
    mine = [f"backdoor-bar-{each.strftime(STAMP)}.tar.gz" for each in nights(20)]
    others = [
        f"backdoor-bar-2-{FIRST.strftime(STAMP)}.tar.gz",
        "backdoor-bar-20259999T083000.tar.gz",
        "backdoor-bar-20250101T083000.tar.gz.part",
        "holiday.jpg",
    ]
    for name in (*mine, *others):
        (tmp_path / name).touch()
    (tmp_path / "backdoor-bar-20240101T083000.tar.gz").mkdir()
    removed = prune(tmp_path, "bar", Kept(days=2, weeks=0, months=0))
    assert [path.name for path in removed] == mine[:-2]
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {*mine[-2:], *others}
