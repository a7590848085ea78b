"""How a mistake in a middleware's arguments, or in the environment, stops a server at its start."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from traceback import walk_stack
from typing import Any

from perfguard.errors import ConfigurationError


class FailedStart:
    """Stands before an application whose guard could not be built: the server's start fails, with the reason.

    Where a server asks for no start, a request raises the error if the mistake is one of
    the code. One in the environment is the operator's, who must not lose the service by
    it: it is logged once, and requests pass unguarded.

    Args:
        app: The ASGI application.
        error: The reason.
    """

    app: Any
    error: ConfigurationError
    _logged: bool

    def __init__(self, app: Any, error: ConfigurationError) -> None:
        self.app = app
        self.error = error
        self._logged = False

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        """Serve one ASGI connection scope.

        Raises:
            ConfigurationError: A request came, and the code is at fault.
        """
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": f"perfguard: {self.error}"})
            return
        if not self.error.name.startswith("PERFGUARD_"):
            raise self.error.with_traceback(None)
        if not self._logged:
            self._logged = True
            logging.getLogger("perfguard").error("no guard: %s; requests pass unguarded", self.error)
        await self.app(scope, receive, send)


def put_off(app: Any, error: ConfigurationError) -> FailedStart:
    """Return what reports the error at the server's start, where raising it would not stop the server.

    Starlette builds middleware at the first connection, which is the server's question
    whether it may start. To uvicorn an exception there means that the application knows
    no such question: it goes on, and every request would fail.

    Raises:
        ConfigurationError: The middleware is built by other code, to which an error is of use.
    """
    if any(frame.f_code.co_name == "build_middleware_stack" for frame, _ in walk_stack(None)):
        return FailedStart(app, error)
    raise error
