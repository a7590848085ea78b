"""The guard around a project's ASGI application, where it sees connections and refuses cheaply."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

from perfguard import asgi
from perfguard._faults import Faults
from perfguard.guard import Guard
from perfguard.outcome import Priority
from perfguard_django.options import options, said
from perfguard_django.routes import UNMATCHED, RouteTable, Target
from perfguard_django.views import AROUND

_TARGET = "perfguard_django.target"


class GuardMiddleware:
    """Guards each route as the middleware does: `application = GuardMiddleware(get_asgi_application())`.

    Before Django has done anything for a request, so that a refusal costs a hundredth of
    the middleware's, and with the connection in sight, so that requests are refused by
    the age that the kernel tells. It takes its configuration from `PERFGUARD`.
    `perfguard_django.GuardMiddleware` may stay in `MIDDLEWARE`, and lets pass what was
    admitted here.

    Args:
        app: The ASGI application.

    Raises:
        ConfigurationError: Something in `PERFGUARD` is wrong.
    """

    app: asgi.App
    guard: Guard
    _guarded: asgi.GuardMiddleware
    _routes: RouteTable
    _timed: bool

    def __init__(self, app: asgi.App | ASGIHandler) -> None:
        chosen = options(said())
        # The handler's own types are narrower than the protocol's.
        self.app = cast("asgi.App", app)
        self.guard = chosen.guard
        self._routes = RouteTable(chosen.exempt, Faults("GuardMiddleware").report)
        self._timed = chosen.timeout is not None
        self._guarded = asgi.GuardMiddleware(
            self.app,
            chosen.guard,
            exempt=(),
            trusted_proxies=chosen.trusted_proxies,
            key=_key,
            priority=_priority,
            timeout=chosen.timeout,
            max_streams=chosen.max_streams,
            details=chosen.details,
        )

    def __repr__(self) -> str:
        return f"<GuardMiddleware {self.guard!r}>"

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one ASGI connection scope."""
        if scope["type"] == "http" and (self.guard.enabled or self._timed):
            scope[AROUND] = self.guard
            target = self._routes.find(_path_info(scope))
            if target.exempt:
                await self.app(scope, receive, send)
                return
            scope[_TARGET] = target
        await self._guarded(scope, receive, send)


def _path_info(scope: asgi.Scope) -> str:
    """Return the path below where the project is mounted, as Django's own request has it."""
    path: str = scope["path"]
    return path.removeprefix(settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "")


def _target(scope: asgi.Scope) -> Target:
    # What is no HTTP is no route of Django.
    target: Target = scope.get(_TARGET, UNMATCHED)
    return target


def _key(scope: asgi.Scope) -> str:
    return _target(scope).key


def _priority(scope: asgi.Scope) -> Priority:
    return _target(scope).priority
