"""A store in each database that this machine has, and the local clock of a bar in Milan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, postgres_server


@pytest.fixture(autouse=True)
def always_in_milan(in_milan: None) -> None:
    """Nights begin at noon there."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server of this run's own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store in each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "nights.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()
