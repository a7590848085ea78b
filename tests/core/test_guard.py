"""The guard: permits, events, switches and faults."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from perfguard._waiters.tasks import BATCH_BUDGET
from perfguard.admission import outcome_of
from perfguard.errors import ConfigurationError, LimitExceeded, QueueTimeout
from perfguard.events import Admitted, Event, LimitChanged, Refused, Settled, StateChanged
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, KeyedLimiter, Limiter, LittlesLawLimit
from perfguard.outcome import Call, Outcome, Priority, Reason
from perfguard.queueing import AdmissionQueue
from perfguard.testing import ManualClock
from tests.manual_loop import ManualLoop

Run = Callable[[Coroutine[Any, Any, None]], None]


class Capacity:
    """A policy that counts what it holds, and refuses beyond a number."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def admit(self, call: Call, now: float) -> str:
        """Take one."""
        if self.held >= self.most:
            raise LimitExceeded(Reason.QUEUE_FULL)
        self.held += 1
        return "ticket"

    def settle(self, ticket: str, outcome: Outcome, now: float) -> None:
        """Give one back."""
        self.held -= 1


class Broken:
    """A policy with a bug."""

    def admit(self, call: Call, now: float) -> None:
        """Fail."""
        raise RuntimeError("bug in admit")

    def settle(self, ticket: None, outcome: Outcome, now: float) -> None:
        """Fail."""
        raise RuntimeError("bug in settle")


def guard_of(limit: int, *, queue: AdmissionQueue | None = None, **arguments: Any) -> Guard:
    return Guard(Limiter(FixedLimit(limit), queue), **arguments)


def assert_idle(guard: Guard) -> None:
    state = guard.snapshot()
    assert (state.in_flight, state.queued) == (0, 0)


def test_a_call_is_admitted_and_settled() -> None:
    guard = guard_of(2)
    with guard.admit() as admission:
        assert guard.snapshot().in_flight == 1
        assert "admitted" in repr(admission)
    assert_idle(guard)
    assert guard.snapshot().settled == {Outcome.SUCCESS: 1}
    assert "settled" in repr(admission)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError, Outcome.FAILURE),
        (TimeoutError, Outcome.DROPPED),
        (asyncio.CancelledError, Outcome.IGNORED),
        (KeyboardInterrupt, Outcome.IGNORED),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_exception_gives_the_permit_back(error: type[BaseException], outcome: Outcome) -> None:
    guard = guard_of(1)
    with pytest.raises(error), guard.admit():
        raise error
    assert_idle(guard)
    assert guard.snapshot().settled == {outcome: 1}
    assert outcome_of(error) is outcome


def test_settling_twice_counts_once() -> None:
    guard = guard_of(1)
    with guard.admit() as admission:
        admission.settle(Outcome.FAILURE)
    assert guard.snapshot().settled == {Outcome.FAILURE: 1}


def test_settling_what_was_never_admitted_does_nothing() -> None:
    guard = guard_of(1)
    guard.admit().settle(Outcome.SUCCESS)
    assert guard.snapshot().settled == {}


def test_a_refusal_carries_its_reason_and_when_to_come_back() -> None:
    guard = guard_of(1, queue=AdmissionQueue(min_length=1, max_length=1))

    async def main() -> None:
        async with guard.admit():
            waiting = asyncio.create_task(guard.admit().acquire())
            await asyncio.sleep(0)
            with pytest.raises(LimitExceeded) as refusal:
                await guard.admit().acquire()
            assert refusal.value.reason is Reason.QUEUE_FULL
            assert "rejected: queue_full" in str(refusal.value)
            waiting.cancel()

    asyncio.run(main())
    assert guard.snapshot().refused == {Reason.QUEUE_FULL: 1}
    assert_idle(guard)


def test_a_task_waits_for_its_permit(run: Run) -> None:
    guard = guard_of(1)
    order = []

    async def call(name: str) -> None:
        async with guard.admit() as admission:
            order.append((name, admission.admission_time > 0.0))
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(call("a"), call("b"), call("c"))

    run(main())
    assert order == [("a", False), ("b", True), ("c", True)]
    assert_idle(guard)


def test_a_task_that_waits_too_long_is_refused(run: Run) -> None:
    guard = guard_of(1, queue=AdmissionQueue(target=0.01, max_wait=0.02))

    async def main() -> None:
        async with guard.admit():
            with pytest.raises(QueueTimeout):
                await guard.admit().acquire()

    run(main())
    assert_idle(guard)


def test_a_thread_that_waits_too_long_is_refused() -> None:
    guard = guard_of(1, queue=AdmissionQueue(target=0.01, max_wait=0.02))
    with guard.admit(), pytest.raises(QueueTimeout), guard.admit():
        pytest.fail("was admitted")
    assert_idle(guard)


def test_a_thread_waits_for_its_permit() -> None:
    guard = guard_of(1)
    served = []

    def call(number: int) -> None:
        with guard.admit():
            served.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    with guard.admit():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(10.0)
    assert sorted(served) == list(range(8))
    assert_idle(guard)


@pytest.mark.parametrize("steps", range(6))
def test_a_cancelled_task_leaves_nothing_behind(run: Run, steps: int) -> None:
    guard = guard_of(1)

    async def call() -> None:
        async with guard.admit():
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def main() -> None:
        tasks = [asyncio.create_task(call()) for _ in range(4)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks[:3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert_idle(guard)


def test_a_permit_granted_to_a_task_that_is_cancelled_at_the_same_time_is_not_lost(run: Run) -> None:
    guard = guard_of(1)

    async def main() -> None:
        first = guard.admit()
        await first.acquire()
        second = asyncio.create_task(guard.admit().acquire())
        await asyncio.sleep(0)
        first.settle(Outcome.SUCCESS)
        for _ in range(50):
            if guard.snapshot().in_flight:
                break
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        third = guard.admit()
        if not second.cancelled():
            return
        await third.acquire()
        third.settle(Outcome.SUCCESS)
        assert_idle(guard)

    run(main())


def test_a_saturated_key_does_not_shed_its_neighbours() -> None:
    guard = Guard(KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key)))

    async def main() -> None:
        async with guard.admit(Call(key="slow")):
            queued = [asyncio.create_task(guard.admit(Call(key="slow")).acquire()) for _ in range(3)]
            await asyncio.sleep(0)
            async with guard.admit(Call(key="fast")) as admission:
                assert admission.admission_time == 0.0
            for each in queued:
                each.cancel()
            await asyncio.gather(*queued, return_exceptions=True)

    asyncio.run(main())
    assert {each.key for each in guard.snapshot().limiters} == {"slow", "fast"}
    assert_idle(guard)


def test_waiting_keys_take_turns() -> None:
    guard = Guard(KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key)))
    served: list[str] = []

    async def call(key: str) -> None:
        async with guard.admit(Call(key=key)):
            served.append(key)
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*[call(key) for key in ("a", "a", "b", "b")])

    asyncio.run(main())
    assert sorted(served) == ["a", "a", "b", "b"]
    assert_idle(guard)


def test_of_waiting_keys_the_higher_priority_goes_first() -> None:
    guard = Guard(KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key)))
    served: list[str] = []

    async def call(key: str, priority: Priority) -> None:
        async with guard.admit(Call(key=key, priority=priority)):
            served.append(priority.name)

    async def main() -> None:
        held = [guard.admit(Call(key=key)) for key in ("a", "b")]
        for each in held:
            await each.acquire()
        calls = [asyncio.create_task(call("a", Priority.LOW)), asyncio.create_task(call("b", Priority.HIGH))]
        await asyncio.sleep(0)
        for each in held:
            each.settle(Outcome.SUCCESS)
        await asyncio.gather(*calls)

    asyncio.run(main())
    assert served == ["HIGH", "LOW"]


def test_what_makes_a_limiter_is_tried_when_the_guard_is_built() -> None:
    with pytest.raises(ConfigurationError, match="value must be at least 1"):
        KeyedLimiter(lambda key: Limiter(FixedLimit(0), key=key))


def test_keys_beyond_the_cap_share_one_limiter_while_the_others_are_in_use() -> None:
    limiter = KeyedLimiter(max_keys=2)
    guard = Guard(limiter)
    with guard.admit(Call(key="a")), guard.admit(Call(key="b")), guard.admit(Call(key="c")):
        assert [each.key for each in guard.snapshot().limiters] == ["a", "b", "_OTHER"]
    with guard.admit(Call(key="d")):
        assert "d" in [each.key for each in guard.snapshot().limiters]
    assert repr(limiter) == "<KeyedLimiter 3/2 keys, 0 queued>"


def test_no_key_at_all_is_refused_with_its_remedy() -> None:
    with pytest.raises(ConfigurationError, match="max_keys must be at least 1, got 0"):
        KeyedLimiter(max_keys=0)


def test_events_tell_the_whole_story() -> None:
    events: list[Event] = []
    clock = ManualClock()
    queue = AdmissionQueue(min_length=1, max_length=1)
    guard = guard_of(1, queue=queue, listeners=[events.append], clock=clock, name="web")

    async def main() -> None:
        first = guard.admit(Call(arrival=-0.5))
        await first.acquire()
        second = guard.admit()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded):
            await guard.admit(Call(arrival=-1.0)).acquire()
        clock.advance(0.1)
        first.settle(Outcome.SUCCESS)
        await waiting
        second.settle(Outcome.DROPPED)

    asyncio.run(main())
    assert [type(each) for each in events if not isinstance(each, StateChanged)] == [
        Admitted,
        Refused,
        Settled,
        Admitted,
        Settled,
    ]
    assert {each.guard for each in events} == {"web"}
    admitted = next(each for each in events if isinstance(each, Admitted))
    assert admitted.queue_time == 0.5
    refused = next(each for each in events if isinstance(each, Refused))
    assert (refused.reason, refused.queue_time, refused.enforced) == (Reason.QUEUE_FULL, 1.0, True)
    states = [each for each in events if isinstance(each, StateChanged)]
    assert states


def test_a_limit_that_moves_is_an_event() -> None:
    events: list[Event] = []
    clock = ManualClock()
    guard = Guard(Limiter(LittlesLawLimit(initial=1, lowest=1)), listeners=[events.append], clock=clock)
    for _ in range(200):
        with guard.admit():
            clock.advance(0.01)
    assert any(isinstance(each, LimitChanged) for each in events)


def test_a_listener_that_raises_breaks_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def listener(event: Event) -> None:
        raise RuntimeError("bug in a listener")

    guard = guard_of(1, listeners=[listener])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with guard.admit():
                pass
    assert len(caplog.records) == 1
    assert_idle(guard)


def test_a_fault_in_a_policy_lets_calls_through_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(Broken())
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with guard.admit():
                pass
    assert len(caplog.records) == 1
    assert "calls go on unguarded" in caplog.text


def test_policies_refuse_in_order_and_those_passed_get_their_ticket_back() -> None:
    outer, inner = Capacity(5), Capacity(0)
    guard = Guard(outer, inner)
    with pytest.raises(LimitExceeded), guard.admit():
        pytest.fail("was admitted")
    assert outer.held == 0
    assert "Capacity" in repr(guard)


def test_a_policy_behind_the_queue_may_still_refuse() -> None:
    inner = Capacity(1)
    guard = Guard(Limiter(FixedLimit(1)), inner)

    async def main() -> None:
        first = guard.admit()
        await first.acquire()
        waiting = asyncio.create_task(guard.admit().acquire())
        await asyncio.sleep(0)
        inner.most = 0
        first.settle(Outcome.SUCCESS)
        with pytest.raises(LimitExceeded):
            await waiting

    asyncio.run(main())
    assert inner.held == 0
    assert_idle(guard)


def test_a_dry_run_refuses_nothing_and_advises_a_limit() -> None:
    events: list[Event] = []
    clock = ManualClock()
    guard = Guard(
        Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1)),
        Capacity(1),
        clock=clock,
        dry_run=True,
        listeners=[events.append],
    )
    for _ in range(50):
        admissions = [guard.admit() for _ in range(4)]
        for each in admissions:
            each.__enter__()
        for each in admissions:
            clock.advance(0.01)
            each.settle(Outcome.SUCCESS)
    state = guard.snapshot()
    assert state.admitted == 200
    assert sum(state.refused.values()) > 0
    assert state.limiters[0].advised_limit == 2
    assert all(not each.enforced for each in events if isinstance(each, Refused))
    assert "dry run" in repr(guard)
    assert_idle(guard)


def test_a_dry_run_watches_each_key() -> None:
    guard = Guard(KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key)), dry_run=True)
    with guard.admit(Call(key="a")), guard.admit(Call(key="a")):
        assert guard.snapshot().in_flight == 2
    assert_idle(guard)


@pytest.mark.parametrize("text", ["0", "false", "no", "off"])
def test_the_environment_turns_the_guard_off(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PERFGUARD_ENABLED", text)
    guard = guard_of(1)
    with guard.admit(), guard.admit():
        assert guard.snapshot().in_flight == 0
    assert not guard.enabled
    assert " off" in repr(guard)


def test_the_environment_asks_for_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFGUARD_DRY_RUN", "1")
    assert guard_of(1).dry_run


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFGUARD_DRY_RUN", "1")
    assert not guard_of(1, dry_run=False).dry_run


def test_a_switch_that_says_nothing_is_refused_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFGUARD_ENABLED", "maybe")
    with pytest.raises(ConfigurationError, match="PERFGUARD_ENABLED must be 1 or 0"):
        guard_of(1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Guard("limiter"), "policies must each have"),  # type: ignore[arg-type] # Wrong on purpose.
        (lambda: Guard(Limiter(), Limiter()), "policies may hold one limiter"),
        (lambda: Guard(listeners=[1]), "listeners must each be callable"),  # type: ignore[list-item] # As above.
    ],
    ids=["no policy", "two limiters", "no listener"],
)
def test_a_wrong_argument_of_the_guard_names_itself(build: Callable[[], Guard], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()


def test_a_guard_that_nobody_holds_is_freed() -> None:
    guard = guard_of(1)
    reference = weakref.ref(guard)
    del guard
    gc.collect()
    assert reference() is None


def test_a_loop_that_computes_is_paced() -> None:
    """Of calls that compute for four turns' budget, few start together, and none is refused."""
    clock = ManualClock()
    guard = guard_of(1000, clock=clock)
    loop = ManualLoop(clock)
    starts: list[int] = []
    turn = 0

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    async def call() -> None:
        async with guard.admit():
            starts.append(turn)
            clock.advance(0.002)

    async def main() -> None:
        count()
        await asyncio.gather(*[call() for _ in range(20)])

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert max(Counter(starts).values()) <= BATCH_BUDGET / 0.002
    assert_idle(guard)
