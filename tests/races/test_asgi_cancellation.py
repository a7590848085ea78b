"""Requests through the ASGI middleware, a fifth of them cancelled somewhere on their way."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from random import Random
from typing import Any

import pytest

from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from tests.manual_loop import turns

AT_ONCE = 50
CANCELLED = 10
KIBIBYTE = 1024


class Traffic:
    """Makes requests fifty at a time, and cancels ten of each fifty: queued, served, in receive or in send.

    Args:
        seed: Of all that is left to chance.
    """

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self.middleware = GuardMiddleware(self._app, Guard(Limiter(FixedLimit(7))))
        self.sent = 0

    async def make(self, count: int) -> None:
        """Make so many requests, and await their ends."""
        for _ in range(count // AT_ONCE):
            tasks = [asyncio.ensure_future(self._request()) for _ in range(AT_ONCE)]
            victims = self._chance.sample(tasks, CANCELLED)
            for task in victims:
                await turns(self._chance.randrange(3))
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _request(self) -> None:
        scope: dict[str, Any] = {"type": "http", "path": "/", "headers": [], "client": None}
        await self.middleware(scope, self._receive, self._send)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await turns(self._chance.randrange(3))
        if self._chance.random() < 0.05:
            raise ValueError
        streams = self._chance.random() < 0.1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": streams})
        if streams:
            await send({"type": "http.response.body", "body": b"b"})

    async def _receive(self) -> dict[str, Any]:
        await turns(self._chance.randrange(2))
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        await turns(self._chance.randrange(2))
        self.sent += 1


def assert_nothing_is_left(middleware: GuardMiddleware) -> None:
    state = middleware.guard.snapshot()
    assert (state.in_flight, state.queued) == (0, 0)
    assert "0 streams open" in repr(middleware)


@pytest.mark.parametrize("seed", range(2))
def test_cancelled_requests_leave_no_permit_and_no_place(seed: int) -> None:
    """Ten thousand requests of each seed end with nothing in flight, nothing queued and no stream open."""
    traffic = Traffic(seed)

    asyncio.run(traffic.make(10_000))

    assert_nothing_is_left(traffic.middleware)
    assert traffic.sent > 0


@pytest.mark.slow
def test_a_million_requests_with_a_fifth_cancelled_leave_nothing_behind() -> None:
    """Nothing is in flight or queued, and memory is what it was after the first hundred thousand."""
    traffic = Traffic(1)

    async def main() -> int:
        await traffic.make(100_000)
        gc.collect()
        tracemalloc.start()
        await traffic.make(10_000)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        objects = len(gc.get_objects())
        await traffic.make(880_000)
        gc.collect()
        assert len(gc.get_objects()) < objects + 1_000
        tracemalloc.start()
        await traffic.make(10_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return grown

    assert asyncio.run(main()) < 256 * KIBIBYTE
    assert_nothing_is_left(traffic.middleware)
