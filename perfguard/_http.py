"""A refusal as an HTTP response: few bytes, little work."""

from __future__ import annotations

import json
from random import Random

from perfguard.errors import Rejected

STATUS = 503

_TEXT = b"Service overloaded\n"
_PROBLEM = b'{"title":"Service overloaded","status":503}'

Headers = list[tuple[bytes, bytes]]


class Refusals:
    """Renders refusals.

    Args:
        details: Whether the body names the reason; it tells clients how the service is
            doing, so it is off by default.
        random: Spreads the `Retry-After` of clients that were refused together.
    """

    __slots__ = ("_details", "_random")

    _details: bool
    _random: Random

    def __init__(self, *, details: bool, random: Random) -> None:
        self._details = details
        self._random = random

    def render(self, error: Rejected, headers: Headers) -> tuple[Headers, bytes]:
        """Return the headers and the body of a refusal for a request with those headers."""
        after = retry_after(error.retry_after, self._random)
        if _wants_json(headers):
            body = self._problem(error) if self._details else _PROBLEM
            kind = b"application/problem+json"
        else:
            body = f"{_TEXT.decode()}{error.reason}\n".encode() if self._details else _TEXT
            kind = b"text/plain"
        return [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"%d" % after),
        ], body

    def _problem(self, error: Rejected) -> bytes:
        problem = {"title": "Service overloaded", "status": STATUS, "detail": str(error.reason)}
        return json.dumps(problem).encode()


def retry_after(seconds: float, random: Random) -> int:
    """Return a `Retry-After` for a predicted time to drain: whole seconds, 1 to 30.

    RFC 9110, 10.2.3 allows whole seconds only. Up to the same time again is added, so
    that those who were refused together do not come back together.
    """
    base = min(max(seconds, 1.0), 30.0)
    return min(30, round(base + random.random() * max(base, 2.0)))


def _wants_json(headers: Headers) -> bool:
    for name, value in headers:
        if name == b"accept":
            return b"json" in value
    return False
