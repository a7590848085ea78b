"""What the tests of the middleware share: applications, scopes, and requests made of messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]
OK: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"ok"},
]


def answering(*messages: Message) -> App:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for message in messages or OK:
            await send(message)

    return app


def http(path: str = "/", headers: list[tuple[bytes, bytes]] | None = None, **more: Any) -> dict[str, Any]:
    client = ("127.0.0.1", 5000)
    return {"type": "http", "method": "GET", "path": path, "headers": headers or [], "client": client, **more}


async def request(app: App, scope: Any, *incoming: Message) -> list[Message]:
    """Serve one scope; return what was sent."""
    sent: list[Message] = []
    messages = list(incoming) or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def full_guard(**arguments: Any) -> Guard:
    """A guard of one permit and one place to wait."""
    return Guard(Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1)), **arguments)


async def refused(middleware: GuardMiddleware, scope: Any, *incoming: Message) -> list[Message]:
    """Serve a scope while the permit and the place are taken."""
    guard = middleware.guard
    async with guard.admit():
        waiting = asyncio.create_task(guard.admit().acquire())
        await asyncio.sleep(0)
        sent = await request(middleware, scope, *incoming)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert guard.snapshot().in_flight == guard.snapshot().queued == 0
    return sent


def header(message: Message, name: bytes) -> bytes:
    value: bytes = dict(message["headers"])[name]
    return value


WEBSOCKET: dict[str, Any] = {"type": "websocket", "path": "/ws", "headers": [], "client": None}
CONNECT: Message = {"type": "websocket.connect"}
