"""`backdoor nights`: the history in the terminal, the same answers as the page's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from time import time

from controller.config.loader import ConfigError
from controller.config.settings import Config
from web.nights.answers import Answers, Cell, Table
from web.nights.database import StoreError
from web.nights.events import night_of
from web.nights.queries import reading
from web.nights.spans import parse_span

#: Tables of the summary; the others on request.
SUMMARY = ("nights", "hours", "weekdays", "stays", "knocks", "refusals", "questions", "missed")


def nights_text(config: Config, span: str, venue: str, table: str, form: str) -> str:
    """Return the answers for a span as ``text``, ``csv`` or ``json``; raises `ConfigError`.

    ``span`` "" is this month, ``venue`` "" this bar's and "+" all bars, ``table`` "" all of them.
    """
    if not config.nights.database:
        raise ConfigError(['[nights] database: is "", so there is no history; name a file'])
    try:
        asked = parse_span(span or night_of(time())[:7])
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    whose = None if venue == "+" else venue or config.venue
    try:
        with reading(config.nights.database, whose) as reader:
            return _written(Answers(reader, asked), table, form)
    except StoreError as error:
        raise ConfigError([str(error)]) from None


def _written(answers: Answers, table: str, form: str) -> str:
    if form == "json" and not table:
        return json.dumps(answers.as_dict(), indent=1)
    one: Table = getattr(answers, table or "nights")()
    if form == "json":
        return json.dumps(one.records(), indent=1)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([one.columns, *one.rows])
        return text.getvalue().rstrip("\n")
    return "\n".join(_lines(one) if table else _summary(answers))


def _summary(answers: Answers) -> Iterator[str]:
    totals = answers.totals()
    yield (
        f"{answers.span.name}: {totals['guests']} guests in {totals['parties']} parties,"
        f" {totals['knocks']} knocks ({totals['vain']} in vain), {totals['refused']} refused"
    )
    yield f"the count was exact in {totals['exact']} of {totals['counted']} nights"
    if totals["missing"]:
        yield f"{totals['missing']} events are missing"
    for name in SUMMARY:
        table: Table = getattr(answers, name)()
        if table.rows:
            yield ""
            yield from _lines(table)


def _lines(table: Table) -> Iterator[str]:
    """Yield a table with columns as wide as they need to be."""
    rows = [table.columns, *([_cell(value) for value in row] for row in table.rows)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.columns))]
    yield table.name
    for row in rows:
        yield "  ".join(text.rjust(wide) for text, wide in zip(row, widths, strict=True))


def _cell(value: Cell) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
