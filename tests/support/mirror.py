"""The page's picture of a house, without the page."""

from __future__ import annotations

from controller.mqtt.message import Topics
from web.mirror import LinkFactory, Mirror


def mirror_on(link: LinkFactory) -> Mirror:
    """Return a mirror that is started; its test stops it."""
    mirror = Mirror(Topics("backdoor/bar"))
    mirror.connect(link)
    mirror.start()
    return mirror
