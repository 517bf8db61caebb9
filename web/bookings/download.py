"""Get the calendar's text: by HTTP with conditional requests, or from a file.

The work is done by `fetch` in a process of its own, which this ends when its time is over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

#: Ten years of a busy bar are two megabytes.
MAX_BYTES = 5 * 1024 * 1024
#: How long the server may be silent, and how long all of it may take.
TIMEOUT_S = 15.0
TOTAL_S = 60.0
FETCHER = Path(__file__).with_name("fetch.py")
#: The exit code of our programs that says: the line on stderr is for the reader.
TOLD = 3


class CalendarError(Exception):
    """The calendar cannot be used; the message says why and does not contain its secret address."""


@dataclass(slots=True)
class CalendarSource:
    """One calendar and the validators (ETag, date) of the copy that we have.

    ``charset`` is what the server called the text that came last, "" when it said nothing.
    """

    url: str = field(repr=False)
    charset: str = ""
    _etag: str = ""
    _modified: str = ""

    def get(self) -> bytes | None:
        """Return its text, or None when it has not changed. Raise CalendarError with the reason."""
        ask = {
            "url": self.url,
            "etag": self._etag,
            "modified": self._modified,
            "most": MAX_BYTES,
            "timeout_s": TIMEOUT_S,
        }
        head, _, body = run(FETCHER, [], json.dumps(ask).encode(), TOTAL_S).partition(b"\n")
        said = json.loads(head)
        if said["same"]:
            return None
        self._etag, self._modified, self.charset = said["etag"], said["modified"], said["charset"]
        return body

    def forget(self) -> None:
        """Forget the validators: the next request asks for the whole calendar."""
        self._etag = self._modified = ""


def run(program: Path, arguments: list[str], text: bytes, limit_s: float) -> bytes:
    """Return what one of our two programs makes of a text; raise CalendarError if it can't."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program), *arguments],
            input=text,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CalendarError("takes too long to read") from None
    except OSError as error:
        raise CalendarError(f"can't be read ({error.strerror})") from None
    if done.returncode == TOLD:
        raise CalendarError(done.stderr.decode(errors="replace").strip()[:160])
    if done.returncode < 0:
        raise CalendarError("takes too long to read, or too much memory")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        kind = "".join(last).partition(":")[0][:60]  # the rest may quote the calendar
        raise CalendarError(f"can't be read because of a bug ({program.name}: {kind})")
    return done.stdout
