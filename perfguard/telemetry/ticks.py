"""When the ticks of an event loop were due, how late they came, and when that is a stall: arithmetic on instants."""

from __future__ import annotations

from math import inf

MOST_MISSED = 256
"""Ticks that are counted at most after one stall, which bounds the work that follows it."""

_GOLDEN = (5.0**0.5 - 1.0) / 2.0

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 1.0


class Ticks:
    """Instants at a fixed rate, and the delay of each that has gone by.

    A timer that is set anew when it fires sees a stall as one late tick among hundreds
    in time, though whoever came meanwhile has waited (coordinated omission). Here each
    tick that was due counts by its own delay: after a delay v at the interval I also
    v - I, v - 2 I and so on, which is the rule of HdrHistogram's
    `recordValueWithExpectedInterval` (Gil Tene) on a schedule that does not shift.

    Each interval has one tick, at the place in it that the golden ratio gives: multiples
    of it spread evenly (Weyl's additive recurrence), so that stalls at a steady pace are
    not met at the same place each time. Two ticks lie 0.62 or 1.62 intervals apart.

    Written by the loop's thread; `due` may be read from any.

    Args:
        start: The instant of the first tick, in seconds.
        interval: Seconds for each tick.

    Attributes:
        due: The instant of the next tick, in seconds.
    """

    __slots__ = ("_interval", "_number", "_start", "due")

    due: float
    _start: float
    _interval: float
    _number: int

    def __init__(self, start: float, interval: float) -> None:
        self.due = start
        self._start = start
        self._interval = interval
        self._number = 0

    def passed(self, now: float) -> list[float]:
        """Return the delays of all ticks that were due by now, in seconds, the longest first.

        Of a stall of more than `MOST_MISSED` intervals they are as many values, spread
        evenly over it: their distribution is the stall's, their number is not.
        """
        late = max(0.0, now - self.due)
        if late > MOST_MISSED * self._interval:
            self._go_to(int((now - self._start) / self._interval))
            delays = [late * left / MOST_MISSED for left in range(MOST_MISSED, 0, -1)]
        else:
            self._go_to(self._number + 1)
            delays = [late]
        while self.due <= now:
            delays.append(now - self.due)
            self._go_to(self._number + 1)
        return delays

    def _go_to(self, number: int) -> None:
        self._number = number
        self.due = self._start + (number + number * _GOLDEN % 1.0) * self._interval


class StallRule:
    """Says when a loop that owes a tick counts as stuck, once for each stall.

    Args:
        threshold: Seconds by which a tick must be late.
    """

    __slots__ = ("_begun", "_threshold")

    _threshold: float
    _begun: float

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._begun = -inf

    def begins(self, now: float, due: float) -> bool:
        """Say whether the loop is stuck by now, and was not said to be for this tick."""
        if now - due < self._threshold or due == self._begun:
            return False
        self._begun = due
        return True

    def pause(self, now: float, due: float) -> float:
        """Return the seconds after which to look again: never later than a stall can begin, and once a second."""
        left = due + self._threshold - now if due != self._begun else self._threshold
        return min(max(_SHORTEST_PAUSE, left), _LONGEST_PAUSE)
