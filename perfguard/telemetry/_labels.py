"""Label sets that stay few whatever clients send."""

from __future__ import annotations

import os
from collections.abc import Mapping

from perfguard.telemetry import names

MOST_ROUTES = 100
"""Routes and keys with series of their own; all others share one."""

# RFC 9110, PATCH of RFC 5789, and QUERY as the conventions list them.
_METHODS = "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"
_KNOWN_METHODS = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})
_MOST_SETS = 10_000

Labels = Mapping[str, str | int]
Kind = tuple[str, str, str | None, str, int, str | None]


def known_methods() -> frozenset[str]:
    """Return the methods that are named; `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` replaces the list."""
    said = os.environ.get(_KNOWN_METHODS, "")
    return frozenset(each.strip() for each in said.split(",") if each.strip()) or frozenset(_METHODS)


class LabelSets:
    """The label sets of the metrics of requests, each made once, as recording needs no copy.

    Safe from any thread: where two make the same at once, one of them is kept.

    Args:
        guard: The guard's name.
    """

    __slots__ = ("_errors", "_guard", "_routes", "_sets")

    _guard: str
    _errors: set[str]
    _routes: set[str]
    _sets: dict[Kind, tuple[Labels, Labels]]

    def __init__(self, guard: str) -> None:
        self._guard = guard
        self._errors = set()
        self._routes = set()
        self._sets = {}

    def of(self, kind: Kind) -> tuple[Labels, Labels]:
        """Return the labels of a request's duration and service, and of its time in queues.

        Args:
            kind: The method, scheme, route, version, status (0 without) and type of error
                of a request, as they are on its span.
        """
        return self._sets.get(kind) or self._made(kind)

    def _made(self, kind: Kind) -> tuple[Labels, Labels]:
        method, scheme, route, version, status, error = kind
        labels: dict[str, str | int] = {
            names.METHOD: method,
            names.SCHEME: known_scheme(scheme),
        }
        if route is not None:
            labels[names.ROUTE] = _bounded(self._routes, route)
        queue = labels | {names.RESULT: names.ACQUIRED, names.GUARD: self._guard}
        del queue[names.SCHEME]
        if version in _VERSIONS:
            labels[names.PROTOCOL_VERSION] = version
        if status:
            labels[names.STATUS_CODE] = status if 100 <= status <= 599 else 0
        if error is not None:
            labels[names.ERROR_TYPE] = _bounded(self._errors, error)
        return self._kept(kind, (labels, queue))

    def _kept(self, kind: Kind, sets: tuple[Labels, Labels]) -> tuple[Labels, Labels]:
        if len(self._sets) >= _MOST_SETS:
            self._sets.clear()
        self._sets[kind] = sets
        return sets


def known_scheme(scheme: str) -> str:
    """Return a scheme, or what stands for those that are not known."""
    return scheme if scheme in _SCHEMES else names.OTHER


def _bounded(known: set[str], value: str) -> str:
    if value in known or len(known) < MOST_ROUTES:
        known.add(value)
        return value
    return names.OTHER
