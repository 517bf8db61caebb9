"""The end of a release: what was let in is held against what the beams saw come in.

The number of a release is a second witness. Beams take two who come side by side for one, so they
see too few; they take a bag for a guest, so they see too many. Of what both say the lock goes by
the worse one, and where they differ the house asks. With P let in, surely L and at most M seen:

| what the beams saw     | the count                                | the house                  |
|------------------------|------------------------------------------|----------------------------|
| M = 0: nobody came     | as it is                                 | asks nothing               |
| L = P = M: equal       | as it is                                 | asks nothing               |
| L <= P <= M, L < M     | becomes the reading in which P came in   | asks nothing               |
| 0 < M < P: fewer       | ``max`` rises by P - M                   | asks: L to P came in       |
| L > P: more            | ``min`` falls by L - P, ``max`` stays    | `tailgating`, asks: P to M |

"0 to 2, abreast" with a release for two is two: where nobody came in, the beams hardly ever say
that anybody may have (of 800 scenes in which somebody turned back or leant in, one).

| case                           | what is held against the release                                |
|--------------------------------|-----------------------------------------------------------------|
| counting by hand, walk-in      | nothing: there are no two witnesses                             |
| staff pass                     | the passage that it covers does not count here either           |
| stopped by a person            | the same; where nobody counts at the door, and it may have been |
|                                | opened, the house asks: nobody to P came in                     |
| self-test                      | needs an empty room, and lets nobody in                         |
| the button at the counter      | a release for one                                               |
| spent half-way (full,          | the same, when the door has closed: through an open door they   |
| evacuation, lock-down)         | still come                                                      |
| a restart before the end       | what was seen until then                                        |
| the count was set meanwhile    | those who came after that: they may be all but a bag            |
| the beams are out of order     | nothing: at the closing of the door anybody may be inside       |

In the other direction no release says how many leave. Two abreast who are taken for one leave the
count too high, never too low; so nothing is locked open by it, and only the session runs on:

| the way out                    | the house                                                       |
|--------------------------------|-----------------------------------------------------------------|
| one by one                     | counts them; verified empty ends the session                    |
| two abreast, and nobody since  | asks once, in overtime, two minutes after the doorway is still, |
|                                | whether everybody has left; no count changes by itself          |
| somebody came in after them    | asks nothing                                                    |
| the doorway stirs again        | waits two minutes anew                                          |
| they left before the overtime  | asks when it begins                                             |
| under a staff pass             | asks nothing: no guest has left                                 |
| counting by hand               | asks nothing: the door that closes asks how many are left       |
| a restart                      | goes on waiting, or asking                                      |
| the answer                     | `room_empty` ends the session, `set_count` says who is left     |
| a wrong answer, taken back     | asks again                                                      |
"""

from __future__ import annotations

from dataclasses import replace

from controller.rules import occupancy as people
from controller.rules.question import Question, Reading, Seen, added, came_in, hull, settled
from controller.rules.state import Grant
from controller.rules.transition import Transition


def reconcile(transition: Transition, grant: Grant) -> None:
    """Close a release when the door is shut again (or its time is over) and nobody is in it."""
    believed = not transition.settings.beams and (grant.opened or not transition.settings.sees_door)
    asked = believed and grant.cancelled and not grant.unsure
    entered = grant.party if believed and not asked else grant.entered
    why = {"reason": "cancelled"} if grant.cancelled else {}
    transition.state.grant = None
    if believed and not asked:
        _believe(transition, grant)
    if grant.opened or entered:
        transition.note("access_taken", expected=grant.party, entered=entered, **why)
    else:
        transition.note("access_not_taken", expected=grant.party, **why)
    if asked:
        ask_uncounted(transition, grant.party)
    compare(transition, grant)


def _believe(transition: Transition, grant: Grant) -> None:
    """Count a party that nobody saw; where it may be inside or not, widen the count."""
    before, party = transition.state.occupancy, grant.party
    if grant.unsure:
        transition.widen_count(
            lambda count: people.unseen(count, least=count.min, most=count.max + party), "release"
        )
    else:
        without = transition.before()
        transition.move_count(party, party)
        transition.note_count(before, "release")
        transition.remember(without, "access_door", grant.id, party)


def ask_uncounted(transition: Transition, party: int) -> None:
    """Ask how many of a party came in that nobody saw come: all, some or nobody."""
    readings = _readings(transition, Seen(0, 0), 0, party)
    _ask(transition, party, 0, readings, counted=False)


def compare(transition: Transition, grant: Grant) -> None:
    """Hold what was let in against what was seen: settle the count by it, ask, or do neither."""
    settings, seen, party = transition.settings, grant.seen, grant.party
    blind = grant.opened and transition.beam_faulty()
    if not settings.beams or settings.entry != "release" or blind:
        return
    if seen.entered > party:
        transition.note("tailgating", expected=party, entered=seen.entered)
        _ask(transition, party, seen.entered, _readings(transition, seen, party, seen.most))
    elif 0 < seen.most < party:
        _ask(transition, party, seen.most, _readings(transition, seen, seen.entered, party))
    elif seen.entered < seen.most:
        _settle(transition, seen, party)


def _readings(transition: Transition, seen: Seen, least: int, most: int) -> tuple[Reading, ...]:
    """Return what may be inside if from ``least`` to ``most`` came in through this release."""
    question = transition.state.question
    nothing_asked = (Reading(0, transition.state.occupancy),)
    standing = nothing_asked if question is None else question.readings
    return added(standing, seen, range(least, most + 1))


def _settle(transition: Transition, seen: Seen, party: int) -> None:
    """Count the one reading of what was seen in which exactly the party came in."""
    before = transition.state.occupancy
    after = came_in(before, seen, party)
    if after is None:
        return  # more have left since than this reading had inside
    transition.state.occupancy = after
    question = transition.state.question
    if question is not None:
        transition.hold(replace(question, readings=settled(question.readings, seen, party)))
    transition.note_count(before, "release")


def _ask(
    transition: Transition,
    expected: int,
    seen: int,
    readings: tuple[Reading, ...],
    *,
    counted: bool = True,
) -> None:
    """Ask how many came in; a question that stands already becomes one with this."""
    state, before = transition.state, transition.state.occupancy
    if state.question is not None:
        expected, seen = expected + state.question.expected, seen + state.question.seen
        counted = counted and state.question.counted
        transition.end_question("merged")
    question = Question(f"{state.t_ms:.0f}", expected, seen, state.t_ms, readings, counted)
    state.occupancy = hull(readings, before.count)
    if state.occupancy != before:
        transition.note_count(before, "release")
    if len(readings) > 1:
        transition.ask(question)
