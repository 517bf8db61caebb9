"""A machine of its own for each file of these tests, in the order of the file; only when asked."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.installed.machine import SUITE, Machine

#: ``make test-installed`` sets it: these need root, two tools of systemd's and some minutes.
ASKED = "BACKDOOR_INSTALLED"

collect_ignore = (
    [] if os.environ.get(ASKED) else ["test_first_boot.py", "test_installed.py", "test_package.py"]
)
if SUITE != "trixie":  # Raspberry Pi OS bookworm has no cloud-init
    collect_ignore += ["test_first_boot.py"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a booted machine on which nothing is installed yet."""
    with Machine(tmp_path_factory.mktemp("installed")).booted() as machine:
        yield machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the machine's services said last."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and machine is not None and machine.leader:
        log = machine.tell("journalctl", "-q", "--no-pager", "-o", "short-precise", "-n", "150")
        report.sections.append(("the machine's journal", log.stdout))
    return report
