"""The plain ASGI applications that are measured: `APP` names one, `PROTECTION` what stands in front of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import Limit, Limiter, VegasLimit
from perfguard.queueing import AdmissionQueue
from tests.benchmarks.turning_away import TurningAway
from tests.benchmarks.work import burn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WORK = float(os.environ.get("WORK", "0"))
"""Seconds that a request computes."""
HALVE_AFTER = float(os.environ.get("HALVE_AFTER", "0"))
"""Seconds from the first request after which the halving pool loses half of its connections."""


async def compute(scope: Any, receive: Receive, send: Send) -> None:
    """Hold the loop for a while, as a handler does that renders or serialises."""
    if scope["type"] == "http":
        burn(WORK)
        await answer(send, b"ok")


class Pool:
    """Answers after 20 ms with one of ten connections, for which requests wait as long as it takes.

    Args:
        halve_after: Seconds from the first request after which five connections are left; 0 keeps them all.
    """

    def __init__(self, halve_after: float = 0.0) -> None:
        self._halve_after = halve_after
        self._free: asyncio.Semaphore | None = None
        self._excess = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        free = self._connections()
        await free.acquire()
        try:
            await asyncio.sleep(0.02)
        finally:
            if self._excess:
                self._excess -= 1
            else:
                free.release()
        await answer(send, b"ok")

    def _connections(self) -> asyncio.Semaphore:
        if self._free is None:
            self._free = asyncio.Semaphore(10)
            if self._halve_after:
                asyncio.get_running_loop().call_later(self._halve_after, self._halve)
        return self._free

    def _halve(self) -> None:
        self._excess = 5


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """Send a whole response."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class InFlightLimit:
    """What is usually written by hand: 503 above a number of requests in flight."""

    def __init__(self, app: Any, most: int) -> None:
        self.app = app
        self.most = most
        self.in_flight = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve, or refuse."""
        if scope["type"] == "http" and self.in_flight >= self.most:
            await answer(send, b"overloaded", 503)
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1


def refusing_at_once(limit: Limit) -> Guard:
    """A limit without a queue: calls beyond it are refused."""
    return Guard(Limiter(limit, AdmissionQueue(min_length=1, max_length=1)))


_APPS: dict[str, Callable[[], Any]] = {
    "compute": lambda: compute,
    "pool": Pool,
    "halving": lambda: Pool(HALVE_AFTER),
}
_PROTECTIONS: dict[str, Callable[[Any], Any]] = {
    "none": lambda app: app,
    "perfguard": GuardMiddleware,
    "turning away": lambda app: TurningAway(app, float(os.environ["SHARE"])),
    "fixed limit": lambda app: InFlightLimit(app, 20),
    "vegas per call": lambda app: GuardMiddleware(app, refusing_at_once(VegasLimit(window=0))),
}
app = _PROTECTIONS[os.environ.get("PROTECTION", "none")](_APPS[os.environ.get("APP", "compute")]())
