"""A guard's state at one instant, as a frozen record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from perfguard.limits.limiter import LimiterSnapshot
from perfguard.outcome import Backpressure, Outcome, Reason


class GuardSnapshot(NamedTuple):
    """A guard at one instant; counts are since it was built, in a forked child since the fork.

    Attributes:
        name: The guard's name.
        enabled: Whether it guards at all.
        dry_run: Whether it decides without enforcing.
        state: The worst backpressure state of its limiters.
        in_flight: Calls in flight.
        queued: Calls that wait.
        limit: The concurrency limit, summed over the limiters.
        admitted: Calls admitted.
        refused: Calls refused, by reason; in a dry run, those that would have been.
        settled: Admitted calls that ended, by outcome.
        limiters: Each limiter on its own.
    """

    name: str
    enabled: bool
    dry_run: bool
    state: Backpressure
    in_flight: int
    queued: int
    limit: int
    admitted: int
    refused: dict[Reason, int]
    settled: dict[Outcome, int]
    limiters: tuple[LimiterSnapshot, ...]


def combined(
    limiters: Iterable[LimiterSnapshot],
    *,
    name: str,
    enabled: bool,
    dry_run: bool,
    admitted: int,
    refused: dict[Reason, int],
    settled: dict[Outcome, int],
) -> GuardSnapshot:
    """Return the snapshot of a guard with those limiters and counts."""
    each = tuple(limiters)
    order = list(Backpressure)
    return GuardSnapshot(
        name=name,
        enabled=enabled,
        dry_run=dry_run,
        state=max((one.state for one in each), key=order.index, default=Backpressure.NORMAL),
        in_flight=sum(one.in_flight for one in each),
        queued=sum(one.queued for one in each),
        limit=sum(one.limit for one in each),
        admitted=admitted,
        refused=refused,
        settled=settled,
        limiters=each,
    )
