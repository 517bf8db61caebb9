"""What a request that fails gets: one line for a person, JSON for a script, never a traceback."""

from __future__ import annotations

from flask import Response, jsonify, make_response, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from web.security.gate import wants_page


def error_response(error: HTTPException) -> ResponseReturnValue:
    """Return the answer to a request that ended with this error; its headers are kept."""
    if isinstance(error.response, Response):
        return error.response
    response = _error_page(error.code or 500, error.name, error.description or "")
    for name, value in error.get_headers():  # allowed methods, when to come again
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _error_page(status: int, name: str, detail: str) -> Response:
    if not wants_page():
        more = {"detail": detail} if status == 400 else {}  # such as: the CSRF token is missing
        answer = jsonify(ok=False, reason=name.replace(" ", ""), state="refused", **more)
    elif status < 500:
        answer = make_response(render_template("error.html", status=status))
    else:  # the template may be what failed
        answer = Response(f"{status}: something went wrong here.\n", mimetype="text/plain")
    answer.status_code = status
    return answer
