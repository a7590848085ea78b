"""The cheapest refusals there can be: an application that knows beforehand which requests to serve."""

from __future__ import annotations

from typing import Any

_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"19"), (b"retry-after", b"1")]


class TurningAway:
    """Serves an even share of the requests, and answers the others with 503 at once.

    It decides nothing and keeps no count of what runs, so that what its refusals cost is
    the server's own part of it: no middleware can have less.

    Args:
        app: Serves.
        share: The share of requests that are served, 0 to 1.
        path: The path of those that may be turned away; of all of them by default.
    """

    def __init__(self, app: Any, share: float, path: str | None = None) -> None:
        self._app = app
        self._share = share
        self._path = path
        self._due = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve, or turn away."""
        if self._serves(scope):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b"Service overloaded\n"})

    def _serves(self, scope: Any) -> bool:
        if scope["type"] != "http" or self._path not in (None, scope["path"]):
            return True
        self._due += self._share
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True
