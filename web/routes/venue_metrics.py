"""All bars of a centre at /metrics: one line each, with the bar's name as ``venue``.

A centre can't ask its bars (nothing comes in there), so Prometheus asks the centre's page. What is
not known of a bar is left out; rules stand in ``web/prometheus.rules.yml``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.mqtt.message import Message
from web.messages import Json, json_object

log = logging.getLogger(__name__)

TOPICS = ("status", "state")
#: Nobody has more bars; nonsense topics at the broker must not cost memory.
MOST_VENUES = 5000


@dataclass(slots=True)
class Heard:
    """The last messages of one bar; ``state_s`` is when its state arrived, monotonic s."""

    status: str = ""
    state: Json = field(default_factory=dict)
    state_s: float = 0.0


def conditions(state: Mapping[str, Any]) -> dict[str, float]:
    """Return what a person should look after, by the names of the metrics that say it."""
    knock = state["door_knock"]
    return {
        "over_capacity": float(state["over_capacity"]),
        "door_forced": float(state["door"]["alarm"] == "DoorForcedOpen"),
        "evacuation": float(state["door"]["mode"] == "LockedOpen"),
        "hatch_waiting_seconds": float(state["hatch"]["oldest_s"] or 0.0),
        "door_waiting_seconds": float(knock["age_s"] if knock else 0.0),
    }


#: What each of them means.
MEANS = {
    "over_capacity": "More guests are inside than may be",
    "door_forced": "The door was opened without a release and is still open",
    "evacuation": "The door is locked open",
    "hatch_waiting_seconds": "How long the oldest party at the hatch has waited",
    "door_waiting_seconds": "How long somebody has waited at the front door",
}


class VenueGauges(Collector):
    """Gauges of all bars below a prefix: written by the link's thread, read by a scraper."""

    def __init__(self, prefix: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._prefix, self._monotonic = f"{prefix}/", monotonic
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        #: Topics, and bars, whose last message made no sense: the log has it once.
        self._bad: set[str] = set()

    def topics(self) -> list[str]:
        """Return the topics to subscribe to."""
        return [f"{self._prefix}+/{name}" for name in TOPICS]

    def receive(self, _name: str, message: Message) -> None:
        """Take one message of any bar; one that makes no sense is logged, once, and ignored."""
        venue, _, what = message.topic.removeprefix(self._prefix).partition("/")
        if what not in TOPICS:
            return
        try:
            with self._lock:
                if venue in self._heard or len(self._heard) < MOST_VENUES:
                    self._take(self._heard.setdefault(venue, Heard()), what, message.payload)
            self._bad.discard(message.topic)
        except (ValueError, RecursionError) as error:
            if message.topic not in self._bad:
                self._bad.add(message.topic)
                log.warning("%s: ignored until it makes sense, %s", message.topic, error)

    def _take(self, bar: Heard, what: str, payload: bytes) -> None:
        if what == "status":
            bar.status = payload.decode("utf-8", "replace")
        else:
            bar.state = json_object(payload, occupancy=dict, door=dict, hatch=dict)
            bar.state_s = self._monotonic()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is unknown is absent, so no metric can be promised."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge with a line for each bar."""
        with self._lock:
            heard = {
                venue: Heard(bar.status, bar.state, bar.state_s)
                for venue, bar in sorted(self._heard.items())
            }
        now_s = self._monotonic()
        online = {venue: bar.status == "online" for venue, bar in heard.items() if bar.status}
        yield _gauge("online", "Its controller says that it is there", online)
        known = {venue: bar for venue, bar in heard.items() if bar.state}
        ages = {venue: now_s - bar.state_s for venue, bar in known.items()}
        yield _gauge("state_age_seconds", "Age of what is known of it", ages)
        yield from _of_states({venue: bar.state for venue, bar in known.items()}, self._bad)


def _of_states(states: Mapping[str, Json], bad: set[str]) -> Iterator[Metric]:
    """Yield the gauges of all that makes sense; ``bad`` are the bars that the log has already."""
    found: dict[str, dict[str, float]] = {name: {} for name in ("guests", *MEANS)}
    releases = GaugeMetricFamily(
        "backdoor_venue_release", "The release that runs there", labels=["venue", "release"]
    )
    for venue, state in states.items():
        try:
            values = {"guests": float(state["occupancy"]["count"]), **conditions(state)}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if venue not in bad:
                bad.add(venue)
                log.warning("%s: metrics left out, its state makes no sense: %r", venue, error)
            continue
        bad.discard(venue)
        for name, value in values.items():
            found[name][venue] = value
        releases.add_metric([venue, str(state.get("release", ""))], 1)
    for name, values in found.items():
        yield _gauge(name, MEANS.get(name, "Guests inside, the best guess"), values)
    yield releases


def _gauge(name: str, means: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"backdoor_venue_{name}", means, labels=["venue"])
    for venue, value in values.items():
        family.add_metric([venue], value)
    return family
