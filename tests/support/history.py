"""A store that has heard some nights, and a page that shows them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from flask import Flask

from controller.config.settings import NightsSettings
from tests.support.fake_controller import Client, FakeController, joiner, settings
from tests.support.simulated_nights import SimulatedBar
from web import create_app
from web.nights.database import connect
from web.nights.feed import Feed
from web.nights.store import Store


def fill_history(file: Path, first: date, count: int, venues: Sequence[str] = ("bar",)) -> None:
    """Store so many nights of each of the venues."""
    database = connect(str(file), writing=True)
    store = Store(database, {}, time.time)
    for seed, venue in enumerate(venues):
        for night in SimulatedBar(seed, venue).nights(first, count):
            for event in night:
                store.add(event)
    store.fold_changed()
    database.close()


def history_page(controller: FakeController, folder: Path, venues: str = "") -> tuple[Flask, Feed]:
    """Return a page on the store in ``folder``, and the feed, not started, that it asks."""
    database = NightsSettings(database=str(folder / "nights.db"))
    config = replace(settings(folder, venues=venues), nights=database)
    feed = Feed(config, joiner(controller.bus))
    app = create_app(config, link=joiner(controller.bus), feed=feed)
    app.test_client_class = Client
    return app, feed
