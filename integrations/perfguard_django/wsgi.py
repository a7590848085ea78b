"""The guard around a project's WSGI application, where it refuses most cheaply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.core.handlers.wsgi import WSGIHandler

from perfguard import wsgi
from perfguard._faults import Faults
from perfguard.guard import Guard
from perfguard.outcome import Priority
from perfguard_django.options import options, said
from perfguard_django.routes import RouteTable, Target
from perfguard_django.views import AROUND

_TARGET = "perfguard_django.target"


class GuardMiddleware:
    """Guards each route as the middleware does: `application = GuardMiddleware(get_wsgi_application())`.

    Before Django has done anything for a request, so that a refusal costs a tenth of the
    middleware's. It takes its configuration from `PERFGUARD`.
    `perfguard_django.GuardMiddleware` may stay in `MIDDLEWARE`, and lets pass what was
    admitted here.

    Args:
        app: The WSGI application.

    Raises:
        ConfigurationError: Something in `PERFGUARD` is wrong.
    """

    app: wsgi.App
    guard: Guard
    _guarded: wsgi.GuardMiddleware
    _routes: RouteTable
    _timed: bool

    def __init__(self, app: wsgi.App | WSGIHandler) -> None:
        chosen = options(said())
        # The handler's own types are narrower than the protocol's.
        self.app = cast("wsgi.App", app)
        self.guard = chosen.guard
        self._routes = RouteTable(chosen.exempt, Faults("GuardMiddleware").report)
        self._timed = chosen.timeout is not None
        self._guarded = wsgi.GuardMiddleware(
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

    def __call__(self, environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if self.guard.enabled or self._timed:
            environ[AROUND] = self.guard
            target = self._routes.find(_path_info(environ))
            if target.exempt:
                return self.app(environ, start_response)
            environ[_TARGET] = target
        return self._guarded(environ, start_response)


def _path_info(environ: wsgi.Environ) -> str:
    """Return the path below where the project is mounted, as text (PEP 3333 has it as bytes in disguise)."""
    path: str = environ.get("PATH_INFO") or "/"
    return path.encode("latin-1", "replace").decode(errors="replace")


def _key(environ: wsgi.Environ) -> str:
    target: Target = environ[_TARGET]
    return target.key


def _priority(environ: wsgi.Environ) -> Priority:
    target: Target = environ[_TARGET]
    return target.priority
