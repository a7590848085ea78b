"""Django behaves with the guard as it does without, message for message."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings

from tests.django.driving import Answer, ask, ask_asgi, environ, guarded, guarded_asgi, project
from tests.wsgi.test_environ import Aged

PATHS = [
    "/",
    "/plain/",
    "/plain",
    "/plain-async/",
    "/template/",
    "/boom/",
    "/boom-async/",
    "/missing/",
    "/denied/",
    "/bad/",
    "/suspicious/",
    "/nothing/",
    "/nowhere/",
    "/status/201/",
    "/status/204/",
    "/status/304/",
    "/status/503/",
    "/stream/",
    "/stream-empty/",
    "/stream-broken/",
    "/file/",
    "/important/7/",
    "/dispatched/",
    "/marked/",
    "/old/1999/",
]
GZIP = "django.middleware.gzip.GZipMiddleware"
SYNC_ONLY = f"{__name__}.sync_only"
ASYNC_ONLY = f"{__name__}.AsyncOnly"
BROKEN = f"{__name__}.broken"
EMPTY = f"{__name__}.empty"


def sync_only(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware as most are written: a function, of one colour."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Below"] = "sync"
        return response

    return middleware


class AsyncOnly:
    """Middleware of the other colour."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        from asgiref.sync import markcoroutinefunction

        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        """Answer."""
        response = await self.get_response(request)
        response["X-Below"] = "async"
        return response


def broken(get_response: Any) -> Any:
    """Middleware that raises."""

    def middleware(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("middleware")

    return middleware


def empty(get_response: Any) -> Any:
    """Middleware that forgets to return."""
    return lambda request: None


def _both(path: str, method: str = "GET", below: list[str] | None = None, **extra: Any) -> tuple[Answer, Answer]:
    stack = settings.BELOW if below is None else below
    with project(*stack):
        bare = ask(WSGIHandler(), path, method, **extra)
    with project(settings.GUARD, *stack):
        return bare, ask(WSGIHandler(), path, method, **extra)


def _both_asgi(path: str, method: str = "GET", below: list[str] | None = None) -> tuple[Answer, Answer]:
    stack = settings.BELOW if below is None else below
    with project(*stack):
        bare = asyncio.run(ask_asgi(ASGIHandler(), path, method))
    with project(settings.GUARD, *stack):
        return bare, asyncio.run(ask_asgi(ASGIHandler(), path, method))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_wsgi_answers_are_the_same(path: str, method: str) -> None:
    """Status, headers, each part and what is raised in between."""
    bare, guarded = _both(path, method)

    assert guarded == bare


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*PATHS, "/stream-async/"])
def test_asgi_answers_are_the_same(path: str, method: str) -> None:
    """Each message of the protocol."""
    bare, guarded = _both_asgi(path, method)

    assert guarded == bare


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("below", [SYNC_ONLY, ASYNC_ONLY, BROKEN, GZIP], ids=["sync", "async", "broken", "gzip"])
@pytest.mark.parametrize("path", ["/plain/", "/plain-async/", "/boom/", "/stream/", "/stream-async/", "/file/"])
def test_middleware_below_works_as_without(path: str, below: str) -> None:
    """Of one colour or the other, of both, and broken."""
    stack = [*settings.BELOW, below]

    for bare, behind in (_both(path, below=stack), _both_asgi(path, below=stack)):
        assert behind == bare


@pytest.mark.parametrize("stack", [[EMPTY], [BROKEN], [SYNC_ONLY]], ids=["empty", "broken", "sync"])
def test_middleware_right_below_works_as_without(stack: list[str]) -> None:
    """Where it returns no response the server gets the same error."""

    def outcome(*middleware: str) -> Any:
        with project(*middleware):
            try:
                return ask(WSGIHandler(), "/plain/")
            except AttributeError as error:
                return str(error)

    assert outcome(settings.GUARD, *stack) == outcome(*stack)


def test_a_conditional_request_gets_304() -> None:
    """By the validator of the first answer."""
    tag = _both("/plain/")[0].header("ETag")
    bare, guarded = _both("/plain/", HTTP_IF_NONE_MATCH=tag)

    assert guarded == bare
    assert guarded.status == 304


@pytest.mark.parametrize("path", ["/boom/", "/nowhere/", "/boom-async/"])
def test_debug_pages_are_the_same(path: str) -> None:
    """Apart from the list of middleware that they show."""

    def shown(answer: Answer) -> list[str]:
        text = re.sub("0x[0-9a-f]+", "", answer.body.decode())
        text = text.replace(f"&#x27;{settings.GUARD}&#x27;,\n ", "")
        return re.findall(r"<(?:title|h1|h2|pre)[^>]*>.*?</", text, re.DOTALL) + re.findall(r"File \S+ line \d+", text)

    with override_settings(DEBUG=True):
        bare, guarded = _both(path)

    assert guarded.status == bare.status
    assert shown(guarded) == shown(bare)


@pytest.mark.parametrize("path", ["/stream/", "/file/"])
def test_a_client_that_leaves_early_closes_the_response(path: str) -> None:
    """One part, and no more."""
    bare, guarded = _both(path, most=1)

    assert guarded == bare
    assert len(guarded.parts) == 1


@pytest.mark.parametrize("path", ["/plain/", "/stream/", "/file/", "/boom/"])
def test_the_protocol_is_kept(path: str) -> None:
    """As wsgiref's validator sees it."""
    with project(settings.GUARD, *settings.BELOW):
        checked = validator(WSGIHandler())
        body = checked(environ(path), lambda status, headers, exc_info=None: lambda data: None)
        assert b"".join(body)
        body.close()  # type: ignore[attr-defined]


def test_a_file_is_left_to_the_servers_wrapper() -> None:
    """And closed by it."""
    with project(settings.GUARD, *settings.BELOW):
        extra: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
        handler: Any = WSGIHandler()
        body = handler(environ("/file/", **extra), lambda *_: None)

        assert isinstance(body, FileWrapper)
        assert b"".join(body) == b"x" * 10_000
        body.close()


def test_sessions_last_over_requests() -> None:
    """Django's own test client keeps the cookie."""
    with project(settings.GUARD, *settings.BELOW):
        client = Client()

        assert [client.get("/visits/").content for _ in range(3)] == [b"1", b"2", b"3"]


def test_django_test_clients_meet_no_difference() -> None:
    """Exceptions come through, streams can be read, in both colours."""
    with project(settings.GUARD, *settings.BELOW):
        with pytest.raises(RuntimeError, match="boom"):
            Client().get("/boom/")
        assert Client().get("/stream/").getvalue() == b"one two three"

        async def scenario() -> None:
            client = AsyncClient()
            with pytest.raises(RuntimeError, match="boom async"):
                await client.get("/boom-async/")
            response = await client.get("/stream-async/")
            assert b"".join([part async for part in response]) == b"one two three"  # type: ignore[attr-defined]

        asyncio.run(scenario())


@pytest.fixture
def rows() -> Iterator[None]:
    """An empty table."""
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS rows")
        cursor.execute("CREATE TABLE rows (number INTEGER)")
    yield
    connections.close_all()


@pytest.mark.usefixtures("rows")
def test_requests_are_atomic() -> None:
    """A failed one leaves nothing behind, under either protocol."""
    with project(settings.GUARD, *settings.BELOW):
        wsgi, asgi = WSGIHandler(), ASGIHandler()

        assert ask(wsgi, "/rows/").body == b"True"
        assert ask(wsgi, "/rows/?fail=1").status == 500
        assert asyncio.run(ask_asgi(asgi, "/rows/")).body == b"True"
        assert asyncio.run(ask_asgi(asgi, "/rows/?fail=1")).status == 500
        assert ask(wsgi, "/count/").body == b"2"


def test_a_file_on_disk_is_closed(tmp_path: Path) -> None:
    """No handle is left open by the guard."""
    with tempfile.TemporaryFile(dir=tmp_path):
        bare, guarded = _both("/file/", "HEAD")

    assert guarded.header("Content-Length") == bare.header("Content-Length") == "10000"


def test_a_dry_run_serves_a_client_that_closed_its_half_of_the_connection() -> None:
    """It may yet read the answer; a trial changes nothing for anybody."""
    handler, middleware = guarded(DRY_RUN=True)

    closed: dict[str, Any] = {"gunicorn.socket": Aged(age=25, state=8)}
    answer = ask(handler, "/plain/", **closed)

    assert answer.body == b"plain"
    assert middleware.guard.snapshot().admitted == 1


def test_synchronous_views_of_two_requests_run_on_two_threads_under_asgi() -> None:
    """With the guard as without, so that none waits for a thread."""
    handler, _ = guarded_asgi()

    async def main() -> tuple[Answer, Answer]:
        return await asyncio.gather(ask_asgi(handler, "/meet/"), ask_asgi(handler, "/meet/"))

    assert [answer.body for answer in asyncio.run(main())] == [b"met", b"met"]
