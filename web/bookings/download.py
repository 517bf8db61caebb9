"""Get the calendar's text: by HTTP with conditional requests, or from a file."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Ten years of a busy bar are two megabytes.
MAX_BYTES = 5 * 1024 * 1024
TIMEOUT_S = 15.0


class CalendarError(Exception):
    """The calendar cannot be used; the message says why and does not contain its secret address."""


@dataclass(slots=True)
class CalendarSource:
    """One calendar and the validators (ETag, date) of the copy that we have."""

    url: str
    _etag: str = ""
    _modified: str = ""

    def get(self) -> bytes | None:
        """Return its text, or None when it has not changed. Raise CalendarError with the reason."""
        try:
            return self._download() if "://" in self.url else self._read()
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection; Python 3.14 minds who leaves it open
                if error.code == 304:
                    return None
                raise CalendarError(f"its server answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise CalendarError(f"can't be read ({reason})") from None

    def forget(self) -> None:
        """Forget the validators: the next request asks for the whole calendar."""
        self._etag = self._modified = ""

    def _read(self) -> bytes:
        with Path(self.url).open("rb") as file:
            return _limited(file.read(MAX_BYTES + 1))

    def _download(self) -> bytes:
        address = self.url.replace("webcal://", "https://", 1)
        if urlsplit(address).scheme not in ("http", "https"):
            raise CalendarError("is no http or https address, nor a file")
        request = urllib.request.Request(address, headers=self._validators())
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            text = _limited(answer.read(MAX_BYTES + 1))
            self._etag = answer.headers.get("ETag", "")
            self._modified = answer.headers.get("Last-Modified", "")
        return text

    def _validators(self) -> dict[str, str]:
        validators = {"If-None-Match": self._etag, "If-Modified-Since": self._modified}
        return {name: value for name, value in validators.items() if value} | {
            "User-Agent": "backdoor"
        }


def _limited(text: bytes) -> bytes:
    if len(text) > MAX_BYTES:
        raise CalendarError(f"is larger than {MAX_BYTES // 1024 // 1024} MB")
    return text
