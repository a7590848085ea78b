"""The shared words: what a call is, how it ended, and why it was refused."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How an admitted call ended, and with that what policies may learn from it."""

    SUCCESS = "success"
    """The call did its work: its latency is a sample."""
    FAILURE = "failure"
    """The call failed by itself (an exception, a 5xx): its latency says nothing about load."""
    DROPPED = "dropped"
    """The call ran into overload or a deadline downstream: a censored sample."""
    IGNORED = "ignored"
    """Nothing to learn: the client left, the response is a stream, a health check."""


class Priority(IntEnum):
    """The importance of a call; the lower the number, the later it is shed."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    BACKGROUND = 4


class Reason(StrEnum):
    """Why a call was refused."""

    QUEUE_FULL = "queue_full"
    """The admission queue holds as many calls as it may."""
    PREDICTED_WAIT = "predicted_wait"
    """By Little's law the wait in the queue would be longer than allowed."""
    DEADLINE = "deadline"
    """The call's own deadline has passed, or would pass in the queue."""
    QUEUE_TIME = "queue_time"
    """The call has stood longer than allowed, in the queue or in the kernel."""
    EVICTED = "evicted"
    """A call of higher priority took its place in the full queue."""
    STREAM_LIMIT = "stream_limit"
    """As many streams and WebSockets are open as may be."""


class Backpressure(StrEnum):
    """The state of an admission queue."""

    NORMAL = "normal"
    """Calls start at once, or wait less than the target queue time."""
    PUSHBACK = "pushback"
    """A queue stands, but for less than an interval: a burst, so far."""
    SHEDDING = "shedding"
    """The queue has stood for an interval: what does not fit the target is refused."""


class Call(NamedTuple):
    """What a policy may know of a call before it starts.

    A named tuple, since one is made for each request and a frozen dataclass costs twice as much.

    Attributes:
        key: The kind of work, such as a route's template; never a raw path,
            since limits and statistics are kept by key.
        priority: How important the call is.
        arrival: The instant at which the call reached this host or, where its stamp is
            trusted, the proxy before it, in seconds of the guard's clock; `None` means "now".
        deadline: The instant after which nobody wants the answer, in seconds of the
            guard's clock; `None` means that there is none.
        proxy_time: Seconds that it had stood with a trusted proxy, by its stamp, when it
            reached this host; `arrival` lies that much further back.
    """

    key: str = ""
    priority: Priority = Priority.NORMAL
    arrival: float | None = None
    deadline: float | None = None
    proxy_time: float = 0.0


_SUCCESS = Outcome.SUCCESS

# The application's own refusals: overload or a deadline behind it.
_DROPPED = (503, 504)


def outcome_of_status(status: int) -> Outcome:
    """Return the outcome of a response with that HTTP status; 0 stands for none at all."""
    if not status:
        return Outcome.FAILURE
    if status < 400:
        return _SUCCESS
    if status < 500:
        return Outcome.IGNORED
    return Outcome.DROPPED if status in _DROPPED else Outcome.FAILURE
