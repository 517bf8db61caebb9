"""Lighthouse's marks for the page: accessibility and best practices at least 95 in several states.

``python -m tests.tools.lighthouse PROGRAM``; `make test-page` installs it and runs this.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser.conftest import ARGS, CHROMIUM
from tests.browser.states import STATES
from tests.support.fake_controller import FakeController, Serving, page_of, paired

LEAST = 95
CATEGORIES = ("accessibility", "best-practices")
SHOWN = ("empty", "knock", "doubt", "asked", "evacuation", "letting-in", "overtime")
#: A whole run takes some ten seconds; on a busy machine many times that.
LIMIT_S = 300.0


def marks(program: str, url: str, cookie: str) -> dict[str, int]:
    """Return the page's mark in each category, out of 100."""
    assert CHROMIUM, "chromium is missing: sudo apt install chromium, or set CHROMIUM"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        headers = Path(folder) / "headers.json"
        headers.write_text(json.dumps({"Cookie": cookie}))
        subprocess.run(
            [
                program,
                url,
                "--quiet",
                "--output=json",
                f"--output-path={report}",
                f"--extra-headers={headers}",
                f"--only-categories={','.join(CATEGORIES)}",
                f"--chrome-flags=--headless=new {' '.join(ARGS)}",
            ],
            check=True,
            timeout=LIMIT_S,
            env={"CHROME_PATH": CHROMIUM, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder},
        )
        found = json.loads(report.read_text())
    for audit in found["audits"].values():
        if audit["score"] is not None and audit["score"] < 1:
            print(f"    {audit['id']}: {audit['title']}")
    return {name: round(100 * found["categories"][name]["score"]) for name in CATEGORIES}


def main(program: str) -> int:
    """Print the marks in each state; return 1 if one is too low."""
    controller = FakeController()
    controller.show()
    low = 0
    with tempfile.TemporaryDirectory() as folder:
        app = page_of(controller, Path(folder))
        cookie = paired(app).get_cookie("backdoor", "localhost")
        assert cookie
        controller.keep_alive()
        with Serving(app) as serving:
            for state in SHOWN:
                STATES[state](controller)
                found = marks(program, f"{serving.url}/", f"backdoor={cookie.value}")
                print(f"{state}: {found}", flush=True)
                low += any(mark < LEAST for mark in found.values())
        controller.stop()
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
