"""Which route a request will take, known before the application's router runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute, compile_path

from perfguard.outcome import Priority
from perfguard_starlette.marks import Marks, marks_of

Scope = MutableMapping[str, Any]

_NAMED_GROUP = re.compile(r"\(\?P<\w+>")
_ANY_HOST = "[^/]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is for.

    Attributes:
        key: The template of its route.
        priority: Its priority.
        exempt: Whether it passes untouched.
    """

    key: str
    priority: Priority = Priority.NORMAL
    exempt: bool = False


UNMATCHED = Target(key="_UNMATCHED")
"""What all requests are for that no route takes, by path or by method."""


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
    _http: dict[str, _Matcher]
    _other_method: _Matcher
    _websocket: _Matcher

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        views: Callable[[Sequence[BaseRoute]], Iterable[tuple[BaseRoute, Any]]] | None = None,
        marks: Callable[[Any], Marks] | None = None,
    ) -> None:
        walk = _Walk(views or _themselves, marks or route_marks)
        entries = list(walk.entries(routes, _Place()))
        self._by_host = any(each.place.host != _ANY_HOST for each in entries)
        http = [each for each in entries if each.kind is not WebSocketRoute]
        methods = {method for each in http for method in each.methods or ()}
        self._http = {method: self._matcher(each for each in http if each.takes(method)) for method in methods}
        self._other_method = self._matcher(each for each in http if each.methods is None)
        self._websocket = self._matcher(each for each in entries if each.kind is not Route)

    def find(self, scope: Scope) -> Target:
        """Return the target of an HTTP or WebSocket scope."""
        if scope["type"] == "websocket":
            matcher = self._websocket
        else:
            matcher = self._http.get(scope["method"], self._other_method)
        path: str = scope["path"]
        root: str = scope.get("root_path") or ""
        if root and path.startswith(root + "/"):
            path = path[len(root) :]
        return matcher.find(_host(scope) + path if self._by_host else path)

    def _matcher(self, entries: Iterable[_Entry]) -> _Matcher:
        return _Matcher(entries, by_host=self._by_host)


class _Matcher:
    """The targets of one method, in order."""

    __slots__ = ("_literals", "_pattern", "_targets")

    _literals: dict[str, Target]
    _pattern: re.Pattern[str]
    _targets: dict[str | None, Target]

    def __init__(self, entries: Iterable[_Entry], *, by_host: bool) -> None:
        self._targets = {None: UNMATCHED}
        self._literals = {}
        alternatives = []
        literals = []
        for number, entry in enumerate(entries):
            # An empty group that closes last, so that `lastgroup` names the route.
            name = f"route{number}"
            host = entry.place.host if by_host else ""
            alternatives.append(f"{host}{entry.pattern}$(?P<{name}>)")
            self._targets[name] = entry.target
            if not by_host and "{" not in entry.template:
                literals.append(entry.template)
        self._pattern = re.compile("|".join(alternatives) or "(?!)")
        # An earlier route with a parameter may take the path of a later one without.
        self._literals = {path: self._scan(path) for path in literals}

    def find(self, path: str) -> Target:
        return self._literals.get(path) or self._scan(path)

    def _scan(self, path: str) -> Target:
        match = self._pattern.match(path)
        return UNMATCHED if match is None else self._targets[match.lastgroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where routes stand: behind which host and prefix, under which marks."""

    host: str = _ANY_HOST
    prefix: str = ""
    template: str = ""
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One route; of kind `Mount` if it takes whatever its mount's own routes do not."""

    kind: type[BaseRoute]
    place: _Place
    pattern: str
    template: str
    methods: frozenset[str] | None = None

    def takes(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    @property
    def target(self) -> Target:
        marks = self.place.marks
        level = Priority.NORMAL if marks.priority is None else marks.priority
        return Target(key=self.template, priority=level, exempt=bool(marks.exempt))


class _Walk:
    """Goes through routes, mounts and hosts, depth first."""

    def __init__(
        self,
        views: Callable[[Sequence[BaseRoute]], Iterable[tuple[BaseRoute, Any]]],
        marks: Callable[[Any], Marks],
    ) -> None:
        self._views = views
        self._marks = marks

    def entries(self, routes: Sequence[BaseRoute], outer: _Place) -> Iterator[_Entry]:
        for route, view in self._views(routes):
            place = replace(outer, marks=self._marks(view).over(outer.marks))
            if isinstance(route, Route):
                yield _entry(Route, place, view.path, view.methods)
            elif isinstance(route, WebSocketRoute):
                yield _entry(WebSocketRoute, place, view.path)
            elif isinstance(route, Mount):
                yield from self._mounted(view, place)
            elif isinstance(route, Host):
                yield from self._hosted(view, place)

    def _mounted(self, mount: Any, place: _Place) -> Iterator[_Entry]:
        inner = replace(
            place,
            prefix=place.prefix + _pattern(mount.path),
            template=place.template + _template(mount.path),
        )
        yield from self.entries(mount.routes, inner)
        yield _entry(Mount, place, f"{mount.path}/{{path:path}}")

    def _hosted(self, host: Any, place: _Place) -> Iterator[_Entry]:
        inner = replace(place, host=_pattern(host.host), template=place.template + _template(host.host))
        yield from self.entries(host.routes, inner)
        yield _entry(Mount, inner, "/{path:path}")


def route_marks(view: Any) -> Marks:
    """Return what is said of a route's endpoint, or of a mounted application."""
    return marks_of(getattr(view, "endpoint", None) or getattr(view, "app", None))


def _themselves(routes: Sequence[BaseRoute]) -> Iterable[tuple[BaseRoute, Any]]:
    return zip(routes, routes, strict=True)


def _entry(kind: type[BaseRoute], place: _Place, path: str, methods: Iterable[str] | None = None) -> _Entry:
    return _Entry(
        kind=kind,
        place=place,
        pattern=place.prefix + _pattern(path),
        template=place.template + _template(path),
        methods=frozenset(methods) if methods else None,
    )


def _pattern(path: str) -> str:
    """Return the regular expression of a path, without anchors and without names.

    Names would clash where the expressions of several routes are joined.
    """
    if not path:
        return ""
    pattern = compile_path(path)[0].pattern.removeprefix("^").removesuffix("$")
    return _NAMED_GROUP.sub("(?:", pattern)


def _template(path: str) -> str:
    return compile_path(path)[1] if path else ""


def _host(scope: Scope) -> str:
    """Return the request's host without its port, in lower case."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            # A slash is never part of a host: with one, a header could pose as a path.
            return "" if "/" in host else re.sub(r":\d*$", "", host)
    return ""
