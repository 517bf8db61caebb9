"""Some hundred nights of one bar: the real rules in virtual time, and what truly happened.

The truth is written down by whoever moves the people, not read from the events. The events come as
the controller sends them; some are held back, and some sent twice.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from controller.codec import encode, iso, named_events
from controller.events import Contact, Effect, Knock, Started, Tick
from controller.rules.state import deadline
from tests.support.rules_driver import Room
from web.nights.events import Event, parse

#: So long the room must be verified empty before its session ends, in seconds.
EMPTY_S = 20.0
OVER_TIME_S = 120 * 60.0
IN_VAIN_S = 600.0


@dataclass
class Truth:
    """What happened in one night."""

    guests: int = 0
    parties: int = 0
    by_hour: Counter[int] = field(default_factory=Counter)
    #: Seconds that all guests together were inside, by hour of the clock.
    guest_s: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    #: How long each hour of the clock was.
    hours_s: Counter[int] = field(default_factory=Counter)
    #: (most at once, seconds until the room was verified empty).
    stays: list[tuple[int, float]] = field(default_factory=list)
    knocks: Counter[str] = field(default_factory=Counter)
    vain: Counter[str] = field(default_factory=Counter)
    #: Seconds that each waited who was answered.
    waited: dict[str, list[float]] = field(default_factory=lambda: {"hatch": [], "door": []})
    refused: Counter[str] = field(default_factory=Counter)
    #: (kind, since, until), seconds since 1970.
    closed: list[tuple[str, float, float]] = field(default_factory=list)
    asked: int = 0
    corrected: int = 0
    restarts: int = 0
    blind: int = 0
    missing: int = 0

    @property
    def exact(self) -> bool:
        """Whether the count was right all night, as far as anybody can know."""
        return self.parties > 0 and not (self.corrected or self.blind or self.missing)


class SimulatedBar:
    """A bar that opens on many nights; `nights` plays them one after the other."""

    def __init__(self, seed: int = 4, venue: str = "bar") -> None:
        self.venue = venue
        self.truth: dict[date, Truth] = {}
        self._chance = random.Random(seed)
        self._room = Room()
        self._boot = f"{self._chance.getrandbits(32):08x}"
        self._seq = 0
        self._wall_s = 0.0
        self._out: list[tuple[str, bytes]] = []
        self._inside: list[float] = []
        self._told = Truth()

    def nights(self, first: date, count: int) -> Iterator[list[Event]]:
        """Play nights from ``first`` on; yield the events of each as they arrive."""
        for number in range(count):
            day = first + timedelta(days=number)
            self._told = self.truth[day] = Truth(hours_s=_hours(day))
            self._open(day)
            self._evening()
            yield self._arriving()

    # --- time -----------------------------------------------------------------------------------

    def _open(self, day: date) -> None:
        """Let time pass until this evening; the wall clock knows of summer time, the house not."""
        opening = datetime.combine(day, time(19, 0)).astimezone()
        opening += timedelta(seconds=self._chance.uniform(0, 3000))
        begin_s = opening.timestamp() - self._room.now_ms / 1000
        if not self._wall_s:
            self._wall_s = begin_s
        self._wait(max(begin_s - self._wall_s, 0.0))

    @property
    def _now_s(self) -> float:
        return self._wall_s + self._room.now_ms / 1000

    def _wait(self, seconds: float) -> None:
        """Let time pass; whoever is inside is so meanwhile."""
        room = self._room
        end_ms = room.now_ms + seconds * 1000
        while room.now_ms < end_ms:
            due_ms = deadline(room.state, room.settings)
            next_hour_ms = room.now_ms + 1000 * (3600.0 - self._now_s % 3600.0)
            until_ms = min(end_ms, next_hour_ms, end_ms if due_ms is None else due_ms)
            hour = datetime.fromtimestamp(self._now_s).astimezone().hour
            self._told.guest_s[hour] += (until_ms - room.now_ms) / 1000 * len(self._inside)
            room.now_ms = max(until_ms, room.now_ms)
            if room.now_ms == due_ms:
                self._tell(room.step(Tick(room.now_ms)))

    def _tell(self, effects: list[Effect]) -> None:
        """Send what follows as events."""
        for _, name, data in named_events((self._room.now_ms, effect) for effect in effects):
            self._seq += 1
            body = {
                "seq": self._seq,
                "at": iso(self._now_s),
                "t_ms": round(self._room.now_ms, 3),
                "event": name,
                "boot": self._boot,
                **data,
            }
            self._out.append((name, encode(body)))

    def _ask(self, name: str, number: int | None = None) -> None:
        before = len(self._room.all)
        self._room.command(name, number)
        self._tell(self._room.all[before:])

    # --- an evening -----------------------------------------------------------------------------

    def _evening(self) -> None:
        chance = self._chance
        if chance.random() < 0.3:
            self._restart(blind=chance.random() < 0.3)
        for _ in range(chance.randint(0, 4)):
            self._party()
            self._wait(chance.uniform(60, 1500))
        odd = chance.choice(("none", "none", "block", "down", "open", "refused"))
        getattr(self, f"_odd_{odd}")()
        self._wait(chance.uniform(700, 900))

    def _restart(self, *, blind: bool) -> None:
        """Start the controller anew; where the door may have moved unseen, it asks."""
        self._boot = f"{self._chance.getrandbits(32):08x}"
        self._told.restarts += 1
        self._told.blind += blind
        self._tell(self._room.step(Started(self._room.now_ms, doubt=blind)))
        self._door(False)  # the first reading: where it is, not that it moved
        if blind:
            self._wait(5)
            self._ask("set_count", 0)

    def _party(self) -> None:
        chance = self._chance
        size = chance.randint(1, 4)
        if chance.random() < 0.6:
            self._knock("door", chance.uniform(3, 200))
        self._let_in(size)
        begin_s = self._now_s - (self._now_s - self._inside[0])
        stay_s = chance.choice((chance.uniform(1800, 6600), chance.uniform(7300, 8200)))
        end_s = begin_s + stay_s
        for _ in range(chance.randint(0, 2)):
            if end_s - self._now_s > 1500:
                self._at_the_hatch()
        if size == 4 and chance.random() < 0.5:
            self._refused("CapacityReached")
        self._wait(max(end_s - self._now_s, 0.0))
        self._leave(size, begin_s)

    def _let_in(self, size: int) -> None:
        """Let a party in by a release; sometimes two abreast are taken for one, and it asks."""
        self._ask("access_door", size)
        self._door(True)
        abreast = size > 1 and self._chance.random() < 0.08
        bodies = size - abreast
        for number in range(bodies):
            self._wait(self._chance.uniform(0.5, 1.5))
            two = abreast and number == 0
            self._told.guests += 1 + two
            self._count_hour(1 + two)
            self._inside += [self._now_s] * (1 + two)
            self._tell(self._room.passes(1))
        self._door(False)
        self._told.parties += 1
        if abreast:
            self._told.asked += 1
            self._told.corrected += 1
            self._wait(4)
            self._ask("answer_question", size)

    def _count_hour(self, guests: int) -> None:
        self._told.by_hour[datetime.fromtimestamp(self._now_s).astimezone().hour] += guests

    def _leave(self, size: int, begin_s: float) -> None:
        self._door(True)
        for _ in range(size):
            self._wait(self._chance.uniform(1, 3))
            self._inside.pop()
            self._tell(self._room.passes(-1))
        self._door(False)
        self._told.stays.append((size, self._now_s + EMPTY_S - begin_s))
        self._wait(EMPTY_S + 40)

    def _door(self, is_open: bool) -> None:
        self._tell(self._room.step(Contact(self._room.now_ms, "door_contact", is_open)))

    def _knock(self, place: str, waits_s: float) -> None:
        """Knock twice within seconds, as one does, and wait."""
        self._told.knocks[place] += 1
        self._tell(self._room.step(Knock(self._room.now_ms, place, 2)))
        self._wait(2)
        self._tell(self._room.step(Knock(self._room.now_ms, place, 3)))
        self._told.waited[place].append(waits_s)
        self._wait(waits_s - 2)

    def _at_the_hatch(self) -> None:
        """Knock at the hatch: somebody comes, comes much later, or never."""
        luck = self._chance.random()
        if luck < 0.8:
            self._knock("hatch", self._chance.uniform(4, 300))
        else:
            self._knock("hatch", 650.0)
            self._told.waited["hatch"].pop()
            self._told.vain["hatch"] += 1
        self._ask("answer_hatch")
        self._wait(self._chance.uniform(40, 200))

    # --- what does not happen every evening -----------------------------------------------------

    def _odd_none(self) -> None:
        pass

    def _refused(self, reason: str) -> None:
        for _ in range(self._chance.randint(1, 2)):
            self._ask("access_door", 1)
            self._told.refused[reason] += 1
            self._wait(10)

    def _odd_refused(self) -> None:
        self._ask("access_door", 1)
        self._ask("access_door", 1)
        self._told.refused["ReleaseOpen"] += 1
        self._wait(20)

    def _closed(self, kind: str, begin: str, end: str, reason: str) -> None:
        since_s = self._now_s
        self._ask(begin)
        self._wait(self._chance.uniform(60, 4000))
        self._refused(reason)
        self._told.closed.append((kind, since_s, self._now_s))
        self._ask(end)

    def _odd_block(self) -> None:
        self._closed("blocked", "block_door", "unblock_door", "Blocked")

    def _odd_down(self) -> None:
        self._closed("lock_down", "lock_down", "lock_down_release", "LockedDown")

    def _odd_open(self) -> None:
        self._closed("evacuation", "lock_open", "lock_open_release", "LockedOpen")

    # --- the way to the store -------------------------------------------------------------------

    def _arriving(self) -> list[Event]:
        """Return the night's events: a few never come, and some come twice, late."""
        chance, sent, self._out = self._chance, self._out, []
        lost = self._lost(sent) if chance.random() < 0.1 else set()
        self._told.missing = len(lost)
        kept = [parse(self.venue, *one) for n, one in enumerate(sent) if n not in lost]
        for _ in range(len(kept) // 20):
            again = chance.randrange(len(kept))
            kept.insert(chance.randrange(again, len(kept) + 1), kept[again])
        return kept

    def _lost(self, sent: list[tuple[str, bytes]]) -> set[int]:
        """Return which never come: of those that no other answer needs, and no first or last."""
        idle = [n for n, (name, _) in enumerate(sent[:-1]) if name in ("output", "chime") and n]
        return set(self._chance.sample(idle, min(len(idle), self._chance.randint(1, 4))))


def _hours(day: date) -> Counter[int]:
    """Return how many seconds each hour of the clock has from this noon to the next."""
    begin_s, end_s = (
        datetime.combine(day + timedelta(days=n), time(12)).astimezone().timestamp() for n in (0, 1)
    )
    moments = range(int(begin_s), int(end_s), 900)
    hours = Counter(datetime.fromtimestamp(at_s).astimezone().hour for at_s in moments)
    return Counter({hour: 900 * n for hour, n in hours.items()})
