"""Installed on a Debian of its own, and everything that can happen to it there.

The tests follow one another like the life of one machine; each leaves it working.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.installed import centre
from tests.installed.machine import Machine
from tests.installed.product import (
    UNCOMPILED,
    installed_files,
    release,
    set_count,
    state,
    working,
)
from tests.support.centre import rows
from web.nights.database import StoreError

pytestmark = pytest.mark.timeout(300)

INSTALL = ("/root/backdoor/systemd/install", "--wheels", "/root/wheels")
CONTROLLER, PAGE, SAFE = "backdoor-controller", "backdoor-web", "backdoor-safe"
MESSAGES = "backdoor-notify"
BRIDGE, CENTRES = "backdoor-bridge", ("backdoor-centre", "backdoor-venues")
NODE = "backdoor-node"

#: A phone's server: it writes down the titles of what it gets.
PHONES_SERVER = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/root/titles", "a") as titles: print(message["title"], file=titles)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 2586), Handler).serve_forever()
"""
#: A knock, as the controller tells it.
KNOCK = """
import datetime, json, time, paho.mqtt.client as paho
user, _, password = open("/etc/backdoor/controller-test.login").read().strip().partition(":")
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.username_pw_set(user, password)
client.connect("127.0.0.1")
client.loop_start()
at = datetime.datetime.now(datetime.timezone.utc).isoformat()
body = {"seq": time.time_ns(), "boot": "0badcafe", "at": at, "t_ms": 1.0, "place": "hatch"}
client.publish("backdoor/bar/event/knock", json.dumps(body), qos=1).wait_for_publish(5)
client.disconnect()
"""

#: What a client with some login may do: a word for each try.
CLIENT = """
import time, paho.mqtt.client as paho
name = {name!r}
told, heard = [], []
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.on_connect = lambda c, u, f, reason, p: told.append(str(reason))
client.on_publish = lambda c, u, m, reason, p: told.append(f"publish {{reason}}")
client.on_message = lambda c, u, m: heard.append(m.topic)
if name:
    user, _, password = open(f"/etc/backdoor/{{name}}.login").read().strip().partition(":")
    client.username_pw_set(user, password)
client.connect("127.0.0.1")
client.loop_start()
end = time.monotonic() + 5
while not told and time.monotonic() < end: time.sleep(0.05)
if told == ["Success"]:
    client.subscribe("#")
    client.publish({topic!r}, '{{}}', qos=1)
    while len(told) < 2 and time.monotonic() < end: time.sleep(0.05)
    time.sleep(1.2)
print(told, sorted(set(heard)))
client.disconnect()
"""


def client(machine: Machine, name: str, topic: str) -> str:
    return machine.python(CLIENT.format(name=name, topic=topic)).strip()


def kill(machine: Machine, unit: str, number: signal.Signals) -> str:
    pid = machine.show(unit, "MainPID")
    assert pid != "0"
    machine.do("kill", f"-{number.value}", pid)
    return pid


# --- to install ----------------------------------------------------------------------------------


def test_dry_run_prints_every_step_and_does_none(machine: Machine) -> None:
    before = installed_files(machine)
    output = machine.do(*INSTALL, "--dry-run")
    for step in ("useradd", "require-hashes", "/etc/backdoor/backdoor.toml", "backdoor.acl",
                 "backdoor-controller.service", "systemctl restart"):  # fmt: skip
        assert step in output
    assert all(line.startswith("would ") for line in output.splitlines())
    assert installed_files(machine) == before


def test_install_is_one_command_and_shows_how_to_pair(machine: Machine) -> None:
    output = machine.do(*INSTALL)
    assert re.search(r"page: http://\S+:8080/pair/\S{30,}", output)
    assert machine.show(CONTROLLER, "SubState") == machine.show(PAGE, "SubState") == "running"
    machine.until(lambda: working(machine))
    assert state(machine)["door"]["mode"] == "Locked"
    announced = machine.do("cat", "/etc/avahi/services/backdoor.service")
    assert "<type>_http._tcp</type><port>8080</port>" in announced


def test_services_find_all_their_code_compiled(machine: Machine) -> None:
    assert machine.python(UNCOMPILED) == ""


def test_install_again_changes_nothing(machine: Machine) -> None:
    pids = [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE, "mosquitto")]
    machine.do("sh", "-c", "echo '# mine' >> /etc/backdoor/backdoor.toml")
    output = machine.do(*INSTALL)
    assert "everything was as it should be" in output
    assert "write" not in output
    assert [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE, "mosquitto")] == pids
    assert "# mine" in machine.do("cat", "/etc/backdoor/backdoor.toml")


def test_units_are_hardened_on_this_systemd(machine: Machine) -> None:
    for unit in (CONTROLLER, PAGE, SAFE):
        machine.do("systemd-analyze", "security", "--threshold=15", "--no-pager", unit)


def test_page_out_of_control_gets_less_of_the_machine_than_the_door(machine: Machine) -> None:
    """What of it a container can show: the rest is the kernel's, by the units' numbers."""
    nice = {unit: int(machine.do("ps", "-o", "ni=", "-p", machine.show(unit, "MainPID")))
            for unit in (CONTROLLER, PAGE)}  # fmt: skip
    assert nice == {CONTROLLER: -5, PAGE: 5}
    scores = {unit: int(machine.do("cat", f"/proc/{machine.show(unit, 'MainPID')}/oom_score_adj"))
              for unit in (CONTROLLER, PAGE)}  # fmt: skip
    assert scores[CONTROLLER] < scores[PAGE]
    weights = [int(machine.show(unit, "CPUWeight")) for unit in (CONTROLLER, PAGE)]
    assert weights == [500, 50]
    assert machine.show(PAGE, "MemoryMax") == str(256 * 1024 * 1024)
    assert machine.show(PAGE, "TasksMax") == "128"


# --- the broker ----------------------------------------------------------------------------------


def test_broker_refuses_strangers(machine: Machine) -> None:
    assert client(machine, "", "backdoor/bar/cmd/access_door") == "['Not authorized'] []"
    listening = machine.do("cat", "/proc/net/tcp", "/proc/net/tcp6")
    assert "0100007F:075B" in listening  # 127.0.0.1:1883
    assert "00000000:075B" not in listening


def test_broker_lets_a_guest_read_occupancy_and_no_more(machine: Machine) -> None:
    output = client(machine, "guest", "backdoor/bar/cmd/access_door")
    assert "publish Not authorized" in output
    assert "'backdoor/bar/occupancy', 'backdoor/bar/session', 'backdoor/bar/status']" in output


def test_broker_lets_the_page_command_and_read_but_not_publish_state(machine: Machine) -> None:
    assert "publish Not authorized" in client(machine, "web-test", "backdoor/bar/state")
    output = client(machine, "web-test", "backdoor/bar/cmd/no_such_command")
    assert "publish Not authorized" not in output
    assert "backdoor/bar/state" in output


def test_broker_lets_home_assistant_read_all_and_open_nothing_unless_allowed(
    machine: Machine,
) -> None:
    output = client(machine, "homeassistant", "backdoor/bar/cmd/access_door")
    assert "publish Not authorized" in output
    assert "backdoor/bar/state" in output


def test_service_cannot_read_the_login_of_another(machine: Machine) -> None:
    pid = machine.show(PAGE, "MainPID")
    inside = ("nsenter", "-t", pid, "-m", "--", "ls", "-A", "/run/credentials")
    assert machine.do(*inside).split() == [f"{PAGE}.service"]
    for login in ("controller", "web", "notify"):
        drop = ("runuser", "-u", "backdoor", "--", "cat", f"/etc/backdoor/{login}.login")
        assert machine.tell(*drop).returncode != 0


def test_nobody_is_thrown_out_of_the_broker_by_another_of_ours(machine: Machine) -> None:
    """The page and its history are two clients, and one login is one client at a time."""
    log = machine.do("journalctl", "-q", "--no-pager", "-u", PAGE, "-u", CONTROLLER)
    assert "someone else uses our client id" not in log


def test_user_of_the_page_can_do_nothing_to_the_controller(machine: Machine) -> None:
    """Not read its journal, not send it a signal; only the pairing secret is for both."""
    page = ("setpriv", "--reuid=backdoor-web", "--regid=backdoor", "--clear-groups", "--")
    data = machine.do("find", "/var/lib/backdoor", "-type", "f").split()
    assert any(file.endswith("journal.db") for file in data)
    readable = [file for file in data if machine.tell(*page, "cat", file).returncode == 0]
    assert readable == ["/var/lib/backdoor/pairing.secret"]
    assert machine.tell(*page, "touch", "/var/lib/backdoor/x").returncode != 0
    pid = machine.show(CONTROLLER, "MainPID")
    assert machine.tell(*page, "kill", "-0", pid).returncode != 0
    assert machine.do("ps", "-o", "user=", "-p", machine.show(PAGE, "MainPID")).strip() in (
        "backdoor-web", "backdoo+",
    )  # fmt: skip


def test_new_secret_reaches_the_page_and_ends_old_pairings(machine: Machine) -> None:
    old = machine.do("cat", "/var/lib/backdoor/pairing.secret")
    machine.do("backdoor", "pair", "--rotate")
    assert machine.do("cat", "/var/lib/backdoor/pairing.secret") != old
    assert working(machine)  # it pairs by the file, as the bartender does by the code


# --- it stays up ---------------------------------------------------------------------------------


def test_controller_killed_comes_back_as_it_was_with_the_strike_off(machine: Machine) -> None:
    set_count(machine, 2)
    kill(machine, CONTROLLER, signal.SIGKILL)
    machine.until(lambda: machine.show(CONTROLLER, "NRestarts") == "1")  # the page has an old one
    machine.until(lambda: working(machine) and state(machine)["occupancy"]["count"] == 2)
    assert machine.show(SAFE, "ActiveEnterTimestampMonotonic") == "0"  # one crash is no safe mode
    post = machine.show(CONTROLLER, "ExecStopPost")
    assert "strike-off" in post
    assert "status=0" in post


def test_controller_that_hangs_is_killed_by_its_watchdog(machine: Machine) -> None:
    pid = kill(machine, CONTROLLER, signal.SIGSTOP)
    machine.until(lambda: machine.show(CONTROLLER, "MainPID") not in ("0", pid), 25)
    machine.until(lambda: working(machine))
    log = machine.do("journalctl", "-q", "--no-pager", "-u", CONTROLLER)
    assert "Watchdog timeout" in log


def restarted_or_failed(machine: Machine, killed: str) -> bool:
    started = machine.show(CONTROLLER, "MainPID") not in ("0", killed)
    return started or machine.show(CONTROLLER, "SubState") == "failed"


def test_five_failures_end_in_safe_mode_with_its_reason_on_the_page(machine: Machine) -> None:
    for _ in range(5):
        machine.until(lambda: machine.show(CONTROLLER, "SubState") in ("running", "failed"))
        if machine.show(CONTROLLER, "SubState") == "failed":
            break
        pid = kill(machine, CONTROLLER, signal.SIGKILL)
        machine.until(partial(restarted_or_failed, machine, pid))
    machine.until(lambda: machine.show(SAFE, "SubState") == "running")
    machine.until(lambda: working(machine) and state(machine)["counting"] == "manual")
    found = [fault for fault in state(machine)["faults"] if fault["name"] == "SafeMode"]
    assert [fault["line"] for fault in found] == ["crashed"]
    assert state(machine)["occupancy"]["count"] == 2
    set_count(machine, 2)  # the count asked, and the bartender answers
    assert state(machine)["door"]["mode"] == "Locked"


def test_safe_mode_ends_when_the_controller_is_started_again(machine: Machine) -> None:
    machine.do("systemctl", "restart", CONTROLLER)
    assert machine.show(SAFE, "ActiveState") == "inactive"
    machine.until(lambda: working(machine) and not state(machine)["faults"])


@pytest.mark.parametrize("how", [["restart"], ["stop", "start"]], ids="-".join)
def test_restarts_by_hand_never_end_in_safe_mode(machine: Machine, how: list[str]) -> None:
    """The edit, check, restart loop of wiring day."""
    for _ in range(8):
        for verb in how:
            machine.do("systemctl", verb, CONTROLLER)
    assert machine.show(CONTROLLER, "SubState") == "running"
    assert machine.show(SAFE, "ActiveState") == "inactive"
    machine.until(lambda: working(machine))


def test_broken_configuration_is_mended_by_one_restart(machine: Machine) -> None:
    config = machine.root / "etc/backdoor/backdoor.toml"
    text = config.read_text()
    config.write_text(text.replace("capacity = 4", "capacity = 400"))
    machine.tell("systemctl", "restart", CONTROLLER)
    machine.until(lambda: machine.show(SAFE, "SubState") == "running", 60)
    machine.until(lambda: working(machine) and state(machine)["faults"])
    assert [fault["line"] for fault in state(machine)["faults"]] == ["config"]
    machine.tell("systemctl", "restart", CONTROLLER)  # not mended yet
    machine.until(lambda: machine.show(SAFE, "SubState") == "running", 60)
    config.write_text(text)
    machine.do("systemctl", "restart", CONTROLLER)
    machine.until(lambda: working(machine) and not state(machine)["faults"])


def test_controller_goes_on_without_a_broker_and_reconnects(machine: Machine) -> None:
    pid = machine.show(CONTROLLER, "MainPID")
    machine.do("systemctl", "stop", "mosquitto")
    machine.until(lambda: not working(machine))
    machine.do("systemctl", "start", "mosquitto")
    machine.until(lambda: working(machine), 60)
    assert machine.show(CONTROLLER, "MainPID") == pid


def test_self_test_stops_the_service_and_starts_it_again(machine: Machine) -> None:
    asked = ("backdoor", "self-test", "--seconds", "2", "--set", "pins.factory=mock")
    done = machine.tell(*asked)
    assert done.returncode == 1
    assert "MISSING  hatch_knock: no edges" in done.stdout
    machine.until(lambda: machine.show(CONTROLLER, "SubState") == "running")
    machine.until(lambda: working(machine))
    progress = state(machine)["self_test"]  # the page has it, too
    assert (progress["running"], [line["proven"] for line in progress["lines"]]) == (
        False,
        [False] * 2,
    )
    kept = machine.do("runuser", "-u", "backdoor", "--", "backdoor", "journal", "--last", "200")
    assert '"missing":["door_contact","hatch_knock"]' in kept.replace(" ", "")
    owners = machine.do("find", "/var/lib/backdoor", "-not", "-user", "backdoor")
    assert owners == ""


# --- upgrade, rollback, reboot -------------------------------------------------------------------


def change(machine: Machine, path: str, old: str, new: str) -> None:
    file: Path = machine.source / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_upgrade_keeps_the_data(machine: Machine) -> None:
    before = release(machine)
    change(machine, "README.md", "# ", "# Another ")
    machine.do(*INSTALL, "--upgrade")
    assert release(machine) != before
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2
    kept = machine.do("ls", "/opt/backdoor.releases").split()
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("controller/service/loop.py", "notifier.ready()", "notifier.status('never ready')"),
        ("web/server.py", "\nclass Server", "\nraise SystemExit('broken')\nclass Server"),
    ],
    ids=["the controller is never ready", "the page does not start"],
)
def test_upgrade_that_does_not_work_is_undone(
    machine: Machine, path: str, old: str, new: str
) -> None:
    before, source = release(machine), (machine.source / path).read_text()
    change(machine, path, old, new)
    done = machine.tell(*INSTALL, "--upgrade")
    (machine.source / path).write_text(source)
    assert done.returncode == 1
    assert "not ready within 30 s; the former one is back" in done.stderr
    assert release(machine) == before
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2


def test_upgrade_that_refuses_the_configuration_is_not_switched_to(machine: Machine) -> None:
    before, pid = release(machine), machine.show(CONTROLLER, "MainPID")
    config = machine.root / "etc/backdoor/backdoor.toml"
    text = config.read_text()
    config.write_text(text.replace("capacity = 4", "capacity = 400"))
    change(machine, "README.md", "# ", "# Yet another ")
    done = machine.tell(*INSTALL, "--upgrade")
    config.write_text(text)
    assert done.returncode == 1
    assert "[house] capacity: must be a whole number from 1 to 20, got 400" in done.stderr
    assert (release(machine), machine.show(CONTROLLER, "MainPID")) == (before, pid)


def test_reboot_brings_both_services_back(machine: Machine) -> None:
    machine.halt()
    machine.boot()
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2
    assert machine.do("systemctl", "--failed", "--no-legend", "--plain").strip() == ""


# --- messages ------------------------------------------------------------------------------------


def test_without_an_address_there_are_no_messages_and_no_library_for_them(machine: Machine) -> None:
    assert machine.show(MESSAGES, "ActiveState") == "inactive"
    assert machine.tell("systemctl", "-q", "is-enabled", MESSAGES).returncode != 0
    assert machine.tell("test", "-e", "/opt/backdoor/.venv/bin/apprise").returncode != 0


def name_addresses(machine: Machine, old: str, new: str) -> None:
    config = machine.root / "etc/backdoor/backdoor.toml"
    text = config.read_text()
    assert f"\nurls = {old}" in text
    config.write_text(text.replace(f"\nurls = {old}", f"\nurls = {new}"))


def test_with_an_address_a_knock_is_told_by_a_user_of_its_own(machine: Machine) -> None:
    server = ("systemd-run", "-q", "--unit=phone", "/usr/bin/python3", "-c", PHONES_SERVER)
    machine.do(*server)
    name_addresses(machine, "[]", '["ntfy://127.0.0.1:2586/bar"]')
    machine.do(*INSTALL)
    assert release(machine).endswith("-notify")
    machine.until(lambda: machine.show(MESSAGES, "SubState") == "running")
    machine.until(lambda: working(machine))
    machine.do("systemd-analyze", "security", "--threshold=15", "--no-pager", MESSAGES)
    pid = machine.show(MESSAGES, "MainPID")
    uid = machine.do("ps", "-o", "uid=", "-p", pid).strip()
    assert uid == machine.do("id", "-u", MESSAGES).strip()
    assert machine.do("backdoor", "notify", "--test").strip() == "address 1: ntfy://...: sent"
    machine.python(KNOCK)
    machine.until(lambda: "Hatch: 1 waiting" in machine.do("cat", "/root/titles"))


def test_all_services_fit_the_smallest_pi(machine: Machine) -> None:
    """Of 512 MiB: what is in memory of each, and of all, pages that they share counted once."""
    units = (CONTROLLER, PAGE, MESSAGES, "mosquitto")
    pids = {unit: machine.show(unit, "MainPID") for unit in units}
    rss, pss = (
        {unit: memory_mib(machine, pid, kind) for unit, pid in pids.items()}
        for kind in ("Rss", "Pss")
    )
    assert rss[CONTROLLER] <= 40, rss
    assert rss[PAGE] <= 50, rss
    assert sum(pss.values()) <= 130, pss


def memory_mib(machine: Machine, pid: str, kind: str) -> float:
    rollup = machine.do("cat", f"/proc/{pid}/smaps_rollup")
    found = re.search(rf"^{kind}: +(\d+) kB", rollup, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def test_the_messages_user_can_do_nothing_to_the_controller(machine: Machine) -> None:
    for topic, may in (("cmd/answer_hatch", True), ("cmd/access_door", False), ("state", False)):
        said = client(machine, "notify-test", f"backdoor/bar/{topic}")
        assert ("publish Not authorized" not in said) is may
    user = ("setpriv", f"--reuid={MESSAGES}", "--regid=backdoor", "--clear-groups", "--")
    assert machine.tell(*user, "cat", "/var/lib/backdoor/journal.db").returncode != 0
    pid = machine.show(CONTROLLER, "MainPID")
    assert machine.tell(*user, "kill", "-0", pid).returncode != 0


def test_without_an_address_they_are_off_again(machine: Machine) -> None:
    name_addresses(machine, '["ntfy://127.0.0.1:2586/bar"]', "[]")
    machine.do(*INSTALL)
    assert machine.show(MESSAGES, "ActiveState") == "inactive"
    machine.until(lambda: working(machine))
    assert state(machine)["occupancy"]["count"] == 2


# --- a centre of many bars -----------------------------------------------------------------------


#: Behind a hole in the numbers events wait a minute for the controller's answer (`HOLD_S`).
ARRIVES_S = 150.0


@pytest.fixture(scope="module")
def postgres(machine: Machine) -> Iterator[str]:
    with centre.database(machine) as address:
        yield address


def had(address: str, name: str) -> list[int]:
    """Return the numbers of the events of this name that the centre has in its Postgres."""
    with suppress(StoreError):
        found = rows(address, f"SELECT seq FROM event WHERE name = '{name}' ORDER BY seq")
        return [int(row[0]) for row in found]
    return []


def test_centre_says_what_it_lacks_and_starts_once_it_has_it(
    machine: Machine, postgres: str, tmp_path: Path
) -> None:
    pids = [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE)]
    said = machine.do(*INSTALL, "--centre-node")
    assert "centre.toml: put your own hosts in the place of n1.example," in said
    machine.do("backdoor", "centre", "bar", "add", "bar", "--out", "/root/bar.centre")
    centre.prepare_node(machine, tmp_path)
    centre.fill_in(machine, postgres)
    machine.do(*INSTALL, "--centre-node")
    for unit, user in (*((unit, CENTRES[0]) for unit in CENTRES), (NODE, NODE)):
        assert machine.show(unit, "SubState") == "running"
        machine.do("systemd-analyze", "security", "--threshold=15", "--no-pager", unit)
        owner = machine.do("ps", "-o", "uid=", "-p", machine.show(unit, "MainPID")).strip()
        assert owner == machine.do("id", "-u", user).strip()
    assert [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE)] == pids


def test_node_reads_who_was_added_and_is_not_disturbed_by_another_run(machine: Machine) -> None:
    pid = machine.show(NODE, "MainPID")
    add = ("backdoor", "centre", "bar", "add", "nook", "--out", "/root/nook.centre")
    assert "the server of this machine has read it" in machine.do(*add)
    assert (
        machine.do("stat", "-c", "%U %G %a", f"{centre.FOLDER}/bars.conf") == f"root {NODE} 640\n"
    )
    machine.do("systemctl", "reload", NODE)
    machine.until(lambda: machine.do("journalctl", "-q", "-u", NODE).count("Reloaded server") == 2)
    machine.do(*INSTALL, "--centre-node")
    assert machine.show(NODE, "MainPID") == pid


def test_bar_joins_the_centre_with_all_of_its_history(machine: Machine, postgres: str) -> None:
    for count in (2, 1, 2):
        set_count(machine, count)
    given = ("--centre-credentials", "/root/bar.centre", "--centre-ca", f"{centre.FOLDER}/ca.pem")
    machine.do(*INSTALL, "--centre", centre.HOST, *given)
    assert release(machine).endswith("-centre")
    machine.until(lambda: working(machine))
    assert machine.show(BRIDGE, "SubState") == "running"
    machine.do("systemd-analyze", "security", "--threshold=15", "--no-pager", BRIDGE)
    set_count(machine, 1)
    machine.until(lambda: len(had(postgres, "count_adjusted")) >= 4, ARRIVES_S)
    machine.until(lambda: [tile["count"] for tile in centre.tiles(machine)] == [1], 60)
    assert [tile["link"] for tile in centre.tiles(machine)] == ["online"]


def test_nothing_comes_in_from_the_centre(machine: Machine, postgres: str) -> None:
    before = had(postgres, "count_adjusted")
    centre.ask_from_the_node(machine)
    machine.do("systemctl", "restart", BRIDGE)  # what a node kept it would get now
    set_count(machine, 2)
    machine.until(lambda: len(had(postgres, "count_adjusted")) > len(before), ARRIVES_S)
    assert len(had(postgres, "count_adjusted")) == len(before) + 1
    machine.until(lambda: [tile["count"] for tile in centre.tiles(machine)] == [2], 60)


def test_upgrade_keeps_the_centre(machine: Machine, postgres: str) -> None:
    before = release(machine)
    change(machine, "README.md", "# ", "# One more ")
    machine.do(*INSTALL, "--upgrade")
    assert release(machine) != before
    assert release(machine).endswith("-centre")
    assert machine.show(BRIDGE, "ActiveState") == "active"
    machine.until(lambda: working(machine))
    count = len(had(postgres, "count_adjusted"))
    set_count(machine, 1)
    set_count(machine, 2)
    machine.until(lambda: len(had(postgres, "count_adjusted")) == count + 2, ARRIVES_S)


def test_centre_removed_leaves_the_bar_as_it_is(machine: Machine) -> None:
    pids = [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE)]
    machine.do(*INSTALL, "--centre-node", "--purge")
    assert not [file for file in installed_files(machine) if "-centre" in file or "node" in file]
    assert machine.tell("ls", "/var/lib/nats").returncode != 0
    for user in (CENTRES[0], NODE):
        assert machine.tell("getent", "passwd", user).returncode != 0
    assert [machine.show(unit, "MainPID") for unit in (CONTROLLER, PAGE)] == pids
    assert working(machine)


# --- to remove -----------------------------------------------------------------------------------


def test_uninstall_leaves_nothing_but_the_data(machine: Machine) -> None:
    output = machine.do("/opt/backdoor/systemd/install", "--uninstall")
    assert "your data stays" in output
    assert installed_files(machine) == ["/etc/backdoor", "/etc/backdoor/backdoor.toml",
                                        "/var/lib/backdoor", "/var/lib/backdoor-web"]  # fmt: skip
    for name in ("backdoor", "backdoor-web", "backdoor-notify"):
        assert machine.tell("getent", "passwd", name).returncode != 0
    assert machine.show("mosquitto", "ActiveState") == "active"
    assert machine.show(BRIDGE, "ActiveState") == "inactive"


def test_install_after_uninstall_finds_its_data_and_leaves_the_centre(machine: Machine) -> None:
    machine.mock_pins()
    assert "centre-bridge.conf" in machine.do("ls", "/etc/backdoor")  # of the data
    machine.do(*INSTALL, "--no-centre")
    machine.until(lambda: working(machine))
    assert "centre" not in machine.do("ls", "/etc/backdoor") + release(machine)
    assert machine.show(BRIDGE, "ActiveState") == "inactive"
    assert state(machine)["occupancy"]["count"] == 2
    assert "# mine" in machine.do("cat", "/etc/backdoor/backdoor.toml")


def test_morning_backup_goes_where_the_owner_says(machine: Machine) -> None:
    assert machine.do("systemctl", "is-enabled", "backdoor-backup.timer").strip() == "enabled"
    machine.do("systemctl", "start", "backdoor-backup")  # nothing is named: nothing is done
    config = machine.do("cat", "/etc/backdoor/backdoor.toml")
    machine.do("mkdir", "-p", "/media/stick")
    named = config.replace('[backup]\nfolder = ""', '[backup]\nfolder = "/media/stick"')
    assert named != config
    machine.do("tee", "/etc/backdoor/backdoor.toml", text=named)
    machine.do("systemctl", "start", "backdoor-backup")
    (made,) = machine.do("find", "/media/stick", "-type", "f", "-perm", "0600").split()
    assert "state/journal.db" in machine.do("tar", "-tzf", made)
    assert machine.do("find", "/var/lib/backdoor", "-not", "-user", "backdoor") == ""
    machine.do("tee", "/etc/backdoor/backdoor.toml", text=config)


def test_backup_is_restored_on_a_new_card(machine: Machine) -> None:
    """Where the same names have other numbers, and the broker was never heard of."""
    set_count(machine, 2)
    machine.do("backdoor", "backup", "/root/bar.tar.gz")
    night = machine.do("backdoor", "journal", "--last", "3")
    secret, owner = (machine.do(*what, "/var/lib/backdoor/pairing.secret")
                     for what in (("cat",), ("stat", "-c", "%u")))  # fmt: skip
    machine.do(*INSTALL, "--purge")
    assert installed_files(machine) == []
    machine.do("useradd", "--system", "somebody")
    machine.mock_pins()
    machine.more_logins()
    machine.do(*INSTALL)
    said = machine.do("backdoor", "restore", "/root/bar.tar.gz")
    assert "what was there is in /var/lib/backdoor/before-restore-1" in said
    machine.until(lambda: working(machine))
    assert machine.do("cat", "/var/lib/backdoor/pairing.secret") == secret
    assert machine.do("stat", "-c", "%u", "/var/lib/backdoor/pairing.secret") != owner
    assert night.splitlines()[-1] in machine.do("backdoor", "journal", "--last", "200")
    assert not state(machine)["occupancy"]["certain"]  # nobody knows who is inside now
    set_count(machine, 2)
    assert "# mine" in machine.do("cat", "/etc/backdoor/backdoor.toml")


def test_journal_read_by_root_keeps_its_owner(machine: Machine) -> None:
    machine.do("systemctl", "stop", CONTROLLER)
    assert machine.do("backdoor", "journal", "--last", "3")
    assert machine.do("find", "/var/lib/backdoor", "-not", "-user", "backdoor") == ""
    machine.do("systemctl", "start", CONTROLLER)
    machine.until(lambda: working(machine))
    assert machine.do("backdoor", "journal", "--last", "3")
    assert machine.do("find", "/var/lib/backdoor", "-not", "-user", "backdoor") == ""


def test_purge_leaves_nothing(machine: Machine) -> None:
    machine.do(*INSTALL, "--purge")
    assert installed_files(machine) == []
