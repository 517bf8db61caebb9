"""The page's routes: show, stream, command. A GET changes nothing but the cookie of a pairing."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed

from controller.events import COMMANDS, PAGE_COMMANDS, REFERENCES
from web.language import LANGUAGES, NAMES, _, lazy
from web.messages import number
from web.mirror import Mirror, MirrorView, Outcome
from web.presentation.bookings import BookingsView
from web.presentation.chart import chart, last_events, totals
from web.presentation.labels import reason_words
from web.presentation.page_view import PageView
from web.presentation.room import room_view
from web.presentation.selftest import SelfTestView
from web.routes.streams import Streams
from web.security.gate import this_phone, wants_page
from web.security.pairing import AttemptLimiter, Pairing
from web.security.phones import Phone, Phones, device_name

log = logging.getLogger(__name__)

HTTP_STATUS = {"done": 200, "refused": 409, "not_answered": 504}
RETRY_STREAM_S = 10

NUMBER = re.compile("-?[0-9]{1,9}")

#: What `answer_question` answers or `undo` takes back: an id from the snapshot.
REFERENCE = re.compile("[!-~]{1,64}")

#: Fields of a form beside the parameter of its command.
FORM_FIELDS = frozenset({"csrf_token", "ask"})

#: Commands that another tap does not undo are confirmed once; without scripting on their own page.
QUESTIONS = {
    "room_empty": lazy("Is the room empty?"),
    "lock_down": lazy("Lock down? Nobody will come in."),
    "lock_down_release": lazy("End the lock-down?"),
    "lock_open": lazy("Evacuate? The door will stay open."),
    "lock_open_release": lazy("End the evacuation?"),
    "access_door": lazy("Nobody is sure how many are inside. Let them in all the same?"),
}

page = Blueprint("page", __name__)


@dataclass(frozen=True, slots=True)
class AppContext:
    """What the routes share, made by `create_app`."""

    mirror: Mirror
    pairing: Pairing
    phones: Phones
    streams: Streams
    attempts: AttemptLimiter
    self_test: SelfTestView
    bookings: BookingsView | None = None


def context() -> AppContext:
    """Return what belongs to the app that answers this request."""
    found = current_app.extensions["backdoor"]
    assert isinstance(found, AppContext)
    return found


def tonight(mirror_view: MirrorView) -> dict[str, Any]:
    """Return what the template `night.html` needs."""
    occupancy = mirror_view.state.get("occupancy") or {}
    night = mirror_view.night
    return {
        "chart": chart(night, datetime.now(UTC), int(number(occupancy, "capacity", 4))),
        "totals": totals(night),
        "last": last_events(night),
    }


def page_view(mirror_view: MirrorView) -> PageView:
    """Return what the page shows of room, self-test and, with a calendar, bookings."""
    bookings = context().bookings
    return PageView.of(
        room_view(mirror_view),
        bookings.part(mirror_view) if bookings else None,
        context().self_test.part(mirror_view),
    )


@page.get("/")
def home() -> str:
    """Return the page, complete without scripting."""
    mirror_view = context().mirror.view()
    return render_template(
        "page.html",
        view=page_view(mirror_view),
        night=tonight(mirror_view),
        names=NAMES,
        questions=QUESTIONS,
        lines=mirror_view.state.get("lines", []),
    )


@page.get("/pair/<secret>")
def pair(secret: str) -> ResponseReturnValue:
    """Pair this phone; answer with a page, not a redirect.

    So the secret link stays out of the history, and the page is asked for by itself: phones that
    were paired before 0.3 still have a cookie that a redirect from another app leaves out.
    """
    if request.method == "HEAD":
        raise MethodNotAllowed(["GET"])  # a look at the link must not use it up
    address = request.remote_addr or ""
    inviter = None if context().pairing.matches(secret) else context().phones.accept(secret)
    if inviter is not None or context().pairing.matches(secret):
        context().attempts.succeeded(address)
        _pair(inviter)
        return render_template("paired.html")
    wait_s = context().attempts.failed(address)
    if not wait_s:
        return render_template("unpaired.html", wrong=True), 403
    return render_template("unpaired.html", wrong=True), 429, {"Retry-After": f"{wait_s:.0f}"}


def _pair(inviter: Phone | None) -> None:
    """Give this phone a new cookie; one that is paired already stays the phone that it is."""
    phones = context().phones
    phone = this_phone() or phones.add(device_name(request.user_agent.string, _("Phone")))
    session.clear()
    session.update(paired=True, phone=phone.id)
    log.info("phones: %s was paired by %s", phone.name, inviter.name if inviter else "the link")


@page.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 when the controller's state is known and fresh, else 503."""
    link = context().mirror.view().link
    return jsonify(link=link), 200 if link == "online" else 503


def _full_state(mirror_view: MirrorView) -> str:
    version = current_app.jinja_env.globals["version"]
    shown = page_view(mirror_view).as_dict()
    shown |= {"version": version, "night": mirror_view.night_version}
    return json.dumps({**_state(mirror_view), "page": shown}, separators=(",", ":"))


def _state(mirror_view: MirrorView) -> dict[str, Any]:
    return {**mirror_view.state, "self_test": context().self_test.status()}


@page.get("/api/state")
def state() -> ResponseReturnValue:
    """Return the snapshot with link and age; with `?page=1` also the texts that the page shows."""
    mirror_view = context().mirror.view()
    if "page" in request.args:
        return Response(_full_state(mirror_view), mimetype="application/json")
    return jsonify(_state(mirror_view))


@page.get("/api/night")
def night() -> str:
    """Return tonight's part of the page; the state's `page.night` grows when it has changed."""
    return render_template("night.html", night=tonight(context().mirror.view()))


@page.get("/events")
def events() -> ResponseReturnValue:
    """Stream the whole state as server-sent events; 503 when there are too many streams."""
    app = context()
    if not app.streams.enter():
        return jsonify(ok=False, reason="TooManyStreams"), 503, {"Retry-After": str(RETRY_STREAM_S)}
    key, phone = app.pairing.signing_key(), g.phone
    gone = request.environ.get("waitress.client_disconnected", lambda: False)

    def may_continue() -> bool:
        if gone() or app.pairing.signing_key() != key or app.phones.get(phone.id) is None:
            return False
        app.phones.saw(phone.id)
        return True

    stream = stream_with_context(app.streams.follow(_full_state, may_continue))
    response = Response(stream, mimetype="text/event-stream")
    response.call_on_close(app.streams.leave)
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store, no-transform"
    return response


def _fields_of(name: str) -> dict[str, int | str]:
    """Return the command's parameters from form or JSON; raise ValueError for any other key.

    Whether one may be missing is for the controller to decide.
    """
    body = _body()
    reference = {REFERENCES[name]} if name in REFERENCES else set()
    if set(body) - {COMMANDS[name]} - reference - FORM_FIELDS:
        raise ValueError("a key that this command does not have")
    fields: dict[str, int | str] = {}
    for key in reference & set(body):
        if not REFERENCE.fullmatch(text := str(body[key])):
            raise ValueError("not an id")
        fields[key] = text
    return fields | _number_of(COMMANDS[name], body)


def _number_of(key: str | None, body: Mapping[str, object]) -> dict[str, int]:
    if key is None or key not in body:
        return {}
    # Digits only: `int` alone also takes " 2", "1_0" and other alphabets' numbers.
    if not NUMBER.fullmatch(text := str(body[key])):
        raise ValueError("not a number")
    return {key: int(text)}


def _body() -> dict[str, object]:
    """Return a form's fields or a JSON object; empty when nothing was sent."""
    if not request.is_json:
        return dict(request.form)
    body = request.get_json(silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    return body


@page.post("/command/<name>")
def command(name: str) -> ResponseReturnValue:
    """Send a command and answer how it ended: done, refused with a reason, or not answered."""
    if name not in PAGE_COMMANDS:
        return jsonify(ok=False, reason="UnknownCommand", state="refused"), 404
    try:
        fields = _fields_of(name)
    except ValueError:
        return _answer(Outcome("refused", "Malformed"), 400)
    if request.form.get("ask"):
        question = QUESTIONS.get(name, _("Sure?"))
        return render_template("sure.html", name=name, number=fields, question=question)
    return _answer(context().mirror.command(name, by=g.phone.name, **fields))


def _answer(outcome: Outcome, status: int | None = None) -> ResponseReturnValue:
    if wants_page():
        flash(outcome_words(outcome), outcome.state)
        return redirect(url_for("page.home"), 303)
    body = {
        "ok": outcome.ok,
        "reason": outcome.reason,
        "state": outcome.state,
        "words": outcome_words(outcome),
    }
    return jsonify(body), status or HTTP_STATUS[outcome.state]


def outcome_words(outcome: Outcome) -> str:
    """Return how a command ended, short enough to stand beside its button."""
    if outcome.ok:
        return _("Done")
    if outcome.state == "refused":
        return _("Refused: %(reason)s", reason=reason_words(outcome.reason))
    return _("Not done: %(reason)s", reason=reason_words(outcome.reason))


@page.post("/lang")
def lang() -> ResponseReturnValue:
    """Store this phone's choice of language in its cookie."""
    chosen = request.form.get("language", "")
    if chosen not in LANGUAGES:
        return jsonify(ok=False, reason="Malformed"), 400
    session["language"] = chosen
    return redirect(url_for("page.home"), 303)
