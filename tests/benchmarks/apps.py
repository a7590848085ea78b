"""The applications that are measured, with the protection that `PROTECTION` names."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limit, Limiter, VegasLimit
from perfguard.queueing import AdmissionQueue

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ROUNDS = int(os.environ.get("ROUNDS", "0"))
_PROBE = 20_000


def spin(rounds: int) -> int:
    """Compute: the same work however long it takes."""
    total = 0
    for number in range(rounds):
        total += number
    return total


def calibrate(seconds: float) -> int:
    """Return how many rounds take that long on this machine, undisturbed."""
    best = float("inf")
    for _ in range(30):
        start = time.process_time()
        spin(_PROBE)
        best = min(best, time.process_time() - start)
    return int(_PROBE * seconds / best)


async def compute(scope: Any, receive: Receive, send: Send) -> None:
    """Hold the loop for a while, as a handler does that renders or serialises."""
    if scope["type"] == "http":
        spin(ROUNDS)
        await answer(send, b"ok")


_pool: list[asyncio.Semaphore] = []


async def pool(scope: Any, receive: Receive, send: Send) -> None:
    """Wait for one of ten connections, and hold it for 20 ms."""
    if scope["type"] != "http":
        return
    if not _pool:
        _pool.append(asyncio.Semaphore(10))
    async with _pool[0]:
        await asyncio.sleep(0.02)
    await answer(send, b"ok")


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
    """A limit without a queue or pacing: calls beyond it are refused."""
    return Guard(Limiter(limit, AdmissionQueue(min_length=1, max_length=1)))


_APPS = {"compute": compute, "pool": pool}
_PROTECTIONS: dict[str, Callable[[Any], Any]] = {
    "none": lambda app: app,
    "perfguard": GuardMiddleware,
    "fixed limit": lambda app: InFlightLimit(app, 20),
    "vegas per call": lambda app: GuardMiddleware(app, refusing_at_once(VegasLimit(window=0))),
    "fixed guard": lambda app: GuardMiddleware(app, Guard(Limiter(FixedLimit(20)))),
}
app = _PROTECTIONS[os.environ.get("PROTECTION", "none")](_APPS[os.environ.get("APP", "compute")])

if __name__ == "__main__":
    print(json.dumps({"rounds": calibrate(float(os.environ["SECONDS"]))}))
