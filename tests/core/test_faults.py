"""Faults around a guard: none of them loses a permit or blocks a call."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction

from perfguard import Admission, AdmissionQueue, Call, Guard, Limiter, LimitExceeded, Outcome
from perfguard._exchange import Exchange, OpenStreams
from perfguard.limits import FixedLimit
from perfguard.queueing import Place


class Inner:
    """A policy further in, which does what a test says."""

    def __init__(self, *, admit: Any = None, settle: Any = None) -> None:
        self._admit = admit
        self._settle = settle

    def admit(self, call: Call, now: float) -> object:
        """Admit."""
        if self._admit is not None:
            self._admit()
        return None

    def settle(self, ticket: object, outcome: Outcome, now: float) -> None:
        """Settle."""
        if self._settle is not None:
            self._settle()


def fail() -> None:
    raise ZeroDivisionError


def test_a_call_that_ends_in_the_midst_of_a_decision_on_the_same_thread_is_settled_after_it() -> None:
    """So ends an abandoned call that the garbage collector finds there."""
    abandoned: list[Admission] = []

    def collect() -> None:
        for each in abandoned:
            each.settle(Outcome.IGNORED)

    guard = Guard(Limiter(FixedLimit(5)), Inner(admit=collect))
    first = guard.admit()
    guard.enter(first)
    abandoned.append(first)

    with guard.admit():
        assert guard.snapshot().in_flight == 1

    assert guard.snapshot().settled == {Outcome.IGNORED: 1, Outcome.SUCCESS: 1}


def test_a_log_handler_may_look_at_the_guard_that_logs() -> None:
    """A fault is logged in the midst of a decision."""
    guard = Guard(Limiter(FixedLimit(5)), Inner(admit=fail))
    seen = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(guard.snapshot().in_flight)

    handler = Handler()
    logging.getLogger("perfguard").addHandler(handler)
    try:
        with guard.admit():
            pass
    finally:
        logging.getLogger("perfguard").removeHandler(handler)

    assert len(seen) == 1


def test_a_policy_that_fails_to_settle_keeps_no_permit_of_those_further_out(caplog: pytest.LogCaptureFixture) -> None:
    """The fault is logged, and the limiter gets its ticket back."""
    guard = Guard(Limiter(FixedLimit(1)), Inner(settle=fail))
    for _ in range(3):
        with guard.admit():
            pass

    assert guard.snapshot().in_flight == 0
    assert "ZeroDivisionError" in caplog.text


class Failing(Limiter):
    """A limiter of one permit, of which one method fails."""

    def __init__(self, method: str, error: type[BaseException] = ZeroDivisionError) -> None:
        super().__init__(FixedLimit(1), AdmissionQueue(target=9.0, max_wait=9.0, min_length=1, max_length=1))

        def failing(*_: object) -> Any:
            raise error

        setattr(self, method, failing)


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_a_policy_that_cannot_tell_whom_it_released_refuses_all_the_same(error: type[BaseException]) -> None:
    """And the refused call gives back what it had from the policies further out."""
    held: list[int] = []
    outer = Inner(admit=lambda: held.append(1), settle=held.pop)
    guard = Guard(outer, Failing("released", error))

    async def main() -> None:
        async with guard.admit():
            waiting = asyncio.ensure_future(guard.admit().acquire())
            await asyncio.sleep(0)
            with pytest.raises(LimitExceeded):
                await guard.admit().acquire()
            waiting.cancel()
            await asyncio.wait([waiting])

    asyncio.run(main())

    assert held == []


def test_a_policy_that_fails_to_withdraw_hides_no_cancellation() -> None:
    """And the policies further out get their tickets back."""
    held: list[int] = []
    guard = Guard(Inner(admit=lambda: held.append(1), settle=held.pop), Failing("withdraw"))

    async def main() -> None:
        await guard.admit().acquire()
        waiting = asyncio.ensure_future(guard.admit().acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())

    assert held == [1]


def test_a_call_that_a_policy_failed_to_let_go_gives_back_what_it_is_granted() -> None:
    """Its caller has left long ago."""
    held: list[int] = []
    outer = Inner(admit=lambda: held.append(1), settle=held.pop)
    limiter = Failing("withdraw")
    guard = Guard(outer, limiter)

    async def main() -> None:
        async with guard.admit():
            waiting = asyncio.ensure_future(guard.admit().acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(main())

    assert (held, limiter.in_flight, len(limiter)) == ([], 0, 0)


def test_a_policy_that_fails_to_expire_fails_no_thread_that_waits() -> None:
    """It waits for its turn as before."""
    guard = Guard(Failing("expire"))
    first, second = guard.admit(), guard.admit()
    guard.enter(first)
    looked = threading.Event()

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(guard.enter, second)
        while not guard.snapshot().queued:
            looked.wait(0.001)
        guard._expire()  # noqa: SLF001 - What a waiting thread does at every tick.
        first.settle(Outcome.SUCCESS)
        assert answer.result() is None

    second.settle(Outcome.SUCCESS)
    assert guard.snapshot().in_flight == 0


def test_a_call_whose_loop_was_closed_while_it_waited_blocks_nobody() -> None:
    """Its place is given up when its turn comes."""
    guard = Guard(Limiter(FixedLimit(1), AdmissionQueue(target=9.0, max_wait=9.0)))
    running = guard.admit()
    guard.enter(running)
    loop = asyncio.new_event_loop()
    waiting = guard.admit()

    async def queue() -> None:
        assert isinstance(guard.begin(waiting), Place)

    loop.run_until_complete(queue())
    loop.close()
    running.settle(Outcome.SUCCESS)

    with guard.admit():
        assert guard.snapshot().queued == 0


def test_settling_a_call_that_still_waits_does_nothing() -> None:
    """Its permit would be lost when its turn comes."""

    async def main() -> None:
        guard = Guard(Limiter(FixedLimit(1)))
        first, second = guard.admit(), guard.admit()
        await first.acquire()
        waiting = asyncio.ensure_future(second.acquire())
        await asyncio.sleep(0)
        second.settle(Outcome.SUCCESS)
        first.settle(Outcome.SUCCESS)
        await waiting
        second.settle(Outcome.SUCCESS)

        assert guard.snapshot().in_flight == 0

    asyncio.run(main())


def test_calls_for_which_permits_are_free_are_not_refused_for_a_rate_of_long_ago() -> None:
    """They wait for the event loop, not for a departure."""
    limiter = Limiter(FixedLimit(100))
    now = 0.0
    for _ in range(20):
        place = limiter.enqueue(Call(), now)
        now += 0.1
        limiter.grant(place, now)
        limiter.settle(place.ticket, Outcome.SUCCESS, now)

    places = [limiter.enqueue(Call(), now) for _ in range(100)]

    assert len(places) == len(limiter) == 100


def test_the_send_of_an_exchange_counts_as_a_coroutine_function() -> None:
    """Asgiref warns of others."""

    async def send(message: Any) -> None:
        """Send nowhere."""

    assert iscoroutinefunction(Exchange(Guard().admit(), send, OpenStreams(1)).send)
