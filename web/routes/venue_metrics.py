"""All bars of a centre at /metrics: one line each, with the bar's name as ``venue``.

A centre can't ask its bars (nothing comes in there), so Prometheus asks the centre's page. What is
not known of a bar is left out; rules stand in ``web/prometheus.rules.yml``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from web.messages import Json
from web.routes.venues import Venues

log = logging.getLogger(__name__)


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
    """Gauges of all bars, read for each request from what the tiles are drawn of."""

    def __init__(self, venues: Venues) -> None:
        self._venues = venues
        #: Bars whose last state made no sense: the log has it once.
        self._bad: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is unknown is absent, so no metric can be promised."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge with a line for each bar."""
        heard = self._venues.heard()
        online = {bar.name: bar.status == "online" for bar in heard if bar.status}
        yield _gauge("online", "Its controller says that it is there", online)
        known = [bar for bar in heard if bar.state]
        ages = {bar.name: bar.age_s for bar in known}
        yield _gauge("state_age_seconds", "Age of what is known of it", ages)
        yield from _of_states({bar.name: bar.state for bar in known}, self._bad)


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
