"""The bounded queue of calls that wait for admission, sized by Little's law."""

from __future__ import annotations

from collections.abc import Callable, Collection

from perfguard._checks import check_positive, check_whole
from perfguard.errors import ConfigurationError, LimitExceeded, QueueTimeout, Rejected
from perfguard.outcome import Backpressure, Call, Priority, Reason
from perfguard.queueing.discipline import PriorityLine
from perfguard.queueing.overload import OverloadDetector
from perfguard.queueing.place import Lane, Place
from perfguard.queueing.rate import DepartureRate
from perfguard.queueing.share import EvenShare


class AdmissionQueue:
    """Holds calls for as long as a wait is worth it, and refuses the rest at once.

    By Little's law a newcomer behind `n` others waits `n / X`, where `X` is the rate of
    departures. A burst may wait up to `max_wait`. Once the queue stands, as the
    `OverloadDetector` has it, the state is SHEDDING, and the queue is cut to the target,
    until it has been short for an interval. As long as it is longer than that, the newest
    of the highest priority goes first, since the oldest are the likeliest to have been
    given up by their callers (Maurer, "Fail at Scale", 2015); within the target the oldest
    goes first again, so that nobody waits only to be refused.

    Pure and unsynchronised: the guard's lock owns it.

    Args:
        target: The queue time to hold under overload, in seconds; never less than
            `min_length` departures, or a slow service would run dry between arrivals.
        interval: How long a full queue must stand to be overload, in seconds; one that is
            less full, for longer.
        max_wait: The longest wait that a burst may cause, in seconds.
        min_length: The number of calls that may always wait.
        max_length: The number of calls that may ever wait: a bound on memory.

    Attributes:
        state: The backpressure state.
        line: The places that wait.
        released: Places that were refused while they waited, until the limiter takes them.
        observer: Told the state and the instant, in seconds, when SHEDDING begins or ends,
            and about once a second while calls are refused.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    __slots__ = (
        "_overload",
        "_rate",
        "_refused",
        "_refused_before",
        "_refused_since",
        "_share",
        "interval",
        "line",
        "max_length",
        "max_wait",
        "min_length",
        "observer",
        "released",
        "state",
        "target",
    )

    target: float
    interval: float
    max_wait: float
    min_length: int
    max_length: int
    state: Backpressure
    released: list[Place]
    observer: Callable[[Backpressure, float], None] | None
    line: PriorityLine
    _overload: OverloadDetector
    _rate: DepartureRate
    _refused: int
    _refused_before: int
    _refused_since: float
    _share: EvenShare

    def __init__(
        self,
        *,
        target: float = 0.02,
        interval: float = 0.1,
        max_wait: float = 0.25,
        min_length: int = 5,
        max_length: int = 1000,
    ) -> None:
        _check(
            target=target,
            interval=interval,
            max_wait=max_wait,
            min_length=min_length,
            max_length=max_length,
        )
        self.target = target
        self.interval = interval
        self.max_wait = max_wait
        self.min_length = min_length
        self.max_length = max_length
        self.released = []
        self.observer = None
        self.line = PriorityLine()
        self._rate = DepartureRate()
        self._overload = OverloadDetector(interval, max_wait)
        self.state = self._overload.state
        self._refused = 0
        self._refused_before = 0
        self._refused_since = 0.0
        self._share = EvenShare()

    def __len__(self) -> int:
        return self.line.length

    def __repr__(self) -> str:
        return f"<AdmissionQueue {len(self)} queued, {self.state}>"

    def departure_rate(self, now: float) -> float | None:
        """Return departures per second under backlog, `None` if never seen."""
        return self._rate.per_second(now)

    def predicted_wait(self, now: float, length: int | None = None) -> float:
        """Return the wait behind `length` calls (all that are queued), in seconds."""
        rate = self._rate.per_second(now)
        return (self.line.length if length is None else length) / rate if rate else 0.0

    def offer(self, call: Call, now: float, free: int = 0) -> Place:
        """Let a call join the queue.

        Raises:
            LimitExceeded: It would wait too long, or there is no room.
        """
        length = self.line.length
        self.watch(now if call.arrival is None else call.arrival, now, length)
        # Those for whom a permit is free wait for the event loop, not for a departure.
        if length < self.max_length and self.state is not Backpressure.SHEDDING:
            length = max(0, length - free)
        reason = self.verdict(call, now, length)
        if reason is not None:
            self._make_room(call, now, reason)
        place = Place(call, now)
        self.line.append(place)
        self._rate.begin(now)
        return place

    def verdict(self, call: Call, now: float, length: int) -> Reason | None:
        """Say why a call would be refused behind `length` others, `None` if it would not."""
        if call.deadline is not None:
            ahead = min(length, self.line.ahead_of(call.priority, lifo=self._newest_first(now)))
            if now + self.predicted_wait(now, ahead) >= call.deadline:
                return Reason.DEADLINE
        age = 0.0 if call.arrival is None else now - call.arrival
        if self.state is Backpressure.SHEDDING and age > self._patience(now):
            return Reason.QUEUE_TIME
        if length < self.min_length:
            return None
        if length >= self.max_length:
            return Reason.QUEUE_FULL
        return Reason.PREDICTED_WAIT if length >= self._room(now) else None

    def turns_away(self, call: Call, now: float) -> bool:
        """Say whether a call that could start is refused for its age: the queue stands outside, then."""
        arrival = now if call.arrival is None else call.arrival
        if self.state is not Backpressure.NORMAL:
            self.watch(arrival, now, 0)
        if self.state is not Backpressure.SHEDDING:
            return False
        target = self._target(self._rate.per_second(now))
        return self._share.takes(now - arrival, call.priority, least=target / 2, most=self._patience(now))

    def watch(self, arrival: float, now: float, length: int) -> None:
        """Follow the state, given a call that arrived at `arrival` behind `length` others."""
        rate = self._rate.per_second(now)
        target = self._target(rate)
        wait = now - arrival
        if length and rate:
            wait += length / rate
        # Behind nobody, less than the target is a turn of the loop or the kernel's coarse clock.
        self._follow(wait, target, now, short=wait < target / 4 or not length)

    def rest(self, now: float) -> None:
        """Follow the state while nobody waits: calls start at once, or none come."""
        if self.state is Backpressure.SHEDDING and not self.line.length:
            self._follow(0.0, self.target, now, short=True)

    def head(self, now: float) -> Place | None:
        """Return the place that goes next; if it waited too long it is refused instead."""
        newest_first = self._newest_first(now)
        patience = self._patience(now)
        while (place := self.line.head(lifo=newest_first)) is not None:
            if not _overdue(place, now, patience):
                return place
            self._expel(place, now)
        return None

    def head_beside(self, now: float, late: Collection[Lane]) -> Place | None:
        """Return the place that goes next of those that no late lane must start."""
        patience = self._patience(now)
        for place in self.line.waiting(lifo=self._newest_first(now)):
            if place.lane not in late and not _overdue(place, now, patience):
                return place
        return None

    def take(self, place: Place, now: float) -> None:
        """Take a place out because its call starts."""
        self.line.withdraw(place)
        self._rate.depart(now)
        arrival = place.call.arrival
        # What it had waited before it joined, the next call waits out there as well.
        before = 0.0 if arrival is None else place.queued_at - arrival
        self.watch(now - before, now, self.line.length)
        if not self.line.length:
            self._rate.end()

    def withdraw(self, place: Place) -> None:
        """Take a place out because its caller no longer waits."""
        self.line.withdraw(place)
        if not self.line.length:
            self._rate.end()

    def depart(self, now: float, *, backlog: bool) -> None:
        """Count a departure that no place stood for (in a dry run)."""
        self._rate.depart(now)
        if not backlog:
            self._rate.end()

    def expire(self, now: float) -> None:
        """Refuse every place that has waited too long; they are added to `released`."""
        if not self.line.length:
            return
        patience = self._patience(now)
        for priority in Priority:
            while (place := self.line.oldest(priority)) is not None and _overdue(place, now, patience):
                self._expel(place, now)

    def start_afresh(self) -> None:
        """Have nothing queued and nothing refused; the departure rate stays."""
        self.line = PriorityLine()
        self.released = []
        self._rate.end()
        self._overload.start_afresh()
        self.state = self._overload.state
        self._refused = self._refused_before = 0

    def refuse(self, now: float, count: int = 1) -> float:
        """Count refusals and return the predicted time to drain, in seconds.

        Whoever was refused within the last second or two comes back, so the refused
        count as if they still queued.
        """
        if now - self._refused_since >= 1.0:
            fresh = now - self._refused_since < 2.0
            self._refused_before = self._refused if fresh else 0
            self._refused = 0
            self._refused_since = now
            # Whoever passed over the beginning of a shedding that lasts hears of it here.
            self._tell(now)
        self._refused += count
        recent = max(self._refused, self._refused_before)
        return self.predicted_wait(now, self.line.length + recent)

    def _follow(self, wait: float, target: float, now: float, *, short: bool) -> None:
        old = self.state
        self._overload.observe(wait, target, now, short=short)
        self.state = self._overload.state
        if self.state is not old and Backpressure.SHEDDING in (old, self.state):
            self._tell(now)

    def _tell(self, now: float) -> None:
        if self.observer is not None:
            self.observer(self.state, now)

    def _target(self, rate: float | None) -> float:
        needed = self.min_length / rate if rate else 0.0
        return min(max(self.target, needed), self.max_wait)

    def _patience(self, now: float) -> float:
        if self.state is not Backpressure.SHEDDING:
            return self.max_wait
        return min(2.0 * self._target(self._rate.per_second(now)), self.max_wait)

    def _room(self, now: float) -> int:
        rate = self._rate.per_second(now)
        if rate is None:
            return self.max_length
        wait = self._target(rate) if self.state is Backpressure.SHEDDING else self.max_wait
        return max(self.min_length, int(wait * rate))

    def _newest_first(self, now: float) -> bool:
        return self.state is Backpressure.SHEDDING and self.line.length > self._room(now)

    def _make_room(self, call: Call, now: float, reason: Reason) -> None:
        if reason in _FOR_WANT_OF_ROOM:
            victim = self.line.lowest(call.priority, lifo=self._newest_first(now))
            if victim is not None:
                self._release(victim, LimitExceeded(Reason.EVICTED, self.refuse(now)))
                return
        raise LimitExceeded(reason, self.refuse(now))

    def _expel(self, place: Place, now: float) -> None:
        deadline = place.call.deadline
        late = deadline is not None and deadline <= now
        self._release(place, QueueTimeout(Reason.DEADLINE if late else Reason.QUEUE_TIME, self.refuse(now)))

    def _release(self, place: Place, error: Rejected) -> None:
        self.line.withdraw(place)
        place.error = error
        self.released.append(place)


_FOR_WANT_OF_ROOM = (Reason.QUEUE_FULL, Reason.PREDICTED_WAIT)


def _overdue(place: Place, now: float, patience: float) -> bool:
    deadline = place.call.deadline
    return now - place.queued_at > patience or (deadline is not None and deadline <= now)


def _check(*, target: float, interval: float, max_wait: float, min_length: int, max_length: int) -> None:
    for name, value in (("target", target), ("interval", interval), ("max_wait", max_wait)):
        check_positive(name, value, "seconds")
    if max_wait < target:
        raise ConfigurationError("max_wait", max_wait, f"must be at least target ({target})")
    check_whole("min_length", min_length, least=1)
    check_whole("max_length", max_length, least=1)
    if max_length < min_length:
        remedy = f"must be at least min_length ({min_length})"
        raise ConfigurationError("max_length", max_length, remedy)
