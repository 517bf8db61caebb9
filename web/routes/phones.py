"""The page of the paired phones: their names, when each was last seen; one thrown out or added."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from web.language import _
from web.presentation.labels import span
from web.security.hosts import host_name
from web.security.pairing import qr_svg
from web.security.phones import INVITED_S, LONGEST_NAME, Phone, Phones

log = logging.getLogger(__name__)

#: A page in the foreground asks every second; so long after that a phone is still there.
THERE_S = 60.0
ONE_DAY_S = 86_400.0


def phones_routes(public_url: str, own_url: Callable[[], str]) -> Blueprint:
    """Return the routes; ``public_url`` and ``own_url`` are the addresses for other phones."""
    routes = Blueprint("phones", __name__)

    @routes.get("/phones")
    def show() -> str:
        return render_template("phones.html", rows=_rows(), longest=LONGEST_NAME)

    @routes.post("/phones/invite")
    def invite() -> ResponseReturnValue:
        base = public_url.rstrip("/") or _asked_at() or own_url()
        link = f"{base}/pair/{_phones().invite(g.phone.id)}"
        log.info("phones: %s asked for a code that pairs one phone", g.phone.name)
        drawn = Markup(qr_svg(link, _("Code for the new phone")))
        return render_template(
            "invite.html", code=drawn, link=link, lasts=span(INVITED_S), lasts_s=int(INVITED_S)
        )

    @routes.post("/phones/<phone_id>/name")
    def rename(phone_id: str) -> ResponseReturnValue:
        before = _phones().get(phone_id) or abort(404)
        _phones().rename(phone_id, request.form.get("name", ""))
        after = _phones().get(phone_id) or before
        if after.name != before.name:
            log.info("phones: %s called %s %s", g.phone.name, before.name, after.name)
        return redirect(url_for("phones.show"), 303)

    @routes.post("/phones/<phone_id>/remove")
    def remove(phone_id: str) -> ResponseReturnValue:
        gone = _phones().remove(phone_id) or abort(404)
        log.info("phones: %s threw out %s", g.phone.name, gone.name)
        if gone.id == g.phone.id:
            session.clear()
            return redirect(url_for("page.home"), 303)
        flash(_("%(name)s is not paired any more.", name=gone.name), "done")
        return redirect(url_for("phones.show"), 303)

    return routes


def _phones() -> Phones:
    found: Phones = current_app.extensions["backdoor"].phones
    return found


def _rows() -> list[dict[str, Any]]:
    """Return what the list shows, this phone first."""
    phones = sorted(_phones().all(), key=lambda phone: phone.id != g.phone.id)
    return [
        {"id": phone.id, "name": phone.name, "this": phone.id == g.phone.id, "seen": _seen(phone)}
        for phone in phones
    ]


def _seen(phone: Phone) -> str:
    """Return when a phone was seen: how long ago by no clock, or the day that the clock showed."""
    ago_s = _phones().seen_s_ago(phone.id)
    if phone.id == g.phone.id:
        return _("this phone")
    if ago_s is not None and ago_s < THERE_S:
        return _("there now")
    if ago_s is not None and ago_s < ONE_DAY_S:
        return _("seen %(age)s ago", age=span(ago_s))
    if phone.seen_at is None:
        return _("not seen yet")
    return _("last seen on %(day)s", day=_day(phone.seen_at))


def _day(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).astimezone().strftime("%Y-%m-%d")


def _asked_at() -> str:
    """Return the address at which this phone asks; "" when no other phone can ask there."""
    name = host_name(request.host)
    try:
        here_only = ip_address(name).is_loopback
    except ValueError:
        here_only = name == "localhost"
    return "" if here_only else request.host_url.rstrip("/")
