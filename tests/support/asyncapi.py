"""The AsyncAPI document, and messages held against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, FormatChecker

from controller.mqtt.message import Message
from tests.support.subscriber import BASE

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "controller" / "mqtt" / "asyncapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]
ADDRESSES = {
    channel["address"].removeprefix("{prefix}/{venue}/"): name
    for name, channel in DOCUMENT["channels"].items()
}


def found(ref: str) -> Any:
    """Return what a reference leads to."""
    node: Any = DOCUMENT
    for step in ref.removeprefix("#/").split("/"):
        node = node[step]
    return node


def properties(schema: Mapping[str, Any]) -> set[str]:
    """The names that a schema of ours knows, with those of what it is made of."""
    schema = found(schema["$ref"]) if "$ref" in schema else schema
    names = set(schema.get("properties", {}))
    return names.union(*(properties(part) for part in schema.get("allOf", ())))


def mistakes(message: Message) -> list[str]:
    """What is wrong with one message of the house, by the document."""
    name = ADDRESSES.get(message.topic.removeprefix(BASE))
    if name is None:
        return [f"{message.topic}: not in the document"]
    declared = MESSAGES[name]
    text = declared.get("contentType") == "text/plain"
    value = message.payload.decode() if text else json.loads(message.payload)
    validator = Draft7Validator({**declared["payload"], "components": DOCUMENT["components"]},
                                format_checker=FormatChecker())  # fmt: skip
    wrong = [f"{message.topic}: {e.message} {value}" for e in validator.iter_errors(value)]
    if name.startswith("event_"):
        surplus = set(value) - properties(declared["payload"])
        wrong += [f"{message.topic}: {key} is not in the document" for key in surplus]
    return wrong
