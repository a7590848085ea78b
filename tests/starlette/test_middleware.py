"""Starlette's middleware: limits for each route, from the routes of the application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from perfguard import AdmissionQueue, ConfigurationError, Guard, KeyedLimiter, Limiter, Priority
from perfguard.events import Admitted, Event
from perfguard.limits.limit import LimitChange, Sample
from perfguard_starlette import GuardMiddleware, exempt, priority


class _One:
    """A limit of one that learns nothing."""

    value = 1

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn nothing."""


def _narrow(key: str) -> Limiter:
    return Limiter(_One(), AdmissionQueue(target=0.01, max_wait=0.02, min_length=1, max_length=1))


async def _ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


@priority(Priority.HIGH)
async def _high(request: Request) -> PlainTextResponse:
    return PlainTextResponse("high")


@exempt
async def _free(request: Request) -> PlainTextResponse:
    return PlainTextResponse("free")


def _routes() -> list[Route]:
    return [Route("/items/{item}", _ok), Route("/high", _high), Route("/free", _free)]


def _recording() -> tuple[Guard, list[Event]]:
    events: list[Event] = []
    return Guard(KeyedLimiter(), listeners=[events.append]), events


def _keys(events: list[Event]) -> list[tuple[str, Priority]]:
    return [(each.key, each.priority) for each in events if isinstance(each, Admitted)]


async def _get(app: Any, *paths: str) -> list[int]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return [(await client.get(path)).status_code for path in paths]


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def _inside(guard: Guard) -> Any:
    app = Starlette(routes=_routes())
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def _around(guard: Guard) -> Any:
    return GuardMiddleware(Starlette(routes=_routes()), guard)


def _around_middleware(guard: Guard) -> Any:
    return GuardMiddleware(GZipMiddleware(Starlette(routes=_routes())), guard)


def _in_the_constructor(guard: Guard) -> Any:
    return Starlette(routes=_routes(), middleware=[Middleware(GuardMiddleware, guard)])


@pytest.mark.parametrize("build", [_inside, _around, _around_middleware, _in_the_constructor])
def test_calls_carry_template_and_priority_wherever_the_middleware_stands(build: Callable[[Guard], Any]) -> None:
    """Requests count by route; what no route takes shares a key; the exempt do not count."""
    guard, events = _recording()

    statuses = asyncio.run(_get(build(guard), "/items/1", "/items/2", "/high", "/free", "/no", "/never"))

    assert statuses == [200, 200, 200, 200, 404, 404]
    assert _keys(events) == [
        ("/items/{item}", Priority.NORMAL),
        ("/items/{item}", Priority.NORMAL),
        ("/high", Priority.HIGH),
        ("_UNMATCHED", Priority.NORMAL),
        ("_UNMATCHED", Priority.NORMAL),
    ]


def test_routes_are_found_behind_middleware_of_another_custom() -> None:
    """Middleware that does not name what it wraps `app` costs nothing inside an application."""

    class Opaque:
        def __init__(self, app: Any) -> None:
            self._inner = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._inner(scope, receive, send)

    guard, events = _recording()
    app = Starlette(routes=_routes(), middleware=[Middleware(GuardMiddleware, guard), Middleware(Opaque)])

    asyncio.run(_get(app, "/items/1"))

    assert _keys(events) == [("/items/{item}", Priority.NORMAL)]


def test_saturated_route_sheds_itself_alone() -> None:
    """While one route is full, its requests are refused and its neighbour's are served."""
    started, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        started.set()
        await gate.wait()
        return PlainTextResponse("at last")

    app = Starlette(routes=[Route("/slow", slow), *_routes()])
    app.add_middleware(GuardMiddleware, guard=Guard(KeyedLimiter(_narrow)))

    async def scenario() -> None:
        first = asyncio.create_task(_get(app, "/slow"))
        await started.wait()
        assert await _get(app, "/slow", "/items/1", "/high") == [503, 200, 200]
        gate.set()
        assert await first == [200]
        assert await _get(app, "/slow") == [200]

    _run(scenario)


def test_routes_added_later_are_known() -> None:
    """The table is made again when the application has more routes."""
    guard, events = _recording()
    app = _inside(guard)

    asyncio.run(_get(app, "/late"))
    app.add_route("/late", _ok)
    asyncio.run(_get(app, "/late"))

    assert [key for key, _ in _keys(events)] == ["_UNMATCHED", "/late"]


def test_middleware_of_a_mounted_application_knows_the_routes_below() -> None:
    """The mount's prefix is not part of the inner templates."""
    guard, events = _recording()
    outer = Starlette(routes=[Mount("/inner", app=_inside(guard)), Route("/items/{item}", _ok)])

    asyncio.run(_get(outer, "/inner/items/1", "/items/1"))

    assert [key for key, _ in _keys(events)] == ["/items/{item}"]


def test_application_without_routes_is_guarded_under_one_limit(caplog: pytest.LogCaptureFixture) -> None:
    """Requests go on, and the mistake is logged once with its remedy."""
    guard, events = _recording()

    with caplog.at_level(logging.ERROR):
        statuses = asyncio.run(_get(GuardMiddleware(PlainTextResponse("bare"), guard), "/a", "/b"))

    assert statuses == [200, 200]
    assert [key for key, _ in _keys(events)] == ["_UNMATCHED", "_UNMATCHED"]
    assert [record.name for record in caplog.records] == ["perfguard"]
    assert "must be a Starlette application" in caplog.text


def test_switched_off_guard_looks_nothing_up() -> None:
    """An operator's switch takes the route lookup out of the way as well."""

    class Unread(GuardMiddleware):
        def route_table(self, routes: Any) -> Any:
            raise AssertionError("read")

    assert asyncio.run(_get(Unread(Starlette(routes=_routes()), Guard(enabled=False)), "/high")) == [200]


def test_table_is_made_when_the_server_starts() -> None:
    """The first request need not wait for it; lifespan reaches the application."""
    made: list[int] = []

    class Counting(GuardMiddleware):
        def route_table(self, routes: Any) -> Any:
            made.append(len(routes))
            return super().route_table(routes)

    app = Counting(Starlette(routes=_routes()))
    sent: list[str] = []

    async def scenario() -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> dict[str, str]:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "state": {}}, receive, send)
        await _get(app, "/high")

    _run(scenario)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert made == [3]


def test_websocket_handshake_counts_under_its_route() -> None:
    """WebSocket routes have keys and marks like any other."""
    guard, events = _recording()

    @priority(Priority.LOW)
    async def feed(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = GuardMiddleware(Starlette(routes=[WebSocketRoute("/feed/{topic}", feed)]), guard)
    sent: list[str] = []

    async def scenario() -> None:
        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "websocket", "path": "/feed/news", "headers": []}, receive, send)

    _run(scenario)

    assert sent == ["websocket.accept", "websocket.close"]
    assert _keys(events) == [("/feed/{topic}", Priority.LOW)]


def test_guard_and_max_keys_exclude_each_other() -> None:
    """The cap belongs to the guard's own limiter."""
    with pytest.raises(ConfigurationError, match="max_keys belongs to the KeyedLimiter"):
        GuardMiddleware(Starlette(), Guard(), max_keys=5)


def test_wrong_arguments_raise_when_the_middleware_is_built() -> None:
    """Before any request."""
    with pytest.raises(ConfigurationError, match="max_keys must be at least 1"):
        GuardMiddleware(Starlette(), max_keys=0)
    with pytest.raises(ConfigurationError, match="timeout must be"):
        GuardMiddleware(Starlette(), timeout=-1.0)


def test_default_guard_keeps_as_many_limits_as_max_keys() -> None:
    """The cap is handed to the limiter."""
    app = GuardMiddleware(Starlette(routes=_routes()), max_keys=7)

    assert "0/7 keys" in repr(app)
