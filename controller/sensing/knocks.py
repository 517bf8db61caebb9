"""Knocks on two surfaces of one wall: bursts of pulses in, `Knock` and `KnockEnded` out.

Pulses less than 40 ms apart, on either sensor, are one *hit*. A knuckle's hit lasts 5-60 ms and
shakes its own surface most; the other hears it some ms later and weaker. What lasts longer is a
slam, something dragged or a phone that vibrates. Two hits on one surface are a knock when they
follow as knuckles do and music does not: closer than the beats of 140 bpm, or stronger than what
was heard before, or between the beats; a faint pair, and a soft and slow one, must first prove that
it was no beat and no step.

Clear raps on both surfaces in turn are two people, each with a knock of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from math import fsum, inf
from typing import NamedTuple

from controller.events import Knock, KnockEnded, Sensed
from controller.sensing.rhythms import name_of
from controller.sensing.settings import SensingSettings

PLACES = ("hatch", "door")
#: Pulses of one rap come closer than this (a piezo rings 5-60 ms), raps at least 130 ms apart.
HIT_GAP_MS = 40.0
HIT_MOST_MS = 95.0
#: A knuckle's hit is shorter than this, away from music; something dragged is often longer.
KNUCKLE_MS = 68.0
#: Two people who knock at both places at once make one hit, if they are this close.
HITS_MOST_MS = 130.0
#: Before a rap it is quiet: dragging and rumbling have bursts every 30-100 ms.
QUIET_MS = 70.0
RUMBLE_MS = 350.0
#: Raps of one knock, in ms: nobody raps faster or slower. Below BEAT it cannot be music: 140 bpm.
RAPS_MS = (130.0, 900.0)
BEAT_MS = 410.0
#: A door's or hatch's slam shakes the wall for this long before and after its contact moves.
SLAM_MS = 500.0
#: Our own strike and chime ring for less than this.
OWN_NOISE_MS = 250.0
#: Strength of a hit = pulses + broken ms / 3: beats and steps 1-6, soft raps 3-6, raps 5-20.
SOFT = 3.2
STRONG = 6.0
#: Two soft hits closer than beats are raps if they are together at least this strong; this strong
#: if they may be heel and toe, which are closer than `TOE_MS`, and soon after another hit. Fainter
#: ones that may be heel and toe are raps from `TOE_PAIR` on, if no next step comes.
SOFT_PAIR, SOFT_LATE = 5.4, 10.0
TOE_MS, TOE_PAIR = 180.0, 6.5
#: Fainter ones may be steps: the next one would have come so long after the first of them; after
#: heel and toe, with one that was not heard, so long after the toe.
STEP_MS, STEPS_MS = 700.0, 850.0
#: Raps are even, heel and toe are not: the longest of their intervals is at most so many shortest.
UNEVEN = 1.6
#: Raps that are slow and soft must be this strong on average, and by this much stronger for each ms
#: that they come further apart than `BEAT_MS`: steps are softer, and come at 410-730 ms.
SLOW, SLOWER = 3.5, 0.01
#: And by this much, times what one of them shook the other surface beyond `MOST_SOFT_SIDE`: the
#: beats of music shake both.
SIDED = 6.0
#: Of so many raps one may be felt on both surfaces.
ONE_MAY = 4
#: Two raps this close might be something dragged: they wait for more of it, as soft ones do.
RAPID_MS = 170.0
#: A hit is in music, or in steps, when there were so many others in so long a time before.
MUSIC_HITS, MUSIC_MS = 3, 4000.0
#: In music a rap is this much stronger than the mean beat.
OVER_MUSIC = 1.45
WELL_OVER = 1.2
#: No rap in music is weaker than this, unless it falls between the beats.
MUSIC_STRONG = 6.5
#: Music is even after so many beats, whose distances are whole numbers of the shortest one, but for
#: this part of it.
EVEN_HITS, EVEN = 4, 0.06
LEAST_BEAT_MS = 380.0
#: Off the beat by more than this part of it a hit counts for so much more, on it for less.
OFF, OFF_GAIN = 0.15, 1.65
ON, ON_LOSS = 0.08, 0.8
#: What shook both surfaces may be a rap and a beat at once, what is long and in no even music was
#: dragged: they count for so much less.
BOTH_LOSS, DRAGGED_LOSS = 0.8, 0.4
#: In music each of two raps is so far over the beats, and both multiplied: 1 if closer than beats.
LIKELY, SLOW_BOTH = 0.75, 1.8
#: Two that are on the beat are beats, unless each is so far over the others.
ON_BEAT = 1.7
#: Two slow raps wait for a third beat if they are together weaker than this, or than the second if
#: one of them was felt on the other surface with more than this part of its strength.
SLOW_CLEAR, SLOW_ALIKE, ALIKE = 16.0, 20.0, 0.5
#: A third beat comes on time, but for this part of a beat; what comes at another time is none.
ON_TIME = 0.04
#: A rap is heard on the other surface with less than this part of its strength, a beat alike.
MOST_SIDE = 0.8
MOST_SOFT_SIDE = 0.6
#: One person's rap is felt on the other surface with less than this part of its strength.
ONE_HAND = 0.5
#: A soft slow pair is a knock if the third beat does not come for this many of its intervals.
NO_BEAT = 1.45
#: Before soft slow raps it was quiet for so long; steps and beats are more.
FRESH_MS = 3000.0
#: Raps that are a knock at once are each at least this strong.
FIRM = 5.2
#: No step and no beat in a quiet room is as strong as this.
CLEAR = 7.0
#: Later raps of a knock, and its end, are counted when at least this part of its mean strength.
RAP_PART = 0.35
MOST_RAPS = 32
MOST_PAST = 8


class Rap(NamedTuple):
    """One hit that could be a knuckle: when, how strong at each place, where first, how long."""

    t_ms: float
    strengths: tuple[float, float]
    first: int
    lasts_ms: float


class Hit:
    """Pulses of both sensors that belong together, while they come."""

    __slots__ = ("end_ms", "first", "on_ms", "pulses", "since_ms", "up_ms")

    def __init__(self, t_ms: float, first: int) -> None:
        self.since_ms = self.end_ms = t_ms
        self.first = first
        self.pulses = [0, 0]
        self.on_ms = [0.0, 0.0]
        self.up_ms: list[float | None] = [None, None]

    def rap(self) -> Rap:
        """Return the rap that this hit was, if it was a knuckle."""
        (hatch, door), (hatch_ms, door_ms) = self.pulses, self.on_ms
        strengths = (hatch + hatch_ms / 3, door + door_ms / 3)
        return Rap(self.since_ms, strengths, self.first, self.end_ms - self.since_ms)


class Knocks:
    """Both knock sensors as one stream."""

    def __init__(self, settings: SensingSettings) -> None:
        self.due = inf
        self._settings = settings
        self._hit: Hit | None = None
        self._hit_due = self._pair_due = self._end_due = inf
        self._raps: deque[Rap] = deque(maxlen=MOST_RAPS)
        #: Clear raps on the other surface while a knock is on.
        self._others: deque[Rap] = deque(maxlen=MOST_RAPS)
        self._announced = False
        #: Mean strength of the music that a knock was heard in, and no rap of it is below.
        self._floor = 0.0
        #: Hits of the last seconds: (when, how strong).
        self._past: deque[tuple[float, float]] = deque(maxlen=MOST_PAST)
        self._end_ms = self._deaf_until_ms = -inf
        #: When the third beat is due, if the two raps that wait for silence may be beats.
        self._third_ms = inf
        self._last = Rap(-inf, (0.0, 0.0), 0, 0.0)
        #: While a door or hatch contact stirs, its slam may be what was heard: nothing is decided.
        self._wait_until_ms = -inf

    def edge(self, place: int, t_ms: float, level: bool) -> list[Sensed]:
        """Take a pulse's edge of the sensor at this place (index of ``PLACES``)."""
        hit = self._hit
        if hit is None:
            if not level:
                return []
            hit = self._hit = Hit(t_ms, place)
        if level:
            hit.pulses[place] += 1
            hit.up_ms[place] = t_ms
        else:
            up_ms = hit.up_ms[place]
            if up_ms is not None:
                hit.on_ms[place] += t_ms - up_ms
                hit.up_ms[place] = None
        hit.end_ms = t_ms
        self._hit_due = due = t_ms + HIT_GAP_MS
        if due < self.due:
            self.due = due
        return []

    def mute_knocks(self, t_ms: float, lasting_ms: float) -> None:
        """Ignore what is sounding and what follows for ``lasting_ms``: our own strike or chime."""
        self._forget(t_ms, lasting_ms + OWN_NOISE_MS)

    def unpulse(self, place: int) -> None:
        """Take back the pulse that just began at this place: it was no sound."""
        hit = self._hit
        if hit is None or hit.up_ms[place] is None:
            return
        hit.pulses[place] -= 1
        hit.up_ms[place] = None
        if not any(hit.pulses):
            self._hit, self._hit_due = None, inf

    def silence(self) -> None:
        """Drop what is sounding: one sensor does nothing else, and is not listened to any more."""
        self._hit, self._hit_due = None, inf
        self._drop()

    def await_move(self, until_ms: float) -> None:
        """Decide nothing until then: what was heard may be a door or a hatch that moves."""
        self._wait_until_ms = until_ms

    def slam(self, t_ms: float) -> None:
        """Ignore what came just before or follows: the door or the hatch slammed."""
        self._forget(t_ms, SLAM_MS)
        if any(raps and raps[-1].t_ms > t_ms - SLAM_MS for raps in (self._raps, self._others)):
            self._drop()

    def tick(self, t_ms: float) -> list[Sensed]:
        """End a hit, accept a soft pair, end a knock: what is due at ``t_ms``."""
        events: list[Sensed] = []
        if self._hit is not None and self._hit_due <= t_ms:
            events += self._close(self._hit, t_ms)
        if self._pair_due <= t_ms:
            events += self._decide(t_ms)
        if self._end_due <= t_ms:
            events += self._finish(t_ms)
        self.due = min(self._hit_due, self._pair_due, self._end_due)
        return events

    def _forget(self, t_ms: float, deaf_ms: float) -> None:
        self._deaf_until_ms = max(self._deaf_until_ms, t_ms + deaf_ms)

    def _close(self, hit: Hit, t_ms: float) -> list[Sensed]:
        """Take a hit that is over: rumble, or a rap to be weighed with the one before."""
        self._hit, self._hit_due = None, inf
        rap, before = hit.rap(), self._last
        quiet_ms, self._end_ms, self._last = hit.since_ms - self._end_ms, hit.end_ms, rap
        events = self._decide(t_ms) if self._no_third_beat(rap.t_ms) else []
        close = quiet_ms < QUIET_MS and not (
            self._music(hit.since_ms, MUSIC_HITS) or _two_hands(before, rap, MOST_SIDE)
        )
        most_ms = HITS_MOST_MS if min(rap.strengths) >= STRONG else HIT_MOST_MS
        if close or rap.lasts_ms > most_ms:
            self._deaf_until_ms = max(self._deaf_until_ms, hit.end_ms + RUMBLE_MS)
            self._drop()
        if hit.since_ms < self._deaf_until_ms:
            return events
        events += self._weigh(rap, t_ms)
        self._past.append((rap.t_ms, max(rap.strengths)))
        return events

    def _drop(self) -> None:
        """Forget raps that did not become a knock."""
        self._pair_due = inf
        if not self._announced:
            self._raps.clear()
            self._others.clear()

    def _weigh(self, rap: Rap, t_ms: float) -> list[Sensed]:
        """Return a knock if this rap completes one; count it if a knock is on."""
        if self._announced:
            return self._continue(rap, t_ms)
        self._expire(rap.t_ms)
        before = self._raps[-1] if self._raps else None
        since_ms = self._began(rap)
        music = self._music(since_ms, MUSIC_HITS)
        self._pair_due = inf  # what waited for silence has not got it
        if music and self._over_music(rap, since_ms, music) < LIKELY:
            return []  # one more beat; a knock may go on around it
        if before and _two_hands(before, rap, ONE_HAND):
            return self._change_over(rap, t_ms)
        if before and rap.t_ms - before.t_ms < RAPS_MS[0]:
            self._raps.clear()
            before = None
        self._raps.append(rap)
        if before is None:
            sure = self._settings.knock_raps == 1 and self._lone(rap)
        elif music:
            sure = self._no_beats(before, rap, since_ms, music)
        else:
            sure = self._knuckles(before, rap)
        self._floor = music
        return self._decide(t_ms) if sure else []

    def _expire(self, t_ms: float) -> None:
        """Forget raps that are too long ago; those of another hand take their place."""
        if self._raps and t_ms - self._raps[-1].t_ms > RAPS_MS[1]:
            self._raps, self._others = self._others, deque(maxlen=MOST_RAPS)
            self._expire(t_ms)

    def _decide(self, t_ms: float) -> list[Sensed]:
        """Report the raps as a knock if there are enough of them and no door is on the move."""
        self._pair_due = inf
        if len(self._raps) < self._settings.knock_raps:
            return []
        if t_ms < self._wait_until_ms:
            self._pair_due = self._wait_until_ms
            return []
        return self._announce(t_ms)

    def _place(self, *raps: Rap) -> int:
        """Return the surface that these raps shook most; if both, the one that felt them first."""
        hatch, door = _sums(raps)
        if min(hatch, door) > MOST_SIDE * max(hatch, door):
            first = sum(rap.first for rap in raps)
            if 2 * first != len(raps):
                return int(2 * first > len(raps))
        return int(door > hatch)

    def _began(self, rap: Rap) -> float:
        """Return when the raps began that this one may belong to: those too fast for steps."""
        if not self._raps:
            return rap.t_ms
        since_ms = self._raps[-1].t_ms
        for earlier in reversed(self._raps):
            if since_ms - earlier.t_ms >= BEAT_MS:
                break
            since_ms = earlier.t_ms
        return since_ms

    def _no_beats(self, before: Rap, rap: Rap, since_ms: float, music: float) -> bool:
        """Return whether these two are raps, and no beats of the music before ``since_ms``."""
        weaker, stronger = sorted(self._over_music(r, since_ms, music) for r in (before, rap))
        if rap.t_ms - before.t_ms < BEAT_MS:
            return weaker >= LIKELY and weaker * stronger >= 1.0
        if weaker < LIKELY or weaker * stronger < SLOW_BOTH:
            return False
        off = [self._off_beat(since_ms, r.t_ms) for r in (before, rap)]
        return weaker >= ON_BEAT or any(part is None or part >= ON for part in off)

    def _over_music(self, rap: Rap, since_ms: float, music: float) -> float:
        """Return how far this is over the beats before ``since_ms``; a loud one has 1."""
        side, top = sorted(rap.strengths)
        over = top / max(MUSIC_STRONG, OVER_MUSIC * music)
        if over * OFF_GAIN < LIKELY:
            return 0.0  # a beat, wherever it falls
        off = self._off_beat(since_ms, rap.t_ms)
        if off is None:
            over *= DRAGGED_LOSS if _dragged(rap) else 1.0
        else:
            over *= OFF_GAIN if off > OFF else ON_LOSS if off < ON else 1.0
        return over * (BOTH_LOSS if side > MOST_SIDE * top else 1.0)

    def _off_beat(self, since_ms: float, t_ms: float) -> float | None:
        """Return how far this is from the beat before ``since_ms`` (0-0.5); None if uneven."""
        beats = self._beats(since_ms)
        if len(beats) < EVEN_HITS:
            return None
        gaps_ms = [b - a for a, b in pairwise(beats)]
        beat_ms = min(gaps_ms)
        if beat_ms < LEAST_BEAT_MS or any(_off(gap, beat_ms) > EVEN for gap in gaps_ms):
            return None
        return _off(t_ms - beats[-1], beat_ms)

    def _beats(self, since_ms: float) -> list[float]:
        """Return when there were hits before this time, without raps; a beat in parts is one."""
        raps, beats = [r.t_ms for r in self._raps], list[float]()
        for at, _ in self._past:
            apart = not beats or at - beats[-1] >= RAPS_MS[0]
            if apart and since_ms - MUSIC_MS < at < since_ms and at not in raps:
                beats.append(at)
        return beats

    def _lone(self, rap: Rap) -> bool:
        """Return whether this one rap is clear enough to be a knock."""
        music = self._music(rap.t_ms, 1)
        return _over(rap, max(STRONG, OVER_MUSIC * music)) if music else max(rap.strengths) >= SOFT

    def _knuckles(self, before: Rap, rap: Rap) -> bool:
        """Return whether two raps are a knock. A soft pair must wait for rumble or a next step."""
        apart_ms, place = rap.t_ms - before.t_ms, self._place(before, rap)
        weaker, stronger = sorted((before.strengths[place], rap.strengths[place]))
        quick = apart_ms < BEAT_MS
        if quick and (_dragged(before) or _dragged(rap)):
            return False
        firm, both = self._firm(before, weaker, stronger, quick), weaker + stronger
        beats = firm and not quick and self._may_be_beats(both)
        self._third_ms = rap.t_ms + apart_ms if beats else inf
        if beats:
            self._pair_due = rap.t_ms + NO_BEAT * apart_ms
            return False
        if firm and (apart_ms >= RAPID_MS or len(self._raps) > 2):
            return True
        self._pair_due = self._soft_due(place, apart_ms, both)
        return False

    def _soft_due(self, place: int, apart_ms: float, both: float) -> float:
        """Return until when no more may come for these soft raps to be a knock; never: inf."""
        gaps_ms, fresh, late = self._gaps_ms(), self._fresh(), both >= SOFT_LATE
        quick = apart_ms < BEAT_MS and (late or max(gaps_ms) < BEAT_MS)
        uneven = max(gaps_ms) > UNEVEN * min(gaps_ms)
        if quick and uneven and not (late and len(self._raps) < ONE_MAY):
            return inf
        if quick and (late or (fresh and apart_ms >= TOE_MS and both >= SOFT_PAIR)):
            return self._end_ms + HIT_GAP_MS + QUIET_MS
        if fresh:
            return self._next_step(place, gaps_ms)
        return inf

    def _firm(self, before: Rap, weaker: float, stronger: float, quick: bool) -> bool:
        """Return whether two raps of these strengths are a knock at once."""
        beats = 0.0 if quick else self._music(before.t_ms, MUSIC_HITS - 1)
        least = max(FIRM, WELL_OVER * OVER_MUSIC * beats)
        sure = 2 * STRONG if quick else 2 * CLEAR
        return weaker >= least and weaker + stronger >= sure and self._one_side(MOST_SIDE)

    def _may_be_beats(self, both: float) -> bool:
        """Return whether two slow raps, together so strong, may be the first beats of music."""
        felt = max(min(r.strengths) / max(r.strengths) for r in self._raps)
        return both < (SLOW_ALIKE if felt > ALIKE else SLOW_CLEAR)

    def _no_third_beat(self, t_ms: float) -> bool:
        """Return whether raps wait for a third beat, and what comes now is none."""
        if inf in (self._pair_due, self._third_ms):
            return False
        beat_ms = self._third_ms - self._raps[-1].t_ms
        return abs(t_ms - self._third_ms) > ON_TIME * beat_ms

    def _next_step(self, place: int, gaps_ms: list[float]) -> float:
        """Return when the next step would have come; inf if these can only be steps or beats."""
        last, most_ms = self._raps[-1], max(gaps_ms)
        if most_ms < TOE_MS and len(gaps_ms) == 1:
            return last.t_ms + STEPS_MS if self._total(place) >= TOE_PAIR else inf
        if most_ms < BEAT_MS:
            return max(self._raps[0].t_ms + STEP_MS, last.t_ms + NO_BEAT * gaps_ms[-1])
        return last.t_ms + NO_BEAT * gaps_ms[-1] if self._no_steps(place, most_ms) else inf

    def _fresh(self) -> bool:
        """Return whether it was quiet before these raps."""
        since_ms = self._raps[0].t_ms
        return not any(since_ms - FRESH_MS < at < since_ms for at, _ in self._past)

    def _total(self, place: int) -> float:
        return fsum([r.strengths[place] for r in self._raps])

    def _gaps_ms(self) -> list[float]:
        return [b.t_ms - a.t_ms for a, b in pairwise(self._raps)]

    def _no_steps(self, place: int, apart_ms: float) -> bool:
        """Return whether these raps are too strong for steps, or beats, that are as far apart."""
        mean = self._total(place) / len(self._raps)
        sides = sorted(min(r.strengths) / max(r.strengths) for r in self._raps)
        side = sides[-1 if len(sides) < ONE_MAY else -2] - MOST_SOFT_SIDE
        return mean >= SLOW + SLOWER * (apart_ms - BEAT_MS) + SIDED * max(0.0, side)

    def _one_side(self, most: float) -> bool:
        """Return whether one surface shook, the other with at most this part of its strength."""
        hatch, door = _sums(self._raps)
        return min(hatch, door) <= most * max(hatch, door)

    def _music(self, t_ms: float, hits: int) -> float:
        """Return the mean strength of the hits before this time; 0 if fewer than ``hits``."""
        beats = [s for at, s in self._past if t_ms - MUSIC_MS < at < t_ms]
        return fsum(beats) / len(beats) if len(beats) >= hits else 0.0

    def _announce(self, t_ms: float) -> list[Sensed]:
        """Report the raps as a knock."""
        self._announced, self._pair_due = True, inf
        self._end_due = self._raps[-1].t_ms + self._settings.knock_gap_ms
        return [Knock(t_ms, PLACES[self._place(*self._raps)], len(self._raps))]

    def _continue(self, rap: Rap, t_ms: float) -> list[Sensed]:
        """Count one more rap of the knock that is on, unless it is only a beat under it."""
        place = self._place(*self._raps)
        mean = self._total(place) / len(self._raps)
        if self._elsewhere(rap, 1 - place):
            return self._change_over(rap, t_ms)
        if rap.strengths[place] >= max(RAP_PART * mean, OVER_MUSIC * self._floor):
            self._raps.append(rap)
            self._end_due = rap.t_ms + self._settings.knock_gap_ms
        return []

    def _elsewhere(self, rap: Rap, other: int) -> bool:
        """Return whether this was a clear rap on the other surface, not felt through the wall."""
        top, side = rap.strengths[other], rap.strengths[1 - other]
        return top >= max(STRONG, OVER_MUSIC * self._floor) and side <= MOST_SIDE * top

    def _change_over(self, rap: Rap, t_ms: float) -> list[Sensed]:
        """Count a rap at the other place; enough of them end the first knock and begin another."""
        others = self._others
        if others and not RAPS_MS[0] <= rap.t_ms - others[-1].t_ms <= RAPS_MS[1]:
            others.clear()
        others.append(rap)
        if len(others) < max(self._settings.knock_raps, 2):
            return []
        if self._announced:
            return self._finish(t_ms) + self._announce(t_ms)
        self._raps, self._others = others, self._raps  # the other hand goes on
        return self._decide(t_ms)

    def _finish(self, t_ms: float) -> list[Sensed]:
        place, raps = PLACES[self._place(*self._raps)], len(self._raps)
        regular = name_of([r.t_ms for r in self._raps], self._settings.regulars)
        ended = KnockEnded(t_ms, place, raps, regular)
        self._announced, self._end_due = False, inf
        knocked = {r.t_ms for r in self._raps}
        self._past = deque((p for p in self._past if p[0] not in knocked), maxlen=MOST_PAST)
        self._raps.clear()
        self._raps.extend(self._others)  # the next knock may have begun at the other place
        self._others.clear()
        return [ended]


def _dragged(rap: Rap) -> bool:
    """Return whether this was longer than a knuckle, on one surface, but no rumble yet."""
    return rap.lasts_ms > KNUCKLE_MS and min(rap.strengths) < STRONG


def _two_hands(before: Rap, rap: Rap, most: float) -> bool:
    """Return whether two raps are clear ones on different surfaces: two people knock."""
    hands = before.strengths, rap.strengths
    clear = all(max(hand) >= STRONG and min(hand) <= most * max(hand) for hand in hands)
    return clear and (hands[0][0] > hands[0][1]) is not (hands[1][0] > hands[1][1])


def _sums(raps: Iterable[Rap]) -> tuple[float, float]:
    """Return how strong these raps were together, at each place."""
    return fsum([r.strengths[0] for r in raps]), fsum([r.strengths[1] for r in raps])


def _over(rap: Rap, least: float) -> bool:
    """Return whether this is stronger than the beats, and on one surface, as beats are not."""
    side, top = sorted(rap.strengths)
    return top >= least and side <= MOST_SIDE * top


def _off(gap_ms: float, beat_ms: float) -> float:
    """Return how far this is from a whole number of beats, as a part of one (0-0.5)."""
    beats = gap_ms / beat_ms
    return abs(beats - round(beats))
