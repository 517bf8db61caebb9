"""The installer's parts that need no machine of their own; the rest is in ``tests/installed``."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from controller.config.credentials import with_login
from controller.config.settings import Config, Mqtt, NightsSettings, Web
from controller.events import COMMANDS
from controller.mqtt.message import Message
from tests.conftest import Broker, free_port
from tests.support.installer import STOCK, SYSTEMD
from tests.support.links import Links
from tests.support.wait import eventually
from web.server import installed_page


def test_boot_sets_strike_pin_low_and_restore_undoes_it(parts: Any) -> None:
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    text = parts.firmware.read_text()
    assert text.startswith(STOCK)
    assert "\n[all]\n" in text.removeprefix(STOCK)
    assert "gpio=20=op,dl\n" in text
    assert "dtparam=strict_gpiod\n" in text
    assert parts.executor.notes == ["reboot once, so that the strike's pin is low from power-on"]
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert parts.firmware.read_text() == text
    assert len(parts.executor.notes) == 1
    assert parts.machine.without_ours(text) == STOCK


def test_boot_with_another_strike_pin_replaces_the_old_one(parts: Any) -> None:
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    parts.machine.boot(parts.executor, "[lines]\nstrike = 16\n")
    text = parts.firmware.read_text()
    assert "gpio=16=op,dl" in text
    assert "gpio=20" not in text
    parts.machine.boot(parts.executor, "[lines]\n")
    assert parts.firmware.read_text() == STOCK


def test_boot_without_a_pi_writes_nothing(parts: Any) -> None:
    parts.firmware.unlink()
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert not parts.firmware.exists()
    assert not parts.machine.WATCHDOG.exists()


#: The head of what Debian's hook writes with each kernel.
GENERATED = """\
# Do not modify this file!
#
# If you need to set boot-time parameters, do so via the
# /etc/default/raspi-firmware, /etc/default/raspi-firmware-custom or
# /etc/default/raspi-extra-cmdline files.

[all]
kernel=vmlinuz-6.1.0-18-arm64
"""


def test_boot_lines_survive_that_debian_writes_config_txt_anew(parts: Any) -> None:
    custom = parts.machine.CUSTOM
    custom.write_text("gpu_mem=16\n")
    parts.firmware.write_text(GENERATED)
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert "gpio=20=op,dl\n" in parts.firmware.read_text()  # from the next boot on
    parts.firmware.write_text(GENERATED + custom.read_text())  # a new kernel came
    assert "gpio=20=op,dl\n" in parts.firmware.read_text()
    before = parts.firmware.read_text(), custom.read_text()
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert (parts.firmware.read_text(), custom.read_text()) == before
    parts.machine.boot(parts.executor, "[lines]\nstrike = 16\n")
    for file in (parts.firmware, custom):
        assert file.read_text().count("gpio=") == 1
        assert "gpio=16=op,dl\n" in file.read_text()
    parts.machine.restore(parts.executor)
    assert custom.read_text() == "gpu_mem=16\n"
    assert "gpio=" not in parts.firmware.read_text()


def test_custom_file_that_only_we_wrote_goes_with_us(parts: Any) -> None:
    parts.firmware.write_text(GENERATED)
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert parts.machine.CUSTOM.exists()
    parts.machine.restore(parts.executor)
    assert not parts.machine.CUSTOM.exists()


def test_raspberry_pi_oss_config_txt_needs_no_other_file(parts: Any) -> None:
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert not parts.machine.CUSTOM.exists()


def test_advice_to_reboot_survives_an_interrupted_run(parts: Any) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    parts.machine._watchdog, whole = cut, parts.machine._watchdog
    with pytest.raises(KeyboardInterrupt):
        parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    parts.machine._watchdog = whole
    parts.executor._notes.clear()
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert parts.executor.notes == ["reboot once, so that the strike's pin is low from power-on"]
    parts.machine.REBOOT.unlink()  # the machine was started again
    parts.executor._notes.clear()
    parts.machine.boot(parts.executor, "[lines]\nstrike = 20\n")
    assert parts.executor.notes == []


def drop_in(parts: Any, place: str, name: str, text: str) -> None:
    manager = parts.machine.WATCHDOG.parents[2]
    (manager / place / "system.conf.d" / name).write_text(f"[Manager]\n{text}\n")


@pytest.mark.parametrize("name", ["40-rpi-enable-watchdog.conf", "70-rpi-enable-watchdog.conf"])
def test_watchdog_of_the_vendor_keeps_its_minute(parts: Any, name: str) -> None:
    parts.machine.FORMER_WATCHDOG.write_text(parts.machine.WATCHDOG_TEXT)  # of a version before
    drop_in(parts, "usr", name, "RuntimeWatchdogSec=1m")
    parts.machine.boot(parts.executor, "")
    assert not parts.machine.WATCHDOG.exists()
    assert not parts.machine.FORMER_WATCHDOG.exists()
    assert parts.executor.ran == ["systemctl daemon-reexec"]
    parts.machine.boot(parts.executor, "")
    assert len(parts.executor.ran) == 1  # it is as it should be


@pytest.mark.parametrize("off", ["off", "0", ""])
@pytest.mark.parametrize("name", ["40-rpi-enable-watchdog.conf", "70-rpi-enable-watchdog.conf"])
def test_watchdog_that_the_vendor_has_off_is_on_by_a_later_name(
    parts: Any, name: str, off: str
) -> None:
    drop_in(parts, "usr", name, f"RuntimeWatchdogSec={off}")
    parts.machine.boot(parts.executor, "")
    assert "RuntimeWatchdogSec=14\n" in parts.machine.WATCHDOG.read_text()
    assert parts.machine.WATCHDOG.name > name


def test_watchdog_of_the_vendor_that_the_owner_hides_does_not_count(parts: Any) -> None:
    drop_in(parts, "usr", "40-rpi-enable-watchdog.conf", "RuntimeWatchdogSec=1m")
    drop_in(parts, "etc", "40-rpi-enable-watchdog.conf", "# hidden\n#RuntimeWatchdogSec=1m")
    parts.machine.boot(parts.executor, "")
    assert parts.machine.WATCHDOG.exists()


def test_machine_without_the_header_is_told_which_system_to_use(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips: list[int | None] = [None]
    monkeypatch.setattr(
        parts.machine.runpy, "run_path", lambda _path: {"header_chip": lambda: chips[0]}
    )
    parts.machine.header(parts.executor, '[pins]\nfactory = "mock"\n')
    assert parts.executor.notes == []
    parts.machine.header(parts.executor, "")
    (text,) = parts.executor.notes
    assert "on a Pi 5 use Raspberry Pi OS" in text


def test_announce_writes_a_service_file_for_avahi(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.machine, "AVAHI", tmp_path / "services")
    file = tmp_path / "services" / "backdoor.service"
    parts.machine.announce(parts.executor, "")
    assert not file.exists()  # no avahi, no file
    file.parent.mkdir()
    parts.machine.announce(parts.executor, '[web]\nport = 8443\ntls_cert = "/x"\n')
    service = ElementTree.parse(file).getroot().find("service")
    assert service is not None
    assert [part.text for part in service] == ["_https._tcp", "8443"]
    parts.machine.announce(parts.executor, "")
    assert "<type>_http._tcp</type><port>8080</port>" in file.read_text()
    parts.machine.announce(
        parts.executor, '[web]\nhost = "127.0.0.1"\n'
    )  # a proxy stands before it
    assert not file.exists()


def settings(parts: Any, config: str = "", lan: bool | None = None) -> str:
    parts.broker.broker(parts.executor, config, lan)
    return str(parts.broker.SETTINGS.read_text())


def test_broker_listens_to_this_machine_only_unless_lan_was_given(parts: Any) -> None:
    assert "listener 1883 127.0.0.1\n" in settings(parts)
    assert "listener 1883\n" in settings(parts, lan=True)
    assert "listener 1883\n" in settings(parts)
    assert "listener 1883 127.0.0.1\n" in settings(parts, lan=False)
    assert "allow_anonymous false" in settings(parts)


def test_rights_have_the_topics_of_the_configuration(parts: Any) -> None:
    settings(parts, '[house]\nvenue = "nook"\n[mqtt]\nprefix = "bars/mine"\n')
    assert "topic write bars/mine/nook/cmd/+\n" in parts.broker.RIGHTS.read_text()


def test_rights_of_notify_are_four_topics_to_read_and_two_answers(parts: Any) -> None:
    settings(parts)
    text = parts.broker.RIGHTS.read_text()
    (mine,) = (part for part in text.split("\n\n") if "user backdoor-notify\n" in part)
    rights = [line for line in mine.splitlines() if line.startswith("topic ")]
    assert rights == [
        "topic read backdoor/bar/event/+",
        "topic read backdoor/bar/state",
        "topic read backdoor/bar/status",
        "topic read backdoor/bar/heartbeat",
        "topic write backdoor/bar/cmd/answer_hatch",
        "topic write backdoor/bar/cmd/answer_door",
    ]


@pytest.fixture
def installed_broker(
    parts: Any, make_broker: Callable[..., Broker], tmp_path: Path
) -> Callable[[], Broker]:
    """Start a real broker with what the installer writes."""

    def start() -> Broker:
        text = settings(parts)
        rights, passwords = tmp_path / "acl", tmp_path / "passwords"
        rights.write_text(parts.broker.RIGHTS.read_text())
        passwords.write_text("".join(file.read_text() for file in parts.broker.ETC.iterdir()))
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
        for file in (rights, passwords):
            file.chmod(0o600)
        text = text.replace(str(parts.broker.RIGHTS), str(rights))
        text = text.replace(str(parts.broker.PASSWORDS), str(passwords))
        return make_broker(*(line for line in text.splitlines() if "listener" not in line))

    return start


def login(parts: Any, name: str) -> tuple[str, str]:
    """Return user and password of a login that the installer made."""
    user, _, password = (parts.broker.ETC / f"{name}.login").read_text().strip().partition(":")
    return user, password


def test_rights_of_notify_at_a_real_broker_are_the_two_answers(
    parts: Any, installed_broker: Callable[[], Broker]
) -> None:
    """No link in any message opens the door: its sender may not even ask for it."""
    broker = installed_broker()
    user, password = login(parts, "notify")
    may = {name: publishes(broker, user, password, f"backdoor/bar/{name}") for name in TOPICS}
    assert {name for name, allowed in may.items() if allowed} == {
        "cmd/answer_hatch",
        "cmd/answer_door",
    }


def test_history_may_ask_for_events_and_for_nothing_else(
    parts: Any, installed_broker: Callable[[], Broker]
) -> None:
    broker = installed_broker()
    topics = [*TOPICS, "backfill", "backfill/request"]
    for name, allowed in (("nights", {"backfill/request"}), ("guest", set()), ("notify", set())):
        user, password = login(parts, name)
        may = {topic for topic in topics if topic.startswith("backfill") or name == "nights"}
        may = {topic for topic in may if publishes(broker, user, password, f"backdoor/bar/{topic}")}
        assert may == allowed, name


@pytest.mark.parametrize("thief", ["guest", "homeassistant", "notify", "web"])
def test_no_login_throws_another_out_by_taking_its_id(
    parts: Any, installed_broker: Callable[[], Broker], thief: str
) -> None:
    """The broker goes by the user's name, whatever id a client comes with."""
    broker = installed_broker()
    user, password = login(parts, "controller")
    links = Links(Mqtt(port=broker.port, username=user, password=password))
    link, received = links.up(birth=Message("backdoor/bar/status", b"online", 1, True))
    ids = ["backdoor-controller", f"backdoor-bar-{socket.gethostname()}", "test-0"]
    for id_ in ids:
        assert not publishes(broker, *login(parts, thief), "backdoor/bar/state", client_id=id_)
    link.publish(Message("backdoor/bar/event/entry", b"{}", 1), 7)
    eventually(lambda: received.acks == [7])
    assert (received.ups, received.downs) == (1, [])
    links.stop()


def test_page_and_its_history_do_not_throw_each_other_out(
    parts: Any,
    installed_broker: Callable[[], Broker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are two clients, and the broker takes one login for one client."""
    port = installed_broker().port
    for name, of in (("broker", "web"), ("nights", "nights")):
        (tmp_path / name).write_text((parts.broker.ETC / f"{of}.login").read_text())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "pairing.secret").write_text(f"{'x' * 40}\n")
    config = Config(
        mqtt=Mqtt(port=port),
        web=Web(host="127.0.0.1", port=free_port(), secret_file=str(tmp_path / "pairing.secret")),
        nights=NightsSettings(database=str(tmp_path / "nights.db")),
    )
    user, password = login(parts, "controller")
    house = Links(Mqtt(port=port, username=user, password=password))
    page = installed_page(with_login(config))
    serving = Thread(target=page.server.serve)
    serving.start()
    with caplog.at_level("INFO"):
        page.start()
        eventually(lambda: page.feed is not None and page.feed.status.writing)
        link, received = house.up(birth=Message("backdoor/bar/status", b"online", 1, True))
        link.publish(Message("backdoor/bar/event/entry", b"{}", 1), 7)
        eventually(lambda: received.acks == [7] and "entry" in caplog.text)
        page.stop()
    page.server.stop()
    serving.join()
    house.stop()
    assert "lost" not in caplog.text
    assert "someone else" not in caplog.text


def test_second_display_gets_a_login_of_its_own(
    parts: Any, installed_broker: Callable[[], Broker]
) -> None:
    parts.broker.ETC.mkdir()
    for name in ("guest-window", "guest-../x", "stranger-1"):
        (parts.broker.ETC / f"{name.replace('/', '_')}.login").touch()
    installed_broker()
    assert login(parts, "guest-window")[0] == "guest-window"
    assert "user guest-window\ntopic read backdoor/bar/status\n" in parts.broker.RIGHTS.read_text()
    assert "stranger" not in parts.broker.RIGHTS.read_text()
    (parts.broker.ETC / "guest-window.login").unlink()
    settings(parts)
    assert "guest-window" not in parts.broker.RIGHTS.read_text()


def test_rights_that_the_owner_gave_home_assistant_are_kept(parts: Any) -> None:
    settings(parts)
    file = parts.broker.RIGHTS
    assert "#topic write backdoor/bar/cmd/+" in file.read_text()
    text = file.read_text().replace("#topic write", "topic write")
    file.write_text(text)
    settings(parts)
    assert file.read_text() == text


TOPICS = [*(f"cmd/{name}" for name in COMMANDS), "state", "status", "event/knock"]


def publishes(broker: Broker, user: str, password: str, topic: str, client_id: str = "") -> bool:
    """Return whether the broker takes a message on this topic (MQTT 5 says so)."""
    codes: list[Any] = []
    v5 = MQTTProtocolVersion.MQTTv5
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=v5)
    client.username_pw_set(user, password)
    client.on_connect = lambda c, *_: c.publish(topic, b"{}", qos=1)
    client.on_publish = lambda _c, _d, _m, code, _p: codes.append(code)
    client.connect(broker.host, broker.port)
    client.loop_start()
    eventually(lambda: codes)
    client.disconnect()
    client.loop_stop()
    return not codes[0].is_failure


@pytest.mark.parametrize(
    ("config", "wants"),
    [
        ("", False),
        ("[notify]\nurls = []\n", False),
        ('[notify]\nurls = ["ntfy://nas/bar"]\n', True),
        ("[notify]\nurls = [{ url = 'ntfy://nas/bar' }]\n", True),
        ("notify = 1\n", False),
        ("[notify\n", False),
    ],
)
def test_messages_are_installed_if_somebody_is_to_be_told(
    parts: Any, config: str, wants: bool
) -> None:
    assert parts.machine.wants_messages(config) is wants


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_configuration_from_windows_is_read(parts: Any, tmp_path: Path, encoding: str) -> None:
    config = tmp_path / "backdoor.toml"
    config.write_bytes('[house]\r\nvenue = "caffè"\r\n'.encode(encoding))
    text = parts.machine.decoded(config)
    assert parts.machine.section(text, "house") == {"venue": "caffè"}


def test_passwords_are_made_once_and_differ(parts: Any) -> None:
    settings(parts)
    first = {file.name: file.read_text() for file in parts.broker.ETC.glob("*.login")}
    assert len(first) == len(set(first.values())) == 6
    assert all(len(text.partition(":")[2].strip()) >= 32 for text in first.values())
    assert {file.stat().st_mode & 0o777 for file in parts.broker.ETC.iterdir()} == {0o600}
    settings(parts)
    assert {file.name: file.read_text() for file in parts.broker.ETC.glob("*.login")} == first
    assert parts.executor.ran.count("systemctl restart mosquitto") >= 1


def test_broker_with_own_rules_is_not_changed(parts: Any) -> None:
    own = parts.broker.MOSQUITTO / "conf.d" / "mine.conf"
    own.write_text("# my house\nlistener 1883\npassword_file /etc/mosquitto/mine\n")
    parts.broker.broker(parts.executor, "", None)
    assert not parts.broker.SETTINGS.exists()
    assert f"rules of its own in {own}" in parts.executor.notes[0]
    assert parts.executor.ran == []


def test_dry_run_prints_every_step_and_changes_nothing() -> None:
    done = subprocess.run(
        [SYSTEMD / "install", "--dry-run"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("would ") for line in done.stdout.splitlines())
    assert "would run systemctl restart --no-block backdoor-controller" in done.stdout


def test_help_lists_the_options() -> None:
    done = subprocess.run(
        [SYSTEMD / "install", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--upgrade", "--uninstall", "--purge", "--dry-run", "--wheels", "--lan"):
        assert option in done.stdout
