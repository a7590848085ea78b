"""The limit that a dry run advises: the knee of the throughput, or nothing where the data cannot tell."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

import pytest

from perfguard import Call, Limiter, Outcome
from perfguard.stats.profile import ThroughputProfile

Load = tuple[float, float]
"""Arrivals per second, and for how many seconds."""

Work = Callable[[Random], float]

ALWAYS: Work = lambda chance: 0.05  # noqa: E731 # A table of distributions.
UNIFORM: Work = lambda chance: chance.uniform(0.02, 0.08)  # noqa: E731 # As above.
EXPONENTIAL: Work = lambda chance: chance.expovariate(20.0)  # noqa: E731 # As above.
WORK = pytest.mark.parametrize("work", [ALWAYS, UNIFORM, EXPONENTIAL], ids=["always", "uniform", "exponential"])

# With four slots of 50 ms 80 calls per second can be served.
LOADS: dict[str, Sequence[Load]] = {
    "low, then high": [(40.0, 30.0), (120.0, 20.0)],
    "high, then low": [(120.0, 20.0), (40.0, 30.0)],
    "near the capacity": [(72.0, 120.0)],
    "changing": [(20.0, 10.0), (70.0, 20.0), (200.0, 3.0), (60.0, 20.0), (100.0, 5.0)],
}


class Service:
    """Calls that arrive at random and wait, unseen, for one of a few slots, on trial.

    Args:
        slots: How many are served at a time.
        work: Draws the seconds for which a slot is held.
        seed: Of all that is random.
    """

    def __init__(self, slots: int, work: Work, seed: int) -> None:
        self.limiter = Limiter()
        self._free = slots
        self._work = work
        self._chance = Random(seed)
        self._events: list[tuple[float, int, Any]] = []
        self._order = count()
        self._line: deque[Any] = deque()

    def advised(self, loads: Sequence[Load]) -> int | None:
        """Serve the loads one after the other, until all calls have ended."""
        begins = now = 0.0
        for rate, seconds in loads:
            arrival = begins + self._chance.expovariate(rate)
            while arrival < begins + seconds:
                self._at(arrival, None)
                arrival += self._chance.expovariate(rate)
            begins += seconds
        while self._events:
            now, _, ticket = heapq.heappop(self._events)
            self._arrive(now) if ticket is None else self._end(now, ticket)
            self._serve(now)
        return self.limiter.snapshots(now)[0].advised_limit

    def _at(self, now: float, ticket: Any) -> None:
        heapq.heappush(self._events, (now, next(self._order), ticket))

    def _arrive(self, now: float) -> None:
        call = Call(arrival=now)
        self.limiter.verdict(call, now)
        self._line.append(self.limiter.force(call, now))

    def _end(self, now: float, ticket: Any) -> None:
        self._free += 1
        self.limiter.settle(ticket, Outcome.SUCCESS, now)

    def _serve(self, now: float) -> None:
        while self._line and self._free:
            self._free -= 1
            self._at(now + self._work(self._chance), self._line.popleft())


@WORK
@pytest.mark.parametrize("loads", list(LOADS.values()), ids=list(LOADS))
def test_a_flat_throughput_is_advised_its_knee_in_whatever_order_loads_came(work: Work, loads: Sequence[Load]) -> None:
    """Four slots need four calls in flight and few more, however many queued."""
    advised = [Service(4, work, seed).advised(loads) for seed in range(8)]

    assert all(limit is not None and 4 <= limit <= 8 for limit in advised), advised


def test_an_overload_from_the_start_is_advised_its_knee_where_times_are_the_same() -> None:
    """The first four calls tell what the work takes."""
    advised = [Service(4, ALWAYS, seed).advised([(200.0, 4.0)]) for seed in range(20)]

    assert all(limit is not None and 4 <= limit <= 8 for limit in advised), advised


@pytest.mark.parametrize("work", [UNIFORM, EXPONENTIAL], ids=["uniform", "exponential"])
@pytest.mark.parametrize("seconds", [4.0, 20.0])
def test_an_overload_from_the_start_is_never_advised_a_wild_number(work: Work, seconds: float) -> None:
    """Too few calls started without a queue to know how long the work takes."""
    advised = [Service(4, work, seed).advised([(200.0, seconds)]) for seed in range(20)]

    assert all(limit is None or 4 <= limit <= 8 for limit in advised), advised


@WORK
@pytest.mark.parametrize("rate", [2.0, 20.0])
def test_a_service_at_ease_is_advised_nothing(work: Work, rate: float) -> None:
    """It has never shown what it can serve."""
    assert Service(4, work, 1).advised([(rate, 60.0)]) is None


@WORK
@pytest.mark.parametrize(("slots", "most"), [(1, 3), (10, 14), (50, 64)])
def test_the_advice_grows_with_the_slots(work: Work, slots: int, most: int) -> None:
    """It never starves them."""
    loads = [(10.0 * slots, 30.0), (40.0 * slots, 5.0)]
    advised = [Service(slots, work, seed).advised(loads) for seed in range(4)]

    assert all(limit is not None and slots <= limit <= most for limit in advised), advised


def test_the_advice_climbs_while_throughput_still_grows() -> None:
    """Where work slows down beside other work, more in flight than Little's law says are needed."""
    profile = ThroughputProfile(0.0)
    now = 0.0
    for level in range(1, 61):
        # 100 ms of waiting, and 10 ms of a processor that all share.
        rate = 100.0 * level / (level + 10.0)
        for _ in range(2000):
            now += 1.0 / rate
            profile.completed(level, now, beside=level, service_time=level / rate)

    advised = profile.best_limit()
    assert advised is not None
    assert 100.0 * advised / (advised + 10.0) >= 0.8 * 100.0 * 60.0 / 70.0


def test_nothing_is_advised_before_enough_was_seen() -> None:
    """One call is no curve."""
    profile = ThroughputProfile(0.0)
    assert profile.best_limit() is None
    profile.completed(1, 0.1, beside=1, service_time=0.1)
    assert profile.best_limit() is None


def test_failures_are_no_throughput() -> None:
    """Nor are their times the work's."""
    limiter = Limiter()
    for number in range(100):
        limiter.verdict(Call(), float(number))
        limiter.settle(limiter.force(Call(), float(number)), Outcome.FAILURE, number + 0.5)

    assert limiter.snapshots(100.0)[0].advised_limit is None
