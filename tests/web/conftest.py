"""A page, its scripted controller and a paired phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.fake_controller import FakeController, FakeSimulator, page_of, paired


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.show()
    controller.heartbeat()
    return controller


@pytest.fixture
def simulator() -> FakeSimulator:
    return FakeSimulator()


@pytest.fixture
def app(controller: FakeController, simulator: FakeSimulator, tmp_path: Path) -> Flask:
    return page_of(controller, tmp_path, simulator=simulator)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return paired(app)
