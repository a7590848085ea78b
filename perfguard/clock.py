"""Where a guard reads the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isfinite

from perfguard._checks import check_callable

Clock = Callable[[], float]
"""Returns an instant in seconds that never goes back."""

monotonic: Clock = time.monotonic
"""The clock of production; on Linux the one that event loops use, too."""


def checked(clock: Clock) -> Clock:
    """Return a clock that can be read.

    Raises:
        ConfigurationError: It is not callable.
    """
    check_callable("clock", clock, "must be a function that returns seconds, monotonic")
    return clock


class UnfailingClock:
    """A clock that stands still where the one behind it fails.

    Safe from any thread, if the clock behind it is.

    Args:
        clock: Returns an instant in seconds.
        report: Receives what it raises, and the complaint if what it returns is no instant.
    """

    __slots__ = ("_clock", "_last", "_report")

    _clock: Clock
    _last: float
    _report: Callable[[str, BaseException], object]

    def __init__(self, clock: Clock, report: Callable[[str, BaseException], object]) -> None:
        self._clock = clock
        self._report = report
        self._last = 0.0

    def __call__(self) -> float:
        """Return the instant, in seconds; the last one that is known if there is no other."""
        try:
            now = float(self._clock())
            if not isfinite(now):
                raise ValueError(f"a clock returns a finite number of seconds, not {now!r}")
        except BaseException as error:
            self._report("the clock", error)
            return self._last
        self._last = now
        return now

    def waited(self, seconds: float) -> None:
        """Tell the clock behind it of a thread's wait in vain, in seconds of real time, if it wants to know."""
        tell = getattr(self._clock, "waited", None)
        if tell is not None:
            tell(seconds)
