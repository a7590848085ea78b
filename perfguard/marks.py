"""What an endpoint or a view says of itself: its priority, and whether it is exempt."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from perfguard.errors import ConfigurationError
from perfguard.outcome import Priority

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])

ATTRIBUTE = "__perfguard_marks__"
"""What marked objects carry them by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What was said of an endpoint, a mounted application or a router.

    Attributes:
        priority: The priority of its requests; `None` if nothing was said.
        exempt: Whether its requests pass untouched; `None` if nothing was said.
    """

    priority: Priority | None = None
    exempt: bool | None = None

    def over(self, outer: Marks) -> Marks:
        """Return these marks, completed by those of what encloses them."""
        return Marks(
            priority=outer.priority if self.priority is None else self.priority,
            exempt=outer.exempt if self.exempt is None else self.exempt,
        )


def priority(level: Priority) -> Callable[[Endpoint], Endpoint]:
    """Return a decorator that gives an endpoint's requests a priority.

    It may stand above or below other decorators, and may be applied to a class-based
    view and to a mounted application: `app.mount("/admin", priority(Priority.LOW)(admin))`.

    Args:
        level: Under overload the lower priorities are shed first.

    Raises:
        ConfigurationError: `level` is no `Priority`.
    """
    marks = Marks(priority=checked(level))

    def decorate(endpoint: Endpoint) -> Endpoint:
        return mark(endpoint, marks)

    return decorate


def exempt(endpoint: Endpoint) -> Endpoint:
    """Let an endpoint's requests pass untouched: never queued, never refused.

    Raises:
        ConfigurationError: The endpoint cannot carry the mark.
    """
    return mark(endpoint, Marks(exempt=True))


def checked(level: object) -> Priority:
    """Return a priority that is one.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(level, Priority):
        raise ConfigurationError("level", level, "must be a Priority, as in @priority(Priority.HIGH)")
    return level


def mark(endpoint: Endpoint, marks: Marks) -> Endpoint:
    """Put marks on an endpoint, over those it has.

    Raises:
        ConfigurationError: It is no endpoint, or cannot carry attributes.
    """
    if not callable(endpoint):
        raise ConfigurationError("endpoint", endpoint, "must be a function, a class or an application")
    try:
        setattr(endpoint, ATTRIBUTE, marks.over(marks_of(endpoint)))
    except (AttributeError, TypeError):
        # The latter is what types that are built in raise.
        remedy = "must be able to carry attributes: mark the function, not the bound method"
        raise ConfigurationError("endpoint", endpoint, remedy) from None
    return endpoint


def marks_of(endpoint: object) -> Marks:
    """Return the marks of an endpoint, through any `functools.partial` and what `functools.wraps` names."""
    marks = getattr(endpoint, ATTRIBUTE, None)
    if isinstance(marks, Marks):
        return marks
    inner = endpoint.func if isinstance(endpoint, functools.partial) else getattr(endpoint, "__wrapped__", None)
    return Marks() if inner is None else marks_of(inner)
