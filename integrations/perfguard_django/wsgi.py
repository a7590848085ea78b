"""The guard around a project's WSGI application, where it refuses most cheaply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.core.handlers.wsgi import WSGIHandler

from perfguard import wsgi
from perfguard_django.around import Around


class GuardMiddleware(Around[wsgi.App]):
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

    def __init__(self, app: wsgi.App | WSGIHandler) -> None:
        # The handler's own types are narrower than the protocol's.
        super().__init__(cast("wsgi.App", app), wsgi.GuardMiddleware)

    def __call__(self, environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        serve = self.chosen(environ, _path_info(environ)) if self.active else self.guarded
        return serve(environ, start_response)


def _path_info(environ: wsgi.Environ) -> str:
    """Return the path below where the project is mounted, as text (PEP 3333 has it as bytes in disguise)."""
    path: str = environ.get("PATH_INFO") or "/"
    return path.encode("latin-1", "replace").decode(errors="replace")
