"""Streams and WebSockets through the ASGI middleware, by messages."""

from __future__ import annotations

import asyncio
from typing import Any

from perfguard.asgi import GuardMiddleware
from perfguard.outcome import Outcome
from tests.asgi.messages import (
    CONNECT,
    OK,
    WEBSOCKET,
    Receive,
    Send,
    answering,
    full_guard,
    http,
    refused,
    request,
)


def test_a_stream_gives_its_permit_back_at_the_first_body_message() -> None:
    in_flight: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(OK[0])
        for _ in range(3):
            in_flight.append(middleware.guard.snapshot().in_flight)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body"})

    middleware = GuardMiddleware(app)
    asyncio.run(request(middleware, http()))
    assert in_flight == [1, 0, 0]
    assert "0 streams open" in repr(middleware)


def test_a_stream_over_the_cap_keeps_its_permit_and_is_not_cut() -> None:
    in_flight: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(OK[0])
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        in_flight.append(middleware.guard.snapshot().in_flight)
        await send({"type": "http.response.body"})

    middleware = GuardMiddleware(app, max_streams=0)
    assert len(asyncio.run(request(middleware, http()))) == 3
    assert in_flight == [1]
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}


def test_work_after_the_response_is_no_service_time() -> None:
    in_flight: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        in_flight.append(middleware.guard.snapshot().in_flight)

    middleware = GuardMiddleware(app)
    asyncio.run(request(middleware, http()))
    assert in_flight == [0]


def test_a_file_sent_by_path_ends_the_service() -> None:
    middleware = GuardMiddleware(answering(OK[0], {"type": "http.response.pathsend", "path": "/x"}))
    asyncio.run(request(middleware, http()))
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}


def test_a_websocket_is_admitted_and_then_counts_as_a_stream() -> None:
    seen: list[tuple[int, str]] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        seen.append((middleware.guard.snapshot().in_flight, repr(middleware)[-16:]))
        await send({"type": "websocket.accept"})
        seen.append((middleware.guard.snapshot().in_flight, repr(middleware)[-16:]))
        await send({"type": "websocket.close"})

    middleware = GuardMiddleware(app)
    asyncio.run(request(middleware, WEBSOCKET, CONNECT))
    assert seen == [(1, "0 streams open>"[-16:].rjust(16)), (0, "1 streams open>"[-16:].rjust(16))]


def test_a_websocket_that_the_application_rejects_gives_its_permit_back() -> None:
    middleware = GuardMiddleware(answering({"type": "websocket.close"}))
    asyncio.run(request(middleware, WEBSOCKET, CONNECT))
    assert middleware.guard.snapshot().settled == {Outcome.IGNORED: 1}


def test_a_websocket_is_refused_by_closing_it() -> None:
    sent = asyncio.run(refused(GuardMiddleware(answering(), full_guard()), WEBSOCKET, CONNECT))
    assert sent == [{"type": "websocket.close", "code": 1013}]


def test_a_websocket_is_refused_with_a_response_where_the_server_can() -> None:
    scope = {**WEBSOCKET, "extensions": {"websocket.http.response": {}}}
    start, body = asyncio.run(refused(GuardMiddleware(answering(), full_guard()), scope, CONNECT))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert body["type"] == "websocket.http.response.body"


def test_no_more_websockets_are_open_than_the_cap_allows() -> None:
    middleware = GuardMiddleware(answering({"type": "websocket.accept"}), max_streams=0)
    assert asyncio.run(request(middleware, WEBSOCKET, CONNECT))[0]["code"] == 1013
    assert middleware.guard.snapshot().in_flight == 0
