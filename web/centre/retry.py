"""Work over a connection that ends: begin again, later after each failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from web.centre.nats import RETRY_S, CentreError
from web.nights.database import StoreError

log = logging.getLogger(__name__)


async def again(
    session: Callable[[], Awaitable[None]],
    report: Callable[[str], None],
    stopping: Callable[[], bool],
    pause: Callable[[float], Awaitable[None]],
) -> None:
    """Run ``session`` until ``stopping``; why it ended is reported, then ``pause`` for seconds."""
    delay_s = RETRY_S[0]
    while not stopping():
        began_s = time.monotonic()
        try:
            await session()
        except (CentreError, StoreError) as error:
            report(str(error))
        except Exception as error:
            log.exception("centre: unexpected error; it begins again. Please report this")
            report(f"internal error: {error!r}")
        steady = time.monotonic() - began_s > RETRY_S[1]
        delay_s = RETRY_S[0] if steady else min(2 * delay_s, RETRY_S[1])
        if not stopping():
            await pause(delay_s)
