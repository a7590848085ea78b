"""Starlette on a real server: a saturated route beside a fast one."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from perfguard import Guard, KeyedLimiter, Limiter
from perfguard.limits.limit import LimitChange, Sample
from perfguard_starlette import GuardMiddleware, exempt


class _Two:
    """A limit of two that learns nothing."""

    value = 2

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn nothing."""


def _app() -> Starlette:
    gate = asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        await gate.wait()
        return PlainTextResponse("slow")

    async def fast(request: Request) -> PlainTextResponse:
        return PlainTextResponse("fast")

    @exempt
    async def release(request: Request) -> PlainTextResponse:
        gate.set()
        return PlainTextResponse("released")

    app = Starlette(routes=[Route("/slow", slow), Route("/fast", fast), Route("/release", release)])
    app.add_middleware(GuardMiddleware, guard=Guard(KeyedLimiter(lambda _: Limiter(_Two()))))
    return app


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a running server."""
    server = uvicorn.Server(uvicorn.Config(_app(), log_level="warning", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield "http://{}:{}".format(*listener.getsockname())
        server.should_exit = True
        thread.join()


def test_fast_route_beside_a_saturated_one_is_not_shed(url: str) -> None:
    """While `/slow` stands full and refuses, every request to `/fast` is served."""
    slow, fast = asyncio.run(_scenario(url))

    assert fast == [200] * 50
    assert slow.count(200) >= 2
    assert set(slow) == {200, 503}


async def _scenario(url: str) -> tuple[list[int], list[int]]:
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=url, timeout=30.0, limits=limits) as client:

        async def get(path: str) -> int:
            return (await client.get(path)).status_code

        slow = [asyncio.create_task(get("/slow")) for _ in range(30)]
        await next(asyncio.as_completed(slow))  # The first answer is a refusal: the route is full.
        fast = [await get("/fast") for _ in range(50)]
        await get("/release")
        return await asyncio.gather(*slow), fast
