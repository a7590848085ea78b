"""An even share of refusals, where the queue stands outside the process and is met one call at a time."""

from __future__ import annotations

from perfguard.outcome import Priority

# Calls over which ages are averaged: threads that start together meet the queue together.
_CALLS = 16


class EvenShare:
    """Refuses a share of the calls that grows with their age, and spreads the refusals evenly.

    The share is that of random early detection (Floyd and Jacobson, 1993): none at an age
    of `least`, all at `most`, proportional in between. The age is the mean of the last
    calls, or the call's own where that is less, lest a queue that has drained be refused
    away. It is taken at the head of the
    queue, where it decides at once how fast the queue drains, so that it settles where
    calls are refused at the rate at which they are too many. The share is summed up, and a
    call is refused whenever a whole one has come together (error diffusion), and not by
    chance or by its own age: threads that refuse all at the same time, and then all serve,
    serve less. More important calls wait for a larger sum, so that others are refused in
    their stead.

    Pure and unsynchronised.
    """

    __slots__ = ("_age", "_sum")

    _age: float
    _sum: float

    def __init__(self) -> None:
        self._age = 0.0
        self._sum = 0.0

    def __repr__(self) -> str:
        return f"<EvenShare of calls {self._age * 1e3:.0f} ms old>"

    def takes(self, age: float, priority: Priority, *, least: float, most: float) -> bool:
        """Say whether the next call is refused: never one younger than `least`, always one twice as old as `most`.

        Args:
            age: How long the call has waited, in seconds.
            priority: How important it is.
            least: The age up to which none is refused, in seconds.
            most: The age from which on all are refused, in seconds; more than `least`.
        """
        self._age += (age - self._age) / _CALLS
        if age < least:
            return False
        self._sum += min(1.0, max(0.0, (min(age, self._age) - least) / (most - least)))
        if age < 2.0 * most and self._sum < 2.0 ** (Priority.NORMAL - priority):
            return False
        self._sum = max(0.0, self._sum - 1.0)
        return True
