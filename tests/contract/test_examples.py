"""The suite's examples are the same everywhere; those of `make fuzz` never are."""

from __future__ import annotations

import os
import subprocess
import sys

DRAWS = """
import sys
import hypothesis.strategies as st
from hypothesis import given, settings
from tests.support import examples
examples.draw_the_same_everywhere()
settings.load_profile(sys.argv[1])
@given(st.integers(), st.floats(), st.text(), st.sets(st.text(), min_size=3))
def show(whole, real, text, several):
    print(whole, real, ascii(text), ascii(sorted(several)))
show()
"""


def drawn(profile: str, before: str = "", **environment: str) -> str:
    """Return what a process of its own draws, after it has run the line ``before``."""
    return subprocess.run(
        [sys.executable, "-c", before + DRAWS, profile],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def test_whatever_ran_before_and_wherever_the_same_is_drawn() -> None:
    here = drawn(
        "house", "import controller.rules.step, controller.config", PYTHONHASHSEED="1", CI=""
    )
    assert here.count("\n") >= 100
    assert here == drawn("house", PYTHONHASHSEED="2", CI="true", TZ="Asia/Tokyo")


def test_fuzzing_draws_others_each_time_in_a_ci_as_well() -> None:
    assert drawn("fuzz", CI="true") != drawn("fuzz", CI="true")
