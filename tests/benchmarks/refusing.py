"""A guard that refuses every request, so that what a refusal costs can be measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue

_HOUR = 3600.0


class AlwaysFull:
    """Holds the one permit and the one place of a guard from the first request on.

    Args:
        build: Puts an application behind a guard.
    """

    def __init__(self, build: Callable[[Guard], Any]) -> None:
        queue = AdmissionQueue(target=_HOUR, interval=_HOUR, max_wait=_HOUR, min_length=1, max_length=1)
        self.guard = Guard(Limiter(FixedLimit(1), queue))
        self._app = build(self.guard)
        self._filling = False
        self._waiting: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse one request."""
        if not self._filling and scope["type"] == "http":
            await self.fill()
        await self._app(scope, receive, send)

    async def fill(self) -> None:
        """Take the permit and the place, on the running loop."""
        self._filling = True
        await self.guard.admit().acquire()
        self._waiting = asyncio.create_task(self.guard.admit().acquire())
        await asyncio.sleep(0)

    async def empty(self) -> None:
        """Give the place back."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
