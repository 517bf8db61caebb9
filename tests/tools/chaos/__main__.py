"""``python -m tests.tools.chaos WHAT ROUNDS [JOBS]``: the rounds of `rounds.py`, shared.

Most of a round is waiting, for a process to start or a broker to come back, so some of them at a
time keep the processor busy. Each share has a house, a broker and a journal of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

JOBS = 4


class Share:
    """One process with its part of the rounds; what it says goes to a file."""

    def __init__(self, folder: Path, what: str, rounds: int, share: str) -> None:
        self._output = folder / share.replace("/", "-")
        command = [sys.executable, "-m", "tests.tools.chaos.rounds", what, str(rounds), "1", share]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def lines(self) -> list[str]:
        """Return what it said so far, without the empty lines."""
        output = self._output.read_text().replace("\r", "\n")
        return [line.rstrip() for line in output.splitlines() if line.strip()]


def run(shares: Sequence[Share]) -> int:
    """Wait for all, show how far they are; end all with the first that fails."""
    while not (failed := [share for share in shares if share.process.poll()]):
        outputs = [share.lines() for share in shares]
        sys.stdout.write("\r" + " | ".join(lines[-1] for lines in outputs if lines)[:160])
        sys.stdout.flush()
        if all(share.process.poll() == 0 for share in shares):
            break
        time.sleep(0.5)
    for share in shares:
        share.process.terminate()
        share.process.wait(30)
    if failed:
        sys.stdout.write("\n" + "\n".join(failed[0].lines()[-40:]) + "\n")
        return 1
    done: Counter[str] = Counter()
    for share in shares:
        done.update(json.loads(share.lines()[-1]))
    sys.stdout.write(f"\r{json.dumps(done):160}\n")
    return 0


def main(what: str, rounds: str, jobs: str = "") -> int:
    """Share the rounds among so many processes and print the sum."""
    many = min(int(jobs or JOBS), int(rounds))
    began_s = time.monotonic()
    with TemporaryDirectory(prefix="backdoor-chaos-") as folder:
        shares = [Share(Path(folder), what, int(rounds), f"{k}/{many}") for k in range(many)]
        failed = run(shares)
    sys.stdout.write(f"{time.monotonic() - began_s:.0f} s\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
