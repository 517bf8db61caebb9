"""``python -m tests.support.examples [MINUTES]``: new examples of property tests (`make fuzz`).

The suite draws the same examples on every machine, in every order and on every day: what it says
depends on the commit alone. New ones are drawn here, round after round with another seed, until the
time is over. What is found is printed and belongs beside its test as an ``@example``, where the
suite tries it from then on.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from functools import cached_property
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

#: Examples of a test in each round, where it has no number of its own.
EACH_ROUND = 300
#: A round on a machine that is busy takes longer than a test of the suite may.
ROUND = ("-m", "hypothesis", "--hypothesis-profile=fuzz", "-o", "timeout=1800", "-n", "2")


def draw_the_same_everywhere() -> None:
    """Load the suite's profile; ``fuzz`` is there to be asked for."""
    usual: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    plain = settings.get_profile("default")
    settings.register_profile("house", plain, derandomize=True, **usual)
    settings.register_profile(
        "fuzz", plain, max_examples=EACH_ROUND, print_blob=True, database=None, **usual
    )
    settings.load_profile("house")
    _no_numbers_of_our_own()


def _no_numbers_of_our_own() -> None:
    """Keep out the numbers and words that Hypothesis finds in our modules, but while fuzzing.

    It draws from all modules that are imported by then: a test alone would get other examples than
    among the rest, and each worker its own. There is no setting for it.
    """
    found = vars(HypothesisProvider)["_local_constants"]
    assert isinstance(found, cached_property)

    def constants(provider: HypothesisProvider) -> Constants:
        in_suite = settings.default is not None and settings.default.derandomize
        return Constants() if in_suite else found.func(provider)

    pytest.MonkeyPatch().setattr(HypothesisProvider, "_local_constants", property(constants))


def main(minutes: float) -> int:
    """Draw until the time is over or a test fails; return 1 when one did."""
    end_s = time.monotonic() + 60 * minutes
    rounds = 0
    while not rounds or time.monotonic() < end_s:
        rounds += 1
        seed = secrets.randbelow(2**32)
        command = [sys.executable, "-m", "pytest", *ROUND, f"--hypothesis-seed={seed}", "tests"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stdout.write(done.stdout + done.stderr)
            sys.stdout.write(f"found with seed {seed}: keep it beside its test as an @example\n")
            return 1
        sys.stdout.write(f"round {rounds}, seed {seed}: {done.stdout.splitlines()[-1].strip()}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
