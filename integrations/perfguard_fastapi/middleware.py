"""The guard as middleware of a FastAPI application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fastapi import routing
from starlette.routing import BaseRoute

import perfguard_starlette
from perfguard_fastapi.dependencies import Mark
from perfguard_starlette.marks import Marks
from perfguard_starlette.routes import RouteTable
from perfguard_starlette.walk import route_marks


class GuardMiddleware(perfguard_starlette.GuardMiddleware):
    """Guards each route by a limit of its own: `app.add_middleware(GuardMiddleware)`.

    A request counts under the template of its route, prefixes of routers included, so
    that a saturated route does not shed its neighbours. Its priority and exemption come
    from decorators and dependencies. Arguments are those of
    `perfguard_starlette.GuardMiddleware`.
    """

    def route_table(self, routes: Sequence[BaseRoute]) -> RouteTable:
        """Return the table of an application's routes."""
        return RouteTable(routes, views=_views, marks=_marks)


def _views(routes: Sequence[BaseRoute]) -> Iterable[tuple[BaseRoute, Any]]:
    """Yield each route with what tells its whole path, in routers of routers as well."""
    contexts = getattr(routing, "iter_route_contexts", None)
    if contexts is None:  # Older FastAPI copies a router's routes into the application.
        return zip(routes, routes, strict=True)
    return ((each.original_route, each) for each in contexts(routes))


def _marks(view: Any) -> Marks:
    """Return what is said of a route: by its endpoint, else by the nearest dependency."""
    said = route_marks(view)
    for mark in reversed(list(_declared(getattr(view, "dependant", None)))):
        said = said.over(mark.says)
    return said


def _declared(dependant: Any) -> Iterator[Mark]:
    """Yield the marks among all dependencies of a route, outermost first."""
    for each in getattr(dependant, "dependencies", None) or ():
        if isinstance(each.call, Mark):
            yield each.call
        yield from _declared(each)
