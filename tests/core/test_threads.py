"""Waits for a thread of a pool, measured where nobody saw them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import anyio.to_thread
import asgiref.sync
import pytest
from starlette.concurrency import run_in_threadpool

from perfguard import threads
from perfguard.context import current_admission
from perfguard.events import Settled
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter, Sample
from perfguard.testing import ManualClock, RecordingListener
from perfguard.threads import SyncToAsync, submitted, sync_to_async
from tests.manual_loop import turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The time of pools, which goes on as calls are told to take it."""
    clock = ManualClock()
    monkeypatch.setattr(threads, "monotonic", clock)
    return clock


class Recorder(FixedLimit):
    """Keeps its samples."""

    samples: list[Sample]

    def observe(self, sample: Sample) -> None:
        """Keep a sample."""
        self.samples.append(sample)


async def fifty(clock: ManualClock, guard: Guard, call: Callable[[Callable[[], None]], Any]) -> list[float]:
    """Make fifty requests that take 5 ms on a thread each, and all come before the first starts; their waits."""
    come = threading.Event()
    waits: list[float] = []

    def work() -> None:
        come.wait()
        clock.advance(0.005)

    async def request() -> None:
        async with guard.admit() as admission:
            outer = current_admission.set(admission)
            await call(work)
            current_admission.reset(outer)
            waits.append(admission.thread_time)

    tasks = [asyncio.ensure_future(request()) for _ in range(50)]
    await turns(100)
    assert guard.snapshot().in_flight == 50
    come.set()
    await asyncio.gather(*tasks)
    return sorted(waits)


def on_asgirefs_thread(work: Callable[[], None]) -> Any:
    return sync_to_async(work)()


def test_fifty_calls_of_5_ms_on_one_thread_wait_up_to_a_quarter_of_a_second(clock: ManualClock) -> None:
    """By listeners, by limits and on the admission, each the wait that it had."""
    limit, heard = Recorder(100), RecordingListener()
    limit.samples = []
    guard = Guard(Limiter(limit), listeners=[heard], clock=clock)

    waits = asyncio.run(fifty(clock, guard, on_asgirefs_thread))

    expected = pytest.approx([0.005 * number for number in range(50)])
    assert waits == expected
    assert sorted(each.thread_time for each in heard.of(Settled)) == expected
    assert sorted(each.wait for each in limit.samples) == expected
    assert guard.snapshot().in_flight == 0


@pytest.mark.parametrize("pool", ["asyncio", "anyio", "starlette"])
def test_other_pools_report_what_is_submitted_to_them(pool: str, clock: ManualClock) -> None:
    """With one thread, as asgiref's."""

    async def main() -> list[float]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        pools: dict[str, Callable[..., Any]] = {
            "asyncio": asyncio.to_thread,
            "anyio": anyio.to_thread.run_sync,
            "starlette": run_in_threadpool,
        }
        guard = Guard(Limiter(FixedLimit(100)), clock=clock)
        return await fifty(clock, guard, lambda work: pools[pool](submitted(work)))

    assert asyncio.run(main()) == pytest.approx([0.005 * number for number in range(50)])


def add(a: int, b: int = 0) -> int:
    """Add."""
    return a + b


def test_a_call_gets_its_arguments_and_returns_as_with_asgiref() -> None:
    ours, theirs = SyncToAsync(add), asgiref.sync.SyncToAsync(add)
    assert isinstance(ours, asgiref.sync.SyncToAsync)
    assert asgiref.sync.iscoroutinefunction(ours)
    assert (ours.func, ours.__name__, ours.__doc__) == (add, "add", "Add.")  # type: ignore[attr-defined] # As of a function.
    assert asyncio.run(ours(1, b=2)) == asyncio.run(theirs(1, b=2)) == 3
    assert submitted(add)(1, b=2) == 3


def test_an_error_is_raised_as_ever() -> None:
    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(sync_to_async(fail)())
    with pytest.raises(ValueError, match="mine"):
        submitted(fail)()


def test_it_decorates_functions_and_methods() -> None:
    class Service:
        @sync_to_async
        def one(self) -> int:
            return 1

        @sync_to_async(thread_sensitive=False)
        def two(self) -> int:
            return 2

    async def main() -> list[int]:
        service: Any = Service()
        return [await service.one(), await service.two()]

    assert asyncio.run(main()) == [1, 2]


def test_it_runs_on_the_thread_that_asgiref_would_take() -> None:
    async def main() -> set[int]:
        calls = (sync_to_async(threading.get_ident), asgiref.sync.sync_to_async(threading.get_ident))
        return {await each() for each in calls}

    assert len(asyncio.run(main())) == 1


@pytest.mark.parametrize(
    ("func", "options"), [(7, {}), (asyncio.sleep, {}), (add, {"executor": ThreadPoolExecutor(1)})], ids=range(3)
)
def test_what_asgiref_refuses_is_refused(func: Any, options: Any) -> None:
    with pytest.raises(TypeError):
        SyncToAsync(func, **options)


def test_the_context_that_is_given_is_the_one_in_which_the_request_is_sought(clock: ManualClock) -> None:
    admission = Guard().admit()
    context = copy_context()
    context.run(current_admission.set, admission)

    def handed_over() -> None:
        """Do nothing."""

    async def main() -> None:
        pool = ThreadPoolExecutor(1)
        pool.submit(clock.advance, 0.5).result()
        await SyncToAsync(handed_over, thread_sensitive=False, executor=pool, context=context)()

    asyncio.run(main())
    assert admission.thread_time == 0.0


def test_outside_a_request_nothing_is_reported(clock: ManualClock) -> None:
    call = submitted(add)
    clock.advance(1.0)
    assert call(1) == 1


def test_a_clock_that_goes_back_reports_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    instants = iter([2.0, 1.0])
    monkeypatch.setattr(threads, "monotonic", lambda: next(instants))
    admission = Guard().admit()
    outer = current_admission.set(admission)
    submitted(add)(1)
    current_admission.reset(outer)
    assert admission.thread_time == 0.0
