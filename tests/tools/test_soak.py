"""Three evenings of the year that ``make soak`` plays, twice, in processes of their own."""

from __future__ import annotations

import subprocess
import sys


def test_three_evenings_are_the_same_twice_and_cost_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.soak", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "3 evenings" in done.stdout
    assert "byte-identical" in done.stdout
