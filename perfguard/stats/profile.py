"""Throughput by calls in flight, and the fixed limit that it speaks for."""

from __future__ import annotations


class ThroughputProfile:
    """Keeps, for each number of calls in flight, the time spent there and what completed.

    Completions over time is the throughput `X(n)` at `n` calls in flight. The best fixed
    limit is the knee of that curve: the least `n` that reaches `share` of the highest
    throughput, since more concurrency from there on buys waiting alone.

    Args:
        now: The instant at which the profile begins, in seconds.
        levels: The highest number in flight that is told apart.
        share: The share of the highest throughput that the knee must reach.
    """

    __slots__ = ("_completed", "_last", "_seconds", "_share")

    _completed: list[int]
    _seconds: list[float]
    _last: float
    _share: float

    def __init__(self, now: float, *, levels: int = 1000, share: float = 0.97) -> None:
        self._completed = [0] * (levels + 1)
        self._seconds = [0.0] * (levels + 1)
        self._last = now
        self._share = share

    def spent(self, in_flight: int, now: float) -> None:
        """Say that `in_flight` calls were in flight from the last report until `now`."""
        level = min(in_flight, len(self._seconds) - 1)
        self._seconds[level] += max(0.0, now - self._last)
        self._last = now

    def completed(self, in_flight: int, now: float) -> None:
        """Say that one of `in_flight` calls completed at `now`."""
        self.spent(in_flight, now)
        self._completed[min(in_flight, len(self._completed) - 1)] += 1

    def best_limit(self, *, least: int = 20) -> int | None:
        """Return the knee of the curve, `None` before `least` calls completed.

        Neighbouring levels are taken together until `least` calls completed in each
        group, so that a level seen in passing cannot win by luck.
        """
        groups = self._groups(least)
        if not groups:
            return None
        enough = self._share * max(rate for _, rate in groups)
        return next(level for level, rate in groups if rate >= enough)

    def _groups(self, least: int) -> list[tuple[int, float]]:
        groups: list[tuple[int, float]] = []
        calls, seconds = 0, 0.0
        for level in range(1, len(self._completed)):
            calls += self._completed[level]
            seconds += self._seconds[level]
            if calls >= least and seconds > 0.0:
                groups.append((level, calls / seconds))
                calls, seconds = 0, 0.0
        return groups
