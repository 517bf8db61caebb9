"""One connection to one node of the centre, and what goes wrong with it in plain words.

A connection that has ended is not mended but made anew, to the next node: who has a node frozen
under it must not wait for that one. nats-py is imported only where a centre is configured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.config.settings import CentreSettings

if TYPE_CHECKING:
    from nats.aio.client import Client

CONNECT_S = 3
#: No answer for so long: the node, or the one that leads, is gone or frozen.
ANSWER_S = 5.0
#: A bar asks again sooner at first: what comes twice is known, and a new leader is there in two.
FIRST_ANSWER_S = 2.0
#: A silent connection is asked this often whether it is there; the second silence ends it.
PING_S = 3
#: Between two attempts, growing from the first to the second.
RETRY_S = (0.1, 15.0)


class CentreError(Exception):
    """The centre can't be used now; the text says why, and the way out."""

    def __init__(self, text: str, code: int = 0) -> None:
        """``code`` is JetStream's own number of this error."""
        super().__init__(text)
        self.code = code


def endless(servers: Sequence[str]) -> Iterator[str]:
    """Yield the nodes' addresses again and again."""
    return itertools.cycle(servers)


def check_library() -> None:
    """Raise CentreError where nats-py is not installed."""
    try:
        import nats  # noqa: F401
    except ImportError:
        raise CentreError(
            "[centre] servers: needs the library nats-py, which is not installed; on the Pi:"
            " sudo systemd/install; elsewhere: pip install -r requirements-centre.lock"
        ) from None


async def connect(settings: CentreSettings, server: str, name: str) -> Client:
    """Return a connection to this node; raise CentreError with the reason.

    ``name`` is ours: the answers come to ``_INBOX.<name>.>``, which no other bar may read.
    """
    client = _new_client(encrypted=server.startswith("tls://"))
    try:
        await asyncio.wait_for(
            client.connect(
                server if "://" in server else f"nats://{server}",
                name=f"backdoor-{name}",
                inbox_prefix=f"_INBOX.{name}",
                allow_reconnect=False,
                connect_timeout=CONNECT_S,
                ping_interval=PING_S,
                max_outstanding_pings=2,
                error_cb=_quiet,
                **_secrets(settings),
            ),
            CONNECT_S,
        )
    except Exception as error:  # noqa: BLE001 - of many kinds, and each ends this connection
        await close(client)
        raise CentreError(f"[centre] servers: {server}: {words(error)}") from None
    return client


def _new_client(*, encrypted: bool) -> Client:
    """Return a client that, if it is to be ``encrypted``, says nothing of us in the clear.

    A node says before TLS begins whether it wants TLS, and nats-py believes it: whoever stands
    between could say no, and would get the password.
    """
    from nats.aio.client import Client

    class Careful(Client):
        def _connect_command(self) -> bytes:
            if encrypted and not self._server_info.get("tls_required"):
                raise CentreError(
                    "it does not encrypt, so it does not get our password: give the"
                    " node TLS; if it has it, somebody stands between"
                )
            return super()._connect_command()

    return Careful()


def _secrets(settings: CentreSettings) -> dict[str, Any]:
    """Return the arguments for credentials and certificates.

    Raise OSError for a file that can't be read, CentreError for one that makes no sense.
    """
    found: dict[str, Any] = {}
    if any(server.startswith("tls://") for server in settings.servers):
        found["tls"] = ssl.create_default_context(cafile=settings.ca or None)
    if settings.credentials:
        found |= _login(settings.credentials)
    return found


def _login(file: str) -> dict[str, str]:
    """Return who we are: ``user:password``, or a file of credentials as NATS's own tools make."""
    text = Path(file).read_text(encoding="utf-8").strip()
    if text.startswith("-----BEGIN NATS"):
        return {"user_credentials": file}
    user, colon, password = text.partition(":")
    if not (user and colon and password) or "\n" in text:
        raise CentreError(f"{file}: must be one line, user:password, as the centre wrote it")
    return {"user": user, "password": password}


async def _quiet(_error: Exception) -> None:
    """Say nothing: what matters is raised where it matters."""


async def close(client: Client) -> None:
    """End a connection, also one whose node no longer answers."""
    try:
        await asyncio.wait_for(client.close(), CONNECT_S)
    except Exception:  # noqa: BLE001
        return


async def ask(
    client: Client,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    within_s: float = ANSWER_S,
) -> dict[str, Any]:
    """Return JetStream's answer to a message; raise CentreError for none, or for an error."""
    from nats.errors import NoRespondersError

    try:
        answer = await client.request(
            subject, payload, timeout=within_s, headers=dict(headers) if headers else None
        )
        found = json.loads(answer.data)
    except NoRespondersError:
        raise CentreError("NATS keeps no events yet: is `backdoor centre` there?") from None
    except Exception as error:  # noqa: BLE001 - as above
        raise CentreError(words(error)) from None
    if not isinstance(found, dict):
        raise CentreError("a strange answer")
    problem = found.get("error")
    if problem:
        raise CentreError(str(problem.get("description")), int(problem.get("err_code", 0)))
    return found


def words(error: BaseException) -> str:
    """Return what is wrong for people."""
    text = str(error).removeprefix("nats: ").strip("'\" ")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer; is the node there?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); see [centre] ca"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if "Authorization" in text:
        return "we are not let in; see [centre] credentials"
    return text or type(error).__name__
