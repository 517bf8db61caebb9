"""Which backups stay: the newest of each of the last days, weeks and months that have one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from controller.maintenance.archive import ENDING, PREFIX

#: Local time, as it stands in a backup's name.
STAMP = "%Y%m%dT%H%M%S"


class Kept(NamedTuple):
    """How many days, weeks and months keep their newest backup."""

    days: int = 7
    weeks: int = 4
    months: int = 12


def to_keep(made: Iterable[datetime], kept: Kept) -> set[datetime]:
    """Return those that stay, of all that were made."""
    newest_first = sorted(made, reverse=True)
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (kept.days, datetime.date),
        (kept.weeks, lambda each: each.isocalendar()[:2]),
        (kept.months, lambda each: (each.year, each.month)),
    )
    stay: set[datetime] = set()
    for count, period in periods:
        newest: dict[object, datetime] = {}
        for each in newest_first:
            newest.setdefault(period(each), each)
        stay.update(list(newest.values())[:count])
    return stay


def prune(folder: Path, venue: str, kept: Kept) -> list[Path]:
    """Remove this venue's backups that need not stay, and nothing else; return what was removed."""
    named = re.compile(rf"{re.escape(PREFIX + venue)}-(\d{{8}}T\d{{6}}){re.escape(ENDING)}")
    made: dict[datetime, Path] = {}
    for path in folder.iterdir():
        found = named.fullmatch(path.name)
        if found and path.is_file():
            with suppress(ValueError):  # a name like ours, and no time: not ours
                made[datetime.fromisoformat(found[1])] = path
    old = [made[each] for each in sorted(made.keys() - to_keep(made, kept))]
    for path in old:
        path.unlink()
    return old
