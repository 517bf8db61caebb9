"""A real nats-server and a real Postgres, and the local clock of a bar in Milan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nats import Node, nats_nodes
from tests.web.nights.conftest import address, always_in_milan, postgres

__all__ = ["address", "always_in_milan", "postgres"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A server of this test's own."""
    with nats_nodes(tmp_path / "nats") as nodes:
        yield nodes[0]
