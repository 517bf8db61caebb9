"""The history: a page for each night, week, month and year, and the same as CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from time import time
from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue

from controller.config.settings import Config
from web.nights.answers import TABLES, Answers, Cell, Table
from web.nights.database import StoreError
from web.nights.events import night_of
from web.nights.feed import FeedStatus
from web.nights.queries import Reader, reading
from web.nights.spans import Span, parse_span
from web.presentation import nights as shown
from web.presentation.centre import CentreView
from web.presentation.chart import chart
from web.security.gate import wants_page

#: As MQTT writes it: every bar of the prefix together.
ALL = "+"


def nights_routes(
    config: Config, status: Callable[[], FeedStatus], centre: CentreView | None = None
) -> Blueprint:
    """Return the routes, for paired phones; ``status`` tells how the feed stands."""
    routes = Blueprint("nights", __name__)
    history = _History(config, status, centre)
    routes.add_url_rule("/nights", "index", history.index)
    routes.add_url_rule("/nights/<span>", "page", history.page)
    routes.add_url_rule("/nights/<span>.json", "as_json", history.as_json)
    routes.add_url_rule("/nights/<span>.csv", "as_csv", history.as_csv)
    return routes


class _History:
    """What the routes answer, each from a connection of its own."""

    def __init__(
        self, config: Config, status: Callable[[], FeedStatus], centre: CentreView | None
    ) -> None:
        self._config = config
        self._status, self._centre = status, centre

    def index(self) -> ResponseReturnValue:
        """Show this month, or the newest that has a night."""
        now = night_of(time())[:7]
        return self._answer(now, lambda reader, span: self._page(reader, _newest(reader, span)))

    def page(self, span: str) -> ResponseReturnValue:
        """Show a night, week, month or year."""
        return self._answer(span, self._page)

    def as_json(self, span: str) -> ResponseReturnValue:
        """Return every table."""
        return self._answer(span, lambda reader, of: jsonify(Answers(reader, of).as_dict()))

    def as_csv(self, span: str) -> ResponseReturnValue:
        """Return one table, by default a row for each night."""
        table = request.args.get("table", "nights")
        if table not in TABLES:
            abort(404)
        return self._answer(
            span, lambda reader, of: _csv(getattr(Answers(reader, of), table)(), of)
        )

    def _whose(self) -> str | None:
        """Return whose nights are asked for; other bars' only where the page shows all bars."""
        asked = request.args.get("venue", self._config.venue)
        if asked != self._config.venue and not self._config.web.venues:
            abort(404)
        return None if asked == ALL else asked

    def _answer(
        self, text: str, what: Callable[[Reader, Span], ResponseReturnValue]
    ) -> ResponseReturnValue:
        try:
            span = parse_span(text)
        except ValueError:
            abort(404)
        try:
            with reading(self._config.nights.database, self._whose()) as reader:
                return what(reader, span)
        except StoreError as error:
            return _failed(error, span)

    def _page(self, reader: Reader, span: Span) -> ResponseReturnValue:
        answers, whose = Answers(reader, span), self._whose()
        venues = reader.venues() if self._config.web.venues else []
        parts: dict[str, Any] = {
            "span": span,
            "whose": whose or ALL,
            "of": {} if whose == self._config.venue else {"venue": whose or ALL},
            "venues": venues if len(venues) > 1 else [],
            "totals": answers.totals(),
            "record": shown.record_words(answers),
            "figures": shown.figures(answers, one_venue=whose is not None),
            "weeks": shown.calendar(answers.nights(), span) if span.kind == "month" else [],
            "unplaced": reader.unplaced(),
            "centre": self._centre.words() if self._centre else "",
            "trouble": self._centre.trouble() if self._centre else None,
            "tonight": night_of(time()),
        }
        if span.kind == "night" and whose is not None:
            parts |= self._night(reader, span, whose)
        return render_template("nights.html", shown=shown, feed=self._status(), failed="", **parts)

    def _night(self, reader: Reader, span: Span, whose: str) -> dict[str, Any]:
        events = reader.events(span, whose)
        if not events:
            return {}
        end = shown.end_of(events, datetime.now(UTC))
        drawn = chart(shown.timeline(events), end, self._config.rules.capacity)
        return {"night": {"chart": drawn}, "told": shown.told(events)}


def _failed(error: StoreError, span: Span) -> ResponseReturnValue:
    if not wants_page():
        body = {"ok": False, "reason": "StoreFailed", "state": "refused", "words": str(error)}
        return jsonify(body), 503
    return render_template("nights.html", span=span, failed=str(error), of={}, shown=shown), 503


def _newest(reader: Reader, span: Span) -> Span:
    """Return this month, or the newest that has a night."""
    extent = reader.extent()
    return (
        span if extent is None or extent[1] >= span.first.isoformat() else parse_span(extent[1][:7])
    )


def _csv(table: Table, span: Span) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([[csv_cell(value) for value in row] for row in table.rows])
    response = make_response(text.getvalue())
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    name = f"{table.name}-{span.name}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def csv_cell(value: Cell) -> Cell:
    """Return a cell that no spreadsheet takes for a formula."""
    text = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t")
    return f"'{value}" if text else value
