"""What tests of the installer share: a stock config.txt, and an executor that runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SYSTEMD = Path(__file__).parents[2] / "systemd"
STOCK = (
    "# For more options see http://rptl.io/configtxt\ndtparam=audio=on\n\n[all]\nenable_uart=1\n"
)


def remembering(base: Any) -> Any:
    """Return an executor that writes files, and only remembers the commands to run."""

    class Remembering(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(dry_run=False)
            self.ran: list[str] = []

        def run(self, *command: str, check: bool = True) -> str:
            self.ran.append(" ".join(command))
            return ""

        def log_step(self, text: str) -> None:
            pass

        @property
        def notes(self) -> list[str]:
            return list(self._notes)

    return Remembering()
