"""The 40-pin header of a Raspberry Pi: which pin is which, the same on all that have 40."""

from __future__ import annotations

from collections.abc import Mapping

#: Header pin of every BCM number.
HEADER: Mapping[int, int] = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19,
    9: 21, 25: 22, 11: 23, 8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35,
    16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
POWER: Mapping[int, str] = {1: "3.3 V", 17: "3.3 V", 2: "5 V", 4: "5 V"}
GROUNDS = (6, 9, 14, 20, 25, 30, 34, 39)
