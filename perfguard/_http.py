"""A refusal as an HTTP response: few bytes, little work."""

from __future__ import annotations

import json as _json
from collections.abc import Iterable
from random import Random

from perfguard.errors import Rejected

STATUS = 503

_TITLE = "Service overloaded"

Headers = list[tuple[bytes, bytes]]


class Refusals:
    """Renders refusals.

    Args:
        details: Whether the body names the reason; it tells clients how the service is
            doing, so it is off by default.
        random: Spreads the `Retry-After` of clients that were refused together.
    """

    __slots__ = ("_details", "_random", "_rendered")

    _details: bool
    _random: Random
    _rendered: dict[tuple[int, bool, str], tuple[Headers, bytes]]

    def __init__(self, *, details: bool, random: Random) -> None:
        self._details = details
        self._random = random
        # Few differ: by seconds, kind and reason.
        self._rendered = {}

    def render(self, error: Rejected, *, json: bool) -> tuple[Headers, bytes]:
        """Return the headers and the body of a refusal, as problem+json (RFC 9457) or as text."""
        after = retry_after(error.retry_after, self._random)
        variant = after, json, error.reason if self._details else ""
        rendered = self._rendered.get(variant)
        if rendered is None:
            rendered = self._rendered[variant] = _rendered(*variant)
        # A copy, since middleware further out may add headers of its own.
        return rendered[0].copy(), rendered[1]


def _rendered(after: int, wants_json: bool, reason: str) -> tuple[Headers, bytes]:  # noqa: FBT001
    kind, body = (b"application/problem+json", _problem(reason)) if wants_json else (b"text/plain", _text(reason))
    return [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % after),
    ], body


def _text(reason: str) -> bytes:
    return f"{_TITLE}\n{reason}\n".encode() if reason else f"{_TITLE}\n".encode()


def _problem(reason: str) -> bytes:
    problem = {"title": _TITLE, "status": STATUS} | ({"detail": reason} if reason else {})
    return _json.dumps(problem, separators=(",", ":")).encode()


def retry_after(seconds: float, random: Random) -> int:
    """Return a `Retry-After` for a predicted time to drain: whole seconds, 1 to 30.

    RFC 9110, 10.2.3 allows whole seconds only. Up to the same time again is added, so
    that those who were refused together do not come back together.
    """
    base = min(max(seconds, 1.0), 30.0)
    return min(30, round(base + random.random() * max(base, 2.0)))


def wants_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether the client asked for JSON."""
    for name, value in headers:
        if name == b"accept":
            return b"json" in value
    return False
