"""The extension: what guards an application, in one line."""

from __future__ import annotations

import os
from typing import Any, Unpack

from flask import Flask

from perfguard.errors import ConfigurationError
from perfguard.guard import Guard
from perfguard.limits.keyed import KeyedLimiter
from perfguard_flask.commands import command
from perfguard_flask.marks import exempt
from perfguard_flask.middleware import GuardMiddleware
from perfguard_flask.settings import Options, Settings, read

_NAME = "perfguard"


class PerfGuard:
    """Guards each URL rule of a Flask application by a limit of its own: `PerfGuard(app)`.

    A request counts under the template of its rule, so that a saturated one does not
    shed its neighbours. Requests that no rule takes share one limit. Put it after other
    WSGI middleware, so that it stands outermost. What belongs to an application is in
    `app.extensions["perfguard"]`, so that one extension may serve several.

    Args:
        app: The application; without it, call `init_app`.
        guard: What decides; by default a `Guard(KeyedLimiter(max_keys=max_keys))` for
            each application.
        options: `enabled`, `dry_run`, `timeout`, `max_streams`, `details`, `exempt`,
            `trusted_proxies`, `max_keys`, `snapshot_path` and `telemetry`, which win over
            `app.config["PERFGUARD_TIMEOUT"]` and so on. `timeout` is in seconds.

    Raises:
        ConfigurationError: Something is wrong for the given application.
    """

    _guard: Guard | None
    _options: Options

    def __init__(self, app: Flask | None = None, guard: Guard | None = None, **options: Unpack[Options]) -> None:
        self._guard = guard
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Guard an application, and give it the command `flask perfguard`.

        Raises:
            ConfigurationError: An argument, or what `app.config` says under that name, is
                wrong; or the application is guarded already, or is none.
        """
        if not isinstance(app, Flask):
            raise ConfigurationError("app", app, "must be a Flask application")
        if _NAME in app.extensions:
            raise ConfigurationError("app", app, "must not be guarded twice: call init_app once")
        settings = read(app.config, self._options)
        with settings.named_as_typed():
            path = _checked_path(settings["snapshot_path"].value)
            middleware = GuardMiddleware(app, _made(self._guard, app, settings), settings)
        if path is not None:
            _add_snapshot(app, path, middleware.guard)
        app.extensions[_NAME] = middleware
        app.wsgi_app = middleware  # type: ignore[method-assign] # As Flask's documentation has it.
        app.cli.add_command(command)


def _made(guard: Guard | None, app: Flask, settings: Settings) -> Guard:
    if guard is None:
        limiter = KeyedLimiter(max_keys=settings["max_keys"].value)
        return Guard(limiter, name=app.name, **settings.values_of(("enabled", "dry_run")))
    for name in ("enabled", "dry_run", "max_keys"):
        value, typed = settings[name]
        if typed is not None and value is not None:
            raise ConfigurationError(name, value, "belongs to the guard that is given")
    return guard


def _checked_path(path: Any) -> str | None:
    if path is not None and (not isinstance(path, str) or not path.startswith("/") or "<" in path):
        raise ConfigurationError("snapshot_path", path, 'must be a path that begins with "/", without parameters')
    return path


def _add_snapshot(app: Flask, path: str, guard: Guard) -> None:
    @exempt
    def perfguard_snapshot() -> dict[str, Any]:
        snapshot = guard.snapshot()
        # Each worker process has a guard of its own, and one of them answers.
        return snapshot._asdict() | {"pid": os.getpid(), "limiters": [each._asdict() for each in snapshot.limiters]}

    app.add_url_rule(path, view_func=perfguard_snapshot)
