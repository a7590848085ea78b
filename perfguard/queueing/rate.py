"""The rate at which calls leave a queue that always had one more to give."""

from __future__ import annotations

from math import exp


class DepartureRate:
    """Departures per second while a backlog stands, with exponentially fading memory.

    Time in which nothing waited says how fast calls arrived, not how fast they could
    have left; it is left out. The estimate is `count / elapsed`, both faded by
    `exp(-dt / memory)`, so that a burst of departures at one instant weighs no more
    than its share of the time.

    Args:
        memory: The time constant of the fading, in seconds of backlog.
    """

    __slots__ = ("_count", "_elapsed", "_last", "_memory")

    _memory: float
    _count: float
    _elapsed: float
    _last: float | None

    def __init__(self, memory: float = 0.5) -> None:
        self._memory = memory
        self._count = 0.0
        self._elapsed = 0.0
        self._last = None

    def begin(self, now: float) -> None:
        """Say that a backlog stands from `now` on."""
        if self._last is None:
            self._last = now

    def end(self) -> None:
        """Say that the backlog is gone; the estimate stays."""
        self._last = None

    def depart(self, now: float) -> None:
        """Count a departure out of the backlog."""
        if self._last is None:
            self._last = now
            return
        elapsed = now - self._last
        fade = exp(-elapsed / self._memory)
        self._count = self._count * fade + 1.0
        self._elapsed = self._elapsed * fade + elapsed
        self._last = now

    def per_second(self, now: float) -> float | None:
        """Return departures per second, or `None` before the first estimate.

        Time since the last departure counts against the rate once it is longer than
        the mean gap, so that a stalled service is seen before its next departure.
        """
        if self._count < 2.0 or self._elapsed <= 0.0:
            return None
        if self._last is not None and (now - self._last) * self._count > self._elapsed:
            return self._count / (self._elapsed + now - self._last)
        return self._count / self._elapsed
