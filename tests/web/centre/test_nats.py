"""A connection to a node, and what a node that is none of ours gets of us."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.config.settings import CentreSettings
from web.centre.nats import CentreError, close, connect

#: What a node says before TLS begins, as somebody between us and it may change it.
WITHOUT_TLS = b'INFO {"server_id":"x","version":"2.12.0","max_payload":1048576,"headers":true}\r\n'


def test_node_that_is_to_encrypt_and_does_not_gets_no_password(tmp_path: Path) -> None:
    credentials = tmp_path / "bar.centre"
    credentials.write_text("bar:a-long-password")
    said, why = asyncio.run(_said_to_a_node(credentials, "tls"))
    assert said == b""
    assert why.startswith("[centre] servers: tls://localhost:")
    assert "it does not encrypt" in why
    said, _ = asyncio.run(_said_to_a_node(credentials, "nats"))
    assert b"a-long-password" in said


async def _said_to_a_node(credentials: Path, scheme: str) -> tuple[bytes, str]:
    """Return what a client says to a node without TLS before it leaves or waits, and its error."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WITHOUT_TLS)
        heard.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
    settings, why = CentreSettings(servers=(url,), credentials=str(credentials)), ""
    async with server:
        try:
            await close(await connect(settings, url, "bar"))
        except CentreError as error:
            why = str(error)
        return await heard, why
