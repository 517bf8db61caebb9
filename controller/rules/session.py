"""The two hours of one party: how they begin, and the marks that ring on the way."""

from __future__ import annotations

from dataclasses import replace

from controller.rules.state import RuleSettings, Session, mark_ms
from controller.rules.transition import Transition

#: Of the overtimes that passed during an absence so many are noted, the last ones: after a reboot
#: with a clock that is years ahead there would be millions.
MOST_MISSED = 100


def start_session(transition: Transition, since_ms: float | None = None) -> None:
    """Start the session: the first guest has entered a room verified empty, now or then."""
    skipped = sum(
        warning >= transition.settings.session_ms for warning in transition.settings.warnings_ms
    )
    began_ms = transition.state.t_ms if since_ms is None else since_ms
    transition.state.session = Session(began_ms, skipped)
    transition.note("session_started")
    ring_marks(transition)


def ring_marks(transition: Transition) -> None:
    """Note the marks that time has reached; after a long absence only the last one rings."""
    tone = ""
    while (session := transition.state.session) is not None:
        at_ms = mark_ms(session, transition.settings, session.next_mark)
        if at_ms > transition.state.t_ms:
            break
        tone = _mark(transition, session, at_ms)
        following = _following(session, transition.settings, transition.state.t_ms)
        transition.state.session = replace(session, next_mark=following)
    if tone:
        transition.chime(tone)


def _following(session: Session, settings: RuleSettings, t_ms: float) -> int:
    """Return the mark after this one that is noted: no overtime that is missed and long past."""
    following, time_up = session.next_mark + 1, len(settings.warnings_ms)
    if following <= time_up:
        return following
    over_ms = t_ms - session.started_ms - settings.session_ms
    return max(following, time_up + int(over_ms // settings.overtime_ms) - MOST_MISSED + 1)


def _mark(transition: Transition, session: Session, at_ms: float) -> str:
    left_s = round((session.started_ms + transition.settings.session_ms - at_ms) / 1000)
    past = session.next_mark - len(transition.settings.warnings_ms)
    if past < 0:
        transition.note("session_warning", remaining_s=left_s)
        return "warning"
    if past == 0:
        transition.note("session_time_up")
        return "time_up"
    transition.note("session_overtime", over_s=-left_s)
    return "overtime"
