"""The watches of the event loops on which requests are served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from perfguard.context import current_admission
from perfguard.telemetry.loop_watch import LoopWatch, delay_histogram
from perfguard.telemetry.thread_pools import ThreadPools

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.trace import Span

    from perfguard.telemetry._live import Live


class LoopWatches:
    """Watches each event loop from its first request on, and the threads that it hands calls to.

    `watch` belongs to the thread of its loop; loops may come on several threads.

    Args:
        meter: Makes the instruments.
        live: The requests under way, whose spans are told what holds a loop.
    """

    __slots__ = ("_by_loop", "_delay", "_live", "_pools")

    _by_loop: dict[asyncio.AbstractEventLoop, LoopWatch]
    _delay: Histogram
    _live: set[Live]
    _pools: ThreadPools

    def __init__(self, meter: Meter, live: set[Live]) -> None:
        self._by_loop = {}
        self._delay = delay_histogram(meter)
        self._live = live
        self._pools = ThreadPools(meter)

    def watch(self) -> None:
        """Watch the running event loop, if that is not so already."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop = {each: watch for each, watch in list(self._by_loop.items()) if not each.is_closed()}
            self._by_loop[loop] = watch = LoopWatch(self._delay.record, owner=self.owner, at_tick=self._pools.sample)
            watch.start()

    def owner(self, task: asyncio.Task[Any] | None) -> Span | None:
        """Return the span of the request that a task serves, itself or, from Python 3.12 on, for its parent."""
        if task is None:
            return None
        context = task.get_context() if hasattr(task, "get_context") else {}
        admission = context.get(current_admission)
        for each in self._live.copy():
            if each.task is task or (admission is not None and each.admission is admission):
                return each.span
        return None
