"""A fresh paho client, and what MQTT 5 can say more than MQTT 3.1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from controller.config.settings import Mqtt

#: What is neither retained nor acknowledged is about now; the broker drops it after this.
MOMENT_EXPIRES_S = 10


def new_client(settings: Mqtt, client_id: str, connect_limit_s: float) -> Client:
    """Return a client that knows its name and password, and nothing of any connection before."""
    v5 = settings.protocol == 5
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
    )
    client.connect_timeout = connect_limit_s
    if settings.username:
        client.username_pw_set(settings.username, settings.password or None)
    return client


def manner(topic: str, v5: bool) -> Any:
    """QoS 1; MQTT 5 can also hold back stored commands, and show a live one's retain flag."""
    if not v5:
        return 1
    stored = 2 if "/cmd/" in topic else 0
    return SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=stored)


def expiring() -> Properties:
    """Return what lets MQTT 5 drop a message that nobody took in time."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = MOMENT_EXPIRES_S
    return properties
