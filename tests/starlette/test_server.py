"""Starlette on a real server: a saturated route beside a fast one."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from perfguard import Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit
from perfguard_starlette import GuardMiddleware, exempt
from tests.saturation import slow_and_fast, uvicorn_of


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
    app.add_middleware(GuardMiddleware, guard=Guard(KeyedLimiter(lambda _: Limiter(FixedLimit(2)))))
    return app


def test_fast_route_beside_a_saturated_one_is_not_shed() -> None:
    """While `/slow` stands full and refuses, every request to `/fast` is served."""
    with uvicorn_of(_app()) as url:
        slow, fast = slow_and_fast(url, "/slow", "/fast", "/release")

    assert fast == [200] * 50
    assert slow.count(200) >= 2
    assert set(slow) == {200, 503}
