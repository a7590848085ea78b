"""Which route a request will take, known before the application's router runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route, WebSocketRoute

from perfguard.targets import UNMATCHED, Matcher, Target
from perfguard_starlette.marks import Marks
from perfguard_starlette.walk import ANY_HOST, Entry, Place, Walk, route_marks, themselves

Scope = MutableMapping[str, Any]


class RouteTable:
    """Finds the target of a request in an application's routes.

    The routes are read once and compiled for each method to a dictionary of the paths
    without parameters and one regular expression of all. The first route that takes a
    path and a method wins, as in Starlette's router, through mounts and hosts.

    Args:
        routes: The application's routes.
        views: Yields each route's kind and an object with its path, methods and
            endpoint: where a framework nests routes, these need not be the same.
        marks: Returns what is said of one such object.
    """

    __slots__ = ("_by_host", "_http", "_other_method", "_websocket")

    _by_host: bool
    _http: dict[str, _Paths]
    _other_method: _Paths
    _websocket: _Paths

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        views: Callable[[Sequence[BaseRoute]], Iterable[tuple[BaseRoute, Any]]] | None = None,
        marks: Callable[[Any], Marks] | None = None,
    ) -> None:
        walk = Walk(views or themselves, marks or route_marks)
        entries = list(walk.entries(routes, Place()))
        self._by_host = any(each.place.host != ANY_HOST for each in entries)
        http = [each for each in entries if each.kind is not WebSocketRoute]
        methods = {method for each in http for method in each.methods or ()}
        self._http = {method: self._paths(each for each in http if each.takes(method)) for method in methods}
        self._other_method = self._paths(each for each in http if each.methods is None)
        self._websocket = self._paths(each for each in entries if each.kind is not Route)

    def find(self, scope: Scope) -> Target:
        """Return the target of an HTTP or WebSocket scope."""
        websocket = scope["type"] == "websocket"
        paths = self._websocket if websocket else self._http.get(scope["method"], self._other_method)
        path: str = scope["path"]
        root: str = scope.get("root_path") or ""
        if root and path.startswith(root + "/"):
            path = path[len(root) :]
        return paths.find(_host(scope) + path if self._by_host else path)

    def _paths(self, entries: Iterable[Entry]) -> _Paths:
        return _Paths(list(entries), by_host=self._by_host)


class _Paths:
    """The targets of one method, in order."""

    __slots__ = ("_literals", "_matcher")

    _literals: dict[str, Target]
    _matcher: Matcher[Target]

    def __init__(self, entries: Sequence[Entry], *, by_host: bool) -> None:
        self._matcher = Matcher((f"{each.place.host * by_host}{each.pattern}$", each.target) for each in entries)
        literals = [] if by_host else [each.template for each in entries if "{" not in each.template]
        # An earlier route with a parameter may take the path of a later one without.
        self._literals = {path: self._matcher.find(path, UNMATCHED) for path in literals}

    def find(self, path: str) -> Target:
        return self._literals.get(path) or self._matcher.find(path, UNMATCHED)


def _host(scope: Scope) -> str:
    """Return the request's host without its port, in lower case."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            # A slash is never part of a host: with one, a header could pose as a path.
            return "" if "/" in host else re.sub(r":\d*$", "", host)
    return ""
