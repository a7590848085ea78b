"""Threads and event loops that share one guard at the same time, with cancellations and exceptions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
import uvloop

from perfguard.errors import Rejected
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Call, Outcome, Priority
from tests.manual_loop import turns

JOIN_TIMEOUT = 300.0


async def one_call(guard: Guard, chance: Random) -> None:
    """Be served for some turns, or fail, or be refused."""
    with contextlib.suppress(Rejected, ValueError):
        async with guard.admit(Call(priority=chance.choice(list(Priority)))):
            await turns(chance.randrange(4))
            if chance.random() < 0.1:
                raise ValueError


async def calls_of_a_loop(guard: Guard, count: int, seed: int) -> None:
    """Make calls fifty at a time, and cancel ten of each fifty somewhere on their way."""
    chance = Random(seed)
    for _ in range(count // 50):
        tasks = [asyncio.ensure_future(one_call(guard, chance)) for _ in range(50)]
        await turns(chance.randrange(5))
        for task in chance.sample(tasks, 10):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def on_a_loop(factory: Callable[[], asyncio.AbstractEventLoop], guard: Guard, count: int, seed: int) -> None:
    """Run a new loop of that kind on this thread."""
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(calls_of_a_loop(guard, count, seed))


def calls_of_a_thread(guard: Guard, count: int, seed: int) -> None:
    """Make calls one after the other; some fail."""
    chance = Random(seed)
    for _ in range(count):
        with contextlib.suppress(Rejected, ValueError), guard.admit(Call(priority=chance.choice(list(Priority)))):
            if chance.random() < 0.1:
                raise ValueError


def share(guard: Guard, calls: int) -> None:
    """Let two loops of each kind and three threads make so many calls each."""
    jobs: list[Callable[[], None]] = []
    for seed in range(2):
        jobs.append(partial(on_a_loop, asyncio.new_event_loop, guard, calls, seed))
        jobs.append(partial(on_a_loop, uvloop.new_event_loop, guard, calls, 10 + seed))
    jobs += [partial(calls_of_a_thread, guard, calls // 4, 20 + seed) for seed in range(3)]
    workers = [threading.Thread(target=job, daemon=True) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(JOIN_TIMEOUT)
        assert not worker.is_alive()


def assert_nothing_is_left(guard: Guard) -> None:
    state = guard.snapshot()
    assert (state.in_flight, state.queued) == (0, 0)
    assert sum(state.settled.values()) == state.admitted
    assert state.settled[Outcome.SUCCESS] > 0


@pytest.mark.race
def test_threads_and_loops_of_both_kinds_share_one_guard() -> None:
    """A thousand calls of each end with nothing in flight and nothing queued."""
    guard = Guard(Limiter(FixedLimit(4)))

    share(guard, 1_000)

    assert_nothing_is_left(guard)


@pytest.mark.race
@pytest.mark.slow
def test_many_calls_of_threads_and_loops_lose_no_permit() -> None:
    """The same of forty thousand calls each."""
    guard = Guard(Limiter(FixedLimit(4)))

    share(guard, 40_000)

    assert_nothing_is_left(guard)
