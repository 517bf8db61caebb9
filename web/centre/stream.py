"""Where NATS keeps the events: one stream of all bars, and one durable reader of each lane.

All are made when they are missing, and what an owner has changed of them (how long events are
kept, for instance) stays as it is.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from web.centre import wire
from web.centre.nats import CentreError, ask

if TYPE_CHECKING:
    from nats.aio.client import Client

log = logging.getLogger(__name__)

SECOND = 10**9  # JetStream counts nanoseconds
#: After a loss in Postgres its events can be read again for so long.
KEPT_S = 30 * 86_400
#: So long NATS knows the id of a message that comes again; the store knows it for ever.
KNOWN_S = 120
#: Copies of the stream: as many nodes may fail as are fewer than half of these.
COPIES = (3, 1)
#: Who reads each lane.
READERS = {wire.FRESH: "nights", wire.LATE: "late"}
#: A reader that takes so long to write what it got has died: others get it.
WRITTEN_S = 30
#: So many events may be at the readers that are not in Postgres yet.
MOST_UNWRITTEN = 50_000
#: JetStream's numbers of errors.
NOT_FOUND, STANDS_ALONE = 10059, 10074


def name_of(prefix: str) -> str:
    """Return the name of the stream of a prefix."""
    return f"{wire.token(prefix)}-events".replace(".", "-").replace("/", "-")


async def ensure(client: Client, prefix: str) -> str:
    """Make stream and readers where they are missing; return the stream's name.

    Raise CentreError.
    """
    stream = name_of(prefix)
    subjects = {lane: wire.events_of(prefix, lane) for lane in wire.LANES}
    await _ensure_stream(client, stream, list(subjects.values()))
    for lane, reader in READERS.items():
        await _ask(
            client,
            f"CONSUMER.DURABLE.CREATE.{stream}.{reader}",
            {"stream_name": stream, "config": _reader(reader, subjects[lane])},
        )
    return stream


async def _ensure_stream(client: Client, stream: str, subjects: list[str]) -> None:
    must = {"subjects": subjects, "allow_atomic": True}
    try:
        found = (await _ask(client, f"STREAM.INFO.{stream}", {}))["config"]
    except CentreError as error:
        if error.code != NOT_FOUND:
            raise
        await _most_copies(client, f"STREAM.CREATE.{stream}", {**_stream(stream), **must})
        return
    copies = int(found.get("num_replicas", 1))
    if copies < COPIES[0]:
        await _most_copies(client, f"STREAM.UPDATE.{stream}", {**found, **must})
    elif any(found.get(key) != value for key, value in must.items()):
        await _ask(client, f"STREAM.UPDATE.{stream}", {**found, **must})


async def _most_copies(client: Client, what: str, config: dict[str, Any]) -> None:
    """Ask for three copies, or for one of a server that stands alone."""
    for copies in COPIES:
        try:
            await _ask(client, what, {**config, "num_replicas": copies})
        except CentreError as error:
            if error.code != STANDS_ALONE:
                raise  # a node may be away: one copy would be lost with the next
            log.warning("centre: the events have one copy only: %s", error)
        else:
            return


async def _ask(client: Client, what: str, request: dict[str, Any]) -> dict[str, Any]:
    return await ask(client, f"$JS.API.{what}", json.dumps(request).encode() if request else b"")


def _stream(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": "events of all bars, from their outboxes",
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": KEPT_S * SECOND,
        "duplicate_window": KNOWN_S * SECOND,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": -1,
    }


def _reader(name: str, subjects: str) -> dict[str, Any]:
    return {
        "durable_name": name,
        "filter_subject": subjects,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": WRITTEN_S * SECOND,
        "max_ack_pending": MOST_UNWRITTEN,
        "max_deliver": -1,
        "max_waiting": 512,
    }
