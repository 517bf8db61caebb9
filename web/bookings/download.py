"""Get the calendar: from an address, asking only for what is new, or from a file."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Ten years of a busy bar are two megabytes.
LARGEST_BYTES = 5 * 1024 * 1024
PATIENCE_S = 15.0


class FetchError(Exception):
    """The calendar could not be had; the text says why, for a person, and names no secret."""


@dataclass(slots=True)
class Source:
    """One calendar; remembers by which marks its server knows the copy that we have."""

    url: str
    _etag: str = ""
    _modified: str = ""

    def get(self) -> bytes | None:
        """Return its text; None when it is as it was. Raises FetchError with the reason."""
        try:
            return self._download() if "://" in self.url else self._read()
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection; Python 3.14 minds who leaves it open
                if error.code == 304:
                    return None
                raise FetchError(f"its server answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise FetchError(f"can't be read ({reason})") from None

    def forget(self) -> None:
        """Ask for the whole next time: what came was no good."""
        self._etag = self._modified = ""

    def _read(self) -> bytes:
        with Path(self.url).open("rb") as file:
            return _limited(file.read(LARGEST_BYTES + 1))

    def _download(self) -> bytes:
        address = self.url.replace("webcal://", "https://", 1)
        if urlsplit(address).scheme not in ("http", "https"):
            raise FetchError("is no http or https address, nor a file")
        request = urllib.request.Request(address, headers=self._marks())
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            text = _limited(answer.read(LARGEST_BYTES + 1))
            self._etag = answer.headers.get("ETag", "")
            self._modified = answer.headers.get("Last-Modified", "")
        return text

    def _marks(self) -> dict[str, str]:
        marks = {"If-None-Match": self._etag, "If-Modified-Since": self._modified}
        return {name: mark for name, mark in marks.items() if mark} | {"User-Agent": "backdoor"}


def _limited(text: bytes) -> bytes:
    if len(text) > LARGEST_BYTES:
        raise FetchError(f"is larger than {LARGEST_BYTES // 1024 // 1024} MB")
    return text
