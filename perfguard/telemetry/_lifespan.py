"""Exports what waits before an ASGI server ends, which may leave no time for it after that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LAST = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


def flushing(send: Send, fault: Callable[[str, BaseException], object]) -> Send:
    """Return a `send` for a lifespan scope, which exports what waits before the application's last message.

    uvicorn ends by the signal that it was sent, and granian's workers end at once: what is
    registered to run at the exit of the process does not run.

    Args:
        send: The server's.
        fault: Is told of what fails.
    """

    async def send_on(message: MutableMapping[str, Any]) -> None:
        if message.get("type") in _LAST:
            try:
                await _flush()
            except Exception as error:
                fault("the last export", error)
        await send(message)

    return send_on


async def _flush() -> None:
    # As long as nobody has called `configure`, OpenTelemetry is not loaded for this.
    module = sys.modules.get("perfguard.telemetry.configuration")
    configuration = None if module is None else module.standing()
    if configuration is not None:
        await asyncio.to_thread(configuration.force_flush)
