"""What the phone gets of style and script: all that works, nothing that only we read."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

import web
from tests.support.fake_controller import FakeController, page_of, paired
from web.lean import lean_script, lean_style

STATIC = Path(web.__file__).parent / "static"
#: Page, style, script and icon, compressed: what a phone fetches at first.
FIRST_VIEW = ("/", "/static/app.css", "/static/app.js", "/static/icon.svg")
MOST_BYTES = 19_000
ZIPPED = {"Accept-Encoding": "gzip"}


def test_lean_script_keeps_every_line_of_code_in_order() -> None:
    code = 'a();\n  // why\n  b("//c"); // here\n\n    d();\n'
    assert lean_script(code) == 'a();\nb("//c"); // here\nd();\n'


def test_lean_style_keeps_every_rule() -> None:
    assert lean_style("/* a\nb */\n.x > .y , b {\n  color: red;\n}\n") == ".x > .y,b{color: red;}"


def test_scripts_have_no_text_over_several_lines() -> None:
    for path in STATIC.glob("*.js"):
        assert all(line.count("`") % 2 == 0 for line in path.read_text().splitlines()), path.name


def client_of(folder: Path) -> FlaskClient:
    controller = FakeController()
    controller.show()
    return paired(page_of(controller, folder))


def test_first_view_is_small(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    answers = [client.get(path, headers=ZIPPED) for path in FIRST_VIEW]
    assert [answer.status_code for answer in answers] == [200] * len(FIRST_VIEW)
    sizes = [len(answer.data) for answer in answers]
    assert sum(sizes) < MOST_BYTES, dict(zip(FIRST_VIEW, sizes, strict=True))


def test_static_file_that_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    first = client.get("/static/app.css", headers=ZIPPED)
    again = client.get(
        "/static/app.css", headers={**ZIPPED, "If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
