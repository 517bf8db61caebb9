"""What one channel has still to send: the newest of each key, until it is stale. Pure.

A thread of the channel asks `next`, sends, and says how it went. A message that cannot be sent is
tried again, at longer and longer gaps, until nobody needs it any more: a knock for 30 s, what
stands (a fault, an alarm) for as long as it stands. Nothing waits behind anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf

from controller.notify.notices import Outgoing, Withdrawal

#: Gaps between attempts, in seconds: the first, and the longest.
RETRY_S = (1.0, 60.0)
#: How long a withdrawal is tried, in seconds.
WITHDRAW_S = 60.0
#: Messages of one channel that wait; more only come where somebody plays with the controller.
MOST = 64


class Outcome(Enum):
    """How an attempt ended: sent; worth another; or refused for good (a wrong token, say)."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass
class Job:
    """One notice or withdrawal on its way, and when it may be tried next."""

    outgoing: Outgoing
    due_s: float
    #: When nobody needs it any more.
    until_s: float
    gap_s: float = RETRY_S[0]


class Pending:
    """The messages of one channel; times are seconds of `Now.t_s`.

    ``shown`` are the keys of what this channel shows already: only that can end.
    """

    def __init__(self, shown: Iterable[str] = ()) -> None:
        self._jobs: dict[str, Job] = {}
        self._shown = set(shown)
        #: Messages that were given up as stale.
        self.given_up = 0

    def add(self, outgoing: Outgoing, now_s: float, delay_s: float = 0.0) -> None:
        """Take what is to be sent; it replaces what waits with the same key."""
        self._jobs.pop(outgoing.key, None)
        if len(self._jobs) >= MOST:
            self._jobs.pop(next(iter(self._jobs)))
        standing_s = now_s + delay_s + WITHDRAW_S
        until_s = standing_s if isinstance(outgoing, Withdrawal) else outgoing.until_s
        self._jobs[outgoing.key] = Job(outgoing, now_s + delay_s, until_s)

    def next(self, now_s: float) -> Outgoing | None:
        """Return what is to be sent now; drop what is stale or ends what was never shown."""
        for key, job in list(self._jobs.items()):
            if job.outgoing.ends and key not in self._shown:
                del self._jobs[key]
            elif now_s >= job.until_s:
                del self._jobs[key]
                self.given_up += 1
            elif now_s >= job.due_s:
                return job.outgoing
        return None

    def due_s(self) -> float:
        """Return when `next` may have something; inf when nothing waits."""
        return min((job.due_s for job in self._jobs.values()), default=inf)

    def ended(
        self, outgoing: Outgoing, outcome: Outcome, now_s: float, after_s: float = 0.0
    ) -> None:
        """Take note how an attempt ended; ``after_s`` is when the server wants the next one."""
        if outcome is Outcome.SENT:
            self._now_shown(outgoing)
        job = self._jobs.get(outgoing.key)
        if job is None or job.outgoing is not outgoing:
            return  # replaced while it was on its way
        if outcome is not Outcome.RETRY:
            del self._jobs[outgoing.key]
            return
        job.due_s = now_s + max(job.gap_s, after_s)
        job.gap_s = min(2 * job.gap_s, RETRY_S[1])

    def _now_shown(self, outgoing: Outgoing) -> None:
        if outgoing.ends:
            self._shown.discard(outgoing.key)
        else:
            self._shown.add(outgoing.key)
