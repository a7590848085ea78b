"""Immutable records of what happened, and the callables that receive them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from perfguard.outcome import Backpressure, Outcome, Priority, Reason


class Event(Protocol):
    """Something that happened to a guard; a named tuple, since some are made for each request.

    Attributes:
        guard: The guard's name.
        key: The key of the call or limiter that it happened to.
        now: When, in seconds of the guard's clock.
    """

    @property
    def guard(self) -> str:
        """The guard's name."""

    @property
    def key(self) -> str:
        """The key of the call or limiter."""

    @property
    def now(self) -> float:
        """When, in seconds of the guard's clock."""


class Admitted(NamedTuple):
    """A call may start.

    Attributes:
        priority: The call's priority.
        queue_time: Seconds from arrival to admission.
        admission_time: The part of it that was spent in the admission queue, in seconds.
    """

    guard: str
    key: str
    now: float
    priority: Priority
    queue_time: float
    admission_time: float


class Refused(NamedTuple):
    """A call was refused, or would have been in a dry run.

    Attributes:
        priority: The call's priority.
        reason: Why.
        queue_time: Seconds from arrival to the refusal.
        retry_after: Seconds after which a new attempt has a chance, before jitter.
        enforced: False in a dry run: the call went on all the same.
    """

    guard: str
    key: str
    now: float
    priority: Priority
    reason: Reason
    queue_time: float
    retry_after: float
    enforced: bool


class Settled(NamedTuple):
    """An admitted call ended.

    Attributes:
        outcome: How.
        queue_time: Seconds from arrival to admission.
        service_time: Seconds from admission to the end of service.
        thread_time: The part of it that was spent waiting for a thread, in seconds, where
            `perfguard.threads` measures it.
    """

    guard: str
    key: str
    now: float
    outcome: Outcome
    queue_time: float
    service_time: float
    thread_time: float = 0.0


class LimitChanged(NamedTuple):
    """A limiter's limit moved.

    Attributes:
        old: The limit before, in calls in flight.
        new: The limit after.
        reason: Why, in the algorithm's words.
    """

    guard: str
    key: str
    now: float
    old: int
    new: int
    reason: str


class StateChanged(NamedTuple):
    """An admission queue changed its backpressure state.

    Attributes:
        old: The state before.
        new: The state after.
    """

    guard: str
    key: str
    now: float
    old: Backpressure
    new: Backpressure


Listener = Callable[[Event], object]
"""Receives every event, outside the guard's lock, on the thread or loop that caused it.

A listener must not block. One that raises is logged once and does not touch the request.
"""
