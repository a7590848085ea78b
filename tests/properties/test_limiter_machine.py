"""A limiter and its queue under any sequence of calls, by Hypothesis: no permit lost, none too many."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perfguard.errors import LimitExceeded
from perfguard.limits import FixedLimit, Limiter
from perfguard.limits.limiter import Ticket
from perfguard.outcome import Backpressure, Call, Outcome, Priority
from perfguard.queueing import AdmissionQueue, Place

LIMIT = 3
MOST_QUEUED = 6

PRIORITIES = st.sampled_from(list(Priority))
GAPS = st.sampled_from([0.0, 0.001, 0.02, 0.3])


class LimiterMachine(RuleBasedStateMachine):
    """Does to a limiter what a guard does, in any order, and keeps its own account."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = AdmissionQueue(min_length=2, max_length=MOST_QUEUED)
        self.limiter = Limiter(FixedLimit(LIMIT), self.queue)
        self.now = 0.0
        self.tickets: list[Ticket] = []
        self.waiting: list[Place] = []
        self.forced = 0

    @rule(gap=GAPS)
    def pass_time(self, gap: float) -> None:
        """Go on by some seconds."""
        self.now += gap

    @rule(priority=PRIORITIES, patience=st.sampled_from([None, 0.01, 1.0]), hold=st.booleans())
    def come(self, priority: Priority, patience: float | None, *, hold: bool) -> None:
        """Admit a call, or queue it at once, as pacing does."""
        deadline = None if patience is None else self.now + patience
        self.come_one(Call(priority=priority, arrival=self.now, deadline=deadline), hold=hold)

    @precondition(lambda self: not self.waiting and len(self.tickets) < LIMIT)
    @rule()
    def flow(self) -> None:
        """Let twenty calls pass a millisecond apart: by Little's law a queue of hundreds would not be too long."""
        for _ in range(20):
            place = self.limiter.enqueue(Call(priority=Priority.HIGH), self.now)
            self.now += 0.001
            self.limiter.grant(place, self.now)
            self.limiter.settle(place.ticket, Outcome.IGNORED, self.now)

    @rule(priority=PRIORITIES)
    def crowd(self, priority: Priority) -> None:
        """Let more calls come at once than the queue may hold."""
        for _ in range(MOST_QUEUED + 1):
            self.come_one(Call(priority=priority), hold=True)

    def come_one(self, call: Call, *, hold: bool) -> None:
        """Admit or queue a call; only one that would wait is refused."""
        free = len(self.tickets) < LIMIT and not self.waiting
        try:
            self.keep((self.limiter.enqueue if hold else self.limiter.admit)(call, self.now))
        except LimitExceeded:
            assert hold or not free
        self.collect()

    def keep(self, opening: Ticket | Place) -> None:
        """Put an opening into the account."""
        if isinstance(opening, Ticket):
            self.tickets.append(opening)
        else:
            self.waiting.append(opening)

    @rule()
    def grant(self) -> None:
        """Start the call that goes next: none of a higher priority waits."""
        place = self.limiter.head(self.now)
        self.collect()
        if place is None:
            assert len(self.tickets) >= LIMIT or not self.waiting
            return
        assert place in self.waiting
        assert place.call.priority == min(each.call.priority for each in self.waiting)
        self.assert_order(place)
        self.limiter.grant(place, self.now)
        self.waiting.remove(place)
        self.tickets.append(place.ticket)
        self.collect()

    def assert_order(self, place: Place) -> None:
        """The first of its priority goes; the last may while the queue sheds."""
        peers = [each for each in self.waiting if each.call.priority == place.call.priority]
        shedding = self.queue.state is Backpressure.SHEDDING
        assert place is peers[0] or (shedding and place is peers[-1])

    @precondition(lambda self: self.tickets)
    @rule(outcome=st.sampled_from(list(Outcome)), which=st.integers(min_value=0))
    def settle(self, outcome: Outcome, which: int) -> None:
        """End a call."""
        self.limiter.settle(self.tickets.pop(which % len(self.tickets)), outcome, self.now)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(min_value=0))
    def withdraw(self, which: int) -> None:
        """Cancel a call that waits; twice is once."""
        place = self.waiting.pop(which % len(self.waiting))
        self.limiter.withdraw(place, self.now)
        self.limiter.withdraw(place, self.now)

    @rule()
    def expire(self) -> None:
        """Refuse those that waited too long: nobody is left who waited for longer than the longest wait."""
        self.limiter.expire(self.now)
        self.collect()
        assert all(self.now - place.queued_at <= self.queue.max_wait for place in self.waiting)

    @precondition(lambda self: self.forced < 3)
    @rule()
    def force(self) -> None:
        """Start a call beyond the limit, as a dry run does."""
        self.forced += 1
        self.tickets.append(self.limiter.force(Call(), self.now))

    def collect(self) -> None:
        """Take the places that were refused out of the account; each comes once, and with its error."""
        for place in self.limiter.released():
            assert place.error is not None
            assert place.ticket is None
            self.waiting.remove(place)

    @invariant()
    def no_permit_is_lost_and_none_too_many(self) -> None:
        """The limiter counts what the account counts, and stays within the limit but for what was forced."""
        assert self.limiter.in_flight == len(self.tickets) <= LIMIT + self.forced

    @invariant()
    def the_queue_is_bounded_and_holds_who_waits(self) -> None:
        """Every place of the account waits, and no other."""
        assert len(self.limiter) == len(self.waiting) <= MOST_QUEUED
        assert all(place.waiting for place in self.waiting)

    def teardown(self) -> None:
        """Whatever happened, everything comes back."""
        for place in self.waiting:
            self.limiter.withdraw(place, self.now)
        for ticket in self.tickets:
            self.limiter.settle(ticket, Outcome.IGNORED, self.now)
        assert (self.limiter.in_flight, len(self.limiter)) == (0, 0)


TestLimiterMachine = LimiterMachine.TestCase
