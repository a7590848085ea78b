"""A service under load in virtual time, behind the shipped limiter and queue."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from perfguard.errors import Rejected
from perfguard.limits import Limiter
from perfguard.outcome import Call, Outcome, Priority
from perfguard.queueing import Place

Shape = Callable[[float], float]
"""A quantity over time."""

Work = Callable[[Random, float], float]
"""Draws seconds of work, given the instant at which it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a call works, after the one before.

    Args:
        work: Draws the seconds for which one call holds a slot.
        slots: Calls served at a time, over time; the rest queue, first come first served. `None` is no bound.
        visible: Whether the process measures the wait for a slot, as a pool of its own would.
    """

    work: Work
    slots: Shape | None = None
    visible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What some of the calls are like.

    Args:
        share: The share of all calls.
        stages: Where they work; the scenario's own if `None`.
        outcome: How they end.
        wanted: Whether their answers count.
        held: Draws the seconds for which the permit is held beyond the answer.
        patience: Seconds after which the client leaves, and the call with it.
    """

    share: float
    stages: tuple[Stage, ...] | None = None
    outcome: Outcome = Outcome.SUCCESS
    wanted: bool = True
    held: Work | None = None
    patience: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is offered to what kind of server.

    Args:
        name: For the report.
        rate: Arrivals per second, over time.
        stages: Where a call works.
        phases: Instants at which a phase begins after the first, for the oracle.
        deadline: Seconds from arrival within which an answer is good.
        duration: Seconds.
        cost: Factor on the work, given the calls in flight: contention.
        healthy: Whether no call need be refused.
        queued: Whether a queue forms, so that the limit has to be found.
        kinds: What differs from the plain call.
        timeout: Seconds of service after which a call ends as DROPPED.
        retries: How often a client tries again, after 0.1 s doubled each time, with jitter.
        pause: Every how many seconds all work stops, and for how many.
        refusal: Seconds of the first stage that each refusal costs.
        priorities: The share of each priority.
    """

    name: str
    rate: Shape
    stages: tuple[Stage, ...]
    phases: tuple[float, ...] = ()
    deadline: float = 1.0
    duration: float = 60.0
    cost: Callable[[int], float] | None = None
    healthy: bool = False
    queued: bool = True
    kinds: tuple[Kind, ...] = ()
    timeout: float = float("inf")
    retries: int = 0
    pause: tuple[float, float] | None = None
    refusal: float = 0.0
    priorities: tuple[tuple[Priority, float], ...] = ()


@dataclass(slots=True, kw_only=True)
class PhaseOutcomes:
    """What became of the calls that arrived in one phase.

    Attributes:
        offered: How many arrived, each client once.
        good: How many of the wanted were answered within the deadline.
        refused: How many attempts were refused.
        times: Seconds from arrival to answer.
    """

    offered: int = 0
    good: int = 0
    refused: int = 0
    times: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of the calls.

    Attributes:
        phases: By phase of arrival.
        limits: The limit over time, at each move.
        seconds: By second of arrival and priority: served and refused.
        last_bad: The last second of arrival in which less than 95 % of the calls were good, -1 if none.
    """

    phases: list[PhaseOutcomes]
    limits: list[tuple[float, int]]
    seconds: dict[tuple[int, Priority], list[int]]
    last_bad: int

    @property
    def good(self) -> int:
        """Good answers of all phases."""
        return sum(each.good for each in self.phases)

    @property
    def refused(self) -> float:
        """The share of calls refused."""
        return sum(each.refused for each in self.phases) / max(1, sum(each.offered for each in self.phases))

    def p99(self) -> float:
        """The 99th percentile of the seconds to an answer."""
        return percentile([time for phase in self.phases for time in phase.times])

    def inversions(self) -> float:
        """The share of refused calls in whose second a call of lower priority was served."""
        refused = inverted = 0
        for (second, priority), (_, lost) in self.seconds.items():
            refused += lost
            lower = (self.seconds.get((second, each), [0, 0])[0] for each in Priority if each > priority)
            inverted += lost if any(lower) else 0
        return inverted / max(1, refused)


def percentile(times: list[float], share: float = 0.99) -> float:
    """Return the time that a share of the calls stay at or below, 0 if there are none."""
    return sorted(times)[int(share * len(times))] if times else 0.0


class _Passage:
    """One attempt on its way through the stages."""

    __slots__ = ("arrival", "attempt", "cancelled", "first", "joined", "kind", "priority", "stage", "started", "ticket")

    def __init__(self, arrival: float, first: float, attempt: int, kind: Kind, priority: Priority) -> None:
        self.arrival = arrival
        self.first = first
        self.attempt = attempt
        self.kind = kind
        self.priority = priority
        self.ticket: Any = None
        self.stage = 0
        self.started = arrival
        self.joined = arrival
        self.cancelled = False


_PLAIN = Kind(share=1.0)
_REFUSAL = Kind(share=0.0, wanted=False)


class Simulation:
    """One run of one scenario behind one limiter."""

    def __init__(self, scenario: Scenario, limiter: Limiter, seed: int = 1) -> None:
        self.scenario = scenario
        self.limiter = limiter
        self._chance = Random(seed)
        self._work_chance = Random(seed + 1)
        self._events: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._order = count()
        self._lines: dict[Stage, deque[_Passage]] = {}
        self._busy: dict[Stage, int] = {}
        self._starts = (0.0, *scenario.phases)
        self._phases = [PhaseOutcomes() for _ in self._starts]
        self._limits = [(0.0, limiter.limit.value)]
        self._seconds: dict[tuple[int, Priority], list[int]] = {}
        self._by_second: dict[int, list[int]] = {}
        self._utilised = getattr(limiter.limit, "utilised", None)
        self._now = 0.0

    def run(self) -> Outcomes:
        """Simulate from 0 to the scenario's end, and until every call has ended."""
        for stages in (self.scenario.stages, *(kind.stages for kind in self.scenario.kinds)):
            for stage in stages or ():
                self._lines[stage] = deque()
                self._busy[stage] = 0
        if self._utilised is not None:
            self._at(0.0, self._measure, None)
        self._at(0.0, self._arrive, None)
        events = self._events
        while events:
            now, _, act, argument = heapq.heappop(events)
            self._now = now
            act(now, argument)
            if len(self.limiter):
                self._dispatch(now)
            elif self.limiter.queue.released:
                self._collect(now)
        bad = [second for second, (offered, good) in self._by_second.items() if good < 0.95 * offered]
        return Outcomes(phases=self._phases, limits=self._limits, seconds=self._seconds, last_bad=max(bad, default=-1))

    def _at(self, now: float, act: Callable[[float, Any], None], argument: Any) -> None:
        heapq.heappush(self._events, (now, next(self._order), act, argument))

    def _measure(self, now: float, _: None) -> None:
        """Tell the limit every 100 ms how busy the slots are: the stand-in for the share of a CPU."""
        bounded = [stage for stage in self.scenario.stages if stage.slots is not None]
        shares = [self._busy[stage] / max(1.0, stage.slots(now)) for stage in bounded if stage.slots is not None]
        assert self._utilised is not None
        self._utilised(now, max(shares, default=0.0))
        if now < self.scenario.duration:
            self._at(now + 0.1, self._measure, None)

    def _arrive(self, now: float, _: None) -> None:
        scenario = self.scenario
        gap = self._chance.expovariate(scenario.rate(now))
        if now + gap < scenario.duration:
            self._at(now + gap, self._arrive, None)
        kind = self._kind() if scenario.kinds else _PLAIN
        priority = self._priority() if scenario.priorities else Priority.NORMAL
        self._phase(now).offered += 1
        if kind.wanted:
            self._by_second.setdefault(int(now), [0, 0])[0] += 1
        self._try(now, _Passage(now, now, 0, kind, priority))

    def _kind(self) -> Kind:
        chance = self._chance.random()
        for kind in self.scenario.kinds:
            chance -= kind.share
            if chance < 0.0:
                return kind
        return _PLAIN

    def _priority(self) -> Priority:
        priorities = self.scenario.priorities
        return self._chance.choices([each for each, _ in priorities], [share for _, share in priorities])[0]

    def _try(self, now: float, passage: _Passage) -> None:
        call = Call(arrival=now, priority=passage.priority)
        try:
            ticket = self.limiter.admit(call, now)
        except Rejected:
            self._refuse(now, passage)
            return
        if isinstance(ticket, Place):
            ticket.passage = passage
        else:
            self._start(now, passage, ticket)

    def _dispatch(self, now: float) -> None:
        limiter = self.limiter
        limiter.expire(now)
        while (place := limiter.head(now)) is not None:
            limiter.grant(place, now)
            self._start(now, place.passage, place.ticket)
        self._collect(now)
        if len(limiter) and not limiter.in_flight:
            self._at(now + 0.025, _nothing, None)

    def _collect(self, now: float) -> None:
        for place in self.limiter.released():
            self._refuse(now, place.passage)

    def _refuse(self, now: float, passage: _Passage) -> None:
        self._phase(passage.arrival).refused += 1
        if self.scenario.priorities:
            self._seconds.setdefault((int(passage.arrival), passage.priority), [0, 0])[1] += 1
        if self.scenario.refusal:
            self._join(now, _Passage(now, now, 9, _REFUSAL, passage.priority))
        self._retry(now, passage)

    def _retry(self, now: float, passage: _Passage) -> None:
        if passage.attempt < self.scenario.retries:
            backoff = 0.1 * 2.0**passage.attempt * self._chance.uniform(0.5, 1.5)
            again = _Passage(now + backoff, passage.first, passage.attempt + 1, passage.kind, passage.priority)
            self._at(now + backoff, self._try, again)

    def _start(self, now: float, passage: _Passage, ticket: Any) -> None:
        passage.ticket = ticket
        passage.started = now
        if self.scenario.priorities:
            self._seconds.setdefault((int(passage.arrival), passage.priority), [0, 0])[0] += 1
        if passage.kind.patience is not None:
            self._at(max(now, passage.arrival + passage.kind.patience), self._leave, passage)
        self._join(now, passage)

    def _join(self, now: float, passage: _Passage) -> None:
        stages = passage.kind.stages or self.scenario.stages
        stage = stages[passage.stage]
        passage.joined = now
        self._lines[stage].append(passage)
        self._fill(now, stage)

    def _fill(self, now: float, stage: Stage) -> None:
        line = self._lines[stage]
        while line and (stage.slots is None or self._busy[stage] < stage.slots(now)):
            passage = line.popleft()
            if passage.cancelled:
                continue
            if stage.visible and passage.ticket is not None:
                passage.ticket.wait += now - passage.joined
            self._busy[stage] += 1
            self._at(self._done_at(now, stage, passage), self._worked, (passage, stage))

    def _done_at(self, now: float, stage: Stage, passage: _Passage) -> float:
        scenario = self.scenario
        if passage.kind is _REFUSAL:
            return now + scenario.refusal
        work = stage.work(self._work_chance, now)
        if scenario.cost is not None:
            work *= scenario.cost(self.limiter.in_flight)
        return now + work if scenario.pause is None else _paused(now, work, *scenario.pause)

    def _worked(self, now: float, done: tuple[_Passage, Stage]) -> None:
        passage, stage = done
        self._busy[stage] -= 1
        if passage.ticket is not None and not passage.cancelled:
            passage.stage += 1
            if passage.stage < len(passage.kind.stages or self.scenario.stages):
                self._join(now, passage)
            else:
                self._end(now, passage)
        self._fill(now, stage)

    def _end(self, now: float, passage: _Passage) -> None:
        kind, scenario = passage.kind, self.scenario
        dropped = now - passage.started >= scenario.timeout
        passage.cancelled = True
        if kind.held is None:
            self._settle(now, (passage.ticket, Outcome.DROPPED if dropped else kind.outcome))
        else:
            self._at(now + kind.held(self._work_chance, now), self._settle, (passage.ticket, kind.outcome))
        phase = self._phase(passage.arrival)
        if not kind.wanted:
            return
        phase.times.append(now - passage.arrival)
        if now - passage.arrival <= scenario.deadline and not dropped:
            phase.good += 1
            self._by_second.setdefault(int(passage.first), [0, 0])[1] += 1
        else:
            self._retry(now, passage)

    def _leave(self, now: float, passage: _Passage) -> None:
        """The client goes: the call is cancelled, and teaches nothing."""
        if not passage.cancelled:
            passage.cancelled = True
            self._settle(now, (passage.ticket, Outcome.IGNORED))

    def _settle(self, now: float, ended: tuple[Any, Outcome]) -> None:
        ticket, outcome = ended
        before = self.limiter.limit.value
        self.limiter.settle(ticket, outcome, now)
        if self.limiter.limit.value != before:
            self._limits.append((now, self.limiter.limit.value))

    def _phase(self, arrival: float) -> PhaseOutcomes:
        if len(self._starts) == 1:
            return self._phases[0]
        return self._phases[sum(start <= arrival for start in self._starts) - 1]


def _nothing(now: float, _: Any) -> None:
    """Only time passes: whoever waits is looked at again."""


def _paused(now: float, work: float, every: float, length: float) -> float:
    """Return when work ends that stands still for `length` seconds at every multiple of `every`."""
    end = now
    while work > 0.0:
        into = end % every
        if into < length:
            end += length - into
            into = length
        run = min(work, every - into)
        end += run
        work -= run
    return end


def limit_at(limits: Sequence[tuple[float, int]], now: float) -> int:
    """Return the limit that held at an instant."""
    return [value for at, value in limits if at <= now][-1]
