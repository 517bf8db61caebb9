"""A crowd at the page's door: run as a program, it holds connections until its input ends.

``python crowd.py PORT MANNER CONNECTIONS ADDRESSES``: so many connections from 127.0.0.2 upwards,
opened again whenever the page closes one. MANNER: ``idle`` says nothing, ``drip`` a byte a second
of a request, ``hello`` the first bytes of a TLS handshake, ``shake`` shakes hands and then says
nothing, ``ask`` asks for the page again and again. Prints a line when each was opened once.
"""

from __future__ import annotations

import resource
import select
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from itertools import cycle

FIRST = {
    "drip": b"G",
    "hello": b"\x16\x03\x01",
    "ask": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
DRIP = b"ET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


class Crowd:
    """Some connections, served by one thread."""

    def __init__(self, port: int, manner: str, addresses: list[str]) -> None:
        self._port, self._manner = port, manner
        self._poll = select.poll()
        self._open: dict[int, tuple[socket.socket, str]] = {}
        self._context = ssl._create_unverified_context() if manner == "shake" else None
        for address in addresses:
            self.come(address)

    def come(self, address: str) -> None:
        """Open one connection from this address; the answer is not waited for."""
        one = socket.socket()
        one.bind((address, 0))
        one.settimeout(30)
        try:
            one.connect(("127.0.0.1", self._port))
            if self._context is not None:
                one = self._context.wrap_socket(one)
            one.sendall(FIRST.get(self._manner, b""))
        except OSError:
            pass  # the page did not want it: comes again below
        one.setblocking(False)
        self._open[one.fileno()] = one, address
        self._poll.register(one, select.POLLIN)

    def turn(self) -> None:
        """Open again what was closed; ask again where an answer came."""
        for number, _ in self._poll.poll(100):
            one, address = self._open[number]
            try:
                if one.recv(65_536):
                    if self._manner == "ask":
                        one.sendall(FIRST["ask"])
                    continue
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                pass
            self._poll.unregister(one)
            del self._open[number]
            one.close()
            self.come(address)

    def drip(self, byte: bytes) -> None:
        """Send one byte on each."""
        for one, _ in self._open.values():
            with suppress(OSError):
                one.sendall(byte)


def main(port: int, manner: str, connections: int, count: int) -> None:
    """Hold the crowd until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # 1,024 files are usual at first
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    addresses = cycle([f"127.0.0.{2 + n}" for n in range(count)])
    crowd = Crowd(port, manner, [next(addresses) for _ in range(connections)])
    sys.stdout.write("here\n")
    sys.stdout.flush()
    drips, next_s = cycle(DRIP), time.monotonic() + 1
    while not ended.is_set():
        crowd.turn()
        if manner == "drip" and time.monotonic() >= next_s:
            crowd.drip(bytes([next(drips)]))
            next_s += 1


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
