"""The history's pages and files, from a store that has heard some nights."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from controller.config.settings import CentreSettings, NightsSettings
from controller.mqtt.client import MqttLink
from tests.conftest import free_port
from tests.support.fake_controller import Client, FakeController, joiner, paired, settings
from tests.support.history import fill_history, history_page
from tests.support.openapi import fits
from tests.support.wait import eventually
from web import create_app
from web.centre.sender import Sender
from web.nights.answers import TABLES
from web.nights.database import connect
from web.nights.feed import Feed, FeedStatus
from web.presentation import centre as centre_words

TOKEN = "scraper-0123456789abcdef"
FIRST, COUNT = date(2026, 10, 19), 14
pytestmark = pytest.mark.usefixtures("in_milan")
SPANS = ("2026-10-24", "2026-W43", "2026-10", "2026", "2031-01")


@pytest.fixture
def history(controller: FakeController, tmp_path: Path) -> Flask:
    fill_history(tmp_path / "nights.db", FIRST, COUNT)
    return history_page(controller, tmp_path)[0]


@pytest.mark.parametrize("span", SPANS)
def test_each_span_is_a_page_and_files(history: Flask, span: str) -> None:
    client = paired(history)
    body = fits(client.get(f"/nights/{span}.json"), "get", "/nights/{span}.json")
    assert body["span"] == span
    answer = client.get(f"/nights/{span}")
    fits(answer, "get", "/nights/{span}")
    assert f"<b>{body['totals']['guests']}</b>" in answer.text
    for table in TABLES:
        answer = client.get(f"/nights/{span}.csv?table={table}")
        fits(answer, "get", "/nights/{span}.csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        expected = [{k: "" if v is None else str(v) for k, v in r.items()} for r in body[table]]
        assert rows == expected


def test_calendar_leads_to_each_night_and_each_chart_has_its_table(history: Flask) -> None:
    client = paired(history)
    text = client.get("/nights/2026-10").text
    nights = re.findall(r'href="(/nights/2026-\d\d-\d\d)"', text)
    assert len(nights) >= 10
    assert text.count("<svg") == text.count("<details>") > 2
    guests = {row["night"]: row["guests"] for row in _rows(client, "2026-10")}
    busiest = max(guests, key=lambda night: int(guests[night]))
    assert 'class="steps"' in client.get(f"/nights/{busiest}").text, "the chart of the evening"


def test_calendar_marks_tonight_and_nothing_else(
    history: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # half past two in the morning of the 25th is still the night of the 24th
    at = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    monkeypatch.setattr("web.routes.nights.time", at.timestamp)
    client = paired(history)
    marked = re.findall(r'<[^>]*aria-current="date"[^>]*>', client.get("/nights/2026-10").text)
    assert ["/nights/2026-10-24" in tag for tag in marked] == [True]
    assert 'aria-current="date"' not in client.get("/nights/2026-09").text
    before = datetime(2026, 10, 18, 20, 0, tzinfo=UTC)  # a night in which nothing happened yet
    monkeypatch.setattr("web.routes.nights.time", before.timestamp)
    text = client.get("/nights/2026-10").text
    assert '<span class="day" aria-current="date">18</span>' in text


def _rows(client: FlaskClient, span: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(f"/nights/{span}.csv").text)))


def test_strangers_and_nonsense_get_nothing(history: Flask) -> None:
    for path in ("/nights", "/nights/2026", "/nights/2026.csv", "/nights/2026.json"):
        assert history.test_client().get(path).status_code == 403
    client = paired(history)
    odd = ("20", "2026-13", "2026-02-30", "2026-W60", "9999", "0000", "x", "２０２６", "2026-1",
           "2026.csv?table=x", "2026?venue=other", "2026?venue=%2B")  # fmt: skip
    for span in odd:
        assert client.get(f"/nights/{span}").status_code == 404, span


def test_all_bars_only_where_the_page_shows_all(controller: FakeController, tmp_path: Path) -> None:
    fill_history(tmp_path / "nights.db", FIRST, COUNT, ("bar", "=other"))
    client = paired(history_page(controller, tmp_path, venues="+")[0])
    answers = [
        fits(client.get(f"/nights/2026-10.json{query}"), "get", "/nights/{span}.json")
        for query in ("", "?venue=%3Dother", "?venue=%2B")
    ]
    guests = [answer["totals"]["guests"] for answer in answers]
    assert guests[0] + guests[1] == guests[2]
    assert guests[0] != guests[1]
    bars = answers[2]["bars"]
    assert {bar["venue"]: bar["guests"] for bar in bars} == {"bar": guests[0], "=other": guests[1]}
    assert [bar["venue"] for bar in answers[0]["bars"]] == ["bar"]
    assert bars == sorted(bars, key=lambda bar: -bar["a_night"])
    assert "The bars compared" not in client.get("/nights/2026-10").text
    shown = client.get("/nights/2026-10?venue=%2B").text
    assert "The bars compared" in shown
    assert "venue=%3Dother" in shown
    restarts = client.get("/nights/2026-10.csv?table=restarts&venue=%2B").text
    assert "\n'=other," in restarts, "no spreadsheet takes a name for a formula"


def test_store_that_cannot_be_read_is_said_and_the_page_lives(
    controller: FakeController, tmp_path: Path
) -> None:
    client = paired(history_page(controller, tmp_path)[0])
    for damage in (None, b"no database" * 100):
        if damage is not None:
            (tmp_path / "nights.db").write_bytes(damage)
        answer = client.get("/nights/2026")
        fits(answer, "get", "/nights/{span}")
        assert answer.status_code == 503
        assert "nights.db" in answer.text
        assert "Traceback" not in answer.text
        answer = client.get("/nights/2026.json", headers={"Accept": "application/json"})
        assert fits(answer, "get", "/nights/{span}.json")["reason"] == "StoreFailed"
    assert client.get("/").status_code == 200


def test_newer_store_is_left_alone(history: Flask, tmp_path: Path) -> None:
    database = connect(str(tmp_path / "nights.db"), writing=True)
    database.rows("UPDATE meta SET value = '99' WHERE name = 'version'")
    database.commit()
    database.close()
    answer = paired(history).get("/nights/2026")
    assert answer.status_code == 503
    assert "is of version 99" in answer.text


def test_page_says_when_new_events_do_not_arrive(
    controller: FakeController, tmp_path: Path
) -> None:
    fill_history(tmp_path / "nights.db", FIRST, 1)
    app, feed = history_page(controller, tmp_path)
    feed.status = FeedStatus("the disk is full")
    text = paired(app).get("/nights/2026").text
    assert "the disk is full" in text
    assert "New events do not reach the history." in text


def test_tonight_leads_to_the_nights_where_there_are_any(history: Flask, client: Client) -> None:
    assert 'href="/nights"' in paired(history).get("/").text
    assert 'href="/nights"' not in client.get("/").text
    assert client.get("/nights").status_code == 404


# --- a bar of a centre ----------------------------------------------------------------------------


@pytest.fixture
def bar_of_a_centre(controller: FakeController, tmp_path: Path) -> Iterator[tuple[Flask, Feed]]:
    """A bar whose centre is nowhere, with a night that waits for it."""
    fill_history(tmp_path / "nights.db", FIRST, 3)
    config = replace(
        settings(tmp_path, metrics_token=TOKEN),
        nights=NightsSettings(database=str(tmp_path / "nights.db")),
        centre=CentreSettings(servers=(f"nats://127.0.0.1:{free_port()}",)),
    )
    nowhere = partial(MqttLink, replace(config.mqtt, port=free_port()))
    feed = Feed(config, nowhere, outgoing=partial(Sender, config))
    app = create_app(config, link=joiner(controller.bus), feed=feed)
    app.test_client_class = Client
    feed.start()
    yield app, feed
    feed.stop()


def test_centre_that_takes_no_events_is_a_quiet_line(
    bar_of_a_centre: tuple[Flask, Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, feed = bar_of_a_centre
    client = paired(app)
    eventually(lambda: feed.trouble)
    assert "Waiting here" not in client.get("/").text, "a node may be started anew"
    monkeypatch.setattr(centre_words, "SAID_AFTER_S", 0.0)
    says = re.compile(r"No event has reached the centre for \d+ s\. Waiting here: (\d+), none is")
    found = says.search(client.get("/").text)
    assert found
    assert int(found[1]) > 3
    shown = client.get("/api/state?page=1").get_json()["page"]
    assert says.match(shown["t"]["centre"])
    assert not [text for _, text in shown["notices"] if "centre" in text]
    text = client.get("/nights/2026").text
    assert says.search(text)
    assert "<code>[centre] servers: nats://127.0.0.1:" in text
    italian = client.get("/", headers={"Accept-Language": "it"}).text
    assert "alla centrale non arriva nessun evento. In attesa qui:" in italian


def test_metrics_have_the_way_to_the_centre(
    bar_of_a_centre: tuple[Flask, Feed], client: Client
) -> None:
    app, feed = bar_of_a_centre
    eventually(lambda: feed.trouble)
    assert client.get("/metrics").status_code == 200
    text = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    found = dict(re.findall(r"^(backdoor_centre_\w+) (\S+)$", text, re.MULTILINE))
    assert found["backdoor_centre_reached"] == "0.0"
    assert float(found["backdoor_centre_trouble_seconds"]) >= 0
    assert float(found["backdoor_centre_waiting_events"]) > 3
    assert "backdoor_centre" not in client.get("/metrics").text, "it has none"
