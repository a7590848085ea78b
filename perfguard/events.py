"""Frozen records of what happened, and the callables that receive them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perfguard.outcome import Backpressure, Outcome, Priority, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a guard.

    Attributes:
        guard: The guard's name.
        key: The key of the call or limiter that it happened to.
        now: When, in seconds of the guard's clock.
    """

    guard: str
    key: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted(Event):
    """A call may start.

    Attributes:
        priority: The call's priority.
        queue_time: Seconds from arrival to admission.
        admission_time: The part of it that was spent in the admission queue, in seconds.
    """

    priority: Priority
    queue_time: float
    admission_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """A call was refused, or would have been in a dry run.

    Attributes:
        priority: The call's priority.
        reason: Why.
        queue_time: Seconds from arrival to the refusal.
        retry_after: Seconds after which a new attempt has a chance, before jitter.
        enforced: False in a dry run: the call went on all the same.
    """

    priority: Priority
    reason: Reason
    queue_time: float
    retry_after: float
    enforced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """An admitted call ended.

    Attributes:
        outcome: How.
        queue_time: Seconds from arrival to admission.
        service_time: Seconds from admission to the end of service.
    """

    outcome: Outcome
    queue_time: float
    service_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged(Event):
    """A limiter's limit moved.

    Attributes:
        old: The limit before, in calls in flight.
        new: The limit after.
        reason: Why, in the algorithm's words.
    """

    old: int
    new: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """An admission queue changed its backpressure state.

    Attributes:
        old: The state before.
        new: The state after.
    """

    old: Backpressure
    new: Backpressure


Listener = Callable[[Event], object]
"""Receives every event, outside the guard's lock, on the thread or loop that caused it.

A listener must not block. One that raises is logged once and does not touch the request.
"""
