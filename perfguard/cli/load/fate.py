"""What became of a request: the HTTP status, or why there is none."""

from __future__ import annotations

import errno
from enum import Enum, IntEnum

SUCCESS = range(200, 300)
REFUSAL = (503, 429)


class Fate(IntEnum):
    """How a request ended that got no complete answer. Statuses are positive, these are not."""

    PENDING = 0
    UNANSWERED = -1
    UNSENT = -2
    CONNECTION_REFUSED = -3
    CONNECT_FAILED = -4
    CLOSED = -5
    TRUNCATED = -6
    MALFORMED = -7


class Kind(Enum):
    """The six ways in which reports count a request."""

    GOOD = "good"
    """A 2xx within the deadline."""
    LATE = "late"
    """A 2xx after the deadline: work that was of no use."""
    REFUSED = "refused"
    """A 503 or a 429: the server said no."""
    ERROR = "error"
    """Any other answer, or a connection that failed."""
    UNANSWERED = "unanswered"
    """No answer when the client's patience ended."""
    UNSENT = "unsent"
    """Not sent: too many connections were open, or the generator came too late. Its limit, not the server's."""


_WORDS = {
    Fate.PENDING: "still under way",
    Fate.UNANSWERED: "unanswered",
    Fate.UNSENT: "not sent by the generator",
    Fate.CONNECTION_REFUSED: "connection refused",
    Fate.CONNECT_FAILED: "connection not established",
    Fate.CLOSED: "closed without an answer",
    Fate.TRUNCATED: "closed in mid-answer",
    Fate.MALFORMED: "not HTTP",
}


def kind_of(fate: int, latency: float, deadline: float) -> Kind:
    """How a request counts; latency and deadline in seconds from the intended instant."""
    if fate in SUCCESS:
        return Kind.GOOD if latency <= deadline else Kind.LATE
    if fate in REFUSAL:
        return Kind.REFUSED
    if fate in (Fate.UNANSWERED, Fate.PENDING):
        return Kind.UNANSWERED
    return Kind.UNSENT if fate == Fate.UNSENT else Kind.ERROR


def describe(fate: int) -> str:
    """The words for a status or a fate in reports."""
    return f"status {fate}" if fate > 0 else _WORDS[Fate(fate)]


def fate_of(error: BaseException | None) -> Fate:
    """The fate of a request whose connection could not be established."""
    refused = isinstance(error, OSError) and error.errno == errno.ECONNREFUSED
    return Fate.CONNECTION_REFUSED if refused else Fate.CONNECT_FAILED
