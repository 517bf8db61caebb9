"""The ntfy, Gotify, Telegram and webhook protocols against receivers of this test's own."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import subprocess
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from controller.notify.channels import Channel, ChannelError, Words, open_channel
from controller.notify.notices import Notice, Withdrawal
from controller.notify.pending import Outcome
from tests.support.receivers import Receiver, Request, receiver

WORDS = Words("Sportello: 2 in attesa, 40 s", "Bussano allo sportello. È tardi.", "Risposto")
LINK = "http://127.0.0.1:8090/answered/abc"
TOKEN = "123456789:abcdefghijklmnopqrstuvwxyz-12345678"
KNOCK = Notice("hatch", "knock", "warning", "hatch_waits", 0.0, inf, answers="hatch", link=LINK)
FAULT = Notice("fault/BeamDead/beam_outer", "fault", "warning", "fault", 0.0, inf, standing=True)
ALARM = Notice("DoorForcedOpen", "alarm", "critical", "DoorForcedOpen", 0.0, inf, standing=True)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def kinds(server: Receiver) -> list[Channel]:
    """Return a channel of each protocol, to this server."""
    urls = [f"ntfy://{server.host}/bar", f"gotify://{server.host}/Atoken-of-gotify"]
    urls += [f"json://{server.host}/hook-secret", f"tgram://{TOKEN}/4711"]
    return [open_channel(url, "bar", f"http://{server.host}") for url in urls]


# --- ntfy -----------------------------------------------------------------------------------------


def test_ntfy_gets_title_body_priority_and_a_button_that_posts(server: Receiver) -> None:
    channel = open_channel(f"ntfy://{server.host}/bar", "bar")
    assert channel.send(KNOCK, WORDS).outcome is Outcome.SENT
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/")
    assert request.headers["x-sequence-id"] == "bar-hatch"
    assert request.json == {
        "topic": "bar",
        "title": WORDS.title,
        "message": WORDS.body,
        "priority": 4,
        "actions": [
            {"action": "http", "label": "Risposto", "url": LINK, "method": "POST", "clear": True}
        ],
    }


def test_ntfy_replaces_and_removes_by_the_same_name(server: Receiver) -> None:
    channel = open_channel(f"ntfy://{server.host}/bar", "bar")
    channel.send(FAULT, WORDS)
    channel.send(FAULT, WORDS)
    assert channel.send(Withdrawal(FAULT.key), WORDS).outcome is Outcome.SENT
    *sent, gone = server.requests
    assert [one.headers["x-sequence-id"] for one in sent] == ["bar-fault-BeamDead-beam_outer"] * 2
    assert "actions" not in sent[0].json
    assert (gone.method, gone.path) == ("DELETE", "/bar/bar-fault-BeamDead-beam_outer")


def test_an_old_ntfy_that_cannot_remove_is_left_in_peace(server: Receiver) -> None:
    server.answers(404)
    channel = open_channel(f"ntfy://{server.host}/bar", "bar")
    assert channel.send(Withdrawal("hatch"), WORDS).outcome is Outcome.SENT


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("ntfy://anna:pass%20word@{}/bar", f"Basic {base64.b64encode(b'anna:pass word').decode()}"),
        (
            "ntfy://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@{}/bar",
            "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        ),
    ],
)
def test_ntfy_with_a_user_or_a_token(server: Receiver, url: str, header: str) -> None:
    open_channel(url.format(server.host), "bar").send(ALARM, WORDS)
    assert server.requests[0].headers["authorization"] == header
    assert server.requests[0].json["priority"] == 5


def test_ntfy_with_two_topics(server: Receiver) -> None:
    open_channel(f"ntfy://{server.host}/bar/boss", "bar").send(KNOCK, WORDS)
    assert sorted(one.json["topic"] for one in server.requests) == ["bar", "boss"]


# --- Gotify, webhook ------------------------------------------------------------------------------


def test_gotify_gets_the_link_in_the_text(server: Receiver) -> None:
    channel = open_channel(f"gotify://{server.host}/Atoken-of-gotify", "bar")
    assert channel.send(KNOCK, WORDS).outcome is Outcome.SENT
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/message")
    assert request.headers["x-gotify-key"] == "Atoken-of-gotify"
    assert request.json["title"] == WORDS.title
    assert request.json["message"] == f"{WORDS.body}\nRisposto: {LINK}"
    assert channel.send(Withdrawal("hatch"), WORDS).outcome is Outcome.SENT
    assert len(server.requests) == 1  # it cannot remove


def test_a_webhook_gets_json_at_once_twice_in_a_row(server: Receiver) -> None:
    """Apprise would sleep five seconds between two messages, and the second would be stale."""
    channel = open_channel(f"json://{server.host}/hook", "bar")
    channel.send(ALARM, WORDS)
    channel.send(FAULT, WORDS)
    first, second = server.requests
    assert second.at_s - first.at_s < 4.0
    assert first.path == "/hook"
    assert (first.json["title"], first.json["type"]) == (WORDS.title, "failure")
    assert second.json["message"] == WORDS.body


# --- Telegram -------------------------------------------------------------------------------------


def telegram(request: Request) -> tuple[int, dict[str, str], bytes]:
    telegram.number += 1  # type: ignore[attr-defined]
    number = telegram.number  # type: ignore[attr-defined]
    return 200, {}, json.dumps({"ok": True, "result": {"message_id": number}}).encode()


telegram.number = 0  # type: ignore[attr-defined]


def test_telegram_deletes_what_it_replaces_so_that_the_phone_rings_again(server: Receiver) -> None:
    server.reply = telegram
    channel = open_channel(f"tgram://{TOKEN}/4711", "bar", f"http://{server.host}")
    for outgoing in (KNOCK, KNOCK, Withdrawal("hatch"), Withdrawal("hatch")):
        assert channel.send(outgoing, WORDS).outcome is Outcome.SENT
    methods = [request.path.removeprefix(f"/bot{TOKEN}/") for request in server.requests]
    assert methods == ["sendMessage", "deleteMessage", "sendMessage", "deleteMessage"]
    first, gone, *_ = (request.json for request in server.requests)
    assert first["chat_id"] == 4711
    assert first["text"] == f"{WORDS.title}\n{WORDS.body}"
    assert first["reply_markup"] == {"inline_keyboard": [[{"text": "Risposto", "url": LINK}]]}
    assert first["link_preview_options"] == {"is_disabled": True}
    assert gone["chat_id"] == 4711
    assert isinstance(gone["message_id"], int)


def test_telegram_that_takes_no_button_gets_the_link_in_the_text(server: Receiver) -> None:
    server.answers(400, then=telegram)
    channel = open_channel(f"tgram://{TOKEN}/4711", "bar", f"http://{server.host}")
    assert channel.send(KNOCK, WORDS).outcome is Outcome.SENT
    assert LINK in server.requests[1].json["text"]
    assert "reply_markup" not in server.requests[1].json


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, Outcome.RETRY),
        (503, Outcome.RETRY),
        (429, Outcome.RETRY),
        (408, Outcome.RETRY),
        (401, Outcome.REFUSED),
        (403, Outcome.REFUSED),
        (404, Outcome.REFUSED),
    ],
)
def test_what_a_status_means_to_each(server: Receiver, status: int, outcome: Outcome) -> None:
    server.reply = lambda _: (status, {}, b"{}")
    for channel in kinds(server):
        result = channel.send(FAULT, WORDS)
        assert (channel.name, result.outcome) == (channel.name, outcome)
        assert str(status) in result.why


def test_a_server_that_is_busy_says_for_how_long(server: Receiver) -> None:
    server.answers(429, Retry_After="17")
    assert open_channel(f"ntfy://{server.host}/bar", "bar").send(FAULT, WORDS).after_s == 17.0


def test_nobody_there_is_tried_again() -> None:
    with receiver() as gone:
        pass
    for channel in kinds(gone):
        assert channel.send(FAULT, WORDS).outcome is Outcome.RETRY


def test_no_secret_is_in_any_complaint_nor_in_the_log(
    server: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = (TOKEN, "Atoken-of-gotify", "hook-secret", "/bar", LINK)
    for status in (401, 500):
        server.reply = lambda _, status=status: (status, {}, b'{"error":"no"}')  # type: ignore[misc]
        for channel in kinds(server):
            why = f"{channel.name} {channel.send(KNOCK, WORDS).why}"
            assert not [secret for secret in secrets if secret in why], why
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("controller")]
    assert not [line for line in ours if any(secret in line for secret in secrets)]


def test_a_redirect_is_not_followed_with_the_token_in_hand(server: Receiver) -> None:
    with receiver() as other:
        server.answers(302, Location=f"http://{other.host}/")
        url = f"ntfy://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@{server.host}/bar"
        assert open_channel(url, "bar").send(FAULT, WORDS).outcome is Outcome.REFUSED
        assert other.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_that_nobody_signed_is_not_trusted(tmp_path: Path) -> None:
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    named = ("-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=127.0.0.1", "-days", "2")
    subprocess.run([*made, *named], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with receiver(tls=context) as server:
        result = open_channel(f"ntfys://{server.host}/bar", "bar").send(FAULT, WORDS)
        assert (result.outcome, result.why) == (Outcome.RETRY, "its certificate is not trusted")
        assert server.requests == []
        trusting = open_channel(f"ntfys://{server.host}/bar?verify=no", "bar")
        assert trusting.send(FAULT, WORDS).outcome is Outcome.SENT


def test_a_name_that_nobody_knows() -> None:
    assert not open_channel("ntfy://no-such-host.invalid/bar", "bar").resolve()
    assert open_channel("ntfy://127.0.0.1/bar", "bar").resolve()
    assert open_channel(f"tgram://{TOKEN}/1", "bar", "http://127.0.0.1").resolve()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nothing://host/x", "nothing://...: Apprise knows no such service"),
        ("tgram:///4711", "tgram://...: something in it is missing or wrong; see http"),
        (f"tgram://{TOKEN}", "tgram://...: names no chat; write tgram://TOKEN/CHAT"),
        ("ntfy://host/a!b", "ntfy://...: names no topic"),
        ("gotify://host", "gotify://...: something in it is missing or wrong"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_secret(url: str, says: str) -> None:
    with pytest.raises(ChannelError) as error:
        open_channel(url, "bar")
    assert str(error.value).startswith(says)
    assert TOKEN not in str(error.value)


PLUGINS = """
import sys
from controller.notify.channels import open_channel
open_channel("json://127.0.0.1/x", "bar")
open_channel("ntfy://127.0.0.1/x", "bar")
print(sum(name.startswith("apprise.plugins.") for name in sys.modules))
open_channel("kodi://127.0.0.1/x", "bar")
"""


def test_only_the_plugins_that_are_named_are_loaded() -> None:
    """All of them cost 15 MiB; the few whose scheme stands in no plain text cost that, and work."""
    done = subprocess.run(
        [sys.executable, "-c", PLUGINS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) <= 4
