"""GET /metrics for Prometheus: how the evening goes and whether everything works.

For paired phones, and for scrapers with ``[web] metrics_token`` as a bearer token; without a token
in the configuration no scraper gets in. Counters start at 0 with this process. Events are
delivered at least once: one that comes again, known by its ``seq``, is not counted again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator

from flask import Blueprint, Response, jsonify, request, session
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.events import Reason
from controller.mqtt.message import Message
from web.messages import Json, json_object
from web.mirror import Mirror, MirrorView
from web.presentation.centre import CentreView
from web.routes.venue_metrics import MEANS, VenueGauges, conditions

log = logging.getLogger(__name__)

#: A session lasts two hours; the buckets are finest around it.
SESSION_BUCKETS_S = (1800, 3600, 5400, 6300, 7200, 7500, 8100, 9000, 10800)
#: Boots of the controller that are remembered, to tell a repeated event from a new journal's.
REMEMBERED_BOOTS = 8


class EventCounters:
    """Counters and a histogram of what happened."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, means: str, *labels: str) -> Counter:
            return Counter(f"backdoor_{name}", means, labels, registry=registry)

        crossings = counter("crossings", "People who crossed the doorway", "direction")
        knocks = counter("knocks", "Knocks", "place")
        self._refusals = counter("refusals", "Commands that were refused", "reason")
        self._uncertain = counter("uncertain_passages", "Passages that nobody can be sure of")
        questions = counter("questions", "Questions that the house asked", "kind")
        self._questions = {kind: questions.labels(kind) for kind in ("party", "everybody_left")}
        self._tailgating = counter("tailgating", "Releases by which more came in than were let in")
        self._sessions = counter("sessions", "Sessions that began")
        self._stopped = counter("stopped_releases", "Open releases that a person stopped")
        self._undone = counter("undone", "Commands that were taken back", "command")
        self._lasted = Histogram(
            "backdoor_session_duration_seconds",
            "How long parties stayed",
            buckets=SESSION_BUCKETS_S,
            registry=registry,
        )
        self._into = crossings.labels("in")
        self._out = crossings.labels("out")
        self._knocks = {place: knocks.labels(place) for place in ("hatch", "door")}
        self._reasons = {reason.value: self._refusals.labels(reason.value) for reason in Reason}
        self._last = 0
        self._boots: list[str] = []
        self._count: dict[str, Callable[[Json], None]] = {
            "event/entry": lambda _: self._into.inc(),
            "event/exit": lambda _: self._out.inc(),
            "event/passage_uncertain": lambda _: self._uncertain.inc(),
            "event/knock": lambda event: self._knocks[event["place"]].inc(),
            "event/access_denied": self._refused,
            "event/command_refused": self._refused,
            "event/question_asked": lambda event: self._questions[event["kind"]].inc(),
            "event/tailgating": lambda _: self._tailgating.inc(),
            "event/session_started": lambda _: self._sessions.inc(),
            "event/session_ended": self._ended,
            "event/undone": lambda event: self._undone.labels(event["command"]).inc(),
            "event/release_cancelled": lambda _: self._stopped.inc(),
        }

    def receive(self, name: str, message: Message) -> None:
        """Count one event; a message that makes no sense is logged and not counted."""
        count = self._count.get(name)
        if count is None:
            return
        try:
            event = json_object(message.payload, seq=int, boot=str)
            if self._is_new(event):
                count(event)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("%s: not counted, %s", message.topic, error)

    def _ended(self, event: Json) -> None:
        if event.get("reason") != "undo":  # else no party stayed
            self._lasted.observe(event["lasted_s"])

    def _refused(self, event: Json) -> None:
        self._reasons[event["reason"]].inc()

    def _is_new(self, event: Json) -> bool:
        """Return whether the event is new; the numbers of a new journal begin at 1 again."""
        known = event["boot"] in self._boots
        if not known:
            self._boots = [*self._boots, event["boot"]][-REMEMBERED_BOOTS:]
        if known and event["seq"] <= self._last:
            return False
        self._last = event["seq"]
        return True


class StateGauges(Collector):
    """Gauges of what holds now, read from the mirror for each request."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._heartbeat: Json = {}

    def receive(self, name: str, message: Message) -> None:
        """Keep the newest heartbeat, for uptime and loop times."""
        if name == "heartbeat":
            try:
                self._heartbeat = json_object(message.payload, uptime_s=float)
            except (ValueError, RecursionError) as error:
                log.warning("%s: ignored, %s", message.topic, error)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is unknown is absent, so no metric can be promised."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges and the histogram of the loop."""
        mirror_view = self._mirror.view()
        online = mirror_view.link == "online"
        yield _gauge("broker_connected", "The page hears the broker", self._mirror.connected)
        yield _gauge("controller_online", "The controller lives, and what is shown is true", online)
        for part in (_room(mirror_view), self._loop()) if online else ():
            try:
                yield from list(part)  # whole, or not at all
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                log.warning("metrics left out, the controller's message makes no sense: %r", error)

    def _loop(self) -> Iterator[Metric]:
        if "uptime_s" in self._heartbeat:
            yield _gauge(
                "uptime_seconds", "Age of the controller's process", self._heartbeat["uptime_s"]
            )
        loop = self._heartbeat.get("loop")
        if not isinstance(loop, dict):
            return
        total, buckets = 0, []
        for bound, turns in zip([*loop["bounds_s"], "+Inf"], loop["turns"], strict=True):
            total += turns
            buckets.append((str(bound), float(total)))
        means = "How long the controller's loop took for one turn"
        family = HistogramMetricFamily("backdoor_loop_turn_seconds", means)
        family.add_metric([], buckets, float(loop["sum_s"]))
        yield family


def _room(mirror_view: MirrorView) -> Iterator[Metric]:
    occupancy = mirror_view.state["occupancy"]
    yield _gauge("guests", "Guests inside, the best guess", occupancy["count"])
    yield _gauge("guests_least", "Guests inside, at least", occupancy["min"])
    yield _gauge("guests_most", "Guests inside, at most; the door goes by this", occupancy["max"])
    yield _gauge("guests_uncertain", "The count is in doubt", not occupancy["certain"])
    yield _gauge("guests_allowed", "Guests inside, when full", occupancy["capacity"])
    yield _gauge(
        "hatch_waiting", "Parties that knocked at the hatch", mirror_view.state["hatch"]["waiting"]
    )
    for name, value in conditions(mirror_view.state).items():
        yield _gauge(name, MEANS[name], value)
    yield _release(mirror_view)
    session = mirror_view.state["session"]
    if session is not None:
        left_s = session["remaining_s"]
        yield _gauge("session_remaining_seconds", "Time left; negative in overtime", left_s)
    means = "Faults that have not gone away"
    faults = GaugeMetricFamily("backdoor_faults", means, labels=["name", "line"])
    for fault in mirror_view.state["faults"]:
        faults.add_metric([str(fault["name"]), str(fault["line"])], 1)
    yield faults


def _release(mirror_view: MirrorView) -> Metric:
    means, release = "The release that runs", str(mirror_view.state.get("release", ""))
    family = GaugeMetricFamily("backdoor_release", means, labels=["release"])
    family.add_metric([release], 1)
    return family


def _gauge(name: str, means: str, value: float) -> Metric:
    return GaugeMetricFamily(f"backdoor_{name}", means, value=float(value))


class CentreGauges(Collector):
    """Gauges of the way to the centre, in a bar that has one."""

    def __init__(self, centre: CentreView) -> None:
        self._centre = centre

    def describe(self) -> Iterable[Metric]:
        """Return nothing, as of all that is read for each request."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield whether the centre takes events, since when not, and how many wait."""
        trouble = self._centre.trouble()
        lasts_s = trouble.lasts_s if trouble else 0.0
        yield _gauge("centre_reached", "The centre takes this bar's events", trouble is None)
        yield _gauge("centre_trouble_seconds", "For how long it has taken none", lasts_s)
        yield _gauge("centre_waiting_events", "Events that wait here", self._centre.waiting())


def metrics_routes(
    mirror: Mirror,
    token: str,
    venues: VenueGauges | None = None,
    centre: CentreView | None = None,
) -> Blueprint:
    """Return the route, at a centre with all bars; counting begins now."""
    registry = CollectorRegistry()
    counters, gauges = EventCounters(registry), StateGauges(mirror)
    registry.register(gauges)
    mirror.listen(counters.receive)
    mirror.listen(gauges.receive)
    if venues is not None:
        registry.register(venues)
    if centre is not None:
        registry.register(CentreGauges(centre))
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> ResponseReturnValue:
        if not session.get("paired") and not _has_token(token):
            return jsonify(ok=False, reason="NotPaired"), 403
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


def _has_token(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    return bool(token) and secrets.compare_digest(given.encode(), f"Bearer {token}".encode())
