"""The AsyncAPI document is true: every message of the house fits it, and it names no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.events import COMMANDS, EVENTS, OUTPUT_LINES, TONES, Reason
from controller.gpio.simulated import Move
from controller.mqtt.inbox import CAUSES
from controller.mqtt.message import Message
from controller.trace import read_trace
from tests.support.asyncapi import ADDRESSES, DOCUMENT, MESSAGES, SCHEMAS, found, mistakes
from tests.support.demo import Demo, house
from tests.support.subscriber import BASE
from tests.support.wait import eventually

TRACES = Path(__file__).parents[1] / "traces"
PUBLISHED = {
    operation["channel"]["$ref"].removeprefix("#/channels/")
    for operation in DOCUMENT["operations"].values()
    if operation["action"] == "send"
}


def refs(node: Any) -> Iterator[str]:
    """Every reference below a node."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def play(demo: Demo, trace: str, until: str, times: int = 1) -> None:
    with (TRACES / trace).open(encoding="utf-8", newline="") as text:
        moves = [Move(*row) for row in read_trace(text, trace)]
    demo.simulator.play(moves)
    eventually(lambda: len(demo.mqtt.events(until)) >= times)


def ours(demo: Demo) -> list[Message]:
    return [m for m in list(demo.mqtt.messages) if m.topic.startswith(BASE)]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Message]]:
    """All that a house says in three evenings, its restart and a house that does not count."""
    with pytest.MonkeyPatch.context() as patch:  # however slow we are, it was away a moment
        patch.setattr("controller.service.loop.PASSAGE_MS", 60_000.0)
        yield evenings(tmp_path_factory)


def evenings(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    published: list[Message] = []
    folder = tmp_path_factory.mktemp("house")
    with house(folder, speed=3000) as demo:
        play(demo, "everything.csv", "session_ended", 3)
        published += ours(demo)
    with house(folder, "sensing.beam_spacing_mm=105.6", speed=3000) as demo:  # the evening's
        play(demo, "knocks.csv", "knock")
        play(demo, "evening.csv", "session_ended", 39)
        eventually(lambda: demo.mqtt.all("heartbeat"))
        assert demo.mqtt.ask("access_door", party=9)["reason"]
        published += ours(demo)
    folder = tmp_path_factory.mktemp("manual")
    with house(folder, "house.counting=manual", speed=300) as demo:
        demo.simulator.act("walk_in")
        eventually(lambda: demo.mqtt.events("passage_seen"))
        assert demo.mqtt.ask("self_test")["ok"]
        assert demo.mqtt.ask("watch_wiring")["ok"]
        eventually(lambda: demo.mqtt.all("wiring"))
        demo.mqtt.send_message(Message(f"{BASE}backfill/request", b'{"after":0}', qos=1))
        eventually(lambda: demo.mqtt.all("backfill"))
        demo.running.loop.post(demo.running.self_test.end)
        eventually(lambda: demo.mqtt.events("self_tested"))
        published += ours(demo)
    return published + ours(demo)  # and its goodbye


def test_every_message_of_the_golden_traces_fits(heard: list[Message]) -> None:
    # States are sent as often as there is time, events each once.
    assert sum("/event/" in message.topic for message in heard) > 1500
    wrong = sorted({mistake for message in heard for mistake in mistakes(message)})
    assert wrong == []


def test_document_names_no_message_that_is_never_published(heard: list[Message]) -> None:
    published = {ADDRESSES.get(message.topic.removeprefix(BASE)) for message in heard}
    asked = {*(f"cmd_{name}" for name in COMMANDS), "backfill_request"}
    assert published - asked == PUBLISHED - {"book_next"}  # the page sends that
    assert {f"event_{name}" for name in EVENTS} == {n for n in PUBLISHED if n.startswith("event_")}


def test_quality_of_service_is_as_documented(heard: list[Message]) -> None:
    for message in heard:
        declared = MESSAGES[ADDRESSES[message.topic.removeprefix(BASE)]]
        assert message.qos == declared["bindings"]["mqtt"]["qos"], message.topic


def test_channels_that_receive_are_the_commands_and_what_asks_for_events() -> None:
    received = {name for name in ADDRESSES.values() if name not in PUBLISHED}
    assert received == {*(f"cmd_{name}" for name in COMMANDS), "backfill_request"}


def test_references_lead_somewhere_and_no_part_is_unused() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    used = set(refs(DOCUMENT))
    assert all(found(ref) is not None for ref in used)
    for part in ("schemas", "messages", "parameters"):
        for name in DOCUMENT["components"][part]:
            assert f"#/components/{part}/{name}" in used, name
    assert {f"#/channels/{name}" for name in DOCUMENT["channels"]} <= used
    for name, channel in DOCUMENT["channels"].items():
        assert list(channel["messages"]) == [name]
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])


def test_enumerations_are_those_of_the_program() -> None:
    assert SCHEMAS["Reason"]["enum"] == [reason.value for reason in Reason]
    assert SCHEMAS["Tone"]["enum"] == [*TONES, "evacuate"]
    assert SCHEMAS["ToneCommand"]["properties"]["tone"]["enum"] == list(TONES)
    assert SCHEMAS["OutputLine"]["enum"] == list(OUTPUT_LINES)
    assert set(SCHEMAS["Command"]["properties"]["cause"]["enum"]) == {*CAUSES, "mqtt"}


@pytest.mark.parametrize(
    "message",
    [
        Message(f"{BASE}statu", b"online"),
        Message(f"{BASE}status", b"on"),
        Message(f"{BASE}occupancy", b'{"count":1}'),
        Message(f"{BASE}result", b'{"id":"a","ok":false,"reason":"Because"}'),
        Message(f"{BASE}event/door_opened", b'{"seq":1,"boot":"0","at":"now","t_ms":0}'),
        Message(
            f"{BASE}event/door_opened",
            b'{"seq":1,"boot":"00000000","at":"2026-11-22T21:03:04.123+00:00","t_ms":0,"x":1}',
        ),
    ],
)
def test_wrong_message_is_found(message: Message) -> None:
    assert mistakes(message)
