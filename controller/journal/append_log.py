"""The newest steps of the journal: a file that is only appended to, one short write a step.

(Not called a WAL, because SQLite has one of its own.) A line that was added survives the end of the
process at once, and a power cut after `AppendLog.sync`. The file is one deflate stream, flushed
after each line: a step is compressed with the text of those before it, to some sixty bytes. Each
line has its checksum; of what a killed process left, the whole lines count.
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from pathlib import Path

from controller.config.atomic_file import open_regular, sync_folder

LEVEL = 6
#: Raw deflate with a window of 4 KiB. zlib's usual 32 KiB would save a tenth of the bytes, and cost
#: 256 KiB of tables that are never in the processor's cache: 90 µs a step instead of 45.
RAW = -12
MEMORY = 5
#: Each flush ends in an empty stored block (RFC 1951, 3.2.4).
FLUSH_MARK = b"\0\0\xff\xff"
#: A log is cleared after a thousand steps: one that is larger, or unpacks to more, is not ours.
MOST_BYTES = 32 * 1024 * 1024


class AppendLog:
    """One open append log; used by one thread at a time.

    While ``torn`` is True nothing may be added before `clear`: the file has lines of another
    process, or a write failed half way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = _open(path)
        self._compressor = _new_compressor()
        self._unsynced = False
        self.torn = os.fstat(self._fd).st_size > 0

    def add(self, line: bytes) -> None:
        """Append one line of JSON; raise OSError if it can't be written."""
        block = self._compressor.compress(b"%08x %s\n" % (zlib.crc32(line), line))
        block += self._compressor.flush(zlib.Z_SYNC_FLUSH)
        self.torn = True  # until the whole line is written
        if os.write(self._fd, block) < len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.torn = False
        self._unsynced = True

    def sync(self) -> None:
        """Return once all added lines survive a power cut; raise OSError if that can't be known."""
        if self._unsynced:
            self.torn = True  # after an error it is unknown what is on the disk
            check_same_file(self.path, os.fstat(self._fd).st_ino)
            getattr(os, "fdatasync", os.fsync)(self._fd)  # a Mac has only fsync
            self._unsynced = self.torn = False

    def clear(self) -> None:
        """Empty the file; its lines do not come back after a power cut either."""
        self.torn = True
        os.ftruncate(self._fd, 0)
        os.fsync(self._fd)
        self._compressor = _new_compressor()
        self._unsynced = self.torn = False

    def close(self) -> None:
        """Close the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _open(path: Path) -> int:
    fd = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, "another process writes this journal", str(path)) from None
    sync_folder(path.parent)  # the file's existence says that the journal was not finished
    return fd


def check_same_file(path: Path, inode: int) -> None:
    """Raise OSError if the open file (``inode``) is no longer the one at its path."""
    if not path.exists() or path.stat().st_ino != inode:
        raise FileNotFoundError(errno.ENOENT, "it was removed or replaced", str(path))


def read_lines(path: Path) -> tuple[list[bytes], bool]:
    """Return the whole lines of an append log, and whether the file is damaged after them.

    A last line that is merely cut off is no damage: its step was never reported to anybody.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    text, damaged = _decompressed(data[:MOST_BYTES])
    damaged = damaged or len(data) > MOST_BYTES
    lines: list[bytes] = []
    for block in text.split(b"\n")[:-1]:
        mark, _, body = block.partition(b" ")
        if mark != b"%08x" % zlib.crc32(body):
            return lines, True
        lines.append(body)
    return lines, damaged


def _decompressed(data: bytes) -> tuple[bytes, bool]:
    """Return the text up to the first damage, and whether there is damage."""
    inflate, text = zlib.decompressobj(RAW), bytearray()
    *whole, rest = data.split(FLUSH_MARK)
    try:
        for block in whole:
            text += inflate.decompress(block + FLUSH_MARK, MOST_BYTES - len(text) + 1)
            if len(text) > MOST_BYTES:
                return bytes(text), True
        damaged = bool(text) and text[-1:] != b"\n"
        text += inflate.decompress(rest, MOST_BYTES)
        return bytes(text), damaged or inflate.eof
    except zlib.error:
        return bytes(text), True


def _new_compressor() -> zlib._Compress:
    return zlib.compressobj(LEVEL, zlib.DEFLATED, RAW, MEMORY)
