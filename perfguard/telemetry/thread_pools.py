"""How many calls wait for a thread of AnyIO's pool, on which Starlette and FastAPI run what is not async."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from math import isfinite
from typing import NamedTuple

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from perfguard.telemetry import names

_POOL = {names.THREAD_POOL: "anyio"}


class Reading(NamedTuple):
    """A pool at one instant.

    Attributes:
        waiting: Calls that wait for a thread.
        limit: How many threads there may be; infinite where there is no limit.
        borrowed: Threads that run a call.
    """

    waiting: int
    limit: float
    borrowed: int


class ThreadPools:
    """Gauges of AnyIO's default limiter, summed over the event loops of the process.

    They are `perfguard.thread_pool.queue.length`, `.limit` and `.borrowed`, with
    `perfguard.thread_pool.name` set to `anyio`. The limiter belongs to its loop, and
    gauges are read from another thread; hence `sample` reads it on the loop, and a
    gauge shows the last reading: `LoopWatch(record, at_tick=pools.sample)`.

    asgiref shows nothing of its executor's queue but the waits that `perfguard.threads`
    measures for each request.

    Args:
        meter: What the gauges belong to.
    """

    __slots__ = ("_by_loop",)

    _by_loop: dict[asyncio.AbstractEventLoop, Reading]

    def __init__(self, meter: Meter) -> None:
        self._by_loop = {}
        for name, unit, description, read in _GAUGES:
            callback = self._observer(read)
            meter.create_observable_gauge(name, [callback], unit, description)

    def sample(self) -> None:
        """Read the limiter of the running event loop, once something has loaded AnyIO.

        Raises:
            RuntimeError: No event loop runs on this thread.
        """
        if "anyio.to_thread" not in sys.modules:
            return
        from anyio.to_thread import current_default_thread_limiter

        loop = asyncio.get_running_loop()
        state = current_default_thread_limiter().statistics()
        reading = Reading(state.tasks_waiting, state.total_tokens, state.borrowed_tokens)
        if loop in self._by_loop:
            self._by_loop[loop] = reading
        else:
            # A new dictionary, since gauges are read meanwhile.
            self._by_loop = {**self._open(), loop: reading}

    def _open(self) -> dict[asyncio.AbstractEventLoop, Reading]:
        return {loop: reading for loop, reading in self._by_loop.items() if not loop.is_closed()}

    def _observer(self, read: Callable[[Reading], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            values = [read(reading) for reading in self._open().values()]
            total = sum(values)
            return [Observation(total, _POOL)] if values and isfinite(total) else []

        return observe


_GAUGES: tuple[tuple[str, str, str, Callable[[Reading], float]], ...] = (
    (names.THREAD_POOL_QUEUE, "{task}", "Calls that wait for a thread.", lambda each: each.waiting),
    (names.THREAD_POOL_LIMIT, "{thread}", "Threads that there may be.", lambda each: each.limit),
    (names.THREAD_POOL_BORROWED, "{thread}", "Threads that run a call.", lambda each: each.borrowed),
)
