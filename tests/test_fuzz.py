"""Bytes from a stranger, 300 cases at each place that reads some; ``make fuzz`` gives more."""

from __future__ import annotations

import pytest

from tests import fuzz


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_nothing_escapes(name: str) -> None:
    fuzz.run(name, 300)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_the_true_examples_are_good(name: str) -> None:
    for seed in fuzz.SEEDS[name]:
        fuzz.TARGETS[name](seed)
