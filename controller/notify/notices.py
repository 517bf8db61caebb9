"""What may be sent: a notice for somebody's lock screen, and the withdrawal of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from controller.config.notify import SEVERITIES

#: How long a knock is worth a message, in seconds.
FRESH_S = 30.0


class Now(NamedTuple):
    """One moment, in seconds: a clock that only runs forward, and the wall clock since 1970."""

    t_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. ``key`` says what it is about: a later one with the same key replaces it.

    ``word`` and ``data`` are put into a language when it is sent, so that an age is right then.
    Times are seconds of `Now.t_s`: ``since_s`` is when it began, after ``until_s`` nobody needs it.
    """

    key: str
    kind: str
    severity: str
    word: str
    since_s: float
    until_s: float = inf
    data: Mapping[str, object] = field(default_factory=dict)
    #: Holds until it is withdrawn: worth a message after quiet hours or an outage too.
    standing: bool = False
    #: Says that ``key`` is over: of use only to whom the beginning was sent.
    ends: bool = False
    #: The place (hatch, door) whose knock an answer to this message answers.
    answers: str = ""
    #: Where to answer, and a secret in it that works once; empty without.
    link: str = ""

    @property
    def rank(self) -> int:
        """How severe it is: 0 for info, 2 for critical."""
        return SEVERITIES.index(self.severity)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What ``key`` was about is over: a message on its way is dropped, one that arrived removed."""

    key: str

    @property
    def ends(self) -> bool:
        """It always is the end of something."""
        return True


Outgoing = Notice | Withdrawal
