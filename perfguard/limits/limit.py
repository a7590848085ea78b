"""What every limit is: an algorithm that turns samples into a number."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol


class LimitReason(StrEnum):
    """Why a limit moved."""

    GROWTH = "growth"
    """The limit was reached and nothing spoke against more."""
    QUEUE_GROWTH = "queue_growth"
    """Calls wait behind the limit: more concurrency buys waiting alone."""
    KNEE = "knee"
    """A higher limit bought no throughput."""
    CUT_TAKEN_BACK = "cut_taken_back"
    """Throughput fell with the limit: what looked like a queue was work."""
    DROPPED = "dropped"
    """Calls ran into overload or a deadline downstream."""
    IDLE = "idle"
    """Far fewer calls than the limit were in flight for long."""


class Sample(NamedTuple):
    """One call that ended.

    A named tuple, since one is made for each request and a frozen dataclass costs twice as much.

    Attributes:
        now: The instant at which it ended, in seconds, monotonic.
        service_time: Seconds from its start to its end; queue time is not in it.
        in_flight: Calls in flight when it started, itself included.
        dropped: Whether it ran into overload or a deadline downstream: its time is
            censored, not a latency.
        wait: The part of the service time that was measured as waiting inside this
            process, in seconds; 0 where nothing measures it.
    """

    now: float
    service_time: float
    in_flight: int
    dropped: bool = False
    wait: float = 0.0


class LimitChange(NamedTuple):
    """A limit that moved.

    Attributes:
        old: The limit before, in calls in flight.
        new: The limit after.
        reason: Why.
    """

    old: int
    new: int
    reason: LimitReason


class Limit(Protocol):
    """An algorithm that turns samples into a concurrency limit.

    Pure and unsynchronised: the guard's lock owns it.
    """

    @property
    def value(self) -> int:
        """The concurrency limit: calls in flight, at least 1."""

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn from a call that ended; return the change, if the limit moved."""
