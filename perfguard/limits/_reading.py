"""What a window of calls says of a service, and what two windows say of a queue."""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

from perfguard.stats.window import Window


class Reading(NamedTuple):
    """What a window says.

    Attributes:
        now: When it closed, in seconds.
        calls: How many ended in it.
        throughput: Calls per second that ended well.
        mean: Their mean service time without the measured wait, in seconds.
        wait: Their mean measured wait, in seconds.
        low: The low quantile of their service times without the measured wait, in seconds.
        spread: The median of them over the low quantile.
        present: The mean number of calls in flight, by Little's law.
        rate: Calls per second that ended, those that taught nothing included.
        saturated: Whether a call had the last permit.
    """

    now: float
    calls: int
    throughput: float
    mean: float
    wait: float
    low: float
    spread: float
    present: float
    rate: float
    saturated: bool


NOTHING = Reading(
    now=0.0, calls=0, throughput=0.0, mean=0.0, wait=0.0, low=0.0, spread=1.0, present=0.0, rate=0.0, saturated=False
)
"""What is known before the first window."""


def read(window: Window, now: float, limit: int) -> Reading:
    """Return what a window says that closes now, in seconds, under a limit."""
    throughput = window.served / (now - window.start)
    low = window.quantile(0.2) or 0.0
    service = window.mean + window.wait
    present = throughput * service
    if service > 0.0 and 0.95 * limit <= window.beside <= 1.05 * limit:
        # Where the limit was in use throughout, those that taught nothing count as well.
        present = max(present, float(limit))
    return Reading(
        now=now,
        calls=window.count,
        throughput=throughput,
        mean=window.mean,
        wait=window.wait,
        low=low,
        spread=(window.quantile(0.5) or 0.0) / low if low > 0.0 else 1.0,
        present=present,
        rate=present / service if service > 0.0 else 0.0,
        saturated=window.peak >= limit,
    )


def headroom(needed: float) -> float:
    """Return the calls in flight beyond those that work that keep a server fed."""
    return max(2.0, 0.5 * sqrt(needed))


def noise(count: int) -> float:
    """Return the relative fall of throughput that so many calls cannot tell from none."""
    return min(0.2, max(0.03, 0.8 / sqrt(count)))


def elasticity(after: Reading, before: Reading) -> float:
    """Return what share of a growth of concurrency throughput followed, about 0 to 1."""
    if after.throughput <= 0.0 or before.throughput <= 0.0 or after.present <= 1.05 * before.present:
        return 0.0
    return log(after.throughput / before.throughput) / log(after.present / before.present)


def queued(after: Reading, before: Reading) -> float:
    """Return what share of the calls that are more in flight waits: about 0 to 1."""
    longer = after.low + after.wait - before.low - before.wait
    return longer * after.rate / max(1.0, after.present - before.present)
