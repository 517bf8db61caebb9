"""Tonight: the drawing, the totals and the last events, from any message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_controller import now_iso
from web.presentation.chart import LEFT, RIGHT, chart, last_events, totals

pytestmark = pytest.mark.usefixtures("english")

NOW = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


def test_chart_draws_steps_doubt_sessions_and_knocks() -> None:
    night = {
        "points": [[ago(120), 2, 2, 2], [ago(90), 3, 2, 3], [ago(60), 3, 3, 3], [ago(30), 0, 0, 0]],
        "sessions": [{"started_at": ago(120), "ended_at": ago(30)}, {"started_at": ago(10)}],
        "knocks": [[ago(100), "hatch"], [ago(20), "door"]],
    }
    drawn = chart(night, NOW, 4)
    assert drawn["line"].count("V") == 3
    assert drawn["area"].endswith("Z")
    assert drawn["band"].count("Z") == 1
    assert [place for _, place in drawn["knocks"]] == ["hatch", "door"]
    (first, wide), (second, narrow) = drawn["sessions"]
    assert first < second
    assert wide > narrow
    assert drawn["most"] == 3
    assert [n for _, n in drawn["levels"]] == [0, 1, 2, 3, 4]


def test_chart_of_an_empty_night() -> None:
    drawn = chart({}, NOW, 4)
    assert (drawn["line"], drawn["area"], drawn["band"], drawn["most"]) == ("", "", "", 0)
    assert totals({}) == [(word, 0) for word, _ in totals({})]
    assert last_events({}) == []


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.just(ago(30)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["at", "name", "data", "started_at", "ended_at", "guests", "place"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["points", "sessions", "knocks", "totals", "last"]), ODD))
def test_chart_survives_any_message(night: dict[str, Any]) -> None:
    drawn = chart(night, NOW, 4)
    assert all(LEFT <= x <= RIGHT for x, _ in drawn["knocks"] + drawn["sessions"])
    totals(night)
    last_events(night)


def test_last_events_come_newest_first() -> None:
    rows = [
        {"at": now_iso(120), "name": "entry", "data": {"count": 1}},
        {"at": now_iso(60), "name": "exit", "data": {"count": 0}},
        {"at": None, "name": "chime", "data": None},
        "nonsense",
    ]
    words = [text for _, text in last_events({"last": rows})]
    assert words == ["One left: 0 inside", "One came in: 1 inside", "chime"]
