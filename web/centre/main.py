"""`backdoor centre`: one of any number of processes that write what the bars send."""

from __future__ import annotations

from collections.abc import Callable

from controller.config.loader import ConfigError
from controller.config.settings import Config
from controller.systemd import Notifier
from web.centre.consumer import Consumer
from web.centre.nats import CentreError, check_library
from web.nights.database import is_postgres


def serve_centre(config: Config, on_stop_signal: Callable[[Callable[[], None]], None]) -> None:
    """Work until a signal to stop; what the owner can mend is a ConfigError."""
    _check(config)
    notifier = Notifier()
    consumer = Consumer(config, notifier.watchdog)
    on_stop_signal(consumer.stop)
    notifier.ready()
    consumer.run()
    notifier.stopping()


def _check(config: Config) -> None:
    """Raise ConfigError for what a centre needs and has not."""
    if not config.centre.servers:
        raise ConfigError(
            ['[centre] servers: has no address; name the NATS nodes: ["tls://host:4222"]']
        )
    database = config.nights.database
    if not is_postgres(database):
        raise ConfigError(
            [
                f'[nights] database: a centre keeps it in a Postgres, got "{database}"; name one:'
                ' "postgresql://user:password@host/name"'
            ]
        )
    try:
        check_library()
    except CentreError as error:
        raise ConfigError([str(error)]) from None
