"""What enforces a limit: counts calls in flight and queues or refuses the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from functools import partial
from typing import NamedTuple

from perfguard._checks import check_text
from perfguard.errors import ConfigurationError, LimitExceeded, Rejected
from perfguard.events import LimitChanged, StateChanged
from perfguard.limits.limit import Limit, LimitChange, Sample
from perfguard.limits.littles_law import LittlesLawLimit
from perfguard.outcome import Backpressure, Call, Outcome, Reason
from perfguard.policy import Notice, Observer
from perfguard.queueing.place import Lane, Place
from perfguard.queueing.queue import AdmissionQueue
from perfguard.stats.profile import ThroughputProfile

# Each call asks for them, and to look one up in its enumeration costs more than to call a function.
_SUCCESS, _DROPPED = Outcome.SUCCESS, Outcome.DROPPED
_NORMAL = Backpressure.NORMAL


class LimiterSnapshot(NamedTuple):
    """A limiter at one instant.

    Attributes:
        key: The kind of call that it limits.
        limit: The concurrency limit.
        in_flight: Calls in flight.
        queued: Calls that wait.
        refused: Calls refused since the limiter was made, in a forked child since the fork;
            in a dry run, those that would have been.
        state: The backpressure state of the admission queue.
        departure_rate: Calls per second that leave a standing queue; `None` if never seen.
        predicted_wait: Seconds that a newcomer would wait, by Little's law.
        advised_limit: After a dry run, the fixed limit that would have done best;
            `None` where what was seen cannot tell.
    """

    key: str
    limit: int
    in_flight: int
    queued: int
    refused: int
    state: Backpressure
    departure_rate: float | None
    predicted_wait: float
    advised_limit: int | None


class Ticket:
    """One call in flight.

    Attributes:
        limiter: Where it counts.
        started_at: When the call started, in seconds.
        in_flight: Calls in flight when it started, itself included.
        wait: Seconds of its service that were measured as waiting inside the process.
    """

    __slots__ = ("in_flight", "limiter", "started_at", "wait")

    limiter: Limiter
    started_at: float
    in_flight: int
    wait: float

    def __init__(self, limiter: Limiter, started_at: float, in_flight: int) -> None:
        self.limiter = limiter
        self.started_at = started_at
        self.in_flight = in_flight
        self.wait = 0.0


class Limiter:
    """Lets at most `limit.value` calls run at a time; more wait in the admission queue.

    Pure and unsynchronised: the guard's lock owns it. A limiter, its limit and its queue
    belong to one guard.

    Args:
        limit: The algorithm that sets the number; `LittlesLawLimit()` if `None`.
        queue: Where calls wait; `AdmissionQueue()` if `None`.
        key: The kind of call that it limits, for events and snapshots.

    Attributes:
        cost: What a call takes without waiting, in seconds: the low expectile of service times.
        finish_tag: Of the call that started last, for those who share time among limiters.

    Raises:
        ConfigurationError: An argument is not what it should be.
    """

    __slots__ = (
        "_changes",
        "_refused",
        "_state",
        "cost",
        "finish_tag",
        "in_flight",
        "key",
        "limit",
        "profile",
        "queue",
    )

    limit: Limit
    queue: AdmissionQueue
    key: str
    in_flight: int
    profile: ThroughputProfile | None
    cost: float
    finish_tag: float
    _refused: int
    _changes: deque[LimitChange]
    _state: Backpressure

    def __init__(self, limit: Limit | None = None, queue: AdmissionQueue | None = None, *, key: str = "") -> None:
        _check(limit, queue, key)
        self.limit = LittlesLawLimit() if limit is None else limit
        self.queue = AdmissionQueue() if queue is None else queue
        self.key = key
        self.in_flight = self._refused = 0
        self.profile = None
        self.cost = self.finish_tag = 0.0
        # Without listeners nobody takes the changes.
        self._changes = deque(maxlen=16)
        self._state = Backpressure.NORMAL

    def __len__(self) -> int:
        return len(self.queue)

    def __bool__(self) -> bool:
        return self.queue.line.length > 0

    def __repr__(self) -> str:
        key = f" {self.key!r}" if self.key else ""
        return (
            f"<Limiter{key} {self.in_flight}/{self.limit.value} in flight, "
            f"{len(self.queue)} queued, {self.queue.state}>"
        )

    def admit(self, call: Call, now: float) -> Ticket | Place:
        """Return a ticket, or a place in the queue.

        Raises:
            LimitExceeded: The call can neither start nor wait.
        """
        if self.in_flight < self.limit.value and not self.queue.line.length:
            if call.deadline is not None and call.deadline <= now:
                self._refused += 1
                raise LimitExceeded(Reason.DEADLINE, self.queue.refuse(now))
            if self.queue.state is not _NORMAL and self.queue.turns_away(call, now):
                raise LimitExceeded(Reason.QUEUE_TIME, self.queue.refuse(now))
            # A call that is older than the target stood in a queue that nobody here sees.
            arrival = now if call.arrival is None else call.arrival
            if now - arrival < self.queue.target or self.queue.state is Backpressure.SHEDDING:
                return self.force(call, now)
        return self.enqueue(call, now)

    def enqueue(self, call: Call, now: float) -> Place:
        """Return a place in the queue though a permit may be free.

        Raises:
            LimitExceeded: The call cannot wait.
        """
        try:
            place = self.queue.offer(call, now, max(0, self.limit.value - self.in_flight))
        except LimitExceeded:
            self._refused += 1
            raise
        place.limiter = self
        return place

    def force(self, call: Call, now: float) -> Ticket:
        """Return a ticket whatever the limit says."""
        if self.profile is not None:
            self.profile.spent(self.in_flight, now)
        self.in_flight += 1
        return Ticket(self, now, self.in_flight)

    def head(self, now: float, late: Collection[Lane] = ()) -> Place | None:
        """Return the place that may start now, of those that no late lane must start; or `None`."""
        if self.queue.line.length and self.in_flight < self.limit.value:
            return self.queue.head_beside(now, late) if late else self.queue.head(now)
        return None

    def grant(self, place: Place, now: float) -> None:
        """Start the call of that place."""
        self.queue.take(place, now)
        place.ticket = self.force(place.call, now)

    def withdraw(self, place: Place, now: float) -> None:
        """Give a place back whose caller no longer waits."""
        self.queue.withdraw(place)

    def expire(self, now: float) -> None:
        """Refuse the places that have waited too long."""
        self.queue.expire(now)

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Take the ticket back and let the limit learn."""
        if self.profile is not None:
            self._profiled(ticket, outcome, now)
        self.in_flight -= 1
        dropped = outcome is _DROPPED
        if not dropped and outcome is not _SUCCESS:
            return
        elapsed = now - ticket.started_at
        # Down at once and up slowly, since what makes calls longer than usual is mostly waiting.
        self.cost += (elapsed - self.cost) / (8.0 if elapsed < self.cost else 64.0)
        change = self.limit.observe(Sample(now, elapsed, ticket.in_flight, dropped, ticket.wait))
        if change is not None:
            self._changes.append(change)

    def start_afresh(self, now: float) -> None:
        """Have nothing in flight and nothing queued, and keep what the limit learnt."""
        if self.profile is not None:
            self.profile.spent(self.in_flight, now)
        self.in_flight = self._refused = 0
        self.queue.start_afresh()
        self._changes.clear()

    def count_refusals(self, call: Call, count: int, now: float) -> None:
        """Count refusals that were given without asking."""
        self._refused += count
        self.queue.refuse(now, count)

    def verdict(self, call: Call, now: float) -> Rejected | None:
        """Return the refusal that enforcing would raise now, or `None`.

        In a dry run nobody waits, so the calls in flight over the limit stand for the queue.
        """
        if self.profile is None:
            self.profile = ThroughputProfile(now)
        length = self.in_flight - self.limit.value
        if length < 0:
            self.queue.rest(now)
            return None
        self.queue.watch(now if call.arrival is None else call.arrival, now, length)
        reason = self.queue.verdict(call, now, length)
        if reason is None:
            return None
        self._refused += 1
        return LimitExceeded(reason, self.queue.refuse(now))

    def released(self) -> list[Place]:
        """Return, once, the places that were refused while they waited."""
        if not self.queue.released:
            return []
        places, self.queue.released = self.queue.released, []
        self._refused += len(places)
        return places

    def report_to(self, observer: Observer) -> None:
        """Tell the observer when shedding begins or ends, under the key that the limiter has now."""
        self.queue.observer = partial(observer, self.key)

    def notices(self, guard: str, now: float) -> list[Notice]:
        """Return, once, what changed, under the guard's name."""
        notices: list[Notice] = [
            LimitChanged(guard=guard, key=self.key, now=now, old=each.old, new=each.new, reason=each.reason)
            for each in self._changes
        ]
        self._changes.clear()
        if self.queue.state is not self._state:
            old, self._state = self._state, self.queue.state
            notices.append(StateChanged(guard=guard, key=self.key, now=now, old=old, new=self._state))
        return notices

    def snapshots(self, now: float) -> list[LimiterSnapshot]:
        """Return the live state, as one record in a list."""
        self.queue.rest(now)
        return [
            LimiterSnapshot(
                key=self.key,
                limit=self.limit.value,
                in_flight=self.in_flight,
                queued=len(self.queue),
                refused=self._refused,
                state=self.queue.state,
                departure_rate=self.queue.departure_rate(now),
                predicted_wait=self.queue.predicted_wait(now),
                advised_limit=None if self.profile is None else self.profile.best_limit(),
            )
        ]

    def _profiled(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        profile = self.profile
        if profile is not None and outcome is Outcome.SUCCESS:
            time = now - ticket.started_at
            profile.completed(self.in_flight, now, beside=ticket.in_flight, service_time=time)
        elif profile is not None:
            profile.spent(self.in_flight, now)
        self.queue.depart(now, backlog=self.in_flight > self.limit.value)


def _check(limit: object, queue: object, key: object) -> None:
    made = not isinstance(limit, type) and hasattr(limit, "value") and callable(getattr(limit, "observe", None))
    if limit is not None and not made:
        raise ConfigurationError("limit", limit, "must be a limit, such as FixedLimit(10), or None")
    if queue is not None and not isinstance(queue, AdmissionQueue):
        raise ConfigurationError("queue", queue, "must be an AdmissionQueue or None")
    check_text("key", key)
