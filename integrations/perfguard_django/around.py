"""What the guards around a project's ASGI and WSGI applications have in common."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Generic, TypeVar

from perfguard._faults import Faults
from perfguard.guard import Guard
from perfguard.targets import TARGET, Target, key_of, priority_of
from perfguard_django.options import options, said
from perfguard_django.routes import RouteTable
from perfguard_django.views import AROUND

App = TypeVar("App", bound=Callable[..., Any])


class Around(Generic[App]):
    """Stands around an application, configured by `PERFGUARD`.

    Args:
        app: The application.
        middleware: The core's middleware for its protocol.

    Attributes:
        app: The application.
        guard: What decides.
        guarded: The application behind the core's middleware.

    Raises:
        ConfigurationError: Something in `PERFGUARD` is wrong.
    """

    app: App
    guard: Guard
    guarded: App
    _routes: RouteTable
    _timed: bool

    def __init__(self, app: App, middleware: Callable[..., App]) -> None:
        chosen = options(said())
        self.app = app
        self.guard = chosen.guard
        self._routes = RouteTable(chosen.exempt, Faults("GuardMiddleware").report)
        self._timed = chosen.timeout is not None
        self.guarded = middleware(
            app,
            chosen.guard,
            exempt=(),
            trusted_proxies=chosen.trusted_proxies,
            key=key_of,
            priority=priority_of,
            timeout=chosen.timeout,
            max_streams=chosen.max_streams,
            details=chosen.details,
            telemetry=chosen.telemetry,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.guard!r}>"

    @property
    def active(self) -> bool:
        """Whether a request's target makes a difference: also a deadline is not for exempt paths."""
        return self.guard.enabled or self._timed

    def chosen(self, request: MutableMapping[str, Any], path: str) -> App:
        """Return what serves a request of that path, and tell its scope or environ what it is for."""
        request[AROUND] = self.guard
        target: Target = self._routes.find(path)
        if target.exempt:
            return self.app
        request[TARGET] = target
        return self.guarded
