"""The WSGI application that is measured: `PROTECTION` names what stands in front of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from perfguard.wsgi import GuardMiddleware
from tests.benchmarks.work import burn

App = Callable[[dict[str, Any], Any], Iterable[bytes]]

WORK = float(os.environ.get("WORK", "0"))
"""Seconds that a request computes."""
WAIT = float(os.environ.get("WAIT", "0"))
"""Seconds for which it then sleeps."""

_REFUSED = [("Content-Type", "text/plain"), ("Content-Length", "19"), ("Retry-After", "1")]


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Compute, and wait."""
    if WORK:
        burn(WORK)
    if WAIT:
        time.sleep(WAIT)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


class TurningAway:
    """The cheapest refusals there can be, as `turning_away` has them for ASGI.

    Args:
        app: Serves.
        share: The share of requests that are served, 0 to 1.
    """

    def __init__(self, app: App, share: float) -> None:
        self._app = app
        self._share = share
        self._due = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve, or turn away."""
        self._due += self._share
        if self._due >= 1.0:
            self._due -= 1.0
            return self._app(environ, start_response)
        start_response("503 Service Unavailable", _REFUSED)
        return [b"Service overloaded\n"]


_PROTECTIONS: dict[str, Callable[[App], App]] = {
    "none": lambda app: app,
    "perfguard": GuardMiddleware,
    "turning away": lambda app: TurningAway(app, float(os.environ["SHARE"])),
}
app = _PROTECTIONS[os.environ.get("PROTECTION", "none")](service)
