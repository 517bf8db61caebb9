"""A TCP connection's way between two of our processes, which a test can cut and mend."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Lock, Thread


class Cable:
    """Passes what comes at ``port`` on to ``target``, until it is `cut`.

    A cable that is cut ``silently`` takes everything and passes nothing, as a network does that
    loses its packets; what was on its way arrives when it is mended. Else connections end, and new
    ones are refused.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._passes, self._refuses = Event(), Event()
        self._passes.set()
        self._ends: set[socket.socket] = set()
        self._lock = Lock()
        Thread(target=self._accept, daemon=True).start()

    def cut(self, *, silently: bool) -> None:
        """Pass nothing from now on."""
        if silently:
            self._passes.clear()
        else:
            self._refuses.set()
            self._end_all()

    def mend(self) -> None:
        """Pass all again."""
        self._refuses.clear()
        self._passes.set()

    def close(self) -> None:
        """End all connections and take no more."""
        self._refuses.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._passes.set()
        self._end_all()

    def _end_all(self) -> None:
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        """Connect one client to the target, and pass both ways until one side ends."""
        with near:
            self._passes.wait()
            if self._refuses.is_set():
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 10.0)
            except OSError:
                return
            far.settimeout(None)
            with far:
                with self._lock:
                    self._ends |= {near, far}
                back = Thread(target=self._pass, args=(far, near), daemon=True)
                back.start()
                self._pass(near, far)
                back.join()
                with self._lock:
                    self._ends -= {near, far}

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
