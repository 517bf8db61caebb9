"""A store of nights with what happened in them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from web.nights.database import connect
from web.nights.events import Event
from web.nights.store import Store


def keep_nights(address: str, nights: Iterable[Iterable[Event]]) -> None:
    """Put nights into the store at this address, as they come, and fold them."""
    database = connect(address, writing=True)
    store = Store(database, {"bar": 4}, time.time)
    for night in nights:
        for event in night:
            store.add(event)
        store.commit()
    store.fold_changed()
    database.close()
