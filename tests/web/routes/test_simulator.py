"""The demo's buttons: simulated pins only, and absent at a real door."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.fake_controller import FakeController, FakeSimulator, page_of, paired


def test_simulator_moves_pins_without_a_token(
    client: FlaskClient, simulator: FakeSimulator
) -> None:
    assert client.post("/bench/walk_in").json == {"ok": True}
    assert client.post("/bench/line/beam_outer/1").json == {"ok": True}
    assert client.post("/bench/line/beam_outer/0").json == {"ok": True}
    assert simulator.done == ["walk_in", "beam_outer=1", "beam_outer=0"]


@pytest.mark.parametrize(
    "path", ["/bench/fly", "/bench/line/nose/1", "/bench/line/beam_outer/2", "/bench/line/x"]
)
def test_simulator_unknown_action_or_line_is_not_found(
    client: FlaskClient, simulator: FakeSimulator, path: str
) -> None:
    assert client.post(path).status_code == 404
    assert simulator.done == []


def test_simulator_by_form_goes_back_to_the_page(client: FlaskClient) -> None:
    assert client.post("/bench/walk_in", data={"back": 1}).location == "/"


def test_simulator_is_absent_at_a_real_door(controller: FakeController, tmp_path: Path) -> None:
    client = paired(page_of(controller, tmp_path))
    assert client.post("/bench/walk_in").status_code in (400, 404)
    assert "/bench/" not in client.get("/").text
