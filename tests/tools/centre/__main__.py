"""``python -m tests.tools.centre WHAT [NUMBERS]``: try the centre, break it, measure it.

``demo [BARS] [SPEED] [PORT]``, ``chaos [ROUNDS]``, ``week``, ``rate [EVENTS]``.
"""

from __future__ import annotations

import logging
import sys

from tests.tools.centre import chaos, demo, rate, week


def main(what: str, *numbers: str) -> None:
    """Run one of them."""
    logging.basicConfig(level=logging.ERROR)
    if what == "demo":
        bars, speed, port = (*numbers, *("30", "60", "0")[len(numbers) :])
        demo.main(int(bars), float(speed), int(port))
    elif what == "chaos":
        chaos.main(int(numbers[0]) if numbers else 200)
    elif what == "week":
        week.main()
    elif what == "rate":
        rate.main(*map(int, numbers))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
