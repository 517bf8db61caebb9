"""Secrets that answer one knock: each works once, for a minute, and for nothing else. Pure.

A secret is 128 random bits: no number of guesses helps, so a flood of them need not lock out the
bartender either. Only its hash is kept, so that the time of a look-up says nothing about
it. At most one is valid for each place: a later message replaces it, and whoever is answered by
other means takes it away.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

VALID_S = 60.0


@dataclass(frozen=True, slots=True)
class _Valid:
    place: str
    until_s: float


class Answers:
    """The secrets that are valid now; times are seconds of `Now.t_s`."""

    def __init__(self, make: Callable[[], str] = lambda: secrets.token_urlsafe(16)) -> None:
        self._make = make
        self._valid: dict[bytes, _Valid] = {}

    def issue(self, place: str, now_s: float) -> str:
        """Return a new secret for ``place``; the one before it is void."""
        self.revoke(place)
        secret = self._make()
        self._valid[_hash(secret)] = _Valid(place, now_s + VALID_S)
        return secret

    def revoke(self, place: str) -> None:
        """Make the secret of ``place`` void: nobody waits there any more."""
        self._valid = {key: one for key, one in self._valid.items() if one.place != place}

    def redeem(self, secret: str, now_s: float) -> str | None:
        """Return the place that this secret answers, this once; None when it answers nothing."""
        found = self._valid.pop(_hash(secret), None)
        return None if found is None or now_s >= found.until_s else found.place


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
