"""FastAPI on a real server: a saturated route beside a fast one."""

import asyncio

from fastapi import APIRouter, Depends, FastAPI

from perfguard import Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit
from perfguard_fastapi import GuardMiddleware, exempt
from tests.saturation import slow_and_fast, uvicorn_of


def _app() -> FastAPI:
    gate = asyncio.Event()
    router = APIRouter(prefix="/v1")

    @router.get("/slow/{item}")
    async def slow(item: int) -> int:
        await gate.wait()
        return item

    @router.get("/fast/{item}")
    def fast(item: int) -> int:
        return item

    @router.get("/release", dependencies=[Depends(exempt)])
    async def release() -> None:
        gate.set()

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(GuardMiddleware, guard=Guard(KeyedLimiter(lambda _: Limiter(FixedLimit(2)))))
    return app


def test_fast_route_beside_a_saturated_one_is_not_shed() -> None:
    """While `/slow` stands full and refuses, every request to `/fast` is served."""
    with uvicorn_of(_app(), loop="uvloop") as url:
        slow, fast = slow_and_fast(url, "/v1/slow/{number}", "/v1/fast/{number}", "/v1/release")

    assert fast == [200] * 50
    assert slow.count(200) >= 2
    assert set(slow) == {200, 503}
