"""GET /metrics: what Prometheus reads, who may read it, and that a repetition counts once."""

from __future__ import annotations

import logging
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from controller.codec import encode
from controller.config.notify import SEVERITIES
from controller.mqtt.message import Message
from tests.support.fake_controller import FakeController, now_iso, page_of, paired
from web.presentation.centre import CentreView
from web.routes.metrics import CentreGauges
from web.routes.venue_metrics import MEANS

TOKEN = "scrape-me"
LOOP = {"bounds_s": [0.001, 0.01], "turns": [5, 2, 1], "sum_s": 0.25}


@pytest.fixture
def controller() -> FakeController:
    controller = FakeController()
    controller.inside(2, 3)
    return controller


@pytest.fixture
def app(controller: FakeController, tmp_path: Path) -> Flask:
    app = page_of(controller, tmp_path, metrics_token=TOKEN)
    controller.heartbeat(loop=LOOP)
    return app


def scrape(app: Flask) -> str:
    answer = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    return answer.text


def values(app: Flask) -> dict[str, float]:
    """Every sample by its name, with its labels as Prometheus writes them."""
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scrape(app))
        for sample in family.samples
    }


def happens(
    controller: FakeController, name: str, seq: int, boot: str = "b00t", **data: object
) -> None:
    controller.publish(
        f"event/{name}", {"seq": seq, "boot": boot, "at": now_iso(), "t_ms": 1.0, **data}
    )


def test_metrics_of_the_state(app: Flask, controller: FakeController) -> None:
    controller.show(
        session={"started_at": now_iso(), "ends_at": now_iso(), "remaining_s": -60.5},
        faults=[{"name": "BeamStuck", "line": "beam_outer", "since": now_iso()}],
    )
    found = values(app)
    assert found["backdoor_guests"] == found["backdoor_guests_most"] == 3
    assert found["backdoor_guests_least"] == 2
    assert found["backdoor_guests_uncertain"] == found["backdoor_controller_online"] == 1
    assert found["backdoor_broker_connected"] == 1
    assert found["backdoor_guests_allowed"] == 4
    assert -61.5 < found["backdoor_session_remaining_seconds"] <= -60.5
    assert found["backdoor_faults line=beam_outer name=BeamStuck"] == 1
    assert found["backdoor_uptime_seconds"] == 5.0
    assert found["backdoor_loop_turn_seconds_bucket le=0.001"] == 5
    assert found["backdoor_loop_turn_seconds_bucket le=+Inf"] == 8
    assert found["backdoor_loop_turn_seconds_count"] == 8
    assert found["backdoor_loop_turn_seconds_sum"] == 0.25


def test_metrics_count_an_event_once_however_often_it_comes(
    app: Flask, controller: FakeController
) -> None:
    for _ in range(2):
        happens(controller, "entry", 1)
        happens(controller, "exit", 2)
        happens(controller, "passage_uncertain", 3)
        happens(controller, "knock", 4, place="hatch", raps=2)
        happens(controller, "access_denied", 5, reason="CapacityReached")
        happens(controller, "command_refused", 6, reason="Replayed")
        happens(controller, "session_started", 7)
        happens(controller, "session_ended", 8, lasted_s=7300)
        happens(controller, "question_asked", 9, kind="party")
        happens(controller, "tailgating", 10)
        happens(controller, "release_cancelled", 11)
        happens(controller, "undone", 12, command="room_empty")
        happens(controller, "session_ended", 13, lasted_s=3, reason="undo")
    happens(controller, "entry", 1, boot="next")  # the journal was lost: it begins again
    happens(controller, "entry", 2, boot="next")
    found = values(app)
    assert found["backdoor_crossings_total direction=in"] == 3
    assert found["backdoor_crossings_total direction=out"] == 1
    assert found["backdoor_uncertain_passages_total"] == 1
    assert found["backdoor_knocks_total place=hatch"] == 1
    assert found["backdoor_knocks_total place=door"] == 0
    assert found["backdoor_refusals_total reason=CapacityReached"] == 1
    assert found["backdoor_refusals_total reason=Replayed"] == 1
    assert found["backdoor_questions_total kind=party"] == 1
    assert found["backdoor_questions_total kind=everybody_left"] == 0
    assert found["backdoor_tailgating_total"] == 1
    assert found["backdoor_sessions_total"] == 1
    assert found["backdoor_stopped_releases_total"] == 1
    assert found["backdoor_undone_total command=room_empty"] == 1
    assert found["backdoor_session_duration_seconds_bucket le=7200.0"] == 0
    assert found["backdoor_session_duration_seconds_bucket le=7500.0"] == 1


def test_metrics_leave_out_what_is_not_known(app: Flask, controller: FakeController) -> None:
    controller.crash()
    found = values(app)
    assert found["backdoor_controller_online"] == 0
    assert "backdoor_guests" not in found
    assert "backdoor_uptime_seconds" not in found
    assert "backdoor_session_remaining_seconds" not in found


def test_metrics_without_a_histogram_of_the_loop(app: Flask, controller: FakeController) -> None:
    controller.heartbeat()
    assert "backdoor_loop_turn_seconds_count" not in values(app)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("event/entry", b"{"),
        ("event/entry", {"boot": "b"}),
        ("event/access_denied", {"seq": 1, "boot": "b", "reason": "Because"}),
        ("heartbeat", {"boot": "b00t", "seq": 1}),
        ("heartbeat", b"[1]"),
    ],
)
def test_metrics_do_not_count_messages_that_make_no_sense(
    app: Flask,
    controller: FakeController,
    name: str,
    body: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = values(app)
    with caplog.at_level(logging.WARNING):
        controller.publish(name, body)
    assert f"backdoor/bar/{name}" in caplog.text
    assert values(app)["backdoor_crossings_total direction=in"] == 0
    assert values(app).keys() == before.keys()


def test_metrics_are_for_paired_phones_and_the_token(
    controller: FakeController, tmp_path: Path
) -> None:
    open_to_token = page_of(controller, tmp_path, metrics_token=TOKEN)
    stranger = open_to_token.test_client()
    assert stranger.get("/metrics").status_code == 403
    wrong = {"Authorization": "Bearer scrape-m\u00e9"}
    assert stranger.get("/metrics", headers=wrong).status_code == 403
    assert paired(open_to_token).get("/metrics").status_code == 200
    closed = page_of(controller, tmp_path)
    empty = {"Authorization": "Bearer "}
    assert closed.test_client().get("/metrics", headers=empty).status_code == 403


@pytest.mark.slow
def test_metrics_pass_promtool(app: Flask) -> None:
    of_a_centre = CollectorRegistry()
    of_a_centre.register(CentreGauges(CentreView(lambda: None, lambda: 0)))
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=scrape(app) + generate_latest(of_a_centre).decode(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_metrics_names_follow_prometheus(app: Flask) -> None:
    """What promtool would say: a help for each, base units, counters end in total."""
    for family in text_string_to_metric_families(scrape(app)):
        assert family.name.startswith("backdoor_")
        assert family.documentation
        if family.type == "counter":
            assert all(s.name.endswith(("_total", "_created")) for s in family.samples)
        assert not family.name.endswith(("_ms", "_minutes", "_count", "_info"))


# --- what a person should look after, and the rules that say so -----------------------------------


def test_metrics_of_what_needs_a_person(app: Flask, controller: FakeController) -> None:
    found = values(app)
    assert [found[f"backdoor_{name}"] for name in MEANS] == [0.0] * len(MEANS)
    assert [name for name in found if name.startswith("backdoor_venue_")] == []
    controller.show(
        over_capacity=True,
        door={**controller.state["door"], "alarm": "DoorForcedOpen", "mode": "LockedOpen"},
        hatch={**controller.state["hatch"], "waiting": 1, "oldest_s": 301.5},
        door_knock={"since": now_iso(), "age_s": 12.0},
        release="1.2.3",
    )
    found = values(app)
    assert found["backdoor_over_capacity"] == found["backdoor_door_forced"] == 1
    assert found["backdoor_evacuation"] == 1
    assert found["backdoor_hatch_waiting_seconds"] == 301.5
    assert found["backdoor_door_waiting_seconds"] == 12
    assert found["backdoor_release release=1.2.3"] == 1


def say(controller: FakeController, topic: str, payload: bytes) -> None:
    controller._link.publish(Message(topic, payload, 1, True))


@pytest.fixture
def centre(controller: FakeController, tmp_path: Path) -> Flask:
    (tmp_path / "centre").mkdir()
    return page_of(controller, tmp_path / "centre", metrics_token=TOKEN, venues="+")


def test_every_bar_of_a_centre_has_its_line(centre: Flask, controller: FakeController) -> None:
    state = {**controller.state, "over_capacity": True, "release": "0.1.0"}
    say(controller, "backdoor/nook/state", encode(state))
    say(controller, "backdoor/nook/status", b"offline")
    say(controller, "backdoor/cave/state", encode({**state, "over_capacity": False}))
    say(controller, "backdoor/cave/status", b"online")
    say(controller, "backdoor/broken/state", b"{")
    say(controller, "backdoor/strange/state", encode({**state, "door_knock": 7}))
    huge = encode({**state, "occupancy": {"count": "huge"}}).replace(b'"huge"', b"9" * 400)
    say(controller, "backdoor/huge/state", huge)
    found = values(centre)
    assert found["backdoor_venue_over_capacity venue=nook"] == 1
    assert found["backdoor_venue_over_capacity venue=cave"] == 0
    assert found["backdoor_venue_online venue=nook"] == 0
    assert found["backdoor_venue_online venue=cave"] == 1
    assert found["backdoor_venue_guests venue=nook"] == 3
    assert 0 <= found["backdoor_venue_state_age_seconds venue=nook"] < 60
    assert found["backdoor_venue_release release=0.1.0 venue=nook"] == 1
    assert not [name for name in found if "venue=broken" in name or "guests venue=strange" in name]


LOGS = ("web.routes.venues", "web.routes.venue_metrics")


def test_bar_that_makes_no_sense_is_logged_once_until_it_does(
    centre: Flask, controller: FakeController, caplog: pytest.LogCaptureFixture
) -> None:
    strange = encode({**controller.state, "door_knock": 7})

    def lines() -> int:
        """The messages of a bar are read in one place, and made gauges in another."""
        return len([one for one in caplog.records if one.name in LOGS])

    for _ in range(3):
        say(controller, "backdoor/broken/state", b"{")
        say(controller, "backdoor/strange/state", strange)
        values(centre)
    assert lines() == 2
    for name in ("broken", "strange"):
        say(controller, f"backdoor/{name}/state", encode(controller.state))
    values(centre)
    say(controller, "backdoor/broken/state", b"{")
    say(controller, "backdoor/strange/state", strange)
    values(centre)
    assert lines() == 4


def test_rules_name_metrics_that_are_there(
    app: Flask, centre: Flask, controller: FakeController
) -> None:
    """A metric that was renamed would make a rule silent for ever."""
    controller.show(faults=[{"name": "BeamStuck", "line": "beam_outer", "since": now_iso()}])
    say(controller, "backdoor/nook/state", encode(controller.state))
    say(controller, "backdoor/nook/status", b"online")
    there = {name.partition(" ")[0] for name in [*values(app), *values(centre)]}
    there |= {family.name for family in CentreGauges(CentreView(lambda: None, lambda: 0)).collect()}
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    assert len(rules) == len({rule["alert"] for rule in rules}) == 14
    for rule in rules:
        named = set(re.findall(r"backdoor_\w+", rule["expr"]))
        assert named, rule
        assert named <= there, rule
        assert rule["labels"]["severity"] in SEVERITIES


@pytest.mark.slow
def test_rules_pass_prometheus_own_check(tmp_path: Path) -> None:
    """And they fire: a forced door at once, an old release when most bars have another."""
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.format(rules=RULES.resolve()))
    for check in (("check", "rules", str(RULES)), ("test", "rules", str(cases))):
        done = subprocess.run(["promtool", *check], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


RULES = Path("web/prometheus.rules.yml")
CASES = """\
rule_files: [{rules}]
evaluation_interval: 5s
tests:
  - interval: 5s
    input_series:
      - {{series: 'backdoor_venue_door_forced{{venue="nook"}}', values: '0 1 1'}}
      - {{series: 'backdoor_venue_hatch_waiting_seconds{{venue="nook"}}', values: '295 301 306'}}
      - {{series: 'backdoor_venue_release{{venue="nook",release="0.1"}}', values: '1x20000'}}
      - {{series: 'backdoor_venue_release{{venue="bar",release="0.2"}}', values: '1x20000'}}
      - {{series: 'backdoor_venue_release{{venue="cave",release="0.2"}}', values: '1x20000'}}
      - {{series: 'backdoor_centre_reached', values: '0x200'}}
    alert_rule_test:
      - {{eval_time: 0s, alertname: VenueDoorForced}}
      - eval_time: 5s
        alertname: VenueDoorForced
        exp_alerts:
          - exp_labels: {{severity: critical, venue: nook}}
            exp_annotations: {{summary: "nook: the door was forced open"}}
      - eval_time: 5s
        alertname: VenueKnockUnanswered
        exp_alerts:
          - exp_labels: {{severity: warning, venue: nook}}
            exp_annotations:
              summary: "nook: nobody has answered a knock for five minutes"
      - {{eval_time: 23h, alertname: VenueOldRelease}}
      - eval_time: 25h
        alertname: VenueOldRelease
        exp_alerts:
          - exp_labels: {{severity: info, venue: nook, release: "0.1"}}
            exp_annotations: {{summary: "nook: runs 0.1, most bars another release"}}
      - {{eval_time: 14m, alertname: CentreUnreached}}
      - eval_time: 16m
        alertname: CentreUnreached
        exp_alerts:
          - exp_labels: {{severity: info}}
            exp_annotations: {{summary: ": its events have not reached the centre for 15 minutes"}}
  # One bar claims a release that nobody has: nobody is old by it.
  - interval: 5s
    input_series:
      - {{series: 'backdoor_venue_release{{venue="nook",release="999"}}', values: '1x20000'}}
      - {{series: 'backdoor_venue_release{{venue="bar",release="0.2"}}', values: '1x20000'}}
    alert_rule_test:
      - {{eval_time: 25h, alertname: VenueOldRelease}}
"""
