"""Requests that wait in the admission queue of the ASGI middleware, and what is refused."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from perfguard.asgi import GuardMiddleware
from perfguard.outcome import Outcome
from tests.asgi.messages import (
    CONNECT,
    OK,
    WEBSOCKET,
    Message,
    Receive,
    Send,
    answering,
    full_guard,
    http,
    request,
)


def test_a_client_that_left_while_queued_is_not_served() -> None:
    middleware = GuardMiddleware(answering(), full_guard())

    async def main() -> list[Message]:
        first = middleware.guard.admit()
        await first.acquire()
        queued = asyncio.create_task(request(middleware, http(), {"type": "http.disconnect"}))
        for _ in range(5):
            await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        return await queued

    assert asyncio.run(main()) == []
    assert middleware.guard.snapshot().settled[Outcome.IGNORED] == 1


def test_a_client_that_left_after_its_whole_request_is_not_served() -> None:
    middleware = GuardMiddleware(answering(), full_guard())

    async def main() -> list[Message]:
        first = middleware.guard.admit()
        await first.acquire()
        whole = {"type": "http.request", "body": b"all", "more_body": False}
        queued = asyncio.create_task(request(middleware, http(), whole, {"type": "http.disconnect"}))
        for _ in range(5):
            await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        return await queued

    assert asyncio.run(main()) == []


def test_a_body_read_ahead_while_queued_reaches_the_application_whole() -> None:
    bodies: list[bytes] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            bodies.append(message["body"])
            more = message["more_body"]
        await answering()(scope, receive, send)

    middleware = GuardMiddleware(app, full_guard())

    async def main() -> list[Message]:
        first = middleware.guard.admit()
        await first.acquire()
        parts = [
            {"type": "http.request", "body": b"one", "more_body": True},
            {"type": "http.request", "body": b"two", "more_body": False},
        ]
        queued = asyncio.create_task(request(middleware, http(), *parts))
        for _ in range(5):
            await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        return await queued

    assert asyncio.run(main()) == OK
    assert bodies == [b"one", b"two"]


def test_a_queued_request_that_is_cancelled_leaves_nothing_behind() -> None:
    middleware = GuardMiddleware(answering(), full_guard())

    async def main() -> None:
        async with middleware.guard.admit():
            queued = asyncio.create_task(request(middleware, http()))
            for _ in range(3):
                await asyncio.sleep(0)
            queued.cancel()
            await asyncio.gather(queued, return_exceptions=True)

    asyncio.run(main())
    assert middleware.guard.snapshot().queued == middleware.guard.snapshot().in_flight == 0


def test_a_websocket_waits_in_the_queue_too() -> None:
    middleware = GuardMiddleware(answering({"type": "websocket.accept"}), full_guard())

    async def main() -> list[Message]:
        first = middleware.guard.admit()
        await first.acquire()
        queued = asyncio.create_task(request(middleware, WEBSOCKET, CONNECT))
        for _ in range(5):
            await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        return await queued

    assert asyncio.run(main()) == [{"type": "websocket.accept"}]


def test_a_receive_without_end_is_read_twice_at_most_while_queued() -> None:
    middleware = GuardMiddleware(answering(), full_guard())
    reads = 0

    async def endless() -> Message:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    async def main() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        first = middleware.guard.admit()
        await first.acquire()
        queued = asyncio.create_task(middleware(http(), endless, send))
        for _ in range(20):
            await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        await queued
        return sent

    assert asyncio.run(main()) == OK
    assert reads == 2


def test_a_refusal_leaves_nothing_for_the_garbage_collector() -> None:
    middleware = GuardMiddleware(answering(), full_guard())

    async def main() -> int:
        async with middleware.guard.admit():
            waiting = asyncio.create_task(middleware.guard.admit().acquire())
            await asyncio.sleep(0)
            await request(middleware, http())
            gc.collect()
            for _ in range(10):
                assert (await request(middleware, http()))[0]["status"] == 503
            left = gc.collect()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return left

    assert asyncio.run(main()) == 0
