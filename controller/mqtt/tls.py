"""TLS of a connection to a broker; only who wants it loads this."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from controller.mqtt.link import LinkError


class TlsContext(ssl.SSLContext):
    """Checks the broker's certificate and name, and can close the connection that it made.

    paho forgets a socket whose handshake failed, and leaves it open.
    """

    _made: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Return a socket that encrypts, and keep it."""
        self._made = super().wrap_socket(*args, **options)
        return self._made

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._made is not None:
            with suppress(OSError):
                self._made.close()


def tls_context(ca: str) -> TlsContext:
    """Return the context that trusts the certificates in a PEM file, or with "" the system's."""
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    if not ca:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        problem = f"[mqtt] ca {ca}: can't be read ({error}); name a PEM file"
        raise LinkError(problem) from None
    return context
