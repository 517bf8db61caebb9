"""Reading what a report needs from the controller's folder, as its owner.

``python -m controller.maintenance.gather JOURNAL FROM TO [SECRET_FILE]`` writes a tar to stdout:
the raw edges between two wall times (seconds since 1970) as a trace, the newest events, and what
must not be shown.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from controller.journal.journal import read_last
from controller.maintenance.collect import CollectError, read_file
from controller.trace import cut, flights

EVENTS = 3000
TRACE, JOURNAL, HIDDEN = "trace.csv", "events.jsonl", "hidden"


def trace(journal: str, from_s: float, to_s: float) -> str:
    """Return the raw edges of that time."""
    return "".join(cut(flights(journal), from_s, to_s))


def events(journal: str) -> str:
    """Return the newest events, one JSON object a line."""
    return "".join(f"{row.to_json()}\n" for row in read_last(journal, EVENTS))


def hidden(journal: str, files: Iterable[str]) -> str:
    """Return what must not be shown: whatever stands in the secret files, and names of regulars."""
    found: list[str] = []
    for file in files:
        found += read_file(Path(file)).decode(errors="replace").split()
    regulars = Path(journal).with_name("regulars.toml")
    if regulars.exists():
        found += tomllib.loads(read_file(regulars).decode())
    return json.dumps(found)


def _or_why(read: Callable[[], str]) -> str:
    """Return what ``read`` reads, or why it can't: a report is made when something is broken."""
    try:
        return read()
    except (OSError, ValueError, CollectError) as error:
        return f"cannot be read: {type(error).__name__}\n"


def main(journal: str, from_s: str, to_s: str, *files: str) -> None:
    """Write all of it to stdout."""
    parts = {
        TRACE: _or_why(lambda: trace(journal, float(from_s), float(to_s))),
        JOURNAL: _or_why(lambda: events(journal)),
        HIDDEN: _or_why(lambda: hidden(journal, files)),
    }
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for name, text in parts.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
