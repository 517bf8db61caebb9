"""The page's routes: show, stream, command. A GET changes nothing but the cookie of a pairing."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
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
from web.presentation.centre import CentreView
from web.presentation.chart import chart, last_events, totals
from web.presentation.labels import ALERT_WORDS, reason_words
from web.presentation.page_view import PageView
from web.presentation.room import KEYS_IN_A_ROW, answer_keys, party_keys, room_view
from web.presentation.seats import seats
from web.presentation.selftest import SelfTestView
from web.presentation.snapshot import capacity
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
FORM_FIELDS = frozenset({"csrf_token", "ask", "tap"})

#: What a phone calls one tap, so that it finds the answer again if it got lost.
TAP = re.compile("[A-Za-z0-9-]{1,40}")

#: Without scripting no key can be held down, and nothing is taken back at leisure: these ask once,
#: on a page of their own.
QUESTIONS = {
    "room_empty": lazy("Is the room empty?"),
    "lock_down": lazy("Lock down? Nobody will come in."),
    "lock_down_release": lazy("End the lock-down?"),
    "lock_open": lazy("Evacuate? The door will stay open."),
    "lock_open_release": lazy("End the evacuation?"),
    "access_door": lazy("Nobody is sure how many are inside. Let them in all the same?"),
}
#: What nobody can take back: its key is held down until the ring is full.
HELD = frozenset({"lock_down", "lock_down_release", "lock_open", "lock_open_release"})

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
    centre: CentreView | None = None


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
    bookings, centre = context().bookings, context().centre
    return PageView.of(
        room_view(mirror_view),
        bookings.part(mirror_view) if bookings else None,
        context().self_test.part(mirror_view),
        centre.part() if centre else None,
    )


@page.get("/")
def home() -> str:
    """Return the page, complete without scripting."""
    mirror_view = context().mirror.view()
    guests = capacity(mirror_view.state)
    return render_template(
        "page.html",
        view=page_view(mirror_view),
        night=tonight(mirror_view),
        names=NAMES,
        questions=QUESTIONS,
        held=HELD,
        lines=mirror_view.state.get("lines", []),
        capacity=guests,
        in_a_row=KEYS_IN_A_ROW,
        parties=party_keys(guests),
        answers=answer_keys(guests),
        seats=seats(guests),
        alerts=ALERT_WORDS,
        drawn=_drawn_version(guests),
        links=_links(),
    )


def _links() -> list[tuple[str, str]]:
    """Return the other pages that this house has, with their names."""
    pages = {
        "/wiring": _("Wires, live"),
        "/venues": _("All bars"),
        "/phones": _("Paired phones"),
    }
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    return [(address, words) for address, words in pages.items() if address in rules]


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


def _drawn_version(guests: int) -> str:
    """Return what an open page must have been drawn for: its files, and how many the house takes.

    The page loads anew when this changes.
    """
    return f"{current_app.jinja_env.globals['version']}-{guests}"


def _full_state(mirror_view: MirrorView) -> str:
    shown = page_view(mirror_view).as_dict()
    shown |= {
        "version": _drawn_version(capacity(mirror_view.state)),
        "night": mirror_view.night_version,
        "settled": {
            tap: (outcome.state, outcome_words(outcome))
            for tap, outcome in mirror_view.settled.items()
        },
    }
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
    return event_stream(lambda goes_on: context().streams.follow(_full_state, goes_on))


def event_stream(follow: Callable[[Callable[[], bool]], Iterator[str]]) -> ResponseReturnValue:
    """Answer with the events of ``follow(goes_on)``, as long as this phone is paired and there."""
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

    response = Response(stream_with_context(follow(may_continue)), mimetype="text/event-stream")
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
    number = COMMANDS[name]
    known = reference | ({number} if number else set())
    if set(body) - known - FORM_FIELDS:
        raise ValueError(f"unknown key; known are {', '.join(sorted(known)) or 'none'}")
    fields: dict[str, int | str] = {}
    for key in reference & set(body):
        if not REFERENCE.fullmatch(text := str(body[key])):
            raise ValueError(f"{key} must be an id")
        fields[key] = text
    return fields | _number_of(number, body)


def _number_of(key: str | None, body: Mapping[str, object]) -> dict[str, int]:
    if key is None or key not in body:
        return {}
    # Digits only: `int` alone also takes " 2", "1_0" and other alphabets' numbers.
    if not NUMBER.fullmatch(text := str(body[key])):
        raise ValueError(f"{key} must be a whole number")
    return {key: int(text)}


def _body() -> dict[str, object]:
    """Return a form's fields or a JSON object; empty when nothing was sent."""
    if not request.is_json:
        return dict(request.form)
    body = request.get_json(silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


@page.post("/command/<name>")
def command(name: str) -> ResponseReturnValue:
    """Send a command and answer how it ended: done, refused with a reason, or not answered."""
    if name not in PAGE_COMMANDS:
        return jsonify(ok=False, reason="UnknownCommand", state="refused"), 404
    try:
        fields = _fields_of(name)
    except ValueError as error:
        return answer(Outcome("refused", "Malformed", str(error)), 400)
    if request.form.get("ask"):
        question = QUESTIONS.get(name, _("Sure?"))
        return render_template("sure.html", name=name, number=fields, question=question)
    tap = str(_body().get("tap", ""))
    tap = tap if TAP.fullmatch(tap) else ""
    return answer(context().mirror.command(name, by=g.phone.name, tap=tap, **fields))


def answer(
    outcome: Outcome, status: int | None = None, back: str = "page.home"
) -> ResponseReturnValue:
    """Answer how a command ended: to a form with the page that it goes ``back`` to."""
    if wants_page():
        flash(outcome_words(outcome), outcome.state)
        return redirect(url_for(back), 303)
    body = {
        "ok": outcome.ok,
        "reason": outcome.reason,
        "state": outcome.state,
        "words": outcome_words(outcome),
    }
    if outcome.detail:
        body["detail"] = outcome.detail
    return jsonify(body), status or HTTP_STATUS[outcome.state]


def outcome_words(outcome: Outcome) -> str:
    """Return how a command ended, short enough to stand beside its button."""
    if outcome.ok:
        return _("Done")
    if outcome.state == "refused":
        return _("Refused: %(reason)s", reason=reason_words(outcome.reason))
    if outcome.reason == "Offline":
        return _("Not sent: %(reason)s", reason=reason_words(outcome.reason))
    return _("No answer: look at the door")


@page.get("/sw.js")
def service_worker() -> Response:
    """Return the script that says "no connection" when the house cannot be reached.

    Browsers take it by HTTPS only, and from the root, so that it stands for every page.
    """
    offline = render_template("offline.html")
    return Response(render_template("worker.js", page=offline), mimetype="text/javascript")


@page.post("/lang")
def lang() -> ResponseReturnValue:
    """Store this phone's choice of language in its cookie."""
    chosen = request.form.get("language", "")
    if chosen not in LANGUAGES:
        return jsonify(ok=False, reason="Malformed"), 400
    session["language"] = chosen
    return redirect(url_for("page.home"), 303)
