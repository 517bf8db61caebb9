"""``python -m tests.tools.centre demo|chaos|week [NUMBER]``: try the centre, and break it."""

from __future__ import annotations

import sys

from tests.tools.centre import chaos


def main(what: str, number: str = "") -> None:
    """Run one of them."""
    if what == "chaos":
        chaos.main(int(number or 200))


if __name__ == "__main__":
    main(*sys.argv[1:])
