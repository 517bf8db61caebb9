"""The line about a centre that takes no events."""

from __future__ import annotations

from time import monotonic

from web.nights.feed import Trouble
from web.presentation.centre import SAID_AFTER_S, CentreView


def test_trouble_lasts_as_long_as_it_does_whatever_the_wall_clock_says() -> None:
    """A Pi whose network was away when it started has its clock set when that is back."""
    trouble = Trouble("cannot be reached", monotonic())
    assert CentreView(lambda: trouble, lambda: 3).words() == ""
    assert 0 <= trouble.lasts_s < SAID_AFTER_S
