"""The phones that are paired: their names, when each was last seen, and those that are thrown out.

A cookie is good as long as its signature is *and* its phone is in this list. The list is one file
(mode 0600) that only the page's process writes, in one step. A list that begins where there was
none (at the first start of a version that has one, or because it was lost) takes up each phone with
a good cookie when it comes. One that begins because the old one is damaged, or the secret is new,
takes up nobody: a phone that was thrown out may not come back by that.

*Last seen* is kept on the disk once an hour only, so that an evening costs the card nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.config import atomic_file

log = logging.getLogger(__name__)

#: More than any bar has; the one that was not seen for longest makes room.
MOST_PHONES = 64
#: Phones that were thrown out and must not be taken up; when there are more nobody is any more.
MOST_GONE = 256
LONGEST_NAME = 40  # characters, as the controller takes them
INVITED_S = 120.0
MOST_INVITED = 16
SAVE_EVERY_S = 3600.0

CANNOT_WRITE = (
    "%s: the list of paired phones can't be written: %s; what was changed is lost at the next"
    " start. To throw out every phone: backdoor pair --rotate"
)
CANNOT_READ = (
    "%s: the list of paired phones can't be read (%s: %s); a new one begins, and each phone has to"
    " be paired again: backdoor pair"
)

DEVICES = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "Chromebook"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)
#: The model in a user agent; newer Chrome says `K` for all.
MODEL = re.compile(
    r"Android [0-9.]+; (?:[a-z]{2}-[a-z]{2}; )?"
    r"((?!Mobile|Tablet)[^;()]{2,30}?)(?: Build/[^;)]*)?[;)]"
)


@dataclass(frozen=True, slots=True)
class Phone:
    """One paired phone; ``seen_at`` is when it asked last (UTC), None if never."""

    id: str
    name: str
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Invitation:
    by: str
    until_s: float


def device_name(user_agent: str, otherwise: str) -> str:
    """Return a first name for a phone: its model or kind, as far as its browser says."""
    model = MODEL.search(user_agent)
    if model:
        return clean_name(model[1]) or otherwise
    return next((name for word, name in DEVICES if word in user_agent), otherwise)


def clean_name(text: str) -> str:
    """Return a name of printable characters, not too long; "" if nothing is left."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:LONGEST_NAME].strip()


class Phones:
    """The list of paired phones, for any thread.

    ``generation`` is a word that changes with the pairing secret; its PairingError is passed on.
    Nobody waits for the disk but who changes the list.
    """

    def __init__(
        self,
        path: Path,
        generation: Callable[[], str],
        *,
        wall: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._make_generation = path, generation
        self._wall, self._monotonic = wall, monotonic
        self._lock, self._writing = threading.RLock(), threading.Lock()
        self._changed = False
        self._generation: str | None = None
        self._phones: dict[str, Phone] = {}
        self._gone: list[str] = []
        self._takes_up = False
        self._invited: dict[str, _Invitation] = {}
        self._seen_s: dict[str, float] = {}
        self._saved_s = monotonic()

    # --- who is paired -------------------------------------------------------------------------

    def get(self, phone_id: str) -> Phone | None:
        """Return this phone; None if it is not paired, or not any more."""
        with self._lock:
            self._follow_secret()
            return self._phones.get(phone_id)

    def all(self) -> list[Phone]:
        """Return all phones by name."""
        with self._lock:
            self._follow_secret()
            return sorted(self._phones.values(), key=lambda phone: phone.name.casefold())

    def id_of(self, content: Mapping[str, Any], cookie: str) -> str:
        """Return the id of the phone with this cookie; an older version put none into it."""
        found = content.get("phone") or hashlib.sha256(cookie.encode()).hexdigest()[:32]
        return str(found)

    def is_welcome(self, content: Mapping[str, Any], cookie: str) -> bool:
        """Return whether the phone whose cookie, signed by us, has this content is paired."""
        with self._lock:
            return bool(content.get("paired")) and (
                self.get(self.id_of(content, cookie)) is not None
                or self._may_take_up(content, cookie)
            )

    def recognise(self, content: Mapping[str, Any], cookie: str, name: str) -> Phone | None:
        """Return the phone of this cookie, seen now; one that is not in a new list is taken up."""
        with self._lock:
            if not self.is_welcome(content, cookie):
                return None
            phone_id = self.id_of(content, cookie)
            if phone_id not in self._phones:
                self._add(phone_id, name)
            self.saw(phone_id)
            phone = self._phones[phone_id]
        self.save()
        return phone

    def saw(self, phone_id: str) -> None:
        """Note that this phone is there."""
        with self._lock:
            phone = self._phones.get(phone_id)
            if phone is None:
                return
            now_s = self._monotonic()
            self._phones[phone_id] = replace(phone, seen_at=self._wall().astimezone(UTC))
            self._seen_s[phone_id] = now_s
            if now_s - self._saved_s >= SAVE_EVERY_S:
                self._saved_s, self._changed = now_s, True
                threading.Thread(target=self.save, name="phones", daemon=True).start()

    def seen_s_ago(self, phone_id: str) -> float | None:
        """Return how many seconds ago it was seen, by no clock; None if not since our start."""
        with self._lock:
            seen_s = self._seen_s.get(phone_id)
            return None if seen_s is None else max(self._monotonic() - seen_s, 0.0)

    # --- changes -------------------------------------------------------------------------------

    def add(self, name: str) -> Phone:
        """Pair a new phone."""
        with self._lock:
            self._follow_secret()
            phone = self._add(secrets.token_urlsafe(12), name)
        self.save()
        return phone

    def rename(self, phone_id: str, name: str) -> None:
        """Give it another name; an empty one changes nothing."""
        with self._lock:
            phone, name = self.get(phone_id), clean_name(name)
            if phone is not None and name and name != phone.name:
                self._phones[phone_id] = replace(phone, name=self._unique(name))
                self._changed = True
        self.save()

    def remove(self, phone_id: str) -> Phone | None:
        """Throw a phone out, its invitation too; return it, None if it was not there."""
        with self._lock:
            self._follow_secret()
            phone = self._phones.pop(phone_id, None)
            if phone is not None:
                self._gone.append(phone_id)
                self._takes_up = self._takes_up and len(self._gone) <= MOST_GONE
                self._gone, self._changed = self._gone[-MOST_GONE:], True
        self.save()
        return phone

    def invite(self, by: str) -> str:
        """Return a secret that pairs one phone, once, within two minutes; ``by`` is a phone's id.

        An earlier one by the same phone works no more.
        """
        with self._lock:
            self._follow_secret()
            now_s, token = self._monotonic(), secrets.token_urlsafe(24)
            kept = {t: i for t, i in self._invited.items() if i.by != by and i.until_s > now_s}
            self._invited = dict(list(kept.items())[1 - MOST_INVITED :])
            self._invited[token] = _Invitation(by, now_s + INVITED_S)
            return token

    def accept(self, candidate: str) -> Phone | None:
        """Use up an invitation; return the phone that gave it, None if it is not one (any more)."""
        with self._lock:
            self._follow_secret()
            given = candidate.encode()
            token = next((t for t in self._invited if hmac.compare_digest(t.encode(), given)), "")
            invitation = self._invited.pop(token, None)
            if invitation is None or invitation.until_s <= self._monotonic():
                return None
            return self._phones.get(invitation.by)

    # --- the file ------------------------------------------------------------------------------

    def save(self) -> None:
        """Write what was changed; if that fails it holds until the next start, as the log says."""
        with self._writing:
            with self._lock:
                if not self._changed:
                    return
                self._changed, text = False, self._text()
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                atomic_file.replace(self._path, text)
            except OSError as error:
                log.error(CANNOT_WRITE, self._path, error.strerror)

    def _text(self) -> str:
        rows = [
            {"id": p.id, "name": p.name, "seen_at": p.seen_at and p.seen_at.isoformat()}
            for p in self._phones.values()
        ]
        kept = {"generation": self._generation, "takes_up": self._takes_up, "gone": self._gone}
        return json.dumps({**kept, "phones": rows}, indent=1) + "\n"

    def _follow_secret(self) -> None:
        """Read the list at the first use, and when the secret is another one: it fits one only."""
        generation = self._make_generation()
        if generation != self._generation:
            self._generation = generation
            self._phones, self._gone, self._invited, self._takes_up = {}, [], {}, False
            self._read()

    def _read(self) -> None:
        try:
            body = json.loads(atomic_file.read_regular(self._path).decode())
            if body["generation"] == self._generation:
                self._take(body)
        except FileNotFoundError:
            self._takes_up = True
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.error(CANNOT_READ, self._path, type(error).__name__, error)

    def _take(self, body: Mapping[str, Any]) -> None:
        phones = [_phone(row) for row in body["phones"][:MOST_PHONES]]
        gone = [str(phone_id) for phone_id in body["gone"][-MOST_GONE:]]
        self._phones = {phone.id: phone for phone in phones}
        self._gone, self._takes_up = gone, body["takes_up"] is True

    def _add(self, phone_id: str, name: str) -> Phone:
        while len(self._phones) >= MOST_PHONES:
            long_ago = datetime.min.replace(tzinfo=UTC)
            del self._phones[min(self._phones, key=lambda i: self._phones[i].seen_at or long_ago)]
        phone = Phone(phone_id, self._unique(clean_name(name) or "?"))
        self._phones[phone_id] = phone
        self.saw(phone_id)
        self._changed = True
        return self._phones[phone_id]

    def _unique(self, name: str) -> str:
        """Return the name, with a number if another phone has it."""
        taken, number, found = {phone.name for phone in self._phones.values()}, 1, name
        while found in taken:
            number += 1
            found = f"{name[: LONGEST_NAME - 4]} {number}"
        return found

    def _may_take_up(self, content: Mapping[str, Any], cookie: str) -> bool:
        """Return whether this phone may be taken up: the list began without any."""
        return self._takes_up and self.id_of(content, cookie) not in self._gone


def _phone(row: Mapping[str, Any]) -> Phone:
    """Return the phone of one row; raise ValueError, KeyError or TypeError for nonsense."""
    name, phone_id = clean_name(row["name"]), row["id"]
    if not name or not isinstance(phone_id, str) or not phone_id:
        raise ValueError("a phone without name or id")
    seen_at = row["seen_at"] and datetime.fromisoformat(row["seen_at"]).astimezone(UTC)
    return Phone(phone_id, name, seen_at or None)
