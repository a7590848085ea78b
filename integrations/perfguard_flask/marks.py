"""What a view or a blueprint says of itself: its priority, and whether it is exempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Blueprint

from perfguard.errors import ConfigurationError
from perfguard.outcome import Priority

Marked = TypeVar("Marked", bound=Callable[..., object] | Blueprint)

_ATTRIBUTE = "__perfguard_marks__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What was said of a view, a class of views or a blueprint.

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
    if not isinstance(level, Priority):
        raise ConfigurationError("level", level, "must be a Priority, as in @priority(Priority.HIGH)")
    marks = Marks(priority=level)

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


def marks_of(view: object) -> Marks:
    """Return what was said of a view, or of whatever else may be marked."""
    marks = getattr(view, _ATTRIBUTE, None)
    return marks if isinstance(marks, Marks) else Marks()


def _mark(view: Marked, marks: Marks) -> Marked:
    if not callable(view) and not isinstance(view, Blueprint):
        raise ConfigurationError("view", view, "must be a view function, a class of views or a blueprint")
    try:
        setattr(view, _ATTRIBUTE, marks.over(marks_of(view)))
    except AttributeError:
        remedy = "must be able to carry attributes: mark the function, not the bound method"
        raise ConfigurationError("view", view, remedy) from None
    return view
