"""The protocols that a guard's policies follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from perfguard.errors import Rejected
from perfguard.events import LimitChanged, StateChanged
from perfguard.outcome import Backpressure, Call, Outcome
from perfguard.queueing.place import Lane, Place

Notice = LimitChanged | StateChanged
"""What a policy has to tell, apart from its decisions."""

Observer = Callable[[str, Backpressure, float], None]
"""Takes a limiter's key, its state and the instant, in seconds; called under the guard's lock."""


@runtime_checkable
class Policy(Protocol):
    """Decides whether a call may start, and learns from how it ended.

    Both methods are arithmetic on their arguments: no clock, no lock, no waiting. The
    guard calls them under its lock and passes the instant in, in seconds.
    """

    def admit(self, call: Call, now: float) -> Any:
        """Return a ticket for the call, or raise `Rejected`."""

    def settle(self, ticket: Any, outcome: Outcome, now: float) -> None:
        """Take the ticket back and learn from the outcome; called once per ticket."""


@runtime_checkable
class HoldingPolicy(Policy, Protocol):
    """A policy that holds something for each call under way, such as a permit.

    A forked child inherits what is held for the parent's calls, and they never end in
    it. A policy without this method keeps it for good there.
    """

    def start_afresh(self, now: float) -> None:
        """Hold nothing, and keep what was learnt; no ticket given before comes back."""


@runtime_checkable
class QueueingPolicy(Policy, Protocol):
    """A policy at which calls may wait; a pipeline holds at most one."""

    def enqueue(self, call: Call, now: float) -> Place:
        """Return a place in the queue though the call could start; may raise `Rejected`."""

    def head(self, now: float, late: Collection[Lane] = ()) -> Place | None:
        """Return the place that may start now, of those that no late lane must start; or `None`."""

    def grant(self, place: Place, now: float) -> None:
        """Start the call of that place: set its ticket."""

    def withdraw(self, place: Place, now: float) -> None:
        """Give a place back whose caller no longer waits."""

    def expire(self, now: float) -> None:
        """Refuse the places that have waited too long."""

    def count_refusals(self, call: Call, count: int, now: float) -> None:
        """Count refusals of calls like that one that were given without asking."""

    def released(self) -> list[Place]:
        """Return, once, the places that were refused while they waited."""

    def force(self, call: Call, now: float) -> Any:
        """Return a ticket whatever the limit says (for a dry run)."""

    def verdict(self, call: Call, now: float) -> Rejected | None:
        """Return the refusal that enforcing would raise now, `None` if none (for a dry run)."""

    def report_to(self, observer: Observer) -> None:
        """Tell an observer when a limiter begins or ceases to shed, and now and then while it sheds."""

    def notices(self, guard: str, now: float) -> list[Notice]:
        """Return, once, what changed, under the guard's name."""

    def snapshots(self, now: float) -> Sequence[Any]:
        """Return the live state of each limiter, as frozen records."""

    def __len__(self) -> int:
        """Return how many calls wait."""

    def __bool__(self) -> bool:
        """Say whether any call waits."""
