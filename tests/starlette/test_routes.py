"""The route table of perfguard_starlette, beside Starlette's own router."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute, compile_path

from perfguard import Priority
from perfguard.targets import UNMATCHED
from perfguard_starlette import exempt, priority
from perfguard_starlette.routes import RouteTable


async def _endpoint(connection: Any) -> None:
    """Stand for an endpoint that nobody calls."""


def _scope(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "headers": []} | more


def _key(routes: Sequence[BaseRoute], path: str, method: str = "GET", **more: Any) -> str:
    return RouteTable(routes).find(_scope(path, method, **more)).key


def test_key_is_the_template_of_the_route() -> None:
    """Paths of one route share a key, convertors are left out of it."""
    routes = [Route("/orders/{order:int}", _endpoint)]

    assert _key(routes, "/orders/7") == "/orders/{order}"
    assert _key(routes, "/orders/8") == "/orders/{order}"


@pytest.mark.parametrize("path", ["/orders/seven", "/nowhere", "", "/orders/7/items", "*"])
def test_paths_of_no_route_share_one_key(path: str) -> None:
    """A client cannot make keys."""
    assert _key([Route("/orders/{order:int}", _endpoint)], path) == UNMATCHED.key


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "BREW", ""])
def test_method_of_no_route_is_unmatched(method: str) -> None:
    """What the router answers with 405 is no call of the endpoint."""
    assert _key([Route("/orders", _endpoint, methods=["POST"])], "/orders", method) == UNMATCHED.key


def test_first_route_wins_over_a_later_one_without_parameters() -> None:
    """The paths without parameters, looked up first, do not overtake."""
    routes = [Route("/users/{name}", _endpoint), Route("/users/me", _endpoint)]

    assert _key(routes, "/users/me") == "/users/{name}"


def test_route_that_takes_the_method_wins_over_an_earlier_one_that_does_not() -> None:
    """As in the router: a full match beats a partial one."""
    routes = [Route("/users/{name}", _endpoint, methods=["POST"]), Route("/users/me", _endpoint)]

    assert _key(routes, "/users/me") == "/users/me"


def test_head_counts_as_get() -> None:
    """Starlette answers HEAD on routes for GET."""
    assert _key([Route("/users", _endpoint)], "/users", "HEAD") == "/users"


def test_mounted_routes_have_the_prefix_in_their_key() -> None:
    """Mounts nest, and parameters of the same name in mount and route do not clash."""
    inner = Mount("/v{id:int}", routes=[Route("/users/{id}", _endpoint)])

    assert _key([Mount("/api", routes=[inner])], "/api/v2/users/7") == "/api/v{id}/users/{id}"


def test_mounted_application_without_routes_is_one_key() -> None:
    """Static files, or an application of another framework."""
    assert _key([Mount("/static", app=PlainTextResponse("file"))], "/static/a/b.css") == "/static/{path}"


def test_mount_without_a_path_keeps_the_templates() -> None:
    """`Mount("")` adds nothing."""
    assert _key([Mount("", routes=[Route("/users", _endpoint)])], "/users") == "/users"


def test_route_of_another_kind_is_unmatched() -> None:
    """A route whose kind is unknown has no template to read."""
    assert _key([BaseRoute()], "/users") == UNMATCHED.key


def _hosts() -> list[BaseRoute]:
    api = Starlette(routes=[Route("/users", _endpoint)])
    return [Host("{tenant}.example.org", app=api), Route("/users", _endpoint)]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        (b"acme.example.org", "{tenant}.example.org/users"),
        (b"ACME.example.org:8000", "{tenant}.example.org/users"),
        (b"example.org", "/users"),
        (b"acme.example.org/x", "/users"),
        (b"\xff\xfe", "/users"),
        (b"", "/users"),
    ],
)
def test_host_routes_are_told_by_the_host_header(host: bytes, key: str) -> None:
    """A host that is none changes nothing."""
    assert _key(_hosts(), "/users", headers=[(b"accept", b"*/*"), (b"host", host)]) == key


def test_host_header_cannot_pose_as_a_path() -> None:
    """Host and path are matched together, yet a slash in the host does not move the border."""
    routes = [*_hosts(), Route("/reports/{path:path}", _endpoint)]

    assert _key(routes, "/users", headers=[(b"host", b"x/reports")]) == "/users"


def test_missing_host_header_leaves_host_routes_aside() -> None:
    """HTTP/1.0 sends none."""
    assert _key(_hosts(), "/users") == "/users"


def test_unknown_path_of_a_host_belongs_to_the_host() -> None:
    """A host route that matched takes the request, whatever its path."""
    headers = [(b"host", b"acme.example.org")]

    assert _key(_hosts(), "/nowhere", headers=headers) == "{tenant}.example.org/{path}"


def test_websocket_routes_are_apart_from_http_routes() -> None:
    """A template may be both; only the endpoint of the kind is meant."""
    routes = [Route("/feed", _endpoint), WebSocketRoute("/feed", priority(Priority.LOW)(_feed))]
    table = RouteTable(routes)

    assert table.find(_scope("/feed")).priority is Priority.NORMAL
    assert table.find({"type": "websocket", "path": "/feed", "headers": []}).priority is Priority.LOW


async def _feed(connection: Any) -> None:
    """Stand for a WebSocket endpoint."""


@pytest.mark.parametrize("path", ["/root/users", "/users"])
def test_root_path_is_no_part_of_the_route(path: str) -> None:
    """Servers put it before the path; proxies may have cut it off."""
    assert _key([Route("/users", _endpoint)], path, root_path="/root") == "/users"


def test_marks_of_a_mounted_application_hold_for_its_routes() -> None:
    """The route's own marks are nearer."""

    @priority(Priority.HIGH)
    async def urgent(request: Request) -> None:
        """Stand for an endpoint."""

    admin = priority(Priority.LOW)(Starlette(routes=[Route("/report", _endpoint), Route("/urgent", urgent)]))
    table = RouteTable([Mount("/admin", app=admin)])

    assert table.find(_scope("/admin/report")).priority is Priority.LOW
    assert table.find(_scope("/admin/urgent")).priority is Priority.HIGH


def test_mounted_application_can_be_exempt() -> None:
    """A metrics application, say."""
    table = RouteTable([Mount("/stats", app=exempt(PlainTextResponse("up 1")))])

    assert table.find(_scope("/stats/")).exempt


_TEMPLATES = ["/", "/a", "/a/", "/a/b", "/{x}", "/{x}/b", "/a/{n:int}", "/a/{n:float}", "/{rest:path}"]
_PATHS = ["/", "/a", "/a/", "/a/b", "/a/1", "/a/1.5", "/c", "/c/b", "/a/b/c", "/m/a", "/m/a/7", "/m", "/m/", "/m/c/b"]
_routes = st.lists(
    st.tuples(st.sampled_from(_TEMPLATES), st.sampled_from([None, ("GET",), ("POST",)]), st.booleans()),
    max_size=8,
)


@given(plan=_routes, path=st.sampled_from(_PATHS), method=st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
@settings(max_examples=50)
def test_table_agrees_with_the_router(
    plan: list[tuple[str, tuple[str, ...] | None, bool]], path: str, method: str
) -> None:
    """Whichever route the router takes, the table has named its template before."""
    inner = [_echo(template, methods, "/m") for template, methods, mounted in plan if mounted]
    outer = [_echo(template, methods) for template, methods, mounted in plan if not mounted]
    routes: list[BaseRoute] = [*outer[:2], Mount("/m", routes=inner), *outer[2:]]
    table = RouteTable(routes)

    served = asyncio.run(_served(routes, path, method))

    key = table.find(_scope(path, method)).key
    assert key == served or (served is None and key in {UNMATCHED.key, "/m/{path}"})


def _echo(template: str, methods: Sequence[str] | None, prefix: str = "") -> Route:
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", headers={"template": prefix + compile_path(template)[1]})

    return Route(template, endpoint, methods=methods)


async def _served(routes: list[BaseRoute], path: str, method: str) -> str | None:
    """Return the template of the route that Starlette took, `None` where it took none."""
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.request(method, path)
    template: str | None = response.headers.get("template")
    return template
