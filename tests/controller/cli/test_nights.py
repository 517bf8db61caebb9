"""`backdoor nights`: the history in the terminal."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli.main import main
from tests.support.simulated_nights import SimulatedBar
from web.nights.database import connect
from web.nights.store import Store


@pytest.fixture
def house(tmp_path: Path) -> Path:
    file = tmp_path / "backdoor.toml"
    file.write_text(f'[nights]\ndatabase = "{tmp_path / "nights.db"}"\n')
    database = connect(str(tmp_path / "nights.db"), writing=True)
    store = Store(database, {}, time.time)
    for night in SimulatedBar().nights(date(2026, 11, 2), 10):
        for event in night:
            store.add(event)
    store.fold_changed()
    database.close()
    return file


def nights(house: Path, *args: str) -> Result:
    return CliRunner().invoke(main, ["nights", *args, "--config", str(house)])


def test_month_is_told_as_text_csv_and_json(house: Path) -> None:
    body = json.loads(nights(house, "2026-11", "--json").stdout)
    text = nights(house, "2026-11").stdout
    assert text.startswith(f"2026-11: {body['totals']['guests']} guests in ")
    rows = list(csv.DictReader(io.StringIO(nights(house, "2026-11", "--csv").stdout)))
    assert [row["night"] for row in rows] == [row["night"] for row in body["nights"]]
    hours = nights(house, "2026-11", "--csv", "--table", "hours").stdout.splitlines()
    assert hours[0] == "hour,guests,parties,inside,full_min"
    assert (
        json.loads(nights(house, "2026-11", "--json", "--table", "hours").stdout) == body["hours"]
    )


def test_this_month_of_all_bars_may_be_empty(house: Path) -> None:
    done = nights(house, "--venue", "nowhere")
    assert done.exit_code == 0
    assert ": 0 guests in 0 parties" in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("last-week",), '"last-week" is no night (2026-11-25), week (2026-W48)'),
        (("2026", "--table", "names"), '--table: there is no "names", but record, nights'),
        (("2026", "--set", 'nights.database=""'), '[nights] database: is "", so there is no'),
        (("2026", "--set", "nights.database=/no/such/file.db"), "cannot be opened"),
        (
            ("2026", "--set", "nights.database=mysql://host/x"),
            "[nights] database: must be a SQLite",
        ),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(
    house: Path, args: tuple[str, ...], says: str
) -> None:
    done = nights(house, *args)
    assert done.exit_code == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
