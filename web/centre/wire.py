"""An event as a message of NATS: its subject, its id and its body.

Subjects are the topics of MQTT as NATS maps them: ``backdoor/bar/event/entry`` is
``backdoor.bar.event.entry``, so who listens by MQTT at a node hears these too.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.codec import encode, iso
from web.messages import json_object
from web.nights.events import Event, event_of

MESSAGE_ID = "Nats-Msg-Id"
MOST_ID = 64
#: What a bar sends that was away for long goes in a lane of its own: others do not wait behind it,
#: and who listens for events hears none that is days old.
FRESH, LATE = LANES = "event", "late"
MOST_PLACES = 20


def token(text: str) -> str:
    """Return a part of an MQTT topic as a part of a subject."""
    return ".".join(part.replace(".", "//") for part in text.split("/"))


def events_of(prefix: str, lane: str) -> str:
    """Return the subjects of all events of all bars in one lane."""
    return f"{token(prefix)}.*.{lane}.*"


def subject(prefix: str, event: Event, lane: str = FRESH) -> str:
    """Return the subject of an event."""
    return f"{token(prefix)}.{token(event.venue)}.{lane}.{event.name}"


def message_id(event: Event) -> str:
    """Return what makes this event one event: NATS drops a second message with the same id.

    The run belongs to it: two bars with one name, or a bar with a new journal, have the same
    numbers.
    """
    return f"{event.venue}:{event.boot}:{event.seq}"


def body(event: Event, sender: str, capacity: int) -> bytes:
    """Return the message: the event, which store sends it, and how many guests fill the bar."""
    at = iso(event.at_s) if event.at_s else None
    own = {"seq": event.seq, "boot": event.boot, "t_ms": event.t_ms, "at": at}
    return encode({**event.data, **own, "event": event.name, "store": sender, "places": capacity})


class Arrived(NamedTuple):
    """An event at the centre: which store sent it, how many guests fill the bar, when it came.

    ``came_s`` is by NATS's clock, in seconds since 1970. Of a message that only MQTT brought,
    ``store`` is "" and ``places`` 0.
    """

    event: Event
    store: str
    places: int
    came_s: float


def read(prefix: str, subject: str, payload: bytes, came_s: float) -> Arrived:
    """Return the event of a message; raise ValueError for one that no bar of ours sends."""
    begin = f"{token(prefix)}."
    venue, lane, name = (*subject.removeprefix(begin).split("."), "", "", "")[:3]
    if not (subject.startswith(begin) and venue and name and lane in LANES):
        raise ValueError("the subject is no event's")
    if subject.count(".") != begin.count(".") + 2:
        raise ValueError("the subject is no event's")
    fields = json_object(payload)
    store, places = fields.get("store"), fields.get("places")
    return Arrived(
        event_of(venue.replace("//", "."), name, fields),
        store if isinstance(store, str) and len(store) <= MOST_ID else "",
        places if isinstance(places, int) and 0 < places <= MOST_PLACES else 0,
        came_s,
    )
