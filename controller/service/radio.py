"""The strength of the wireless signal, by the kernel's own table."""

from __future__ import annotations

from pathlib import Path

TABLE = "/proc/net/wireless"


def signal_dbm(table: str = TABLE) -> int | None:
    """Return the strength in dBm of the first wireless interface; None on a cable."""
    try:
        rows = Path(table).read_text(encoding="ascii").splitlines()[2:]
        return int(float(rows[0].split()[3])) if rows else None
    except (OSError, ValueError, IndexError):
        return None
