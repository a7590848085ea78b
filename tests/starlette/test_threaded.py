"""`def` endpoints of Starlette whose wait for a thread is measured."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

import anyio.to_thread
import httpx
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from perfguard.context import current_admission
from perfguard.errors import ConfigurationError
from perfguard.marks import Marks, marks_of
from perfguard.outcome import Priority
from perfguard_starlette import GuardMiddleware, exempt, priority, threaded
from tests.conftest import Run
from tests.waiting import waits_of

LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default="none")


async def answered(app: Any, path: str = "/") -> httpx.Response:
    """What an application answers."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path)


def test_the_waits_of_endpoints_behind_few_threads_add_up(run: Run) -> None:
    @threaded
    def endpoint(request: Request) -> PlainTextResponse:
        release.wait()
        return PlainTextResponse("done")

    release = threading.Event()
    app = Starlette(routes=[Route("/", endpoint)])
    run(waits_of(app, release, GuardMiddleware))


def test_an_endpoint_runs_on_a_thread_in_the_context_of_its_request(run: Run) -> None:
    @threaded
    def endpoint(request: Request) -> PlainTextResponse:
        assert current_admission.get() is not None
        assert threading.current_thread() is not main_thread
        return PlainTextResponse(LANGUAGE.get())

    async def main() -> None:
        LANGUAGE.set("eo")
        app = Starlette(routes=[Route("/", endpoint)])
        assert (await answered(GuardMiddleware(app))).text == "eo"

    main_thread = threading.current_thread()
    run(main())


def test_a_method_of_an_endpoint_class_may_be_threaded(run: Run) -> None:
    class Report(HTTPEndpoint):
        @threaded
        def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse(type(self).__name__)

    async def main() -> None:
        assert (await answered(Starlette(routes=[Route("/", Report)]))).text == "Report"

    run(main())


def test_an_exception_is_handled_as_ever(run: Run) -> None:
    @threaded
    def endpoint(request: Request) -> PlainTextResponse:
        raise HTTPException(418, "teapot")

    async def main() -> None:
        answer = await answered(Starlette(routes=[Route("/", endpoint)]))
        assert (answer.status_code, answer.text) == (418, "teapot")

    run(main())


def test_the_name_and_the_marks_of_an_endpoint_are_kept() -> None:
    @exempt
    @threaded
    @priority(Priority.HIGH)
    def endpoint(request: Request) -> PlainTextResponse:
        """Report."""
        return PlainTextResponse("done")

    assert (endpoint.__name__, endpoint.__doc__) == ("endpoint", "Report.")
    assert marks_of(endpoint) == Marks(priority=Priority.HIGH, exempt=True)


async def coroutine(request: Request) -> None:
    """Be async."""


def generator(request: Request) -> Any:
    """Be a generator."""
    yield request


@pytest.mark.parametrize(
    "endpoint", [7, coroutine, generator, threaded(lambda request: None), PlainTextResponse], ids=str
)
def test_what_does_not_wait_for_a_thread_by_itself_is_refused(endpoint: Any) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        threaded(endpoint)


def test_the_default_limiter_is_the_one_that_is_waited_for(run: Run) -> None:
    @threaded
    def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(limiter[0].borrowed_tokens))

    async def main() -> None:
        limiter.append(anyio.to_thread.current_default_thread_limiter())
        assert (await answered(Starlette(routes=[Route("/", endpoint)]))).text == "1"

    limiter: list[Any] = []
    run(main())
