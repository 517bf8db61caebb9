"""An owner's ten questions, held against the truth of 400 simulated nights."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache

import pytest

from tests.support.kept_nights import keep_nights
from tests.support.postgres import Postgres
from tests.support.simulated_nights import IN_VAIN_S, OVER_TIME_S, SimulatedBar, Truth
from web.nights.answers import Answers, percentile
from web.nights.events import Event
from web.nights.queries import reading
from web.nights.spans import Span, parse_span

FIRST, COUNT = date(2025, 9, 1), 400
#: All of it, some of it, and the two nights on which the clock changes.
SPANS = ("2025", "2026", "2026-03", "2025-W43", "2025-10-25", "2026-03-28")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[date, Truth]]]:
    """The address of a store that has heard 400 nights, and what truly happened in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Rome")
        time.tzset()
        if request.param == "sqlite":
            address = str(tmp_path_factory.mktemp("nights") / "nights.db")
        else:
            server: Postgres = request.getfixturevalue("postgres")
            address = server.new_database()
        yield address, fill(address)


@cache
def simulated() -> tuple[list[list[Event]], dict[date, Truth]]:
    """Return the events of each night, and the truth; played once for both databases."""
    bar = SimulatedBar()
    return list(bar.nights(FIRST, COUNT)), bar.truth


def fill(address: str) -> dict[date, Truth]:
    nights, truth = simulated()
    keep_nights(address, nights)
    return truth


Asked = tuple[Answers, list[Truth]]


@pytest.fixture(params=SPANS)
def asked(request: pytest.FixtureRequest, played: tuple[str, dict[date, Truth]]) -> Iterator[Asked]:
    address, truth = played
    span = parse_span(request.param)
    with reading(address, "bar") as reader:
        yield Answers(reader, span), _of(truth, span)


def _of(truth: dict[date, Truth], span: Span) -> list[Truth]:
    return [real for day, real in truth.items() if span.first <= day <= span.last]


def test_the_nights_are_worth_asking_about(played: tuple[str, dict[date, Truth]]) -> None:
    truth = list(played[1].values())
    assert sum(t.guests for t in truth) > 1500
    for name in ("vain", "refused", "closed", "asked", "corrected", "blind", "missing"):
        assert sum(bool(getattr(real, name)) for real in truth) > 5, name


def test_how_many_guests(asked: Asked) -> None:
    answers, truth = asked
    assert answers.totals()["guests"] == sum(real.guests for real in truth)
    assert answers.totals()["parties"] == sum(real.parties for real in truth)


def test_how_full_by_hour(asked: Asked) -> None:
    answers, truth = asked
    rows = {record["hour"]: record for record in answers.hours().records()}
    guests: Counter[int] = sum((real.by_hour for real in truth), Counter())
    assert {hour: row["guests"] for hour, row in rows.items() if row["guests"]} == guests
    open_nights = [real for real in truth if real.guests or real.knocks]
    for hour in range(24):
        lasted_s = sum(real.hours_s[hour] for real in open_nights)
        inside = sum(real.guest_s[hour] for real in truth) / max(lasted_s, 1)
        found = rows[hour]["inside"] if hour in rows else 0.0
        assert found == pytest.approx(inside, abs=0.002), hour


def test_how_long_do_fours_stay(asked: Asked) -> None:
    answers, truth = asked
    rows = {record["size"]: record for record in answers.stays().records()}
    for size in range(1, 5):
        stays = sorted(s for real in truth for n, s in real.stays if n == size)
        if not stays:
            assert size not in rows
            continue
        assert rows[size]["parties"] == len(stays)
        assert rows[size]["median_min"] == round(stays[(len(stays) + 1) // 2 - 1] / 60)
        assert rows[size]["over_time"] == sum(s > OVER_TIME_S for s in stays)


def test_who_was_over_time(asked: Asked) -> None:
    answers, truth = asked
    expected = [
        (size, round((stay_s - OVER_TIME_S) / 60))
        for real in truth
        for size, stay_s in real.stays
        if stay_s > OVER_TIME_S
    ]
    assert [(r["size"], r["over_min"]) for r in answers.overtime().records()] == expected


def test_how_many_knocked_in_vain(asked: Asked) -> None:
    answers, truth = asked
    rows = {record["place"]: record for record in answers.knocks().records()}
    for place in ("hatch", "door"):
        waited = sorted(s for real in truth for s in real.waited[place])
        knocks = sum(real.knocks[place] for real in truth)
        vain = sum(real.vain[place] for real in truth)
        if not knocks:
            assert place not in rows
            continue
        row = rows[place]
        assert (row["knocks"], row["answered"], row["vain"]) == (knocks, knocks - vain, vain)
        assert not waited or row["median_s"] == pytest.approx(
            waited[(len(waited) + 1) // 2 - 1], abs=2.6
        )
        assert max(waited, default=0.0) < IN_VAIN_S


def test_how_often_did_we_refuse_and_why(asked: Asked) -> None:
    answers, truth = asked
    expected: Counter[str] = sum((real.refused for real in truth), Counter())
    assert {r["reason"]: r["times"] for r in answers.refusals().records()} == expected


def test_when_were_we_closed_by_a_person(asked: Asked) -> None:
    answers, truth = asked
    expected = [
        (kind, round(since), round(until)) for real in truth for kind, since, until in real.closed
    ]
    found = [
        (r["kind"], _seconds(r["since"]), _seconds(r["until"])) for r in answers.closed().records()
    ]
    assert [row[0] for row in found] == [row[0] for row in expected]
    for row, truly in zip(found, expected, strict=True):
        assert row[1:] == pytest.approx(truly[1:], abs=1)


def test_how_often_was_the_count_in_doubt(asked: Asked) -> None:
    answers, truth = asked
    rows = {record["what"]: record["times"] for record in answers.questions().records()}
    assert rows["party"] == sum(real.asked for real in truth)
    assert rows["corrected"] == sum(real.corrected for real in truth)
    record = answers.record().records()[0]
    assert record["exact"] == sum(real.exact for real in truth)
    assert record["of"] == sum(real.parties > 0 for real in truth)


def test_what_did_the_controller_miss(asked: Asked) -> None:
    answers, truth = asked
    missed = sum(int(record["missing"] or 0) for record in answers.missed().records())
    assert missed == sum(real.missing for real in truth) == answers.totals()["missing"]
    restarts = answers.restarts().records()
    assert len(restarts) == sum(real.restarts for real in truth)
    assert sum(int(record["doubt"] or 0) for record in restarts) == sum(
        real.blind for real in truth
    )


def test_which_weekday_is_the_busiest(played: tuple[str, dict[date, Truth]]) -> None:
    address, truth = played
    span = parse_span("2026")
    with reading(address, "bar") as reader:
        rows = Answers(reader, span).weekdays().records()
    for record in rows:
        of_day = [
            real
            for day, real in truth.items()
            if day.year == 2026 and day.weekday() == record["weekday"]
        ]
        nights = [real for real in of_day if real.guests or real.knocks]
        guests = sum(real.guests for real in of_day)
        assert (record["nights"], record["guests"]) == (len(nights), guests)
        assert record["a_night"] == pytest.approx(guests / len(nights), abs=0.01)


def test_percentile_is_the_nearest_rank() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({7: 1}, 0.9) == 7
    assert [percentile({1: 5, 2: 4, 9: 1}, part) for part in (0.5, 0.9, 0.95)] == [1, 2, 9]


def _seconds(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
