"""One thread a channel: it takes what is due, sends it, and says how it went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from math import isinf
from threading import Condition, Thread

from controller.notify.channels import Channel, Result, Words
from controller.notify.notices import Notice, Now, Outgoing
from controller.notify.pending import Outcome, Pending
from controller.notify.routing import Route
from controller.notify.words import ANSWERED, render

log = logging.getLogger(__name__)


class Sender:
    """Sends through one channel, in a thread of its own, what its route lets pass.

    ``now`` is read before each attempt: what became stale while a name was looked up is not sent.
    """

    def __init__(
        self,
        channel: Channel,
        route: Route,
        now: Callable[[], Now],
        language: str,
        shown: Iterable[str] = (),
    ) -> None:
        self._channel, self._route, self._now, self._language = channel, route, now, language
        self._pending = Pending(shown)
        self._changed = Condition()
        self._stopping = False
        self._trouble = ""
        self._thread = Thread(target=self._run, name=f"send-{channel.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, outgoing: Outgoing) -> None:
        """Take a notice or a withdrawal, from any thread, without waiting."""
        now = self._now()
        delay_s: float | None = 0.0
        if isinstance(outgoing, Notice):
            delay_s = self._route.delay_s(outgoing, now.wall_s)
        if delay_s is not None:
            with self._changed:
                self._pending.add(outgoing, now.t_s, delay_s)
                self._changed.notify()

    def stop(self) -> None:
        """Leave; a request that is on its way may take some seconds and is not waited for."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _run(self) -> None:
        while (outgoing := self._next()) is not None:
            try:
                result = self._attempt(outgoing)
            except Exception:  # a plugin's bug must not end the thread
                log.exception("%s: a bug, ours or Apprise's", self._channel.name)
                result = Result(Outcome.REFUSED, "fails inside; see above")
            self._say(result)
            with self._changed:
                self._pending.ended(outgoing, result.outcome, self._now().t_s, result.after_s)
        self._channel.close()

    def _next(self) -> Outgoing | None:
        """Wait for what is due; None when it is time to leave."""
        with self._changed:
            while not self._stopping:
                now_s = self._now().t_s
                outgoing = self._pending.next(now_s)
                if outgoing is not None:
                    return outgoing
                wait_s = self._pending.due_s() - now_s
                self._changed.wait(None if isinf(wait_s) else max(wait_s, 0.0))
        return None

    def _attempt(self, outgoing: Outgoing) -> Result:
        if not self._channel.resolve():
            return Result(Outcome.RETRY, "its name cannot be looked up")
        now_s = self._now().t_s
        if not isinstance(outgoing, Notice):
            return self._channel.send(outgoing, Words("", "", ""))
        if now_s >= outgoing.until_s:
            return Result(Outcome.RETRY, "too late: its name took too long to be looked up")
        button = ANSWERED[int(self._language == "it")]
        words = Words(*render(outgoing, now_s, self._language), button)
        return self._channel.send(outgoing, words)

    def _say(self, result: Result) -> None:
        """Log what is new: one line when it begins to fail, and one when it works again."""
        trouble = "" if result.outcome is Outcome.SENT else result.why
        if trouble != self._trouble:
            log.warning("%s: %s", self._channel.name, trouble or "works again")
        self._trouble = trouble
