"""Additive increase, multiplicative decrease."""

from __future__ import annotations

from perfguard.limits._checks import check_positive, check_range, check_share
from perfguard.limits.limit import LimitChange, LimitReason, Sample


class AIMDLimit:
    """Adds one while calls fit, and backs off when one is dropped or too slow.

    Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
    Congestion Avoidance", 1989, in the form of Netflix's concurrency-limits: with limit
    L, `L + 1` if at least L/2 calls were in flight, `L * backoff` if the call was dropped
    or took longer than `timeout`.

    Args:
        initial: The limit at the start, in calls in flight.
        lowest: The limit never falls below.
        highest: The limit never rises above.
        backoff: What the limit is multiplied by, above 0 and at most 1.
        timeout: Seconds; a longer service time counts as a drop.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    __slots__ = ("_backoff", "_highest", "_lowest", "_timeout", "value")

    value: int
    _lowest: int
    _highest: int
    _backoff: float
    _timeout: float

    def __init__(
        self,
        *,
        initial: int = 20,
        lowest: int = 20,
        highest: int = 200,
        backoff: float = 0.9,
        timeout: float = 5.0,
    ) -> None:
        check_range(initial, lowest, highest)
        check_share("backoff", backoff)
        check_positive("timeout", timeout)
        self.value = initial
        self._lowest = lowest
        self._highest = highest
        self._backoff = backoff
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<AIMDLimit {self.value}>"

    def observe(self, sample: Sample) -> LimitChange | None:
        """Move by one call's outcome."""
        if sample.dropped or sample.service_time > self._timeout:
            return self._moved(int(self.value * self._backoff), LimitReason.DROPPED)
        if sample.in_flight * 2 >= self.value:
            return self._moved(self.value + 1, LimitReason.GROWTH)
        return None

    def _moved(self, wanted: int, reason: LimitReason) -> LimitChange | None:
        old, self.value = self.value, max(self._lowest, min(self._highest, wanted))
        return None if self.value == old else LimitChange(old=old, new=self.value, reason=reason)
