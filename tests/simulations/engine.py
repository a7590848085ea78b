"""A service under open-loop load in virtual time, behind the shipped limiter and queue."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from perfguard.errors import Rejected
from perfguard.limits import Limit, Limiter
from perfguard.outcome import Call, Outcome
from perfguard.queueing import Place

Shape = Callable[[float], float]
"""A quantity over time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is offered to what kind of server.

    Args:
        name: For the report.
        rate: Arrivals per second, over time.
        slots: Calls served at a time, over time; the rest queue, unseen, first come first served.
        work: Draws the seconds that one call holds a slot, given the instant.
        deadline: Seconds from arrival within which an answer is good.
        duration: Seconds.
        cost: Factor on the work, given the calls in flight: contention.
        healthy: Whether no call need be refused.
    """

    name: str
    rate: Shape
    slots: Shape
    work: Callable[[Random, float], float]
    deadline: float = 1.0
    duration: float = 60.0
    cost: Callable[[int], float] = lambda in_flight: 1.0
    healthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of the calls.

    Args:
        good: Instants of arrival of those answered within the deadline.
        offered: How many arrived.
        refused: How many were refused.
        times: Seconds from arrival to answer, sorted.
        limits: The limit over time, at each move.
    """

    good: list[float]
    offered: int
    refused: int
    times: list[float]
    limits: list[tuple[float, int]]

    def p99(self) -> float:
        """The 99th percentile of the seconds to an answer."""
        return self.times[int(0.99 * len(self.times))] if self.times else 0.0

    def good_between(self, start: float, stop: float) -> int:
        """How many good ones arrived from `start` to before `stop`."""
        return sum(start <= each < stop for each in self.good)


class Simulation:
    """One run of one scenario with one limit."""

    def __init__(self, scenario: Scenario, limit: Limit, seed: int = 1) -> None:
        self.scenario = scenario
        self.limiter = Limiter(limit)
        self._chance = Random(seed)
        self._work_chance = Random(seed + 1)
        self._events: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._order = count()
        self._line: deque[tuple[Any, float]] = deque()
        self._busy = 0
        self._result = Outcomes(good=[], offered=0, refused=0, times=[], limits=[(0.0, limit.value)])
        self._offered = self._refused = 0

    def run(self) -> Outcomes:
        """Simulate from 0 to the scenario's end."""
        self._at(0.0, self._arrive, None)
        while self._events:
            now, _, act, argument = heapq.heappop(self._events)
            act(now, argument)
            self._dispatch(now)
        done = self._result
        return Outcomes(
            good=sorted(done.good),
            offered=self._offered,
            refused=self._refused,
            times=sorted(done.times),
            limits=done.limits,
        )

    def _at(self, now: float, act: Callable[[float, Any], None], argument: Any) -> None:
        heapq.heappush(self._events, (now, next(self._order), act, argument))

    def _arrive(self, now: float, _: None) -> None:
        gap = self._chance.expovariate(self.scenario.rate(now))
        if now + gap < self.scenario.duration:
            self._at(now + gap, self._arrive, None)
        self._offered += 1
        try:
            ticket = self.limiter.admit(Call(arrival=now), now)
        except Rejected:
            self._refused += 1
            return
        if not isinstance(ticket, Place):
            self._serve(now, ticket, now)

    def _dispatch(self, now: float) -> None:
        limiter = self.limiter
        limiter.expire(now)
        while (place := limiter.head(now)) is not None:
            limiter.grant(place, now)
            self._serve(now, place.ticket, place.arrival)
        self._refused += len(limiter.released())
        if len(limiter) and not limiter.in_flight:
            self._at(now + 0.025, lambda *_: None, None)

    def _serve(self, now: float, ticket: Any, arrival: float) -> None:
        self._line.append((ticket, arrival))
        self._fill(now)

    def _fill(self, now: float) -> None:
        scenario = self.scenario
        while self._line and self._busy < scenario.slots(now):
            ticket, arrival = self._line.popleft()
            self._busy += 1
            work = scenario.work(self._work_chance, now) * scenario.cost(self.limiter.in_flight)
            self._at(now + work, self._end, (ticket, arrival))

    def _end(self, now: float, call: tuple[Any, float]) -> None:
        ticket, arrival = call
        self._busy -= 1
        before = self.limiter.limit.value
        self.limiter.settle(ticket, Outcome.SUCCESS, now)
        if self.limiter.limit.value != before:
            self._result.limits.append((now, self.limiter.limit.value))
        self._result.times.append(now - arrival)
        if now - arrival <= self.scenario.deadline:
            self._result.good.append(arrival)
        self._fill(now)
