"""An application's routes, read through mounts and hosts, each as an expression of whole paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute, compile_path

from perfguard.targets import Target, target_of, unnamed
from perfguard_starlette.marks import Marks, marks_of

ANY_HOST = "[^/]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where routes stand: behind which host and prefix, under which marks."""

    host: str = ANY_HOST
    prefix: str = ""
    template: str = ""
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One route; of kind `Mount` if it takes whatever its mount's own routes do not."""

    kind: type[BaseRoute]
    place: Place
    pattern: str
    template: str
    methods: frozenset[str] | None = None

    def takes(self, method: str) -> bool:
        """Say whether it takes a method."""
        return self.methods is None or method in self.methods

    @property
    def target(self) -> Target:
        """What its requests are for."""
        return target_of(self.template, self.place.marks)


class Walk:
    """Goes through routes, mounts and hosts, depth first.

    Args:
        views: Yields each route with what tells its path, methods and endpoint.
        marks: Returns what is said of one such object.
    """

    def __init__(
        self,
        views: Callable[[Sequence[BaseRoute]], Iterable[tuple[BaseRoute, Any]]],
        marks: Callable[[Any], Marks],
    ) -> None:
        self._views = views
        self._marks = marks

    def entries(self, routes: Sequence[BaseRoute], outer: Place) -> Iterator[Entry]:
        """Yield every route, in the order in which the router tries them."""
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

    def _mounted(self, mount: Any, place: Place) -> Iterator[Entry]:
        inner = replace(
            place,
            prefix=place.prefix + _pattern(mount.path),
            template=place.template + _template(mount.path),
        )
        yield from self.entries(mount.routes, inner)
        yield _entry(Mount, place, f"{mount.path}/{{path:path}}")

    def _hosted(self, host: Any, place: Place) -> Iterator[Entry]:
        inner = replace(place, host=_pattern(host.host), template=place.template + _template(host.host))
        yield from self.entries(host.routes, inner)
        yield _entry(Mount, inner, "/{path:path}")


def route_marks(view: Any) -> Marks:
    """Return what is said of a route's endpoint, or of a mounted application."""
    return marks_of(getattr(view, "endpoint", None) or getattr(view, "app", None))


def themselves(routes: Sequence[BaseRoute]) -> Iterable[tuple[BaseRoute, Any]]:
    """Yield each route with itself, which tells its path, methods and endpoint."""
    return zip(routes, routes, strict=True)


def _entry(kind: type[BaseRoute], place: Place, path: str, methods: Iterable[str] | None = None) -> Entry:
    return Entry(
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
    return unnamed(pattern)


def _template(path: str) -> str:
    return compile_path(path)[1] if path else ""
