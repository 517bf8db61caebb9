"""`backdoor notify` and what belongs to it on the command line, as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Broker, free_port
from tests.support.receivers import Receiver, receiver
from tests.support.wait import HANGS_S, eventually

TOKEN = "123456789:abcdefghijklmnopqrstuvwxyz-12345678"
UNIT = Path(__file__).parents[2] / "systemd/backdoor-notify.service"
#: What the service may weigh at its heaviest, in KiB.
MOST_KIB = 45 * 1024


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def written(folder: Path, *urls: str, port: int = 1883) -> Path:
    file = folder / "backdoor.toml"
    file.write_text(
        f"""
        [mqtt]
        port = {port}
        [notify]
        urls = {list(urls)}
        answer_host = "127.0.0.1"
        answer_port = {free_port()}
        """
    )
    return file


def backdoor(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "controller", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS_S)


def test_it_is_ready_alive_light_and_leaves_when_told(
    tmp_path: Path, broker: Broker, phone: Receiver
) -> None:
    urls = [f"ntfy://{phone.host}/bar", f"gotify://{phone.host}/token-of-the-bar"]
    urls += [f"json://{phone.host}/hook", f"tgram://{TOKEN}/4711"]
    file = written(tmp_path, *urls, port=broker.port)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(HANGS_S)
        process = subprocess.Popen(
            [sys.executable, "-m", "controller", "notify", "--config", str(file)],
            env={
                **{name: value for name, value in os.environ.items() if "COV" not in name},
                **dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "STATE_DIRECTORY": str(tmp_path),
            },
        )
        told = [systemd.recv(99) for _ in range(2)]
        log = broker.log
        eventually(lambda: "SUBACK to backdoor-notify-bar" in log.read_text())
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
        while told[-1] == b"WATCHDOG=1":
            told.append(systemd.recv(99))
        assert process.wait(HANGS_S) == 0
    assert told[:2] == [b"READY=1", b"WATCHDOG=1"]
    assert told[-1] == b"STOPPING=1"
    heaviest = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert heaviest is not None
    assert int(heaviest[1]) <= MOST_KIB


def test_a_test_message_says_in_one_line_each_what_happened(
    tmp_path: Path, phone: Receiver
) -> None:
    with receiver() as gone:
        pass
    phone.reply = lambda request: (401 if request.path == "/message" else 200, {}, b"{}")
    urls = (f"ntfy://{phone.host}/bar", f"gotify://{phone.host}/Atoken-of-gotify")
    done = backdoor(
        "notify", "--test", "--config", str(written(tmp_path, *urls, f"json://{gone.host}"))
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "address 1: ntfy://...: sent"
    assert lines[1].startswith("address 2: gotify://...: ")
    assert "401" in lines[1]
    assert lines[2].startswith("address 3: json://...: ")
    assert (len(lines), done.returncode) == (3, 1)
    assert "token-of-gotify" not in done.stdout + done.stderr
    assert phone.requests[0].json["title"] == "Backdoor: a test"


def test_check_config_asks_apprise_and_shows_no_secret(tmp_path: Path) -> None:
    file = written(tmp_path, "ntfy://nas/bar", "gotify://nas-SECRET", "odd://SECRET")
    done = backdoor("check-config", "--config", str(file))
    assert done.returncode == 2
    second, third = done.stderr.splitlines()
    assert second.startswith(f"{file}: [notify] urls: address 2: gotify://...: something in it is")
    assert third.startswith(f"{file}: [notify] urls: address 3: odd://...: Apprise knows no such")
    assert "SECRET" not in done.stderr


@pytest.mark.parametrize("more", [(), ("--test",)])
def test_without_an_address_it_says_what_to_do(tmp_path: Path, more: tuple[str, ...]) -> None:
    done = backdoor("notify", *more, "--config", str(written(tmp_path)))
    assert done.returncode == 2
    assert done.stderr.startswith("[notify] urls: ")
    assert "Traceback" not in done.stderr


ALONE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("apprise", "requests"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "apprise" else real(name)
from controller.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", [("check-config",), ("notify",), ("notify", "--test")])
def test_where_apprise_is_not_installed_it_says_how_to_get_it(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    args = [*command, "--config", str(written(tmp_path, "ntfy://nas/bar"))]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("[notify] urls: needs the library Apprise")


@pytest.mark.parametrize(
    "module", ["controller.service.assembly", "web.server", "controller.cli.demo"]
)
def test_neither_controller_nor_page_loads_any_of_it(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    foreign = ("controller.notify", "apprise", "requests")
    assert not [name for name in loaded if name.startswith(foreign)]
