"""Two small files beside the journal: may the state that it has be believed?

`DoubtMark` says why not. It is there, and synced, before anything of a damaged journal is changed,
and goes when a state that carries the doubt itself is on the disk. So a start that fails or is
killed at any instant in between leaves the doubt to the next one.

`NewestStep` says which step was written last in this boot. A journal that ends with another one was
cut, or replaced by an older copy. It need not survive a power cut, after which the count asks
anyway: it is never synced, and where systemd gives a runtime directory it is in memory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from controller.config.atomic_file import sync_folder
from controller.journal.records import Saved

#: The one reason that is no damage: who was inside then says nothing of now.
RESTORED = "a backup was restored"
#: Of a mark's text, so that whatever stands in the file makes no long line in a log.
SHOWN = 300
#: Bytes of the newest step; always as many, so that a new one covers the old one.
STEP_BYTES = 80


class DoubtMark:
    """A file that says why the count has to ask at the next start."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(f"{journal.name}-doubt")

    def reason(self) -> str:
        """Return why there is doubt, "" when there is none."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
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
        with self.path.open("w", encoding="utf-8", errors="replace") as file:
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
    """The moment of the newest step of this boot."""

    def __init__(self, journal: Path) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self.path = Path(folder or journal.parent, f"{journal.name}-newest")
        self._fd = -1

    def note(self, saved: Saved) -> None:
        """Write down the moment of a step: before the step itself, so that none is missed.

        Where it can't be written, the next start finds another moment and asks.
        """
        with suppress(OSError):
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o644)
            os.pwrite(self._fd, _text_of(saved), 0)

    def is_missing_from(self, saved: Saved | None, boot_id: str) -> bool:
        """Return whether the newest step of this boot is another one than the ``saved`` one."""
        text = self._read()
        if saved is None or saved.boot_id != boot_id:
            return text.startswith(f"{boot_id} ".encode())
        return text != _text_of(saved)

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(STEP_BYTES + 1)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _text_of(saved: Saved) -> bytes:
    text = f"{saved.boot_id} {saved.boottime_ms!r}"
    return text.ljust(STEP_BYTES).encode()[:STEP_BYTES]
