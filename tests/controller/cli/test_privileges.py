"""What root starts in the controller's directory is done by the controller's user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.privileges import others_may_run_python

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(not others_may_run_python(), reason="no other user may run this Python"),
]

NOBODY = 65534
#: A file of root's alone that would do as the secret of a page.
SECRET = "kept-from-everybody-else-" + "x" * 24 + "\n"


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory of a service's, and beside it a file of root's alone."""
    top = Path(tempfile.mkdtemp(prefix="backdoor-owner-"))
    top.chmod(0o755)
    (top / "data").mkdir(mode=0o755)
    os.chown(top / "data", NOBODY, NOBODY)
    (top / "shadow").write_text(SECRET)
    (top / "shadow").chmod(0o600)
    yield top / "data"
    shutil.rmtree(top)


def backdoor(data: Path, *args: str) -> subprocess.CompletedProcess[str]:
    config = data.with_name("backdoor.toml")
    config.write_text(
        f'[web]\nsecret_file = "{data}/secret"\n[journal]\npath = "{data}/journal.db"\n'
    )
    command = [sys.executable, "-m", "controller", *args, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("args", [("pair",), ("pair", "--rotate"), ("journal",)])
def test_link_to_a_file_of_roots_is_neither_read_nor_written(
    data: Path, args: tuple[str, ...]
) -> None:
    secret = data.with_name("shadow")
    for name in ("secret", "journal.db"):
        (data / name).symlink_to(secret)
    done = backdoor(data, *args)
    assert SECRET.strip() not in done.stdout + done.stderr
    assert secret.read_text() == SECRET
    assert (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (0, 0o600)
    assert "Traceback" not in done.stderr


def test_secret_that_root_makes_belongs_to_the_service(data: Path) -> None:
    done = backdoor(data, "pair")
    assert (done.returncode, done.stderr) == (0, "")
    assert (data / "secret").stat().st_uid == NOBODY
