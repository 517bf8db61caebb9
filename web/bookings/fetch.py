"""Get a calendar's bytes from its address or file, in a process of its own.

`download` runs it and ends it when its time is over: whatever a server or a network disk does (a
byte every five seconds, a name that never resolves, a file that is a pipe), it costs that process
and nothing else. So it imports nothing from this repository.

    python fetch.py < {"url": ..., "etag": ..., "modified": ..., "most": BYTES, "timeout_s": ...}

It writes one line of JSON (etag, modified, charset, or `same`) and then the bytes; on error one
line to stderr and exit code `TOLD`. The address is a secret: it comes by stdin because anybody can
read a command line, and no message contains any of it.
"""

from __future__ import annotations

import base64
import http.client
import json
import stat
import sys
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

#: The exit code that says: the line on stderr is for the reader.
TOLD = 3
SCHEMES = {"webcal": "https", "webcals": "https", "http": "http", "https": "https"}
MOVED = "is moved by its server, in circles or to another scheme: give the address of its new place"
#: What may stand in an address as it is; the rest is quoted.
SAFE = "!#$%&'()*+,/:;=?@[]~"
CHUNK = 65536


class NotFetched(Exception):
    """It could not be got; the message says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes, None when they have not changed; what to ask with next time; their charset."""

    body: bytes | None
    etag: str = ""
    modified: str = ""
    charset: str = ""


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but to no other scheme: not from https to http, not to a file."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme.lower() != req.type:
            raise NotFetched(MOVED)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, etag: str, modified: str, most: int, timeout_s: float) -> Fetched:
    """Return the calendar from an http(s) or webcal address, or a file; raise NotFetched."""
    if "://" not in url:
        return Fetched(_file(url, most))
    try:
        return _http(_request(url, etag, modified), most, timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.NOT_MODIFIED:
            return Fetched(None, etag, modified)
        raise NotFetched(_refusal(error.code)) from None
    except http.client.IncompleteRead:
        raise NotFetched("was cut off on its way") from None
    except (http.client.HTTPException, ValueError, zlib.error) as error:
        raise NotFetched(f"can't be read ({type(error).__name__})") from None
    except OSError as error:
        raise NotFetched(f"can't be read ({_reason(error)})") from None


def _refusal(code: int) -> str:
    """Return words for a status; not the server's own, which may contain the address."""
    if 300 <= code < 400:
        return MOVED
    try:
        return f"its server answers {code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"its server answers {code}"


def _reason(error: OSError) -> str:
    """Return what the system says; a URLError carries another error, or words of urllib's."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, OSError):
        return getattr(inner, "verify_message", "") or inner.strerror or type(inner).__name__
    return type(error).__name__


def _file(path: str, most: int) -> bytes:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            kind = "a directory" if Path(path).is_dir() else "no ordinary file"
            raise NotFetched(f"can't be read: it is {kind}")
        with Path(path).open("rb") as file:
            return _limited(file.read(most + 1), most)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise NotFetched(f"can't be read ({reason})") from None


def _request(url: str, etag: str, modified: str) -> urllib.request.Request:
    parts = urlsplit(url.strip())
    scheme = SCHEMES.get(parts.scheme.lower())
    if not scheme or not parts.hostname:
        raise NotFetched("is no http or https address, nor a file")
    address = f"{scheme}://{_host(parts)}{quote(parts.path or '/', safe=SAFE)}"
    if parts.query:
        address += f"?{quote(parts.query, safe=SAFE)}"
    request = urllib.request.Request(address)
    asked = {"User-Agent": "backdoor", "If-None-Match": etag, "If-Modified-Since": modified}
    for name, value in asked.items():
        if value:
            request.add_header(name, value)
    if parts.username is not None:
        # "unredirected": a server may send us elsewhere, but not with the password
        request.add_unredirected_header("Authorization", _basic(parts))
    return request


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name.encode("idna").decode()
    return f"{host}:{parts.port}" if parts.port else host


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _http(request: urllib.request.Request, most: int, timeout_s: float) -> Fetched:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameScheme(),
    ):
        opener.add_handler(handler)
    with opener.open(request, timeout=timeout_s) as answer:
        body = _body(answer, most)
        headers = answer.headers
        charset = headers.get_content_charset("") or ""
        return Fetched(body, headers.get("ETag", ""), headers.get("Last-Modified", ""), charset)


def _body(answer: http.client.HTTPResponse, most: int) -> bytes:
    """Return the body, unpacked; never more than a little over ``most`` bytes of it in memory."""
    packing = (answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", "deflate"):
        raise NotFetched("is packed by its server in a way that is not known here")
    unpack = None if packing == "identity" else zlib.decompressobj(wbits=47)  # gzip or zlib
    body = bytearray()
    while chunk := answer.read(CHUNK):
        body += unpack.decompress(chunk, most + 1 - len(body)) if unpack else chunk
        _limited(body, most)
    if answer.length or (unpack and not unpack.eof):
        raise NotFetched("was cut off on its way")
    return bytes(body)


def _limited(text: bytes | bytearray, most: int) -> bytes:
    if len(text) > most:
        raise NotFetched(f"is larger than {most // 1024 // 1024} MB")
    return bytes(text)


def main() -> None:
    """Fetch what stdin asks for; see the top of this file."""
    try:
        found = fetch(**json.load(sys.stdin))
    except NotFetched as error:
        sys.stderr.write(str(error))
        sys.exit(TOLD)
    head = {"etag": found.etag, "modified": found.modified, "charset": found.charset}
    line = json.dumps(head | {"same": found.body is None})
    sys.stdout.buffer.write(line.encode() + b"\n" + (found.body or b""))


if __name__ == "__main__":
    main()
