"""What a request is for, which integrations find out before their framework does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from perfguard.marks import Marks
from perfguard.outcome import Priority

Found = TypeVar("Found")

TARGET = "perfguard.target"
"""Where a request's target is, in its ASGI scope or WSGI environ."""

_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is for.

    Attributes:
        key: The template of its route.
        priority: Its priority.
        exempt: Whether it passes untouched.
    """

    key: str
    priority: Priority = Priority.NORMAL
    exempt: bool = False


UNMATCHED = Target(key="_UNMATCHED")
"""What all requests are for that no route takes."""


def target_of(key: str, marks: Marks) -> Target:
    """Return the target of a route's requests, by what was said of the route."""
    level = Priority.NORMAL if marks.priority is None else marks.priority
    return Target(key=key, priority=level, exempt=bool(marks.exempt))


def key_of(request: Mapping[str, Any]) -> str:
    """Return the key of a request whose scope or environ has its target."""
    target: Target = request.get(TARGET, UNMATCHED)
    return target.key


def priority_of(request: Mapping[str, Any]) -> Priority:
    """Return the priority of a request whose scope or environ has its target."""
    target: Target = request.get(TARGET, UNMATCHED)
    return target.priority


class Matcher(Generic[Found]):
    """Finds the first of many routes that takes a path, in one match.

    Args:
        entries: Each route's expression, without names, and what to return for it.

    Raises:
        re.error: The expressions cannot be joined.
    """

    __slots__ = ("_found", "_pattern")

    _pattern: re.Pattern[str]
    _found: dict[str | None, Found]

    def __init__(self, entries: Iterable[tuple[str, Found]]) -> None:
        self._found = {}
        alternatives = []
        for number, (expression, found) in enumerate(entries):
            # An empty group that closes last, so that `lastgroup` names the route.
            alternatives.append(f"{expression}(?P<route{number}>)")
            self._found[f"route{number}"] = found
        self._pattern = re.compile("|".join(alternatives) or "(?!)")

    def find(self, path: str, otherwise: Found) -> Found:
        """Return what belongs to the first route that takes a path."""
        match = self._pattern.match(path)
        return otherwise if match is None else self._found[match.lastgroup]


def unnamed(expression: str) -> str:
    """Return an expression without the names of its groups, which would clash where several are joined."""
    return _NAMED_GROUP.sub("(?:", expression)
