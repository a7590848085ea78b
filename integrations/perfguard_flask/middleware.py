"""The guard around an application whose URL rules are known."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from flask import Flask
from werkzeug.routing import Map

from perfguard import wsgi
from perfguard.guard import Guard
from perfguard.targets import TARGET, UNMATCHED, Target, key_of, priority_of
from perfguard_flask.routes import Environ, RouteTable
from perfguard_flask.settings import PASSED, Settings

_logger = logging.getLogger("perfguard")


class GuardMiddleware:
    """Stands around an application's `wsgi_app`, and is what `app.extensions["perfguard"]` holds.

    Rules are read at the first request, when Flask takes no more of them, and again if
    there are more view functions or another map of rules after all.

    Args:
        app: The application.
        guard: What decides.
        settings: What else holds.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    app: Flask
    guard: Guard
    settings: Settings
    _inner: wsgi.App
    _guarded: wsgi.GuardMiddleware
    _timed: bool
    _table: tuple[Map, int, RouteTable | None] | None
    _logged: bool

    def __init__(self, app: Flask, guard: Guard, settings: Settings) -> None:
        self.app = app
        self.guard = guard
        self.settings = settings
        self._inner = app.wsgi_app
        passed = settings.values_of(PASSED)
        self._guarded = wsgi.GuardMiddleware(self._inner, guard, key=key_of, priority=priority_of, **passed)
        # With the guard off, an exempt view has no deadline either.
        self._timed = passed["timeout"] is not None
        self._table = None
        self._logged = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.guard!r}>"

    def __call__(self, environ: Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if self.guard.enabled or self._timed:
            target = self._find(environ)
            if target.exempt:
                return self._inner(environ, start_response)
            environ[TARGET] = target
        return self._guarded(environ, start_response)

    @property
    def table(self) -> RouteTable | None:
        """The rules as they are now; `None`, which is logged, where they cannot be read."""
        rules, views = self.app.url_map, len(self.app.view_functions)
        table = self._table
        if table is None or table[0] is not rules or table[1] != views:
            self._table = table = (rules, views, self._read())
        return table[2]

    def _read(self) -> RouteTable | None:
        try:
            return RouteTable(self.app)
        except Exception:
            _logger.exception("the URL rules cannot be read; all requests share one limit")
            return None

    def _find(self, environ: Environ) -> Target:
        try:
            table = self.table
            return UNMATCHED if table is None else table.find(environ)
        except Exception:
            if not self._logged:
                self._logged = True
                _logger.exception("the URL rule of a request cannot be found; such requests share one limit")
            return UNMATCHED
