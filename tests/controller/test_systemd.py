"""sd_notify on real unix datagram sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.systemd import Notifier
from tests.support.wait import HANGS_S


@pytest.fixture(params=["file", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "file" else f"@backdoor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.settimeout(HANGS_S)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield receiver


def test_each_message_reaches_systemd(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.watchdog()
    notifier.status("3 of 4 inside\nREADY=1")  # a line break must not become a word of its own
    notifier.status("3 of 4 inside\nREADY=1")
    notifier.stopping()
    assert [systemd.recv(99) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STATUS=3 of 4 inside READY=1",
        b"STOPPING=1",
    ]


def test_full_socket_does_not_block(systemd: socket.socket) -> None:
    notifier = Notifier()
    for _ in range(2000):
        notifier.watchdog()
    assert systemd.recv(99) == b"WATCHDOG=1"


@pytest.mark.parametrize("name", [None, "", "/no/such/socket", "@nobody-listens-here"])
def test_without_systemd_nothing_happens(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    Notifier().ready()
    Notifier().watchdog()
