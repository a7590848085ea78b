"""Priorities and exemptions, as decorators."""

import functools
from typing import Any

import pytest

from perfguard import ConfigurationError, Priority
from perfguard_starlette import exempt, priority
from perfguard_starlette.marks import Marks, marks_of


async def _endpoint(request: Any, more: int = 0) -> None:
    """Stand for an endpoint."""


def _fresh() -> Any:
    async def endpoint(request: Any) -> None:
        """Stand for an endpoint."""

    return endpoint


def test_priority_returns_the_endpoint_itself() -> None:
    """The decorator adds no call."""
    endpoint = _fresh()

    assert priority(Priority.HIGH)(endpoint) is endpoint
    assert marks_of(endpoint).priority is Priority.HIGH


def test_marks_add_up() -> None:
    """An endpoint may have both."""
    endpoint = exempt(priority(Priority.LOW)(_fresh()))

    assert marks_of(endpoint) == Marks(priority=Priority.LOW, exempt=True)


def test_outer_decorator_of_the_same_kind_wins() -> None:
    """As with any two decorators, the outer one is applied last."""
    endpoint = priority(Priority.LOW)(priority(Priority.HIGH)(_fresh()))

    assert marks_of(endpoint).priority is Priority.LOW


def test_mark_is_seen_through_a_partial() -> None:
    """Starlette takes partials as endpoints."""
    endpoint = priority(Priority.LOW)(_fresh())

    assert marks_of(functools.partial(functools.partial(endpoint), 1)).priority is Priority.LOW


def test_mark_is_seen_on_a_method_of_an_instance() -> None:
    """A marked method stays marked when it is bound."""

    class Resource:
        @priority(Priority.LOW)
        async def get(self, request: Any) -> None:
            """Stand for an endpoint."""

    assert marks_of(Resource().get).priority is Priority.LOW


def test_endpoint_without_marks_says_nothing() -> None:
    """Nothing is inherited from nowhere."""
    assert marks_of(_endpoint) == Marks()


@pytest.mark.parametrize("level", ["high", 1, None, _endpoint])
def test_priority_refuses_what_is_none(level: Any) -> None:
    """Also where the parentheses were forgotten, as in a bare `@priority`."""
    with pytest.raises(ConfigurationError, match=r"must be a Priority, as in @priority\(Priority.HIGH\)"):
        priority(level)


def test_bound_method_cannot_be_marked() -> None:
    """It would be another object at the next access."""

    class Resource:
        async def get(self, request: Any) -> None:
            """Stand for an endpoint."""

    with pytest.raises(ConfigurationError, match="mark the function"):
        exempt(Resource().get)


def test_exempt_refuses_what_cannot_be_called() -> None:
    """A route object is no endpoint."""
    not_callable: Any = "/path"

    with pytest.raises(ConfigurationError, match="must be a function"):
        exempt(not_callable)


def test_type_that_is_built_in_cannot_be_marked() -> None:
    """Nothing can be set on it; the error names what to do, as for any other."""
    with pytest.raises(ConfigurationError, match="endpoint must be able to carry attributes"):
        exempt(dict)
