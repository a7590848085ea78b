"""What the middleware of both protocols is configured by."""

from __future__ import annotations

from collections.abc import Iterable

from perfguard._checks import check_callable, check_flag, check_positive, check_whole, listed
from perfguard.errors import ConfigurationError
from perfguard.guard import Guard

EXEMPT = ("/healthz", "/livez", "/readyz", "/metrics")
"""Paths that are never queued or refused: what watches a service must reach it."""


def check_options(guard: object, timeout: object, *, max_streams: object, details: object, **functions: object) -> None:
    """Raise `ConfigurationError` for the first value that is not what it should be."""
    if guard is not None and not isinstance(guard, Guard):
        raise ConfigurationError("guard", guard, "must be a Guard or None")
    for name, function in functions.items():
        if function is not None:
            check_callable(name, function, "must be callable, or None")
    if timeout is not None:
        check_positive("timeout", timeout, "seconds")
    check_whole("max_streams", max_streams, least=0)
    check_flag("details", details)


def paths_of(exempt: Iterable[str]) -> frozenset[str]:
    """Return the exempt paths, as a set."""
    for path in (paths := listed("exempt", exempt, "paths")):
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigurationError("exempt", path, 'must be paths that begin with "/"')
    return frozenset(paths)
