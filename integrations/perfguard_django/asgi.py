"""The guard around a project's ASGI application, where it sees connections and refuses cheaply."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

from perfguard import asgi
from perfguard_django.around import Around


class GuardMiddleware(Around[asgi.App]):
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

    def __init__(self, app: asgi.App | ASGIHandler) -> None:
        # The handler's own types are narrower than the protocol's.
        super().__init__(cast("asgi.App", app), asgi.GuardMiddleware)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one ASGI connection scope."""
        # What is no HTTP is no route of Django.
        routed = scope["type"] == "http" and self.active
        await (self.chosen(scope, _path_info(scope)) if routed else self.guarded)(scope, receive, send)


def _path_info(scope: asgi.Scope) -> str:
    """Return the path below where the project is mounted, as Django's own request has it."""
    path: str = scope["path"]
    return path.removeprefix(settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "")
