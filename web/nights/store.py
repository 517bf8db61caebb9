"""Writing into the store: each event once, and the nights that it changes folded again.

Used by one thread; a centre's store also by several processes, each with a `Store` of its own. An
event is known by venue, run (``boot``) and number (``seq``): the ranges of numbers that have come
are kept, so an event that comes twice is found at once, and a number that never comes stays a gap
that can be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from controller.codec import decode
from web.nights import outbox
from web.nights.database import Database, Row, is_postgres
from web.nights.events import KEPT, Event, night_of
from web.nights.fold import TOTALS, Folded, fold
from web.nights.gaps import missing_in, ranges
from web.nights.schema import prepare

#: A night whose clock is not known yet.
UNKNOWN = ""
USUAL_CAPACITY = 4
#: A column holds no more.
MOST_MISSING = 10**9
#: So many runs of controllers are held in memory: those of all bars that tell now.
MOST_RUNS = 500

_NIGHT_COLUMNS = ("exact", *TOTALS)


@dataclass(slots=True)
class Seen:
    """A range of numbers of one run that have all come, and when the first and last happened."""

    first: int
    last: int
    first_s: float
    last_s: float


@dataclass(slots=True)
class _Run:
    """What is known of one run of a controller.

    ``offset_s`` is the wall time at its house time zero, None until its clock was set or as long as
    nobody needs it; events of before have come if ``unplaced``.
    """

    ranges: list[Seen]
    offset_s: float | None
    unplaced: bool


class Store:
    """The nights of some venues; ``capacities`` says how many guests fill each.

    ``now_s`` is the wall clock, seconds since 1970. All methods may raise `StoreError`: then
    nothing since the last commit is kept, and the store is to be closed and opened again.

    ``outbox_of`` names the venue whose events also go into the outbox. ``shared``: others write at
    the same time, so nothing that was read is remembered after the commit, and venues are
    locked until then, in their order: `expect` all runs of a transaction first.
    """

    def __init__(
        self,
        database: Database,
        capacities: Mapping[str, int],
        now_s: Callable[[], float],
        *,
        outbox_of: str = "",
        shared: bool = False,
    ) -> None:
        self._db = database
        self._outbox_of, self._shared = outbox_of, shared
        self._to_send: list[Event] = []
        self._capacities = capacities
        self._now_s = now_s
        self._runs: dict[tuple[str, str], _Run] = {}
        self._changed_runs: set[tuple[str, str]] = set()
        self._changed_nights: set[tuple[str, str]] = set()
        self._events: list[tuple[object, ...]] = []
        #: Whether a hole in the numbers came or went since somebody has set it back.
        self.holes_changed = False
        self.id = prepare(database)
        if outbox_of:
            outbox.prepare(database, outbox_of)
        elif not shared and not is_postgres(database.name):
            outbox.leave(database)

    def add(self, event: Event) -> bool:
        """Take one event; return whether it is new. It lasts from `commit` on."""
        key = event[:2]
        if key not in self._runs:
            self.expect([key])
        run = self._runs[key]
        if any(part.first <= event.seq <= part.last for part in run.ranges):
            return False
        if event.venue == self._outbox_of:
            self._to_send.append(event)
        if event.at_s:
            run.offset_s = event.at_s - event.t_ms / 1000
        elif run.offset_s is None:
            run.offset_s = self._offset_s(event.venue, event.boot)
        offset_s = run.offset_s
        at_s = event.at_s or (0.0 if offset_s is None else offset_s + event.t_ms / 1000)
        night = night_of(at_s) if at_s else UNKNOWN
        self._mark_seen(event, at_s, night, run)
        if event.name in KEPT:
            run.unplaced = run.unplaced or not at_s
            self._events.append((*event[:3], night, event.t_ms, at_s, event.name, event.text))
        return True

    def expect(self, runs: Iterable[tuple[str, str]]) -> None:
        """Read what is known of these runs (venue, boot), all at once; `add` reads one at a time.

        Only the newest runs stay in memory.
        """
        new = sorted(set(runs) - self._runs.keys())
        if not new:
            return
        if self._shared:
            held = {venue for venue, _ in self._runs}
            self._db.hold(*(f"venue {one}" for one in sorted({key[0] for key in new} - held)))
        else:
            self.flush()
            while len(self._runs) >= MOST_RUNS:
                del self._runs[next(iter(self._runs))]
        self._runs |= self._read_runs(new)

    def _read_runs(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], _Run]:
        found = {key: _Run([], None, False) for key in keys}
        these = f"(VALUES {', '.join(['(?, ?)'] * len(keys))})"
        values = [part for key in keys for part in key]
        ranges = self._db.rows(
            "SELECT venue, boot, first_seq, last_seq, first_s, last_s FROM seen"
            f" WHERE (venue, boot) IN {these} ORDER BY first_seq",
            values,
        )
        for venue, boot, *part in ranges:
            found[venue, boot].ranges.append(Seen(*part))
        unplaced = self._db.rows(
            f"SELECT column1, column2 FROM {these} AS run WHERE EXISTS (SELECT 1 FROM event"
            " WHERE venue = run.column1 AND boot = run.column2 AND night = ?)",
            (*values, UNKNOWN),
        )
        for venue, boot in unplaced:
            found[venue, boot].unplaced = True
        return found

    def _offset_s(self, venue: str, boot: str) -> float | None:
        """Return the wall time at a run's house time zero, as its newest event has it."""
        timed = self._db.rows(
            "SELECT at_s, t_ms FROM event WHERE venue = ? AND boot = ? AND at_s > 0"
            " ORDER BY seq DESC LIMIT 1",
            (venue, boot),
        )
        return next((at_s - t_ms / 1000 for at_s, t_ms in timed), None)

    def _mark_seen(self, event: Event, at_s: float, night: str, run: _Run) -> None:
        """Add the number to the ranges of its run; a gap that it fills is one no more."""
        whole, others = Seen(event.seq, event.seq, at_s, at_s), []
        for part in run.ranges:
            if part.last == event.seq - 1:
                whole = _joined(part, whole)
            elif part.first == event.seq + 1:
                self._touch(event.venue, part.first_s)
                whole = _joined(whole, part)
            else:
                others.append(part)
        self.holes_changed = self.holes_changed or len(others) + 1 != len(run.ranges)
        run.ranges = sorted([*others, whole], key=lambda part: part.first)
        self._changed_runs.add((event.venue, event.boot))
        if night != UNKNOWN:
            self._changed_nights.add((event.venue, night))

    def _touch(self, venue: str, at_s: float) -> None:
        if at_s:
            self._changed_nights.add((venue, night_of(at_s)))

    def commit(self) -> None:
        """Make all that was added last."""
        self.flush()
        self._db.commit()
        if self._shared:
            self._runs = {}

    def ranges(self) -> list[Row]:
        """Return which numbers have come, as `gaps.gaps` takes them."""
        self.flush()
        return ranges(self._db)

    def flush(self) -> None:
        """Write what was added, in a few statements for all of it; others see it from `commit`."""
        runs = sorted(self._changed_runs)
        self._db.many("DELETE FROM seen WHERE venue = ? AND boot = ?", runs)
        self._db.many(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)",
            [
                (*key, part.first, part.last, part.first_s, part.last_s)
                for key in runs
                for part in self._runs[key].ranges
            ],
        )
        if self._events:
            self._db.insert("event", self._events)
        if self._to_send:
            outbox.put(self._db, self._to_send)
        for key in runs:
            self._place(key)
        nights = sorted(self._changed_nights)
        self._db.many(
            "INSERT INTO night (venue, night, weekday, dirty) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (venue, night) DO UPDATE SET dirty = 1",
            [(venue, night, weekday(night)) for venue, night in nights],
        )
        self._events, self._changed_runs, self._changed_nights = [], set(), set()
        self._to_send = []

    def _place(self, key: tuple[str, str]) -> None:
        """Give the events of before the clock was set the time that they must have had."""
        run = self._runs[key]
        if not run.unplaced or run.offset_s is None:
            return
        run.unplaced = False
        unplaced = self._db.rows(
            "SELECT seq, t_ms FROM event WHERE venue = ? AND boot = ? AND night = ?",
            (*key, UNKNOWN),
        )
        for seq, t_ms in unplaced:
            at_s = run.offset_s + t_ms / 1000
            self._touch(key[0], at_s)
            self._db.rows(
                "UPDATE event SET at_s = ?, night = ? WHERE venue = ? AND boot = ? AND seq = ?",
                (at_s, night_of(at_s), *key, seq),
            )

    # --- nights ---------------------------------------------------------------------------------

    def fold_changed(self) -> int:
        """Fold the nights that events have changed, and commit; return how many there were."""
        self.flush()
        changed = self._db.rows("SELECT venue, night FROM night WHERE dirty = 1")
        for venue, night in changed:
            if self._shared:
                self._take_night(venue, night)
            capacity = self._capacities.get(venue, USUAL_CAPACITY)
            events = events_of(self._db, venue, night)
            folded = fold(events, capacity, self._now_s())
            missing = missing_in(self._db, venue, night)
            folded.totals["missing"] = min(missing, MOST_MISSING)
            self._write(venue, night, folded)
        self._db.commit()
        return len(changed)

    def _take_night(self, venue: str, night: str) -> None:
        """Let no other process change this night until it is written: its row is locked first."""
        self._db.commit()
        self._db.rows("UPDATE night SET dirty = 0 WHERE venue = ? AND night = ?", (venue, night))

    def _write(self, venue: str, night: str, folded: Folded) -> None:
        key, day = (venue, night), weekday(night)
        for table in ("hour", "tally", "incident"):
            self._db.rows(f"DELETE FROM {table} WHERE venue = ? AND night = ?", key)
        columns = ", ".join(f"{name} = ?" for name in _NIGHT_COLUMNS)
        totals = [int(folded.exact), *(folded.totals[name] for name in TOTALS)]
        self._db.rows(
            f"UPDATE night SET dirty = ?, {columns} WHERE venue = ? AND night = ?",
            (int(folded.waiting), *totals, *key),
        )
        self._db.many(
            "INSERT INTO hour VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (*key, day, hour, row.guests, row.parties, row.guest_s, row.full_s)
                for hour, row in folded.hours.items()
            ],
        )
        self._db.many(
            "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, *tally, n) for tally, n in folded.tallies.items() if n > 0],
        )
        self._db.many(
            "INSERT INTO incident VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*key, *incident) for incident in folded.incidents],
        )

    def forget(self, keep: int) -> None:
        """Delete all but the newest ``keep`` nights, and commit.

        By what is there and not by a clock: one that is set wrong must not empty the store.
        """
        too_old = self._db.rows(
            "SELECT night FROM night GROUP BY night ORDER BY night DESC LIMIT 1 OFFSET ?", (keep,)
        )
        for (night,) in too_old:
            for table in ("event", "hour", "tally", "incident", "night"):
                self._db.rows(
                    f"DELETE FROM {table} WHERE night <= ? AND night <> ?", (night, UNKNOWN)
                )
        self._db.commit()


def weekday(night: str) -> int:
    """Return the weekday of a night, 0 for Monday."""
    return date.fromisoformat(night).weekday()


def _joined(left: Seen, right: Seen) -> Seen:
    first_s = left.first_s or right.first_s
    return Seen(left.first, right.last, first_s, right.last_s or left.last_s)


def events_of(database: Database, venue: str, night: str) -> list[Event]:
    """Return a night's events in their order: run after run, each by its numbers.

    Wall time only orders the runs: within one a clock step may have turned it back.
    """
    rows = database.rows(
        "SELECT venue, boot, seq, t_ms, at_s, name, data FROM event"
        " WHERE venue = ? AND night = ? ORDER BY seq",
        (venue, night),
    )
    begin: dict[str, float] = {}
    for row in rows:
        begin[row[1]] = max(begin.get(row[1], 0.0), row[4])
    return [_event(row) for row in sorted(rows, key=lambda row: (begin[row[1]], row[2]))]


def _event(row: Row) -> Event:
    venue, boot, seq, t_ms, at_s, name, data = row
    return Event(venue, boot, seq, t_ms, at_s, name, decode(data))
