"""The page with a scripted controller as a process of its own, until its input ends.

``python -m tests.support.page_process [MAX_STREAMS] [MOST_FILES]``: prints its port and its pairing
secret. MOST_FILES is the soft limit of open files, which systemd sets to 1024.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from tests.support.fake_controller import FakeController, Serving, page_of


def main(max_streams: int = 20, most_files: int = 1024) -> None:
    """Serve the page until standard input ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, hard))
    controller = FakeController()
    controller.show()
    controller.keep_alive()
    with tempfile.TemporaryDirectory() as folder:
        app = page_of(controller, Path(folder), max_streams=max_streams)
        with Serving(app) as serving:
            secret = app.extensions["backdoor"].pairing.secret
            sys.stdout.write(f"{serving.server.port} {secret}\n")
            sys.stdout.flush()
            sys.stdin.read()
    controller.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
