"""What of a bar's events waits for the centre, and in which order it goes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.centre import Bar, bar, before_joining, rows
from web.nights import outbox
from web.nights.database import Database, Row, connect
from web.nights.store import Store

#: The second run begins anew, as after a new journal, and has a hole.
RUNS: Sequence[tuple[str, Sequence[int]]] = (
    ("b0", range(1, 8)),
    ("b1", [*range(1, 9), *range(11, 14)]),
)
NUMBERS = [(boot, seq) for boot, seqs in RUNS for seq in seqs]


def joined(folder: Path) -> list[Row]:
    """Let a bar live, one run after the other, and return its numbers."""
    return [before_joining(folder, [run]) for run in RUNS][-1]


def sent(mine: Bar, most: int) -> list[tuple[str, int]]:
    """Take so many events at most, as if the centre had acknowledged them."""
    found = outbox.first(mine.database, most)
    outbox.acknowledged(mine.database, [position for position, _ in found])
    return [(event.boot, event.seq) for _, event in found]


@pytest.mark.parametrize("most", [1, 3, 7, 12, 100])
def test_past_goes_in_parts_and_goes_on_after_a_restart(most: int, tmp_path: Path) -> None:
    joined(tmp_path)
    whole: list[tuple[str, int]] = []
    for _ in range(0, len(NUMBERS), most):
        with bar(tmp_path, []) as mine:
            assert mine.waiting() == len(NUMBERS) - len(whole)
            assert outbox.first(mine.database, most) == outbox.first(mine.database, most)
            whole += sent(mine, most)
    assert whole == NUMBERS
    with bar(tmp_path, []) as mine:
        mine.happen([14], "b1")
        assert sent(mine, most) == [("b1", 14)]
        assert mine.waiting() == 0


def test_past_is_not_copied(tmp_path: Path) -> None:
    """Years of it would be hundreds of megabytes, in one transaction."""
    joined(tmp_path)
    with bar(tmp_path, []) as mine:
        assert mine.database.rows("SELECT COUNT(*) FROM outbox") == [(0,)]
        assert mine.waiting() == len(NUMBERS)


def test_what_is_not_kept_is_as_old_as_the_one_before_it_also_in_the_next_part(
    tmp_path: Path,
) -> None:
    joined(tmp_path)
    with bar(tmp_path, []) as mine:
        whole = [event for _, event in outbox.first(mine.database, 100)]
        parts = []
        while mine.waiting():
            found = outbox.first(mine.database, 1)
            parts += [event for _, event in found]
            outbox.acknowledged(mine.database, [position for position, _ in found])
    assert parts == whole
    third = whole[2]
    assert (third.name, third.at_s) == (outbox.COUNTED, whole[1].at_s)


class Dying:
    """A store whose program is killed at its so-manyth statement."""

    def __init__(self, database: Database, last: int) -> None:
        self._database, self._left = database, last

    def __getattr__(self, name: str) -> Any:
        if name in ("rows", "many", "commit"):
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return getattr(self._database, name)


@pytest.mark.parametrize("leaving", [False, True])
def test_killed_at_any_statement_a_bar_joins_and_leaves_wholly_or_not_at_all(
    leaving: bool, tmp_path: Path
) -> None:
    def live(folder: Path) -> Path:
        folder.mkdir()
        joined(folder)
        if leaving:
            with bar(folder, []):
                pass
        return folder

    def die(folder: Path, last: int) -> bool:
        with closing(connect(str(folder / "bar.db"), writing=True)) as database:
            try:
                Store(Dying(database, last), {}, time.time, outbox_of="" if leaving else "bar")
            except KeyboardInterrupt:
                return True
        return False

    for last in itertools.takewhile(
        lambda last: die(live(tmp_path / str(last)), last), itertools.count()
    ):
        with bar(tmp_path / str(last), []) as mine:
            assert sent(mine, 100) == NUMBERS


def test_outbox_of_before_the_past_had_a_table_goes_on(tmp_path: Path) -> None:
    """One in which the past was copied, at positions below zero."""
    with bar(tmp_path, []) as mine:
        mine.happen([1, 2])
        mine.database.rows("UPDATE outbox SET position = position - 10")
        mine.database.rows("DROP TABLE past")
        mine.database.commit()
    with bar(tmp_path, []) as mine:
        assert mine.waiting() == 2
        assert sent(mine, 100) == [("b1", 1), ("b1", 2)]
        assert mine.waiting() == 0
    assert rows(str(tmp_path / "bar.db"), "SELECT COUNT(*) FROM outbox") == [(0,)]
