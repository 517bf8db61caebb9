"""The report: it helps, it replays, and canaries put wherever one can be are in none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from time import time

import pytest

from controller.config.loader import parse
from controller.config.schema import KEYS
from controller.events import Edge
from controller.journal.journal import Journal
from controller.journal.records import Row
from controller.maintenance.redact import REMOVED, Redactor, secrets_of, shown_configuration
from controller.replay import replay, wired_by
from controller.trace import FlightRecorder, flights, load_trace

SECRET = "Canary-Geheimnis/4711"
NAME = "Kanarienvogel"

CONFIGURATION = f"""
[house]
venue = "{NAME}"
capacity = 3
[mqtt]
host = "broker.{NAME}.lan"
username = "{NAME}"
password = "{SECRET}"
[web]
public_url = "https://{NAME}.example:8443"
secret_file = "SECRET_FILE"
allowed_hosts = ["{NAME}.example"]
metrics_token = "{SECRET}"
[book]
url = "https://owner:{SECRET.replace("/", "%2F")}@example.com/private-{NAME}/basic.ics"
[notify]
urls = ["ntfy://{NAME}:{SECRET.replace("/", "%2F")}@nas/{NAME}", {{ url = "json://h/{NAME}" }}]
[space]
name = "{NAME}"
email = "{NAME}@example.com"
[knocks]
regulars = {{ "{NAME}" = [0.5, 1] }}
[hatch_light]
preset = "plain"
topic = "home/{NAME}"
payloads = {{ on = "{SECRET}", off = "0", blink = "1" }}
[journal]
path = "JOURNAL"
[nights]
database = "postgresql://owner:geheimnis-nights@db.example.com/nights"
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A house that has a canary in each place where a secret or a name can be."""
    (tmp_path / "pairing.secret").write_text(f"{SECRET}-paired\n")
    (tmp_path / "regulars.toml").write_text(f'"{NAME}-learned" = [0.5, 1.0]\n')
    (tmp_path / "web.login").write_text(f"backdoor-web:{SECRET}-login\n")
    data = json.dumps({"place": "hatch", "raps": 3, "regular": NAME, "boot": "b"})
    learned = json.dumps({"place": "hatch", "note": f"{NAME}-learned knocked", "boot": "b"})
    spelt = json.dumps({"command": "access_door", "by": f"iPhone of {NAME}"})
    with closing(Journal(tmp_path / "journal.db")) as journal:
        now_s = time()
        rows = [(1, data), (2, learned), (3, spelt)]
        journal.write([Row(seq, 1.0, now_s, "knock_ended", text) for seq, text in rows])
        journal.finish()
    recorder = FlightRecorder(flights(str(tmp_path / "journal.db")))
    for t_ms in (1000.0, 1500.0):
        recorder.edge(Edge(t_ms, "door_contact", t_ms < 1200))
    recorder.flush(recorder.take(), now_s - 60, 2000.0)
    text = CONFIGURATION.replace("JOURNAL", str(tmp_path / "journal.db"))
    (tmp_path / "backdoor.toml").write_text(
        text.replace("SECRET_FILE", str(tmp_path / "pairing.secret"))
    )
    return tmp_path


def journalctl(folder: Path, *lines: str) -> dict[str, str]:
    """An environment whose journalctl prints these lines."""
    tool = folder / "bin/journalctl"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    tool.chmod(0o755)
    return {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}


def report(house: Path, *log: str) -> tuple[str, dict[str, str]]:
    """What is said, and the files of the report."""
    command = [sys.executable, "-m", "controller", "report", str(house / "r.zip")]
    command += ["--yes", "--config", str(house / "backdoor.toml")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=journalctl(house, *log),
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (house / "r.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(house / "r.zip") as whole:
        return done.stdout, {name: whole.read(name).decode() for name in whole.namelist()}


def test_no_canary_is_in_it_and_the_rest_is(house: Path) -> None:
    quoted = SECRET.replace("/", "%2F")
    said, files = report(
        house,
        f"2026-11-25 web: GET https://owner:{quoted}@example.com/private-{NAME}/basic.ics failed",
        f"2026-11-25 notify: {SECRET} {NAME.lower()} {NAME}-learned {SECRET}-paired",
        f"2026-11-25 web: from 192.168.1.23 and fe80::1c2d:3e4f:aabb:1 by {SECRET}-login",
        "2026-11-25 web: phones: Grete's iPhone threw out Hans",
        "2026-11-25 web: dc:a6:32:01:02:03 came, 10.0.0.7:8080 left",
        "2026-11-25 controller: strike: the disk is full",
    )
    whole = "\n".join(files.values()).lower()
    for canary in (
        SECRET,
        quoted,
        NAME,
        "geheimnis",
        "grete",
        "hans",
        "192.168.1.23",
        "fe80::1c2d",
        "dc:a6",
        "10.0.0.7",
    ):
        assert canary.lower() not in whole
    assert "strike: the disk is full" in files["log.txt"]
    assert "capacity = 3" in files["configuration.txt"]
    assert f'password = "{REMOVED}"' in files["configuration.txt"]
    assert [json.loads(line)["seq"] for line in files["events.jsonl"].splitlines()] == [1, 2, 3]
    assert "python: 3." in files["machine.txt"]
    for name in files:
        assert name in said  # listed before it is saved


def test_its_trace_replays(house: Path) -> None:
    _, files = report(house)
    trace = house / "trace.csv"
    trace.write_text(files["trace.csv"])
    rows = load_trace(str(trace))
    assert [(row.line, row.level) for row in rows if row.t_ms] == [
        ("door_contact", 1),
        ("door_contact", 0),
    ]
    told = b"".join(replay(rows, wired_by(parse({}, ""), rows)))
    assert b"door_opened" in told


def test_what_cannot_be_freed_of_names_is_left_out(house: Path) -> None:
    (house / "pairing.secret").unlink()
    os.mkfifo(house / "pairing.secret")
    _, files = report(house, f"a line of {SECRET}-paired")
    assert files["log.txt"].startswith("left out")
    assert files["events.jsonl"].startswith("left out")
    assert "door_contact" in files["trace.csv"]


@pytest.mark.parametrize("text", ["[mqtt\n", f"[mqtt]\npassword = {SECRET}\n", "\0\1"])
def test_a_broken_configuration_still_gives_a_report(house: Path, text: str) -> None:
    (house / "backdoor.toml").write_text(text)
    said, files = report(house)
    assert "the report is made all the same" in said
    assert SECRET not in "\n".join(files.values())
    assert "machine.txt" in files


#: What an owner may write where we do not say which words there are.
ANYTHING: tuple[object, ...] = (
    "kanarienvogel",
    "kanarienvogel.example",
    "tls://kanarienvogel.example:4222",
    "postgresql://kanarienvogel@example/nights",
    ["kanarienvogel"],
    ["tls://kanarienvogel.example:4222"],
    ["ntfy://example.com/kanarienvogel"],
    [{"host": "kanarienvogel.example"}],
    {"kanarienvogel": [0.5, 1]},
    {"on": "kanarienvogel"},
)


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_no_key_shows_what_an_owner_can_write_freely(value: object) -> None:
    for key in KEYS:  # also where it is a mistake: a password in the place of a port
        document = {key.section: {key.name: value}}
        assert "kanarienvogel" not in shown_configuration(document), key
        assert any("kanarienvogel" in secret for secret in secrets_of(document)), key


def test_numbers_times_and_our_own_words_are_shown() -> None:
    document = {
        "house": {"capacity": 3, "session_length": "2 h", "counting": "manual"},
        "book": {"open": ["Mon-Sat 18:00-01:00"], "timezone": "Europe/Rome"},
        "notify": {"for": ["knock"], "quiet_hours": "23:00-09:00"},
        "lines": {"strike": {"pin": 16}},
    }
    assert REMOVED not in shown_configuration(document)
    assert secrets_of(document) == set()


def test_redactor_spares_short_and_usual_words() -> None:
    clean = Redactor(["a", "", "on", "backdoor", "Longer Secret"])
    assert clean("a backdoor on Longer Secret, longer%20secret") == (
        f"a backdoor on {REMOVED}, {REMOVED}"
    )
    assert Redactor([])("at 12:30:15, version 1.2.3") == "at 12:30:15, version 1.2.3"
    assert clean.event("no json") == f'"{REMOVED}: not JSON"'
