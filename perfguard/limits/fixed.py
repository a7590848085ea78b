"""A limit that never moves."""

from __future__ import annotations

from perfguard.limits._checks import check_whole
from perfguard.limits.limit import LimitChange, Sample


class FixedLimit:
    """A constant number of calls in flight.

    Args:
        value: The concurrency limit.

    Raises:
        ConfigurationError: `value` is no whole number, or less than 1.
    """

    __slots__ = ("value",)

    value: int

    def __init__(self, value: int) -> None:
        check_whole("value", value, least=1)
        self.value = value

    def __repr__(self) -> str:
        return f"<FixedLimit {self.value}>"

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn nothing: the limit stays."""
        return None
