"""To whom, and when it must be quiet."""

from __future__ import annotations

from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest

from controller.config.notify import KINDS, SEVERITIES, ChannelSettings
from controller.notify.notices import Notice
from controller.notify.routing import route

ROME = ZoneInfo("Europe/Rome")


def notice(kind: str = "knock", severity: str = "warning", standing: bool = False) -> Notice:
    return Notice("key", kind, severity, "hatch_waits", 0.0, inf, standing=standing)


def channel(**more: object) -> ChannelSettings:
    usual = {"kinds": KINDS, "quiet_hours": "", "least_severity": "info"}
    return ChannelSettings("ntfy://host/topic", **(usual | more))  # type: ignore[arg-type]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ROME).timestamp()


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_is_told_what_it_is_for(kind: str) -> None:
    chosen = route(channel(kinds=("knock",)))
    assert chosen.delay_s(notice(kind), 0.0) == (0.0 if kind == "knock" else None)


@pytest.mark.parametrize("least", SEVERITIES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_what_is_less_severe_is_not_told(least: str, severity: str) -> None:
    passes = SEVERITIES.index(severity) >= SEVERITIES.index(least)
    told = route(channel(least_severity=least)).delay_s(notice(severity=severity), 0.0)
    assert told == (0.0 if passes else None)


@pytest.mark.parametrize(
    ("hours", "when", "quiet_s"),
    [
        ("23:00-09:00", "2026-11-25 22:59:59", 0),
        ("23:00-09:00", "2026-11-25 23:00:00", 10 * 3600),
        ("23:00-09:00", "2026-11-26 08:59:00", 60),
        ("23:00-09:00", "2026-11-26 09:00:00", 0),
        ("13:00-15:30", "2026-11-26 14:30:00", 3600),
        ("13:00-15:30", "2026-11-26 15:30:00", 0),
        ("01:00-05:00", "2027-03-28 01:30:00", 2.5 * 3600),  # summer time begins: one hour less
        ("00:00-00:00", "2026-11-26 12:00:00", 12 * 3600),
    ],
)
def test_quiet_hours(hours: str, when: str, quiet_s: float) -> None:
    chosen, wall_s = route(channel(quiet_hours=hours), ROME), at(when)
    assert chosen.delay_s(notice(), wall_s) == (None if quiet_s else 0.0)
    assert chosen.delay_s(notice(standing=True), wall_s) == quiet_s  # told when they end
    assert chosen.delay_s(notice(severity="critical"), wall_s) == 0.0
