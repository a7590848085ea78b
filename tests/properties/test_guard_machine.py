"""A guard on an event loop under any sequence of calls, by Hypothesis, with a clock that is told to go on."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perfguard.admission import Admission
from perfguard.errors import Rejected
from perfguard.events import Admitted, Event, Refused, Settled
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Call, Outcome, Priority
from perfguard.queueing import AdmissionQueue
from perfguard.testing import ManualClock, RecordingListener
from tests.manual_loop import ManualLoop, turns

LIMIT = 3
MOST_QUEUED = 6
ENOUGH_TURNS = 40

PRIORITIES = st.sampled_from(list(Priority))


class GuardMachine(RuleBasedStateMachine):
    """Makes calls, lets them end, cancels them and lets time pass, all through the public interface."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.events = RecordingListener()
        queue = AdmissionQueue(min_length=2, max_length=MOST_QUEUED)
        self.guard = Guard(Limiter(FixedLimit(LIMIT), queue), clock=self.clock, listeners=[self.events])
        self.calls: list[tuple[Admission, asyncio.Task[None]]] = []

    @rule(count=st.integers(1, 3))
    def turn(self, count: int) -> None:
        """Let the loop go round."""
        self.loop.run_until_complete(turns(count))

    @rule(seconds=st.sampled_from([0.0001, 0.002, 0.03, 0.3]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass, as a handler does that computes."""
        self.clock.advance(seconds)

    @rule(count=st.integers(1, 4), priority=PRIORITIES, patience=st.sampled_from([None, 0.01, 1.0]))
    def come(self, count: int, priority: Priority, patience: float | None) -> None:
        """Begin some calls at once."""
        now = self.clock()
        deadline = None if patience is None else now + patience
        for _ in range(count):
            admission = self.guard.admit(Call(priority=priority, arrival=now, deadline=deadline))
            self.calls.append((admission, self.loop.create_task(admission.acquire())))

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(min_value=0), outcome=st.sampled_from(list(Outcome)))
    def end(self, which: int, outcome: Outcome) -> None:
        """Settle a call, twice, if it was admitted."""
        admission, task = self.calls[which % len(self.calls)]
        if task.done() and not task.cancelled() and task.exception() is None:
            admission.settle(outcome)
            admission.settle(Outcome.FAILURE)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(min_value=0))
    def cancel(self, which: int) -> None:
        """Cancel a call that waits, perhaps in the turn in which it is granted."""
        self.calls[which % len(self.calls)][1].cancel()

    @invariant()
    def as_many_are_in_flight_as_the_limit_allows(self) -> None:
        """Nobody is forced, so that the limit holds always."""
        assert self.guard.snapshot().in_flight <= LIMIT

    @invariant()
    def the_queue_is_bounded(self) -> None:
        """It never holds more than its length, nor more than wait."""
        waiting = sum(not task.done() for _, task in self.calls)
        assert self.guard.snapshot().queued <= min(MOST_QUEUED, waiting)

    def teardown(self) -> None:
        """Once everything has ended, nothing is left and every call has ended exactly once."""
        for _ in range(len(self.calls) + 1):
            self.loop.run_until_complete(turns(ENOUGH_TURNS))
            for admission, task in self.calls:
                if task.done() and not task.cancelled() and task.exception() is None:
                    admission.settle(Outcome.SUCCESS)
        try:
            self.assert_all_has_ended()
        finally:
            self.loop.close()

    def assert_all_has_ended(self) -> None:
        """No permit is lost, no task waits, and events and counts agree."""
        state = self.guard.snapshot()
        assert (state.in_flight, state.queued) == (0, 0)
        assert all(task.done() for _, task in self.calls)
        errors = [task.exception() for _, task in self.calls if not task.cancelled()]
        assert all(error is None or isinstance(error, Rejected) for error in errors)
        assert sum(state.settled.values()) == state.admitted
        assert state.admitted == self.count(Admitted)
        assert sum(state.settled.values()) == self.count(Settled)
        refused = sum(state.refused.values())
        assert refused == self.count(Refused) >= sum(error is not None for error in errors)
        assert sum(each.refused for each in state.limiters) == refused
        assert len(errors) <= state.admitted + refused <= len(self.calls)

    def count(self, kind: type[Event]) -> int:
        """How many events of that kind there were."""
        return len(self.events.of(kind))


TestGuardMachine = GuardMachine.TestCase
