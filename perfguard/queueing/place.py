"""A call's place in the admission queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from perfguard.errors import Rejected
from perfguard.outcome import Call


class Lane(Protocol):
    """What stands between a granted place and its start: an event loop's pacing."""

    @property
    def closed(self) -> bool:
        """Whether the loop is gone."""

    def late(self, now: float) -> bool:
        """Say whether it was asked for a turn so long ago that its loop must be blocked; safe from any thread."""

    def poke(self, now: float) -> None:
        """Ask for a turn; safe from any thread."""


class Place:
    """One call that waits; it ends granted (`ticket`), refused (`error`) or withdrawn.

    Owned by the guard's lock until it has ended. `wake` and `lane` are set by the
    shell before it lets go of the lock.

    Attributes:
        call: What waits.
        arrival: When the call reached this host, in seconds.
        queued_at: When it joined the queue, in seconds.
        waiting: Whether it still stands in the queue.
        ticket: Set when it was granted.
        error: Set when it was refused.
        signal: What the caller waits on: an event or a future.
        wake: Called, outside the lock, once the wait is over.
        limiter: Whose queue it is.
        lane: The event loop's pacing that must agree, `None` for a thread.
        passage: The passage through the pipeline that this place interrupts.
    """

    __slots__ = (
        "arrival",
        "call",
        "error",
        "lane",
        "limiter",
        "passage",
        "queued_at",
        "signal",
        "ticket",
        "waiting",
        "wake",
    )

    call: Call
    arrival: float
    queued_at: float
    waiting: bool
    ticket: Any
    error: Rejected | None
    signal: Any
    wake: Callable[[], object] | None
    lane: Lane | None
    limiter: Any
    passage: Any

    def __init__(self, call: Call, now: float) -> None:
        self.call = call
        self.queued_at = now
        self.arrival = now if call.arrival is None else call.arrival
        self.waiting = True
        self.ticket = None
        self.error = None
        self.signal = None
        self.wake = None
        self.lane = None
        self.limiter = None
        self.passage = None

    def __repr__(self) -> str:
        state = "waiting" if self.waiting else ("refused" if self.error else "granted")
        return f"<Place {self.call.key or '*'} {self.call.priority.name} {state}>"
