"""Credentials and rights of each bar, at a real nats-server with TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import pytest
from click.testing import CliRunner
from nats.aio.client import Client

from controller.cli.main import main
from controller.config.settings import CentreSettings
from tests.support.centre import bar
from tests.support.certificate import make_certificate
from tests.support.nats import Node
from tests.support.secured_centre import Centre
from tests.support.wait import HANGS_S, eventually
from web.centre.bars import BarsError, User, Users, add_bar, node_config, reload, write_private
from web.centre.nats import CentreError, connect
from web.centre.stream import ensure

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    return folder


@pytest.fixture
def centre(tmp_path: Path, certificates: Path) -> Iterator[Centre]:
    made = Centre(tmp_path / "centre", certificates)
    made.folder.mkdir()
    yield made
    made.server.kill()


async def join(
    centre: Centre, name: str, password: str, errors: list[str], node: Node | None = None
) -> Client:
    async def note(error: Exception) -> None:
        errors.append(str(error))

    return await nats.connect(
        (node or centre.server).url,
        user=name,
        password=password,
        inbox_prefix=f"_INBOX.{name}".encode(),
        tls=ssl.create_default_context(cafile=str((node or centre.server).folder / "ca.pem")),
        allow_reconnect=False,
        error_cb=note,
    )


async def soon(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, condition)


def trial(steps: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(steps(), 2 * HANGS_S))


def test_bar_writes_its_own_subjects_only_and_reads_nobodys(centre: Centre) -> None:
    first, second = centre.add("bar"), centre.add("nook")
    centre.server.start()

    async def steps() -> None:
        errors: list[str] = []
        owner = await join(centre, "centre", centre.password(), [])
        got: list[str] = []

        async def note(message: Any) -> None:
            got.append(message.subject)

        await owner.subscribe("backdoor.>", cb=note)
        await owner.jetstream().add_stream(name="events", subjects=["backdoor.*.event.*"])
        one = await join(centre, "bar", first, errors)
        ack = await one.request("backdoor.bar.event.entry", b"{}", timeout=HANGS_S)
        assert json.loads(ack.data)["seq"] == 1  # JetStream has it, and the answer came
        wrong = ["backdoor.nook.event.entry", "backdoor.nook.state", "$JS.API.STREAM.DELETE.events"]
        wrong += ["_INBOX.centre.x", "_INBOX.nook.x", "other"]
        for subject in wrong:
            await one.publish(subject, b"forged")
        await soon(lambda: len(errors) == len(wrong))
        assert all("permissions violation for publish" in error.lower() for error in errors)
        errors.clear()
        heard: list[str] = []

        async def overhear(message: Any) -> None:
            heard.append(message.subject)

        others = ("backdoor.>", "backdoor.nook.>", "_INBOX.>", "_INBOX.centre.>", "$JS.>", ">")
        for subject in others:
            await one.subscribe(subject, cb=overhear)
        await soon(lambda: len(errors) == len(others))
        two = await join(centre, "nook", second, errors)
        await two.request("backdoor.nook.event.exit", b"{}", timeout=HANGS_S)
        await soon(lambda: "backdoor.nook.event.exit" in got)
        assert got == ["backdoor.bar.event.entry", "backdoor.nook.event.exit"]
        assert heard == []
        for client in (owner, one, two):
            await client.close()

    trial(steps)


def test_strangers_and_wrong_certificates_stay_out(centre: Centre) -> None:
    first = centre.add("bar")
    centre.add("nook")
    centre.server.start()

    async def steps() -> None:
        for name, password in (("bar", "guessed"), ("nook", first), ("stranger", first), ("", "")):
            with pytest.raises(Exception, match=r"(?i)authorization|empty response|closed"):
                await join(centre, name, password, [])
        with pytest.raises(ssl.SSLCertVerificationError):
            await nats.connect(
                centre.server.url,
                user="bar",
                password=first,
                allow_reconnect=False,
                tls=ssl.create_default_context(),  # as a bar that trusts only public certificates
                max_reconnect_attempts=0,
                error_cb=ignore,
            )

    trial(steps)


async def ignore(_error: Exception) -> None:
    pass


def test_stolen_bar_is_thrown_out_by_one_command(centre: Centre) -> None:
    first, second = centre.add("bar"), centre.add("nook")
    centre.server.start()

    async def steps() -> None:
        stolen, other = (
            await join(centre, "bar", first, []),
            await join(centre, "nook", second, []),
        )
        done = await asyncio.to_thread(centre.run, "bar", "revoke", "bar")
        assert (done.exit_code, done.output) == (
            0,
            "bar is out\nthe server of this machine has read it\n",
        )
        await soon(lambda: stolen.is_closed)
        with pytest.raises(Exception, match=r"(?i)authorization|empty response|closed"):
            await join(centre, "bar", first, [])
        assert other.is_connected  # the rest does not notice
        await other.flush(timeout=int(HANGS_S))
        again = await asyncio.to_thread(centre.add, "bar")
        assert again != first
        back = None
        while back is None:  # the server reads its file a moment after the signal
            try:
                back = await join(centre, "bar", again, [])
            except Exception:  # noqa: BLE001
                await asyncio.sleep(0.05)
        for client in (back, other):
            await client.close()

    trial(steps)


def test_outbox_and_stream_work_with_the_credentials_that_were_written(
    centre: Centre, tmp_path: Path
) -> None:
    """The page of a real bar sends, with its rights; the centre's own user keeps the stream."""
    file = tmp_path / "bar.credentials"
    file.write_text(f"bar:{centre.add('bar')}\n")
    centre.server.start()
    url, ca = centre.server.url, str(centre.certificates / "cert.pem")
    own = CentreSettings((url,), str(centre.folder / "centre.credentials"), ca)

    async def steps() -> None:
        client = await connect(own, url, "centre")
        await ensure(client, "backdoor")
        await client.close()

    trial(steps)
    with bar(tmp_path, [url]) as one:
        one.configure(CentreSettings((url,), str(file), ca))
        one.happen(range(1, 4))
        one.start()
        eventually(lambda: one.waiting() == 0)


@pytest.mark.parametrize("text", ["", "bar", "bar:", ":secret", "bar:secret\nmore"])
def test_credentials_that_make_no_sense_are_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bar.credentials"
    file.write_text(text)
    settings = CentreSettings(("nats://127.0.0.1:1",), str(file))
    with pytest.raises(CentreError, match=r"bar.credentials: must be one line, user:password"):
        asyncio.run(connect(settings, settings.servers[0], "bar"))


# --- the command ----------------------------------------------------------------------------------


def test_users_are_kept_in_one_file_and_shown_without_passwords(centre: Centre) -> None:
    password = centre.add("nook")
    centre.add("bar")
    done = centre.run("bar", "list")
    assert done.output == "bar\nnook\n"
    file = centre.folder / "bars.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)  # for the server's group
    assert centre.run("bar", "revoke", "bar").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(Users(centre.folder).read()) == ["centre", "nook"]
    assert password not in repr(Users(centre.folder).read())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("add", "a b"), "a b: can't be a bar's name: letters, digits, - and _; it is the bar's"),
        (("add", "a.b"), "a.b: can't be a bar's name"),
        (("add", "centre"), "centre: can't be a bar's name: \"centre\" is the centre itself"),
        (("add", "bar"), "bar: has credentials; `backdoor centre bar revoke bar` takes them"),
        (("revoke", "nook"), "nook: no bar has this name; known are bar"),
        (("revoke", "centre"), "centre: no bar has this name"),
    ],
)
def test_what_can_t_be_done_is_said_in_a_line(
    centre: Centre, args: tuple[str, str], said: str, tmp_path: Path
) -> None:
    centre.add("bar")
    before = (centre.folder / "bars.conf").read_text()
    more = ("--out", str(tmp_path / "out")) if args[0] == "add" else ()
    done = centre.run("bar", *args, *more)
    assert done.exit_code == 2
    assert done.output.startswith(said)
    assert (centre.folder / "bars.conf").read_text() == before
    assert not (tmp_path / "out").exists()


def test_damaged_file_is_named_with_its_line(centre: Centre) -> None:
    (centre.folder / "bars.conf").write_text('authorization {\n  {"user": "bar"}\n}\n')
    done = centre.run("bar", "list")
    assert done.output.startswith(f"{centre.folder}/bars.conf: line 2 is no user")


def test_owners_program_brings_the_change_to_the_other_nodes(centre: Centre) -> None:
    hook = centre.folder / "after-change"
    hook.write_text("#!/bin/sh\ncp bars.conf other-node\n")
    hook.chmod(0o700)
    centre.add("bar")
    assert (centre.folder / "other-node").read_text() == (centre.folder / "bars.conf").read_text()
    hook.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(
        BarsError, match="after-change: ended with 3; nodes may not have the change"
    ):
        reload(centre.folder)


def test_configuration_of_three_nodes_has_tls_everywhere() -> None:
    done = CliRunner().invoke(main, ["centre", "node", "n1", "a.example", "b.example", "c.example"])
    assert done.exit_code == 0
    assert done.output.count("cert_file") == 3  # clients, MQTT, the other nodes
    assert "verify: true" in done.output
    assert "\n  strict: true }" in done.output
    assert 'routes: ["tls://a.example:6222", "tls://b.example:6222"' in done.output
    assert "cluster" not in node_config("n1", ["a.example"], Path("/x"))


def documented_certificates(folder: Path) -> None:
    """Run the document's commands, for nodes that are called localhost."""
    text = (ROOT / "web/centre/README.md").read_text()
    block = next(one for one in text.split("```sh\n") if one.startswith("openssl")).split("```")[0]
    names = "n1.example n2.example n3.example"
    assert names in block
    check = "openssl verify -x509_strict -CAfile ca.pem localhost.pem"  # as Python 3.13 looks at it
    mine = f"{block.replace(names, 'localhost')}{check}\n"
    subprocess.run(["sh", "-euc", mine], cwd=folder, check=True, capture_output=True)
    for suffix, name in (("pem", "cert"), ("key", "key")):
        (folder / f"localhost.{suffix}").rename(folder / f"{name}.pem")


def test_nodes_with_the_documented_certificates_find_each_other_and_take_a_bars_events(
    tmp_path: Path,
) -> None:
    documented_certificates(tmp_path)
    centre = Centre(tmp_path / "centre", tmp_path)
    password = centre.add("nook")

    async def steps() -> None:
        bars = await join(centre, "nook", password, [], nodes[0])
        keeper = await join(centre, "centre", centre.password(), [], nodes[1])
        while True:
            with suppress(CentreError):  # the nodes have just met
                await ensure(keeper, "backdoor")
                break
        done = await bars.request("backdoor.nook.event.entry", b"{}", timeout=HANGS_S)
        assert json.loads(done.data)["seq"] == 1
        await bars.close()
        await keeper.close()

    with centre.three() as nodes:
        eventually(lambda: all(node.healthy() for node in nodes))
        trial(steps)


def test_prefix_of_several_levels_becomes_a_subject() -> None:
    assert User("bar", "x").rights("bars/mine")["publish"] == ["bars.mine.bar.>"]


def test_dot_in_a_prefix_is_written_as_nats_maps_it() -> None:
    """A `.` would be a level of its own: rights to the subjects of nobody."""
    assert User("bar", "x").rights("my.bars")["publish"] == ["my//bars.bar.>"]
    assert User("centre", "x").rights("my.bars")["subscribe"][1:3] == ["my//bars", "my//bars.>"]


@pytest.mark.parametrize(
    "prefix", [">", "*", "a b", "a/>", "", "a//b", "/a", "a/", "+", "#", "$JS"]
)
@pytest.mark.parametrize("command", ["add", "revoke"])
def test_prefix_with_a_wildcard_or_a_gap_is_refused(
    centre: Centre, prefix: str, command: str
) -> None:
    centre.add("nook")
    before = (centre.folder / "bars.conf").read_text()
    more = ("bar", "--out", str(centre.folder / "out")) if command == "add" else ("nook",)
    done = centre.run("bar", command, *more, "--prefix", prefix)
    assert done.exit_code == 2
    assert done.output.startswith(f"--prefix {prefix}: must be the bars' [mqtt] prefix")
    assert (centre.folder / "bars.conf").read_text() == before


def test_no_credentials_stay_that_nobody_has(centre: Centre) -> None:
    centre.add("nook")
    before = (centre.folder / "bars.conf").read_text()
    done = centre.run("bar", "add", "bar", "--out", str(centre.folder / "missing/bar.centre"))
    assert done.exit_code == 2
    assert "missing" in done.output
    assert (centre.folder / "bars.conf").read_text() == before


def test_bar_gets_no_file_where_the_users_cannot_be_written(centre: Centre) -> None:
    (centre.folder / "centre.credentials").mkdir()
    out = centre.folder / "bar.centre"
    assert centre.run("bar", "add", "bar", "--out", str(out)).exit_code == 2
    assert not out.exists()


def test_no_copy_of_a_secret_is_left_where_its_file_cannot_be_replaced(tmp_path: Path) -> None:
    there = tmp_path / "bar.centre"
    there.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(there, "bar:secret\n")
    assert list(tmp_path.iterdir()) == [there]


def test_bars_that_are_added_at_once_all_stay(centre: Centre) -> None:
    names = [f"bar{number}" for number in range(8)]
    users = Users(centre.folder)
    with ThreadPoolExecutor(len(names)) as pool:
        for name in names:
            pool.submit(add_bar, users, name, "backdoor", centre.folder / name)
    kept = users.read()
    assert sorted(kept) == [*names, "centre"]
    for name in names:
        assert (centre.folder / name).read_text() == f"{name}:{kept[name].password}\n"
