"""Refusals that stand: what one call met, the next of its kind meets as well."""

from __future__ import annotations

from perfguard.errors import Rejected
from perfguard.outcome import Call, Priority, Reason

_MAX_KEYS = 128


class StandingRefusal:
    """A refusal for want of room, and how often it was given again.

    Attributes:
        call: The call that met it first.
        error: The refusal.
        count: How many more calls met it.
    """

    __slots__ = ("call", "count", "error")

    call: Call
    error: Rejected
    count: int

    def __init__(self, call: Call, error: Rejected) -> None:
        self.call = call
        self.error = error
        self.count = 0


class StandingRefusals(dict[str, StandingRefusal]):
    """Refusals for want of room by key, which hold until a call leaves the queue or settles.

    Until then a queue without room for one call has none for the next of the same key
    and of the same or a lower priority: the predicted wait only grows while nothing
    departs. Under overload most calls are refused, and most of these in this way, so
    what they cost decides how many can be served.

    Pure and unsynchronised: the guard's lock owns it. A dictionary, since each request
    asks whether it is empty.
    """

    __slots__ = ()

    def add(self, call: Call, error: Rejected) -> None:
        """Keep a refusal if it is one for want of room."""
        if error.reason is not Reason.PREDICTED_WAIT and error.reason is not Reason.QUEUE_FULL:
            return
        if call.key not in self and len(self) < _MAX_KEYS:
            self[call.key] = StandingRefusal(call, error)

    def again(self, key: str, priority: Priority) -> Rejected | None:
        """Return the refusal that stands for such a call, and count it; `None` if none does."""
        standing = self.get(key)
        if standing is None or priority < standing.call.priority:
            return None
        standing.count += 1
        return standing.error

    def cleared(self) -> list[StandingRefusal]:
        """Return those that stood, for the last time."""
        standing = list(self.values())
        self.clear()
        return standing
