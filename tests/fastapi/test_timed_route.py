"""FastAPI's route with the wait for a thread measured: the same answers as without it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import anyio.to_thread
import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Path, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from perfguard import Guard, KeyedLimiter, Limiter
from perfguard.events import Settled
from perfguard.limits import FixedLimit
from perfguard.testing import RecordingListener
from perfguard_fastapi import GuardMiddleware, TimedRoute, exempt
from tests.conftest import Run
from tests.waiting import waits_of

LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default="none")


class Item(BaseModel):
    """What is ordered."""

    name: str
    number: int = 1


def counted() -> Iterator[list[str]]:
    """A dependency with an end."""
    steps = ["begun"]
    yield steps
    steps.append("ended")


async def now() -> float:
    """A dependency: the last instant on the loop before the endpoint is handed over."""
    return time.monotonic()


def service(route_class: type[APIRoute]) -> FastAPI:
    """One endpoint of each sort, in the application and in a router of it."""
    app = FastAPI()
    app.router.route_class = route_class
    router = APIRouter(prefix="/inner", route_class=route_class)
    add_results(app)
    add_responses(app)
    add_items(router)
    app.include_router(router)
    return app


def add_results(app: FastAPI) -> None:
    """Add endpoints that return, or raise."""

    @app.get("/plain")
    def plain() -> str:
        return f"{threading.current_thread() is threading.main_thread()} {LANGUAGE.get()}"

    @app.get("/async")
    async def awaited() -> str:
        return "awaited"

    @app.get("/wrong", response_model=Item)
    def wrong() -> Any:
        return {"number": "many"}

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "teapot", headers={"x-tea": "green"})

    @app.get("/broken")
    def broken() -> None:
        raise LookupError("mine")


def add_responses(app: FastAPI) -> None:
    """Add endpoints with responses of their own."""
    done: list[str] = []

    @app.get("/text", response_class=PlainTextResponse)
    def text(request: Request) -> str:
        return request.url.path

    @app.get("/streamed")
    def streamed() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), 202)

    @app.get("/generated", response_class=StreamingResponse)
    def generated() -> Iterator[str]:
        yield from ("a", "b")

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "background")
        return str(len(done))


def add_items(router: APIRouter) -> None:
    """Add endpoints with parameters, dependencies and models."""

    @router.get("/items/{number}", tags=["items"])
    def item(
        number: Annotated[int, Path(ge=1)],
        steps: Annotated[list[str], Depends(counted)],
        user_agent: Annotated[str, Header()],
        q: str = "none",
    ) -> dict[str, Any]:
        """Return one item."""
        return {"number": number, "q": q, "agent": user_agent, "steps": steps}

    @router.post("/items", status_code=201, response_model=Item)
    def order(item: Item, response: Response) -> Any:
        response.headers["x-name"] = item.name
        return {"name": item.name, "number": item.number, "secret": "none of their business"}


ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/plain", None),
    ("GET", "/async", None),
    ("GET", "/inner/items/7?q=red", None),
    ("GET", "/inner/items/0", None),
    ("GET", "/inner/items/x", None),
    ("POST", "/inner/items", {"name": "cup", "number": 3}),
    ("POST", "/inner/items", {"number": 3}),
    ("POST", "/plain", None),
    ("GET", "/wrong", None),
    ("GET", "/teapot", None),
    ("GET", "/broken", None),
    ("GET", "/text", None),
    ("GET", "/streamed", None),
    ("GET", "/generated", None),
    ("GET", "/background", None),
    ("GET", "/background", None),
    ("GET", "/openapi.json", None),
]


async def answers_of(app: FastAPI) -> list[tuple[int, dict[str, str], str]]:
    """What it answers to each request."""
    LANGUAGE.set("eo")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.request(method, path, json=body) for method, path, body in ASKED]
    return [(each.status_code, dict(each.headers), each.text) for each in answers]


def test_answers_and_schema_are_those_of_fastapis_own_route(run: Run) -> None:
    async def main() -> None:
        theirs, ours = await answers_of(service(APIRoute)), await answers_of(service(TimedRoute))
        assert ours == theirs
        assert [status for status, *_ in ours[:12]] == [200, 200, 200, 422, 422, 201, 422, 405, 500, 418, 500, 200]
        assert ours[0][2] == '"False eo"'

    run(main())


def test_the_waits_of_endpoints_behind_few_threads_add_up(run: Run) -> None:
    release = threading.Event()
    app = FastAPI()
    app.router.route_class = TimedRoute

    @app.get("/")
    def endpoint() -> None:
        release.wait()

    run(waits_of(app, release, GuardMiddleware))


def test_the_waits_of_a_router_that_was_included_are_measured(run: Run) -> None:
    release = threading.Event()
    app, outer, inner = FastAPI(), APIRouter(), APIRouter(route_class=TimedRoute)

    @inner.get("/")
    def endpoint() -> None:
        release.wait()

    outer.include_router(inner)
    app.include_router(outer)
    run(waits_of(app, release, GuardMiddleware))


def test_marks_above_and_below_the_routes_decorator_are_seen(run: Run) -> None:
    app = FastAPI()
    app.router.route_class = TimedRoute

    @exempt
    @app.get("/above")
    def above() -> str:
        return "above"

    @app.get("/below")
    @exempt
    def below() -> str:
        return "below"

    @app.get("/none")
    def none() -> str:
        return "none"

    async def main() -> None:
        guard = Guard(KeyedLimiter(lambda _: Limiter(FixedLimit(1))))
        transport = httpx.ASGITransport(GuardMiddleware(app, guard))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/above", "/below", "/none"):
                assert (await client.get(path)).status_code == 200
        assert guard.snapshot().admitted == 1

    run(main())


def test_endpoints_that_are_no_functions_are_left_as_they_are() -> None:
    class Endpoint:
        def __call__(self) -> str:
            return "called"

    endpoint = Endpoint()
    assert TimedRoute("/", endpoint).endpoint is endpoint


@pytest.mark.slow
def test_the_waits_of_200_requests_of_20_ms_behind_40_threads_add_up(run: Run) -> None:
    """The truth is from the last instant on the loop to the first one on the thread."""
    heard = RecordingListener()
    waits: list[float] = []
    app = FastAPI()
    app.router.route_class = TimedRoute

    @app.get("/")
    def endpoint(since: Annotated[float, Depends(now)]) -> None:
        waits.append(time.monotonic() - since)
        time.sleep(0.02)

    async def main() -> None:
        assert anyio.to_thread.current_default_thread_limiter().total_tokens == 40
        guarded = GuardMiddleware(app, Guard(Limiter(FixedLimit(1000)), listeners=[heard]))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://test") as client:
            await asyncio.gather(*(client.get("/") for _ in range(200)))

    run(main())
    told = [each.thread_time for each in heard.of(Settled)]
    assert len(told) == len(waits) == 200
    assert 0.8 * sum(waits) <= sum(told) <= sum(waits)
