"""perfguard_fastapi: keys, marks and dependencies in a FastAPI application."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket, routing
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Router

from perfguard import Call, ConfigurationError, Guard, KeyedLimiter, LimitExceeded, Outcome, Reason
from perfguard.clock import monotonic
from perfguard.events import Admitted, Event
from perfguard.targets import Target
from perfguard_fastapi import Deadline, GuardMiddleware, Priority, Remaining, exempt, priority


@pytest.fixture(params=["nested", "flat"])
def _listing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """FastAPI that nests included routers, and an older one that copies their routes."""
    if request.param == "flat":
        contexts = routing.iter_route_contexts
        monkeypatch.delattr(routing, "iter_route_contexts")
        monkeypatch.setattr(FastAPI, "routes", property(lambda app: list(_copied(contexts(app.router.routes)))))


def _copied(contexts: Any) -> Iterator[BaseRoute]:
    """Yield plain routes with whole paths, as `include_router` of older versions makes them."""
    for each in contexts:
        route = each.original_route
        if isinstance(route, routing.APIRoute):
            yield routing.APIRoute(each.path, each.endpoint, dependencies=each.dependencies, methods=each.methods)
        elif isinstance(route, routing.APIWebSocketRoute):
            yield routing.APIWebSocketRoute(each.path, each.endpoint, dependencies=each.dependencies)
        else:
            yield route


def _target(app: FastAPI, path: str, method: str = "GET", kind: str = "http") -> Target:
    table = GuardMiddleware(app).route_table(app.routes)
    return table.find({"type": kind, "method": method, "path": path, "headers": []})


async def _endpoint() -> str:
    return "ok"


async def _plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("plain")


async def _get(app: Any, *paths: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return [await client.get(path) for path in paths]


def _nested(*, mark: Any = None) -> FastAPI:
    """An application with a router in a router, each with a prefix."""
    inner, outer, app = APIRouter(prefix="/items"), APIRouter(prefix="/shop"), FastAPI()
    inner.get("/{item}")(_endpoint)
    inner.websocket("/feed")(_feed)
    outer.include_router(inner, dependencies=[] if mark is None else [Depends(mark)])
    app.include_router(outer, prefix="/v1")
    return app


async def _feed(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.mark.usefixtures("_listing")
def test_key_has_the_prefixes_of_all_routers() -> None:
    """The template is the one under which the route is served."""
    app = _nested()

    assert _target(app, "/v1/shop/items/7").key == "/v1/shop/items/{item}"
    assert _target(app, "/v1/shop/items/feed", kind="websocket").key == "/v1/shop/items/feed"


@pytest.mark.usefixtures("_listing")
def test_dependency_of_an_included_router_marks_its_routes() -> None:
    """`include_router(..., dependencies=[Depends(priority(...))])`, for WebSockets as well."""
    app = _nested(mark=priority(Priority.LOW))

    assert _target(app, "/v1/shop/items/7").priority is Priority.LOW
    assert _target(app, "/v1/shop/items/feed", kind="websocket").priority is Priority.LOW


def test_router_is_served_under_the_key_it_counts_by() -> None:
    """End to end: the routes that FastAPI serves are the ones that were read."""
    events: list[Event] = []
    app = _nested(mark=priority(Priority.LOW))
    app.add_middleware(GuardMiddleware, guard=Guard(KeyedLimiter(), listeners=[events.append]))

    responses = asyncio.run(_get(app, "/v1/shop/items/7"))

    assert responses[0].json() == "ok"
    assert [(each.key, each.priority) for each in events if isinstance(each, Admitted)] == [
        ("/v1/shop/items/{item}", Priority.LOW)
    ]


def test_application_dependency_marks_every_route() -> None:
    """`FastAPI(dependencies=[...])`."""
    app = FastAPI(dependencies=[Depends(priority(Priority.BACKGROUND))])
    app.get("/batch")(_endpoint)

    assert _target(app, "/batch").priority is Priority.BACKGROUND


def test_nearer_dependency_outranks_the_application_s() -> None:
    """What a route says of itself is more exact."""
    app = FastAPI(dependencies=[Depends(priority(Priority.LOW))])
    app.get("/urgent", dependencies=[Depends(priority(Priority.HIGH))])(_endpoint)

    assert _target(app, "/urgent").priority is Priority.HIGH


def test_decorator_outranks_dependencies() -> None:
    """A decorator belongs to the endpoint itself, above or below the route's."""
    app = FastAPI(dependencies=[Depends(priority(Priority.LOW))])

    @app.get("/above")
    @priority(Priority.HIGH)
    async def above() -> None:
        """Stand for an endpoint."""

    @priority(Priority.CRITICAL)
    @app.get("/below")
    async def below() -> None:
        """Stand for an endpoint."""

    assert _target(app, "/above").priority is Priority.HIGH
    assert _target(app, "/below").priority is Priority.CRITICAL


def test_mark_inside_of_another_dependency_counts() -> None:
    """A dependency that all callers of a kind share may carry the mark."""

    async def internal(_: Annotated[None, Depends(priority(Priority.LOW))]) -> None:
        """Stand for an authentication."""

    app = FastAPI()
    app.get("/report", dependencies=[Depends(internal)])(_endpoint)

    assert _target(app, "/report").priority is Priority.LOW


def test_priority_and_exemption_of_different_dependencies_add_up() -> None:
    """One does not undo the other."""
    app = FastAPI(dependencies=[Depends(priority(Priority.LOW))])
    app.get("/live", dependencies=[Depends(exempt)])(_endpoint)

    assert _target(app, "/live") == Target(key="/live", priority=Priority.LOW, exempt=True)


def test_mounted_application_has_its_own_routes_and_dependencies() -> None:
    """A FastAPI application in another, routers and all."""
    app = FastAPI()
    app.mount("/sub", _nested(mark=priority(Priority.LOW)))

    target = _target(app, "/sub/v1/shop/items/7")

    assert target == Target(key="/sub/v1/shop/items/{item}", priority=Priority.LOW)


def test_mounts_and_hosts_of_an_included_router_keep_the_prefix() -> None:
    """Routers may carry plain Starlette routes."""
    router = APIRouter()
    router.add_route("/plain", _plain)
    router.mount("/files", PlainTextResponse("file"))
    app = FastAPI()
    app.include_router(router, prefix="/v1")

    assert _target(app, "/v1/plain").key == "/v1/plain"
    assert _target(app, "/v1/files/a.txt").key == "/v1/files/{path}"


def test_host_route_is_told_by_its_header() -> None:
    """Through FastAPI's listing of routes as well."""
    app = FastAPI()
    app.router.routes.append(Host("api.example.org", app=Router([Mount("/m", app=_nested())])))
    table = GuardMiddleware(app).route_table(app.routes)
    scope = {"type": "http", "method": "GET", "path": "/m/v1/shop/items/7"}

    assert table.find(scope | {"headers": [(b"host", b"api.example.org")]}).key == (
        "api.example.org/m/v1/shop/items/{item}"
    )
    assert table.find(scope | {"headers": []}).key == "_UNMATCHED"


def test_marks_as_dependencies_do_nothing_at_a_request() -> None:
    """They take no parameters, return nothing, and stay out of the schema."""
    app = FastAPI()

    @app.get("/", dependencies=[Depends(exempt)])
    async def endpoint(said: Annotated[None, Depends(priority(Priority.LOW))]) -> list[None]:
        return [said]

    assert asyncio.run(_get(app, "/"))[0].json() == [None]
    assert "parameters" not in app.openapi()["paths"]["/"]["get"]


class _Closed:
    """A policy that refuses every call."""

    def admit(self, call: Call, now: float) -> None:
        """Refuse."""
        raise LimitExceeded(Reason.QUEUE_FULL)

    def settle(self, ticket: object, outcome: Outcome, now: float) -> None:
        """Learn nothing."""


def test_exempt_route_is_never_refused() -> None:
    """Even by a guard that refuses everyone."""
    app = FastAPI()
    app.get("/free", dependencies=[Depends(exempt)])(_endpoint)
    app.get("/bound")(_endpoint)
    app.add_middleware(GuardMiddleware, guard=Guard(_Closed()))

    free, bound = asyncio.run(_get(app, "/free", "/bound"))

    assert (free.status_code, bound.status_code) == (200, 503)


def test_deadline_reaches_the_endpoint() -> None:
    """As the instant and as what is left of it."""
    app = FastAPI()

    @app.get("/")
    async def endpoint(deadline: Deadline, remaining: Remaining) -> list[float | None]:
        return [deadline, remaining]

    app.add_middleware(GuardMiddleware, timeout=60.0)
    before = monotonic()
    deadline, remaining = asyncio.run(_get(app, "/"))[0].json()

    assert 0.0 < remaining <= 60.0
    assert before < deadline <= monotonic() + 60.0


def test_deadline_is_none_where_there_is_none() -> None:
    """Without a timeout, or without the middleware."""
    app = FastAPI()

    @app.get("/")
    async def endpoint(deadline: Deadline, remaining: Remaining) -> list[float | None]:
        return [deadline, remaining]

    assert asyncio.run(_get(app, "/"))[0].json() == [None, None]
    assert "parameters" not in app.openapi()["paths"]["/"]["get"]


@pytest.mark.parametrize("level", ["high", 1, None, _endpoint])
def test_priority_refuses_what_is_none(level: Any) -> None:
    """When the module is loaded, not at a request."""
    with pytest.raises(ConfigurationError, match="must be a Priority"):
        priority(level)


def test_mark_shows_what_it_says() -> None:
    """In a debugger, among other dependencies."""
    assert repr(priority(Priority.LOW)) == "<Mark Marks(priority=<Priority.LOW: 3>, exempt=None)>"


def test_the_deadline_stays_when_the_guard_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the operator, in the environment; exempt endpoints have none, as with the guard on."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "off")
    app = FastAPI()

    async def endpoint(deadline: Deadline, remaining: Remaining) -> list[float | None]:
        return [deadline, remaining]

    app.get("/limited")(endpoint)
    app.get("/exempt", dependencies=[Depends(exempt)])(endpoint)
    app.add_middleware(GuardMiddleware, timeout=2.0)

    limited, passing = [each.json() for each in asyncio.run(_get(app, "/limited", "/exempt"))]
    assert 0.0 < limited[1] <= 2.0
    assert passing == [None, None]
