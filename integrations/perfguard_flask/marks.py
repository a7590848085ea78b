"""What a view or a blueprint says of itself: its priority, and whether it is exempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Blueprint

from perfguard.errors import ConfigurationError
from perfguard.marks import ATTRIBUTE, Marks, checked, marks_of
from perfguard.outcome import Priority

Marked = TypeVar("Marked", bound=Callable[..., object] | Blueprint)


def priority(level: Priority) -> Callable[[Marked], Marked]:
    """Return a decorator that gives requests a priority.

    It is for view functions, above or below the decorator that makes the route, for
    classes of views and their methods, and for blueprints:
    `priority(Priority.LOW)(blueprint)`. A method outranks its class, a view its
    blueprint, and an inner blueprint the one that encloses it.

    Args:
        level: Under overload the lower priorities are shed first.

    Raises:
        ConfigurationError: `level` is no `Priority`.
    """
    marks = Marks(priority=checked(level))

    def decorate(view: Marked) -> Marked:
        return _mark(view, marks)

    return decorate


def exempt(view: Marked) -> Marked:
    """Let requests pass untouched: never queued, never refused.

    As a decorator it is for what `priority` is for, and `exempt(blueprint)` likewise.

    Raises:
        ConfigurationError: It is none of these, or cannot carry the mark.
    """
    return _mark(view, Marks(exempt=True))


def _mark(view: Marked, marks: Marks) -> Marked:
    if not callable(view) and not isinstance(view, Blueprint):
        raise ConfigurationError("view", view, "must be a view function, a class of views or a blueprint")
    try:
        setattr(view, ATTRIBUTE, marks.over(marks_of(view)))
    except (AttributeError, TypeError):
        # The latter is what types that are built in raise.
        remedy = "must be able to carry attributes: mark the function, not the bound method"
        raise ConfigurationError("view", view, remedy) from None
    return view
