"""The store: clocks that are wrong, disks that are full, what is forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.codec import encode, iso
from tests.support.postgres import Postgres
from web.nights.database import Database, StoreError, connect
from web.nights.events import Event, parse
from web.nights.queries import reading
from web.nights.spans import Span, parse_span
from web.nights.store import Store

#: 25 November 2026, 21:00 in Milan.
EVENING_S = 1_795_636_800.0
ALL = Span("year", "all", parse_span("2000").first, parse_span("2999").last)


def event(
    seq: int, at_s: float = EVENING_S, *, t_s: float | None = None, boot: str = "b1"
) -> Event:
    t_s = float(seq) if t_s is None else t_s
    body = {"seq": seq, "boot": boot, "at": iso(at_s), "t_ms": 1000 * t_s}
    return parse("bar", "entry", encode({**body, "count": 1, "min": 1, "max": 1}))


Opened = Callable[[str], Store]


@pytest.fixture
def store_at() -> Iterator[Opened]:
    """Open stores; a page that starts anew opens another."""
    opened: list[Database] = []

    def open_at(address: str) -> Store:
        opened.append(connect(address, writing=True))
        return Store(opened[-1], {}, time.time)

    yield open_at
    for database in opened:
        database.close()


def take(store: Store, seqs: range) -> None:
    """Take events one by one, each committed."""
    for seq in seqs:
        store.add(event(seq))
        store.commit()


def nights(address: str) -> dict[str, int]:
    """Return the guests of each night."""
    with reading(address, "bar") as reader:
        return {row.night: row.totals["guests"] for row in reader.nights(ALL)}


def test_events_of_before_the_clock_was_set_get_their_night(address: str, store_at: Opened) -> None:
    store = store_at(address)
    for seq in (1, 2):
        store.add(event(seq, at_s=seq))  # 1 January 1970
    store.commit()
    store.fold_changed()
    assert nights(address) == {}
    with reading(address, "bar") as reader:
        assert reader.unplaced() == 2
    store = store_at(address)  # the page started anew meanwhile
    store.add(event(3, EVENING_S, t_s=7203))
    store.fold_changed()
    with reading(address, "bar") as reader:
        assert reader.unplaced() == 0
        placed = reader.events(parse_span("2026-11-25"), "bar")
    assert [round(one.at_s - EVENING_S) for one in placed] == [-7202, -7201, 0]
    store.add(event(4, 5.0, t_s=7300))  # stepped back to nowhere: the run knows better
    store.fold_changed()
    with reading(address, "bar") as reader:
        assert reader.unplaced() == 0


def test_only_the_oldest_nights_go_whatever_the_clock_says(address: str, store_at: Opened) -> None:
    store = store_at(address)
    for number in range(10):
        store.add(event(number + 1, EVENING_S + 86_400 * number))
    store.add(event(11, EVENING_S + 30 * 365 * 86_400))  # a clock that was set wrong
    store.fold_changed()
    store.forget(30)
    assert len(nights(address)) == 11
    store.forget(5)
    assert list(nights(address))[:2] == ["2026-12-01", "2026-12-02"]
    assert len(nights(address)) == 5


def test_run_that_is_heard_again_after_a_restart_counts_once(
    address: str, store_at: Opened
) -> None:
    for _ in range(2):
        store = store_at(address)
        assert [store.add(event(seq)) for seq in (1, 2, 4)].count(True) in (0, 3)
        store.fold_changed()
    store = store_at(address)
    assert [store.add(event(seq)) for seq in (1, 2, 3, 4)] == [False, False, True, False]


def test_full_disk_is_said_and_takes_nothing_back(tmp_path: Path, store_at: Opened) -> None:
    address = str(tmp_path / "nights.db")
    store = store_at(address)
    store.add(event(1))
    store.fold_changed()
    database = connect(address, writing=True)
    (pages,) = database.rows("PRAGMA page_count")[0]
    database.rows(f"PRAGMA max_page_count = {pages}")
    small = Store(database, {}, time.time)
    with pytest.raises(StoreError, match="the disk is full; make room"):
        take(small, range(2, 2000))
    database.close()
    store = store_at(address)
    for seq in range(2, 2000):  # the broker sends again what was not committed
        store.add(event(seq))
    store.fold_changed()
    with reading(address, "bar") as reader:
        events = reader.events(parse_span("2026-11-25"), "bar")
    assert [one.seq for one in events] == list(range(1, 2000))


def test_postgres_that_goes_away_is_said_and_is_there_again(
    postgres: Postgres, store_at: Opened
) -> None:
    address = postgres.new_database()
    store = store_at(address)
    store.add(event(1))
    store.commit()
    postgres.stop()
    store.add(event(2))
    with pytest.raises(StoreError, match=r"^(?!.*before or while).*is the server there"):
        store.commit()
    with pytest.raises(StoreError), reading(address, "bar"):
        pass
    postgres.start()
    store = store_at(address)
    assert store.add(event(2))
    store.fold_changed()
    assert nights(address)["2026-11-25"] == 1


def test_folder_that_is_missing_and_file_that_is_none(tmp_path: Path, store_at: Opened) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        connect(str(tmp_path / "none" / "nights.db"), writing=True)
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(StoreError, match="is no database"):
        store_at(str(tmp_path / "text"))
    with pytest.raises(StoreError, match="cannot be opened"), reading(str(tmp_path / "x"), None):
        pass
    assert not (tmp_path / "x").exists(), "who only reads makes no file"
