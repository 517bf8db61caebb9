"""Who may see the page: every phone that once opened the secret link.

The secret is in one file that only our own user can read (mode 0600; a group that may read it
keeps that right). `GET /pair/<secret>` turns it into a signed cookie. The signing key is derived
from the secret, so a new secret throws every phone out at once, also in a page that is running: the
file is checked at every request and read again when it changed.

Nobody guesses 192 bits at any speed. Failed attempts are slowed only to spare log and processor,
per address and in bounded memory, and the right link always works: the one attack that could
succeed here would be to lock the bar out.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import ipaddress
import os
import secrets
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from controller.config.atomic_file import read_regular, write_beside

SECRET_BYTES = 24  # 192 bits, 32 characters
SHORTEST_SECRET = 22  # characters: 128 bits in base64
FREE_ATTEMPTS = 5
LONGEST_WAIT_S = 30.0
REMEMBERED_ADDRESSES = 1024


class PairingError(Exception):
    """The secret file cannot be used; the message says which file, why, and the way out."""


class Pairing:
    """The secret in its file: made when missing, read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._secret = ""

    @property
    def secret(self) -> str:
        """The secret that is in the file now."""
        with self._lock:
            if self._version is None or self._stat() != self._version:
                self._read()
            return self._secret

    def rotate(self) -> None:
        """Replace the secret: every paired phone is thrown out."""
        with self._with_reason(), self._temporary() as temporary:
            os.replace(temporary, self._path)

    def matches(self, candidate: str) -> bool:
        """Return whether it is the secret; the time that it takes shows nothing."""
        return hmac.compare_digest(candidate.encode(), self.secret.encode())

    def signing_key(self) -> bytes:
        """Return the key for cookies and CSRF tokens; it changes with the secret, and hides it."""
        return hmac.digest(self.secret.encode(), b"backdoor phone page", "sha256")

    def generation(self) -> str:
        """Return a word that changes with the secret, and hides it too."""
        return hmac.digest(self.secret.encode(), b"backdoor phones", "sha256").hex()[:32]

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> None:
        with self._with_reason():
            if self._stat() is None:
                self._create()
            version = self._stat()
            text = read_regular(self._path).decode("ascii").strip()
        if len(text) < SHORTEST_SECRET:
            raise PairingError(
                f"{self._path}: the pairing secret has {len(text)} characters, fewer than"
                f" {SHORTEST_SECRET}; make a new one with: backdoor pair --rotate"
            )
        self._version, self._secret = version, text

    def _create(self) -> None:
        """Make the file; when another process was quicker, its secret is the one."""
        with self._temporary() as temporary, contextlib.suppress(FileExistsError):
            os.link(temporary, self._path)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Give a new secret in a file beside ours, with its rights; the file is gone in the end."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = write_beside(self._path, secrets.token_urlsafe(SECRET_BYTES) + "\n")
        try:
            self._give_rights(beside)
            yield beside
        finally:
            beside.unlink(missing_ok=True)

    def _give_rights(self, beside: Path) -> None:
        """Let those read it who may read ours."""
        if self._path.exists():  # the page may be another user of the file's group
            beside.chmod(self._path.stat().st_mode & 0o640)
        if os.geteuid() == 0:  # `sudo backdoor pair`: the page's own user must still read it
            owner = (self._path if self._path.exists() else self._path.parent).stat()
            os.chown(beside, owner.st_uid, owner.st_gid)

    @contextlib.contextmanager
    def _with_reason(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise PairingError(
                f"{self._path}: cannot use the pairing secret: {reason};"
                " set [web] secret_file to a file that this user may write"
            ) from error


class AttemptLimiter:
    """Failed attempts by address: the first few are free, then each makes the next wait longer."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """Count a failed attempt and return the seconds that this address must wait (0: none)."""
        now_s = self._monotonic()
        with self._lock:
            count, since_s = self._failed.pop(address, (0, now_s))
            if now_s - since_s > 10 * LONGEST_WAIT_S:
                count = 0
            self._failed[address] = (count + 1, now_s)
            while len(self._failed) > REMEMBERED_ADDRESSES:
                self._failed.popitem(last=False)
        over = count + 1 - FREE_ATTEMPTS
        return 0.0 if over <= 0 else min(2.0 ** min(over - 1, 10), LONGEST_WAIT_S)

    def succeeded(self, address: str) -> None:
        """Forget the failed attempts of this address."""
        with self._lock:
            self._failed.pop(address, None)


def own_address() -> str | None:
    """Return the IPv4 address at which a phone on the same network finds us; sends no packet.

    None when this machine is on no network.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: picks the route, no more
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _own_name() -> str:
    return own_address() or f"{socket.gethostname()}.local"


def page_url(host: str, port: int, public_url: str, *, tls: bool = False) -> str:
    """Return the page's URL without a slash at its end."""
    if public_url and urlsplit(public_url).scheme in ("http", "https"):
        return public_url.rstrip("/")
    try:
        literal = ipaddress.ip_address(host)
        name = _own_name() if literal.is_unspecified else str(literal)
        name = f"[{name}]" if ":" in name else name
    except ValueError:
        name = host or _own_name()
    scheme, usual = ("https", 443) if tls else ("http", 80)
    return f"{scheme}://{name}" + ("" if port == usual else f":{port}")


def qr_svg(link: str, title: str) -> str:
    """Return the link as a QR code for a page: an SVG, dark on light as cameras like it."""
    import segno

    drawn = segno.make(link, error="m", micro=False)
    return str(
        drawn.svg_inline(
            border=4, dark="#000", light="#fff", title=title, svgclass="qr", omitsize=True
        )
    )


def qr_text(link: str) -> str:
    """Return the link as a QR code for a terminal, light on dark."""
    import segno  # late: the page itself draws no code

    drawn = io.StringIO()
    segno.make(link, error="m", micro=False).terminal(out=drawn, compact=True, border=2)
    return drawn.getvalue()
