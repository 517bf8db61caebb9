"""What a booking's title says: the party's name and its size. Pure functions of short texts."""

from __future__ import annotations

import re

#: More than this of a name helps nobody, and every state carries it.
NAME_CHARACTERS = 60

#: Not the end of a date, a time or a longer number: "19:04", "12/4", "2026", "3-4".
NUMBER = r"(?<![\d])(?<!\d[.,:/-])(\d{1,2})"
#: What follows a number that is a time, a date, money or so: "per 4:30", "for 2 hours", "da 4 a 6".
NOT_GUESTS = (
    r"(?!\d|[.,:/-]\d|\s*(?:h|hr|hrs|ore|ora|hours?|min|mins|minut[ie]s?|am|pm|a\.m|p\.m"
    r"|giorn[oi]|days?|nott[ei]|nights?|settiman[ae]|weeks?|mes[ei]|months?|ann[oi]|years?|euro?s?)\b|\s*[€$£%°]"
    r"|\s*(?:-|–|a|to|till|until)\s*\d)"
)
GUESTS = (
    r"(?:p|pp|pax|pers|persone?|persona|people|persons?|guests?|ospit[ei]|copert[oi]|covers?"
    r"|post[oi]|seats?|adult[is]?|amic[ih]e?|friends)\b(?!\.?\s*m\b)\.?"
)
#: "Rossi x2", "Rossi 2x", "4p", "3 pax", "2 persone", "for 2", "per 4", "tavolo da 4", "(2)".
PARTY_SIZES = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?<![^\W_])[x×]\s*{NUMBER}\b{NOT_GUESTS}",
        rf"{NUMBER}\s*[x×](?!\w)(?!\s*\d)",
        rf"{NUMBER}\s*{GUESTS}",
        rf"\b(?:for|per|da|in|(?:gruppo|tavolo|group|party|table)\s+(?:di|of))\s+{NUMBER}\b{NOT_GUESTS}",
        rf"\(\s*{NUMBER}\s*\)",
    )
)


def parse_title(title: str, capacity: int = 4) -> tuple[str, int | None]:
    """Return name and party size from an event's title.

    The size is 1 to ``capacity``, or None: a larger number is a time, a year, or no party of ours.
    """
    for pattern in PARTY_SIZES:
        for match in pattern.finditer(title):
            if 1 <= int(match[1]) <= capacity:
                return _name(title[: match.start()] + title[match.end() :]), int(match[1])
    return _name(title), None


def _name(text: str) -> str:
    name = " ".join(text.split()).strip(" -,;:·")
    return name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 1].rstrip() + "…"
