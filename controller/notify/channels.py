"""The ways out: Apprise for a hundred services, ntfy and Telegram by hand for what it cannot do.

Apprise hands over a message and forgets it; ntfy and Telegram can also replace and remove one, and
show a button. Its plugins are loaded one by one: all of them together would cost 15 MiB.

Nothing here ever repeats an address, a token or the text of a library's exception: they are secrets
or contain them.
"""

# ruff: noqa: E402  # one import has to be prepared
from __future__ import annotations

import logging
import re
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import quote

# requests would load it to guess at letters, which we never ask for: its tables weigh 2.4 MiB.
sys.modules.setdefault("charset_normalizer", cast("ModuleType", None))
with warnings.catch_warnings(action="ignore"):  # it says that it cannot guess then
    import requests
import apprise
import urllib3
from apprise.manager_plugins import NotificationManager

from controller.codec import decode
from controller.config.notify import masked
from controller.notify.notices import Notice, Outgoing
from controller.notify.pending import Outcome

log = logging.getLogger(__name__)

#: Seconds to connect, and between two bytes of an answer.
LIMITS_S = (4.0, 4.0)
MOST_ANSWER = 16 * 1024
TELEGRAM = "https://api.telegram.org"
#: How a plugin's source says which schemes are its own: one text, or several.
PROTOCOLS = re.compile(rb'^    (?:secure_)?protocol\b[^=\n]*=\s*(\([^)]*\)|"[^"]*")', re.MULTILINE)
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
NTFY_PRIORITY = {"info": 3, "warning": 4, "critical": 5}


class Words(NamedTuple):
    """A notice in a language: title, body, and what its button says."""

    title: str
    body: str
    button: str


class Result(NamedTuple):
    """What came of an attempt; ``why`` says it in plain words without a secret."""

    outcome: Outcome
    why: str = "sent"
    after_s: float = 0.0


class Channel(Protocol):
    """One address. `send` may take seconds and never raises for what the network does."""

    name: str

    def send(self, outgoing: Outgoing, words: Words) -> Result:
        """Send a notice, or remove what was sent for a key where that is possible."""

    def resolve(self) -> bool:
        """Ask for the host's address, which may hang; false when there is none."""

    def close(self) -> None:
        """Give back its connection."""


class ChannelError(Exception):
    """An address that cannot be used; the text says why and the way out, without its secret."""


# --- from an address to a channel ---------------------------------------------------------------


def open_channel(url: str, venue: str, telegram: str = TELEGRAM) -> Channel:
    """Return the channel of an Apprise address; raises `ChannelError`."""
    schema = url.partition("://")[0].lower()
    _load(schema)
    manager = _manager()
    if schema not in manager:
        raise ChannelError(
            f"{masked(url)}: Apprise knows no such service; see its list of services"
        )
    plugin = _instantiate(url)
    if plugin is None:
        page = manager[schema].setup_url
        raise ChannelError(f"{masked(url)}: something in it is missing or wrong; see {page}")
    plugin.request_rate_per_sec = 0  # we do not flood; five seconds of sleep would make it stale
    if schema in ("ntfy", "ntfys"):
        return NtfyChannel(plugin, masked(url), venue)
    if schema == "tgram":
        return TelegramChannel(plugin, masked(url), telegram)
    return AppriseChannel(plugin, masked(url), url)


def _manager() -> Any:
    """Return Apprise's one table of plugins."""
    return NotificationManager()  # type: ignore[no-untyped-call]


def _instantiate(url: str) -> Any:
    asset = apprise.AppriseAsset(app_id="Backdoor", app_desc="Backdoor", secure_logging=True)
    with _complaints():
        return apprise.Apprise.instantiate(url, asset=asset)


def _load(schema: str) -> None:
    """Have Apprise load the one plugin that knows ``schema``, or all if we cannot tell which."""
    manager = _manager()
    name = _plugin_of(schema)
    if name is None and _source_mentions(schema):
        manager.load_modules()
        return
    # It takes the names from a folder and the code from its own; with none it would load them all.
    with tempfile.TemporaryDirectory() as folder, _complaints():
        Path(folder, f"{name or 'custom_json'}.py").touch()
        manager.load_modules(path=folder, name="apprise.plugins")


def _sources() -> Iterator[tuple[str, Path]]:
    """Yield each plugin's name with each of its files."""
    for path in sorted(Path(apprise.__path__[0], "plugins").iterdir()):
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            if file.suffix == ".py":
                yield path.stem, file


def _source_mentions(schema: str) -> bool:
    return any(f'"{schema}"'.encode() in file.read_bytes() for _, file in _sources())


def _plugin_of(schema: str) -> str | None:
    """Return the name of the plugin whose class names this scheme in its source."""
    for name, file in _sources():
        named = b"".join(PROTOCOLS.findall(file.read_bytes()))
        if f'"{schema}"'.encode() in named:
            return name
    return None


# --- what went wrong, in words ------------------------------------------------------------------


class _Complaint(logging.Handler):
    """Keeps this thread's last complaint of Apprise; none is logged, for what it may contain."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = get_ident()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.text = record.getMessage()


#: Whoever writes ``?verify=no`` knows it; a warning with each message would hide others.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

_APPRISE = logging.getLogger("apprise")
_APPRISE.propagate = False
_APPRISE.addHandler(logging.NullHandler())


@contextmanager
def _complaints() -> Iterator[_Complaint]:
    kept = _Complaint()
    _APPRISE.addHandler(kept)
    try:
        yield kept
    finally:
        _APPRISE.removeHandler(kept)


def _of_status(status: int, after: str | None) -> Result:
    """Return what an HTTP status means for us."""
    if status < 300:
        return Result(Outcome.SENT)
    after_s = float(after) if after and after.isdigit() else 0.0
    if status in (408, 425, 429) or status >= 500:
        return Result(Outcome.RETRY, f"answers {status}", after_s)
    hint = "check the token or password in its address" if status in (401, 403) else "check it"
    return Result(Outcome.REFUSED, f"answers {status}; {hint}")


def _of_error(error: requests.RequestException) -> Result:
    """Return what an exception of requests means, without its text: it names the whole address."""
    if isinstance(error, requests.exceptions.SSLError):
        why = "its certificate is not trusted"
    elif isinstance(error, requests.exceptions.Timeout):
        why = f"no answer within {LIMITS_S[1]:g} s"
    else:
        why = "cannot be reached"
    return Result(Outcome.RETRY, why)


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


# --- Apprise ------------------------------------------------------------------------------------


class AppriseChannel:
    """Whatever Apprise knows: a message goes out and stays; the answer is a link in its text."""

    def __init__(self, plugin: Any, name: str, url: str) -> None:
        self.name = name
        self._plugin = plugin
        self._secrets = sorted(
            (part for part in re.split(r"[/:@?&=]", url) if len(part) > 5), key=len, reverse=True
        )
        hostname = str(plugin.template_tokens.get("host", {}).get("name", ""))
        self._host = str(plugin.host) if hostname == "Hostname" and plugin.host else ""

    def resolve(self) -> bool:
        """Ask for the host's address, where the service has a host."""
        return not self._host or _resolves(self._host)

    def close(self) -> None:
        """It keeps no connection."""

    def send(self, outgoing: Outgoing, words: Words) -> Result:
        """Send a notice; nothing can be removed."""
        if not isinstance(outgoing, Notice):
            return Result(Outcome.SENT)
        body = f"{words.body}\n{words.button}: {outgoing.link}" if outgoing.link else words.body
        with _complaints() as heard:
            sent = self._plugin.notify(
                body=body, title=words.title, notify_type=TYPES[outgoing.severity]
            )
        return Result(Outcome.SENT) if sent else self._failed(heard.text)

    def _failed(self, text: str) -> Result:
        for secret in self._secrets:
            text = text.replace(secret, "...")
        status = re.search(r"error=(\d{3})\b", text)
        outcome = _of_status(int(status[1]), None).outcome if status else Outcome.RETRY
        return Result(outcome, " ".join(text.split())[:200] or "Apprise does not say why")


class _Direct:
    """Our own requests, one session a channel."""

    def __init__(self, plugin: Any, name: str) -> None:
        self.name = name
        self._plugin = plugin
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "Backdoor"
        #: The owner's ``?verify=no`` is said with each request: an environment's bundle would win.
        self._options = {
            "timeout": LIMITS_S,
            "allow_redirects": False,
            "stream": True,
            "verify": plugin.verify_certificate,
        }

    def close(self) -> None:
        """Give back its connection."""
        self._session.close()

    def _request(self, method: str, url: str, **more: Any) -> tuple[Result, bytes]:
        try:
            with self._session.request(method, url, **self._options, **more) as answer:
                text = answer.raw.read(MOST_ANSWER, decode_content=True)
                return _of_status(answer.status_code, answer.headers.get("Retry-After")), text
        except requests.RequestException as error:
            return _of_error(error), b""
        except OSError:  # urllib3's own, while the answer is read
            return Result(Outcome.RETRY, "breaks off"), b""


# --- ntfy ---------------------------------------------------------------------------------------


class NtfyChannel(_Direct):
    """ntfy: a later message of a key replaces the earlier one, and *Answered* is one tap.

    https://docs.ntfy.sh/publish/#updating-deleting-notifications (2.16 and later; an older server
    shows a second message instead).
    """

    def __init__(self, plugin: Any, name: str, venue: str) -> None:
        super().__init__(plugin, name)
        if not plugin.topics:
            raise ChannelError(
                f"{name}: names no topic; end it with one of 1 to 64 of a-z, 0-9, _ -"
            )
        self._venue = venue
        self._host = "ntfy.sh" if plugin.mode == "cloud" else str(plugin.host)
        scheme = "https" if plugin.secure or plugin.mode == "cloud" else "http"
        port = f":{plugin.port}" if plugin.port and plugin.mode != "cloud" else ""
        self._base = f"{scheme}://{self._host}{port}"
        if plugin.token:
            self._session.headers["Authorization"] = f"Bearer {plugin.token}"
        elif plugin.user:
            self._session.auth = (plugin.user, plugin.password or "")

    def resolve(self) -> bool:
        """Ask for the server's address."""
        return _resolves(self._host)

    def send(self, outgoing: Outgoing, words: Words) -> Result:
        """Send, replace or remove, on each topic."""
        worst = Result(Outcome.SENT)
        for topic in self._plugin.topics:
            result = self._one(topic, outgoing, words)
            worst = worst if result.outcome is Outcome.SENT else result
        return worst

    def _one(self, topic: str, outgoing: Outgoing, words: Words) -> Result:
        sequence = re.sub(r"[^A-Za-z0-9_-]", "-", f"{self._venue}-{outgoing.key}")[:64]
        if not isinstance(outgoing, Notice):
            result, _ = self._request("DELETE", f"{self._base}/{quote(topic)}/{sequence}")
            # An older server knows no such request: what was sent stays, as with Apprise.
            return Result(Outcome.SENT) if result.outcome is Outcome.REFUSED else result
        message = {
            "topic": topic,
            "title": words.title,
            "message": words.body,
            "priority": NTFY_PRIORITY[outgoing.severity],
        }
        if outgoing.link:
            button = {"action": "http", "label": words.button, "url": outgoing.link}
            message["actions"] = [button | {"method": "POST", "clear": True}]
        headers = {"X-Sequence-ID": sequence}
        return self._request("POST", self._base, json=message, headers=headers)[0]


# --- Telegram -----------------------------------------------------------------------------------


class TelegramChannel(_Direct):
    """Telegram: the earlier message of a key is deleted, so that a later one rings again."""

    def __init__(self, plugin: Any, name: str, api: str) -> None:
        super().__init__(plugin, name)
        if not plugin.targets:
            raise ChannelError(f"{name}: names no chat; write tgram://TOKEN/CHAT")
        self._api = f"{api}/bot{plugin.bot_token}"
        self._host = api.partition("://")[2].partition(":")[0]
        #: Chat and number of what is shown, by key.
        self._shown: dict[str, list[tuple[object, int]]] = {}

    def resolve(self) -> bool:
        """Ask for the server's address."""
        return _resolves(self._host)

    def send(self, outgoing: Outgoing, words: Words) -> Result:
        """Remove what was sent for this key, then send in its place."""
        for chat, number in self._shown.pop(outgoing.key, []):
            self._call("deleteMessage", {"chat_id": chat, "message_id": number})
        worst = Result(Outcome.SENT)
        if isinstance(outgoing, Notice):
            for chat, topic in self._plugin.targets:
                result = self._one(chat, topic, outgoing, words)
                worst = worst if result.outcome is Outcome.SENT else result
        return worst

    def _one(self, chat: object, topic: object, notice: Notice, words: Words) -> Result:
        message: dict[str, object] = {
            "chat_id": chat,
            "text": f"{words.title}\n{words.body}",
            "disable_notification": notice.severity == "info",
            "link_preview_options": {"is_disabled": True},
        }
        if topic is not None:
            message["message_thread_id"] = topic
        plain = dict(message)
        if notice.link:
            button = {"text": words.button, "url": notice.link}
            message["reply_markup"] = {"inline_keyboard": [[button]]}
            plain["text"] = f"{message['text']}\n{words.button}: {notice.link}"
        result, answer = self._call("sendMessage", message)
        if result.outcome is Outcome.REFUSED and notice.link:  # it takes no button to a LAN's name
            result, answer = self._call("sendMessage", plain)
        if result.outcome is Outcome.SENT and isinstance(answer.get("message_id"), int):
            self._shown.setdefault(notice.key, []).append((chat, answer["message_id"]))
        return result

    def _call(self, method: str, body: Mapping[str, object]) -> tuple[Result, dict[str, Any]]:
        result, text = self._request("POST", f"{self._api}/{method}", json=body)
        try:
            found = decode(text)["result"] if text else {}
        except (ValueError, KeyError, TypeError):
            found = {}
        return result, found if isinstance(found, dict) else {}
