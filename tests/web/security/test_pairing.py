"""Pairing: the secret in its file, what a new one does, wrong tries, the link and its drawing."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from web.security.pairing import (
    FREE_ATTEMPTS,
    LONGEST_WAIT_S,
    REMEMBERED_ADDRESSES,
    AttemptLimiter,
    Pairing,
    PairingError,
    page_url,
    qr_text,
)


def test_secret_is_made_private_and_long_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret"
    secret = Pairing(file).secret
    assert len(secret) >= 22
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Pairing(file).secret == secret
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


def test_secret_is_one_for_many_processes_at_first_start(tmp_path: Path) -> None:
    found: set[str] = set()
    threads = [
        threading.Thread(target=lambda: found.add(Pairing(tmp_path / "s").secret)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_secret_that_is_new_is_seen_by_a_running_page(tmp_path: Path) -> None:
    running, other = Pairing(tmp_path / "s"), Pairing(tmp_path / "s")
    old, key = running.secret, running.signing_key()
    other.rotate()
    assert running.secret != old
    assert running.signing_key() != key
    assert not running.matches(old)
    assert running.matches(other.secret)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


def test_secret_that_is_new_keeps_the_groups_right_to_read(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path / "s")
    assert pairing.secret
    for mode, kept in ((0o640, 0o640), (0o666, 0o640), (0o600, 0o600)):
        (tmp_path / "s").chmod(mode)
        pairing.rotate()
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == kept


def test_secret_that_was_deleted_is_replaced(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path / "s")
    old = pairing.secret
    (tmp_path / "s").unlink()
    assert pairing.secret != old


def test_signing_key_does_not_show_the_secret(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path / "s")
    assert pairing.secret.encode() not in pairing.signing_key()


@pytest.mark.parametrize("candidate", ["", "x", "é", "a" * 5000])
def test_secret_that_is_wrong_does_not_match(tmp_path: Path, candidate: str) -> None:
    assert not Pairing(tmp_path / "s").matches(candidate)


def test_secret_that_is_short_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hello\n")
    with pytest.raises(PairingError, match=r"s: the pairing secret has 5 .* pair --rotate"):
        _ = Pairing(tmp_path / "s").secret


def test_secret_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(PairingError, match="secret_file"):
        _ = Pairing(tmp_path / "s").secret


def test_secret_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PairingError, match=r"file/s: .*Not a directory; set \[web\] secret_file"):
        _ = Pairing(tmp_path / "file" / "s").secret
    with pytest.raises(PairingError, match="Is a directory"):
        Pairing(tmp_path).rotate()


class Hands:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_secret_that_cannot_be_replaced_leaves_no_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(PairingError, match="cannot use the pairing secret"):
        Pairing(tmp_path / "secret").rotate()
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_attempts_that_fail_wait_longer_and_longer_per_address() -> None:
    attempts = AttemptLimiter(Hands())
    waits = [attempts.failed("a") for _ in range(FREE_ATTEMPTS + 8)]
    assert waits[:FREE_ATTEMPTS] == [0.0] * FREE_ATTEMPTS
    assert waits[FREE_ATTEMPTS : FREE_ATTEMPTS + 4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST_WAIT_S
    assert attempts.failed("b") == 0.0


def test_attempts_are_forgotten_after_success_or_time() -> None:
    clock = Hands()
    attempts = AttemptLimiter(clock)
    for _ in range(20):
        attempts.failed("a")
        attempts.failed("b")
    attempts.succeeded("a")
    clock.s += 10 * LONGEST_WAIT_S + 1
    assert attempts.failed("a") == attempts.failed("b") == 0.0


def test_attempts_of_many_addresses_keep_memory_bounded() -> None:
    attempts = AttemptLimiter(Hands())
    for number in range(3 * REMEMBERED_ADDRESSES):
        attempts.failed(str(number))
    assert len(attempts._failed) == REMEMBERED_ADDRESSES


@pytest.mark.parametrize(
    ("host", "port", "public", "tls", "url"),
    [
        ("127.0.0.1", 8080, "", False, "http://127.0.0.1:8080"),
        ("bar.local", 80, "", False, "http://bar.local"),
        ("::1", 443, "", True, "https://[::1]"),
        ("0.0.0.0", 8080, "https://bar.example/", False, "https://bar.example"),
    ],
)
def test_page_url_of_each_configuration(
    host: str, port: int, public: str, tls: bool, url: str
) -> None:
    assert page_url(host, port, public, tls=tls) == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_page_url_on_all_addresses_names_one_that_a_phone_can_reach(host: str) -> None:
    url = page_url(host, 8080, "")
    assert url.startswith("http://")
    assert "0.0.0.0" not in url
    assert "[::]" not in url


def test_qr_code_is_drawn_for_a_terminal() -> None:
    drawn = qr_text("http://bar.local/pair/" + "x" * 32)
    lines = drawn.splitlines()
    assert len(lines) > 15
    assert max(map(len, lines)) > 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_secret_that_root_makes_belongs_to_the_pages_own_user(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 1234, 1235)
    pairing = Pairing(folder / "secret")
    assert pairing.secret
    for _ in range(2):
        found = (folder / "secret").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o600)
        pairing.rotate()
