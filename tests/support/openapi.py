"""The OpenAPI document, and answers held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "web" / "openapi.yaml").read_text())


def resolved(node: Any) -> Any:
    """A node with its reference followed."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def fits(answer: TestResponse, method: str, path: str) -> Any:
    """Hold an answer against the document; return its JSON."""
    declared = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in declared, (answer.status_code, path)
    content = resolved(declared[str(answer.status_code)]).get("content", {})
    assert not content or answer.mimetype in content, (answer.mimetype, path)
    if not answer.is_json:
        return None
    schema = content["application/json"]["schema"]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(answer.json)
    return answer.json
