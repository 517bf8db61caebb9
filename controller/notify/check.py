"""A look at each address before it is needed: does Apprise know it, does a test message arrive?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf

from controller.config.settings import Config
from controller.notify.channels import ChannelError, Words, open_channel
from controller.notify.notices import Notice
from controller.notify.pending import Outcome
from controller.notify.words import render


def problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with the addresses, each with its number and without its secret."""
    for number, settings in enumerate(config.notify.urls, 1):
        try:
            open_channel(settings.url, config.venue)
        except ChannelError as error:
            yield f"[notify] urls: address {number}: {error}"


def send_tests(config: Config, echo: Callable[[str], None]) -> bool:
    """Send one message to each address and say in a line each what happened; true if all went."""
    notice = Notice("test", "fault", "info", "test", 0.0, inf)
    words = Words(*render(notice, 0.0, config.notify.language), "")
    fine = True
    for number, settings in enumerate(config.notify.urls, 1):
        try:
            channel = open_channel(settings.url, config.venue)
        except ChannelError as error:
            echo(f"address {number}: {error}")
            fine = False
            continue
        result = channel.send(notice, words)
        echo(f"address {number}: {channel.name}: {result.why}")
        fine = fine and result.outcome is Outcome.SENT
    return fine
