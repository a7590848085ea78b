"""Throughput by calls in flight, and the fixed limit that it speaks for."""

from __future__ import annotations

from array import array
from itertools import accumulate
from math import ceil, sqrt

_GROUPS = 8
"""Groups of levels whose throughputs are compared; the more, the more luck decides which is highest."""

_DOUBT = 0.1
"""The relative standard error of the service time without a queue beyond which nothing is advised."""


class ThroughputProfile:
    """Keeps what was served at each number of calls in flight, and how long that took.

    Completions over time is the throughput `X(n)` at `n` calls in flight; it grows with
    `n` up to a knee, from where more concurrency buys waiting alone. By Little's law the
    knee lies where the highest throughput X keeps `X W` calls at work, with the service
    time W of calls that started before any queue (Denning and Buzen, "The Operational
    Analysis of Queueing Network Models", 1978). W is the mean over the lowest levels, as
    far up as these are below `X W` themselves. From there the advice goes up as long as
    the measured throughput is still below `share` of the highest beyond doubt.

    A level that is passed in a moment says little of its throughput. So X is the highest
    among few groups of many calls, not the highest of all levels, which luck decides.

    Args:
        now: The instant at which the profile begins, in seconds.
        levels: The highest number in flight that is told apart.
        share: The share of the highest throughput that the advised limit must reach.
    """

    __slots__ = ("_completed", "_last", "_seconds", "_share", "_squares", "_started", "_times")

    _completed: array[float]
    _seconds: array[float]
    _started: array[float]
    _times: array[float]
    _squares: array[float]
    _last: float
    _share: float

    def __init__(self, now: float, *, levels: int = 1000, share: float = 0.97) -> None:
        nothing = array("d", bytes(8 * (levels + 1)))
        # By the level at the end of a call: how many, and the seconds spent there.
        self._completed, self._seconds = nothing[:], nothing[:]
        # By the level at its start: how many, and the sums of their times and of the squares.
        self._started, self._times, self._squares = nothing[:], nothing[:], nothing[:]
        self._last = now
        self._share = share

    def spent(self, in_flight: int, now: float) -> None:
        """Say that `in_flight` calls were in flight from the last report until `now`."""
        self._seconds[self._level(in_flight)] += max(0.0, now - self._last)
        self._last = now

    def completed(self, in_flight: int, now: float, *, beside: int, service_time: float) -> None:
        """Say that one of `in_flight` calls completed at `now`.

        Args:
            in_flight: Calls in flight until now, itself included.
            now: The instant, in seconds.
            beside: Calls in flight when it started, itself included.
            service_time: From its start to its end, in seconds.
        """
        self.spent(in_flight, now)
        self._completed[self._level(in_flight)] += 1.0
        start = self._level(beside)
        self._started[start] += 1.0
        self._times[start] += service_time
        self._squares[start] += service_time * service_time

    def best_limit(self, *, least: int = 20) -> int | None:
        """Return the knee of the curve, `None` where what was seen does not show it.

        That is before `least` calls completed, where calls never queued, and where too
        few started without a queue before them.
        """
        groups = self._groups(least)
        highest = max((calls / seconds for _, calls, seconds in groups), default=0.0)
        needed = self._needed(highest)
        if needed is None or not any(level > 1.3 * needed + 1.0 for level, _, _ in groups):
            return None
        return self._climbed(ceil(needed + max(0.5, 0.25 * sqrt(needed))), highest)

    def _level(self, in_flight: int) -> int:
        return min(in_flight, len(self._seconds) - 1)

    def _groups(self, least: int) -> list[tuple[float, float, float]]:
        """Return the mean level, the calls and the seconds of neighbouring levels taken together."""
        enough = max(least, sum(self._completed) / _GROUPS)
        groups: list[tuple[float, float, float]] = []
        calls = seconds = area = 0.0
        for level in range(1, len(self._completed)):
            calls += self._completed[level]
            seconds += self._seconds[level]
            area += level * self._seconds[level]
            if calls >= enough and seconds > 0.0:
                groups.append((area / seconds, calls, seconds))
                calls = seconds = area = 0.0
        return groups

    def _needed(self, highest: float) -> float | None:
        """Return the calls that the highest throughput keeps at work, `None` in doubt."""
        needed: float | None = None
        calls, times, squares = (list(accumulate(sums)) for sums in (self._started, self._times, self._squares))
        for level in range(1, len(calls)):
            if calls[level] < 4.0:
                continue
            mean = times[level] / calls[level]
            if level > max(1.0, highest * mean):
                break
            half = max(1, level // 2)
            if times[half] < 0.75 * mean * max(1.0, calls[half]):
                # The times rise with the level: these calls queued.
                continue
            if _doubt(calls[level], mean, squares[level]) <= _DOUBT:
                needed = highest * mean
        return needed

    def _climbed(self, limit: int, highest: float) -> int:
        """Return the least limit from there on whose throughput is not beyond doubt too low."""
        top = max((level for level, seconds in enumerate(self._seconds) if seconds > 0.0), default=limit)
        while limit < top and self._falls_short(limit, highest):
            limit += max(1, limit // 10)
        return min(limit, top)

    def _falls_short(self, limit: int, highest: float) -> bool:
        levels = slice(limit, limit + max(1, limit // 2))
        calls, seconds = sum(self._completed[levels]), sum(self._seconds[levels])
        if calls < 20.0 or seconds <= 0.0:
            return False
        return calls / seconds < (self._share - 3.0 / sqrt(calls)) * highest


def _doubt(calls: float, mean: float, squares: float) -> float:
    """Return the relative standard error of a mean, with allowance for few calls that agree by chance."""
    variance = max(0.0, squares / calls - mean * mean) * calls / (calls - 1.0)
    return sqrt(variance / calls) * (1.0 + 4.0 / calls) / mean if mean > 0.0 else 0.0
