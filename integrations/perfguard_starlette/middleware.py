"""The guard as middleware of an application whose routes are known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from starlette.routing import BaseRoute

from perfguard import asgi
from perfguard.errors import ConfigurationError
from perfguard.guard import Guard
from perfguard.limits.keyed import KeyedLimiter
from perfguard.startup import put_off
from perfguard.targets import TARGET, UNMATCHED, Target, key_of, priority_of
from perfguard_starlette.routes import RouteTable, Scope

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

_logger = logging.getLogger("perfguard")


class Options(TypedDict, total=False):
    """The arguments of `perfguard.asgi.GuardMiddleware` that are passed on to it."""

    exempt: Iterable[str]
    trusted_proxies: Iterable[str]
    timeout: float | None
    max_streams: int
    details: bool
    telemetry: Telemetry | bool


class GuardMiddleware:
    """Guards each route by a limit of its own: `app.add_middleware(GuardMiddleware)`.

    A request counts under the template of its route, so that a saturated route does not
    shed its neighbours. Requests that no route takes share one limit. Routes are read at
    the start, and again when the application's list of routes has changed its length.

    Args:
        app: The Starlette application, or what `add_middleware` passes.
        guard: What decides; by default a `Guard(KeyedLimiter(max_keys=max_keys))`.
        max_keys: How many routes have a limit of their own at a time; 100 by default.
        options: `exempt`, `trusted_proxies`, `timeout`, `max_streams`, `details` and
            `telemetry`, as in `perfguard.asgi.GuardMiddleware`.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    app: asgi.App
    guard: Guard
    _guarded: asgi.GuardMiddleware
    _routed: Any
    _table: tuple[Sequence[BaseRoute], int, RouteTable] | None
    _logged: bool
    _timed: bool

    def __init__(
        self,
        app: asgi.App,
        guard: Guard | None = None,
        *,
        max_keys: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        try:
            guard = _made(guard, max_keys)
        except ConfigurationError as error:
            app, guard = put_off(app, error), Guard(enabled=False, dry_run=False)
        self._guarded = asgi.GuardMiddleware(app, guard, key=key_of, priority=priority_of, **options)
        self.app = app
        self.guard = guard
        self._routed = _routed(app)
        self._table = None
        self._logged = False
        # With the guard off, an exempt endpoint has no deadline either.
        self._timed = options.get("timeout") is not None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.guard!r}>"

    async def __call__(self, scope: Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one ASGI connection scope."""
        kind = scope["type"]
        if (self.guard.enabled or self._timed) and kind in ("http", "websocket"):
            target = self._find(scope)
            if target.exempt:
                await self.app(scope, receive, send)
                return
            scope[TARGET] = target
        elif kind == "lifespan":
            self._table_of(scope)  # Made before the first request, where the server says when.
        await self._guarded(scope, receive, send)

    def route_table(self, routes: Sequence[BaseRoute]) -> RouteTable:
        """Return the table of an application's routes; frameworks with more to say override it."""
        return RouteTable(routes)

    def _find(self, scope: Scope) -> Target:
        table = self._table_of(scope)
        return UNMATCHED if table is None else table.find(scope)

    def _table_of(self, scope: Scope) -> RouteTable | None:
        """Return the table; `None`, logged once, where there are no routes to read."""
        try:
            routes = self._routes(scope)
            if self._table is None or self._table[0] is not routes or self._table[1] != len(routes):
                self._table = (routes, len(routes), self.route_table(routes))
            return self._table[2]
        except Exception:
            if not self._logged:
                self._logged = True
                _logger.exception("the routes cannot be read; all requests share one limit")
            return None

    def _routes(self, scope: Scope) -> Sequence[BaseRoute]:
        # Inside of an application the scope names it, around it the routes are at hand.
        application = scope.get("app") if self._routed is None else self._routed
        routes: Sequence[BaseRoute] | None = getattr(application, "routes", None)
        if routes is None:
            raise ConfigurationError("app", self.app, "must be a Starlette application, or middleware of one")
        return routes


def _made(guard: Guard | None, max_keys: int | None) -> Guard:
    if guard is None:
        return Guard(KeyedLimiter(max_keys=100 if max_keys is None else max_keys))
    if max_keys is not None:
        raise ConfigurationError("max_keys", max_keys, "belongs to the KeyedLimiter of the guard that is given")
    return guard


def _routed(app: Any) -> Any:
    """Return the application behind middleware that names what it wraps `app`, as is the custom."""
    while app is not None and getattr(app, "routes", None) is None:
        app = getattr(app, "app", None)
    return app
