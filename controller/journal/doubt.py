"""Two small files beside the journal: may the state that it has be believed?

`DoubtMark` says why not. It is there, and synced, before anything of a damaged journal is changed,
and goes when a state that carries the doubt itself is on the disk. So a start that fails or is
killed at any instant in between leaves the doubt to the next one.

`NewestStep` says which step of this boot was written last, and which one was about to be. A journal
that ends with neither was cut, or replaced by an older copy. It need not survive a power cut, after
which the count asks anyway: it is never synced, and where systemd gives a runtime directory it is
in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

from controller.config.atomic_file import open_regular, read_regular, sync_folder
from controller.journal.records import Saved

#: The one reason that is no damage: who was inside then says nothing of now.
RESTORED = "a backup was restored"
#: What `NewestStep` finds: a file that is damaged, or a process that was killed in a step.
CUT = "it does not end with the newest step: it was cut, or is an older copy"
UNWRITTEN = "its newest step was not written: the controller was killed at that instant"
#: Of a mark's text, so that whatever stands in the file makes no long line in a log.
SHOWN = 300
#: Stands for a moment where this boot has none.
NO_STEP = "-"
#: Bytes of the newest steps; always as many, so that a new one covers the old one.
STEP_BYTES = 128


class DoubtMark:
    """A file that says why the count has to ask at the next start."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(f"{journal.name}-doubt")

    def reason(self) -> str:
        """Return why there is doubt, "" when there is none."""
        try:
            text = read_regular(self.path).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{self.path.name}: {error.strerror}"
        shown = "".join(char for char in text[:SHOWN] if char.isprintable())
        return shown or "an earlier start did not end well"

    def set(self, reason: str) -> None:
        """Return once the doubt survives a power cut; raise OSError if it can't be written.

        It needs no room on a full disk that has any left for a name: the reason may be missing.
        """
        fd = open_regular(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            with suppress(OSError):
                file.write(reason)
                file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)

    def remove(self) -> None:
        """Take the doubt away: the state carries it now. What fails here only asks once more."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class NewestStep:
    """The moments of the newest steps of this boot; ``written`` is the one that the journal has."""

    def __init__(self, journal: Path) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self.path = Path(folder or journal.parent, f"{journal.name}-newest")
        self.written: Saved | None = None
        self._fd = -1

    @contextmanager
    def writing(self, saved: Saved) -> Iterator[None]:
        """Write down that this step is about to be written, then that the journal has it.

        Where neither can be written, the next start finds another moment and asks.
        """
        self._note(saved)
        try:
            yield
        except Exception:
            self.written = None  # from here on the journal lacks more than one step
            self._note(saved)
            raise
        self.written = saved
        self._note(saved)

    def _note(self, saved: Saved) -> None:
        with suppress(OSError):
            if self._fd < 0:
                self._fd = open_regular(self.path, os.O_WRONLY | os.O_CREAT)
            os.pwrite(self._fd, _text_of(self.written, saved), 0)

    def missing_from(self, saved: Saved | None, boot_id: str) -> str:
        """Return how a journal that ends with ``saved`` lacks the newest step; "" if it has it."""
        text = _checked(self._read())
        boot, *moments = text.split(" ")  # a Mac's boot has no name
        ends_with = _moment_of(saved, boot_id)
        if ends_with in moments[-1:]:
            return ""
        if not text or boot != boot_id:
            return CUT if ends_with != NO_STEP else ""
        return UNWRITTEN if ends_with in moments[:1] else CUT

    def _read(self) -> str:
        try:
            return read_regular(self.path)[: STEP_BYTES + 1].decode("ascii", "replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _text_of(written: Saved | None, newest: Saved) -> bytes:
    text = f"{newest.boot_id} {_moment_of(written, newest.boot_id)} {newest.boottime_ms!r}"
    return f"{crc32(text.encode()):08x} {text}".ljust(STEP_BYTES).encode()[:STEP_BYTES]


def _checked(text: str) -> str:
    crc, _, rest = text.rstrip().partition(" ")
    return rest if crc == f"{crc32(rest.encode()):08x}" else ""


def _moment_of(saved: Saved | None, boot_id: str) -> str:
    return NO_STEP if saved is None or saved.boot_id != boot_id else repr(saved.boottime_ms)
