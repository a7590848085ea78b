"""How late an event loop runs what is due, and what holds it when it is stuck."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfguard._checks import check_callable, check_positive
from perfguard._faults import Faults
from perfguard.clock import monotonic
from perfguard.telemetry import names
from perfguard.telemetry.stall import Ground
from perfguard.telemetry.stall_reports import Owner, StallReports
from perfguard.telemetry.ticks import Ticks
from perfguard.telemetry.watchdog import Watchdog

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

# Close enough for a p90 within a tenth, where a stall's delays spread evenly.
_BOUNDS = (
    *(0.001, 0.002, 0.005),
    *(0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08),
    *(0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1.0, 2.0, 5.0, 10.0),
)

_BATCH = 12
"""Delays that are recorded together: of a process that wakes from idleness each costs more by itself."""


def delay_histogram(meter: Meter) -> Histogram:
    """Return the histogram `perfguard.eventloop.delay`, in seconds, without attributes."""
    return meter.create_histogram(
        names.EVENTLOOP_DELAY,
        unit="s",
        description="How late the event loop runs what is due, at a fixed rate.",
        explicit_bucket_boundaries_advisory=_BOUNDS,
    )


def _nobody(task: asyncio.Task[Any] | None) -> None:
    """Know of no request."""


class LoopWatch:
    """Measures how late one event loop is, and tells what holds it.

    Ticks are due at a fixed rate, and each that a stall made late counts by its own
    delay, so that the histogram shows what requests at a fixed rate would see. When a
    tick is late by more than the threshold, a watchdog thread takes the stack of the
    loop's thread, once for each stall. The event `perfguard.eventloop.stall` tells it to
    the span of the request that holds the loop; where none records, a warning of the
    logger `perfguard` does, at most one in ten seconds. A stall that many short
    callbacks make up is told by the one that runs when the threshold passes.

    It watches one run of one loop, of asyncio or uvloop. It is no task and keeps no loop
    alive, and when the loop has ceased to run without a `stop`, it ends by itself.

    Args:
        record: Receives each delay in seconds, on the loop, at most a second after the
            tick: `delay_histogram(meter).record`.
        owner: Returns the span of the request that a task serves, `None` if there is
            none. Called on the watchdog's thread with the task that runs, with `None`
            for a callback outside of tasks.
        interval: Seconds between two ticks; shorter ones cost more of an idle processor.
        threshold: Seconds by which a tick must be late for a stall to be told.
        at_tick: Called on the loop at each tick, for what may be read there alone.

    Raises:
        ConfigurationError: An argument is not what it should be.
    """

    __slots__ = (
        "_at_tick",
        "_delays",
        "_faults",
        "_handle",
        "_interval",
        "_loop",
        "_record",
        "_reports",
        "_threshold",
        "_watchdog",
    )

    _record: Callable[[float], object]
    _at_tick: Callable[[], object] | None
    _interval: float
    _threshold: float
    _delays: list[float]
    _reports: StallReports
    _faults: Faults
    _loop: asyncio.AbstractEventLoop | None
    _handle: asyncio.Handle | None
    _watchdog: Watchdog | None

    def __init__(
        self,
        record: Callable[[float], object],
        *,
        owner: Owner = _nobody,
        interval: float = 0.08,
        threshold: float = 0.1,
        at_tick: Callable[[], object] | None = None,
    ) -> None:
        check_callable("record", record)
        check_callable("owner", owner)
        check_positive("interval", interval, "seconds")
        check_positive("threshold", threshold, "seconds")
        if at_tick is not None:
            check_callable("at_tick", at_tick)
        self._record = record
        self._at_tick = at_tick
        self._interval = interval
        self._threshold = threshold
        self._delays = []
        self._reports = StallReports(owner, monotonic)
        self._faults = Faults("loop watch")
        self._loop = self._handle = self._watchdog = None

    @property
    def running(self) -> bool:
        """Whether it watches a loop."""
        return self._watchdog is not None and not self._watchdog.over

    def start(self) -> None:
        """Begin to watch the running event loop; does nothing if it does already.

        Raises:
            RuntimeError: No event loop runs on this thread, or it watches another one.
        """
        loop = asyncio.get_running_loop()
        if self.running:
            if loop is not self._loop:
                raise RuntimeError("a LoopWatch watches one event loop at a time; make another one for this loop")
            return
        ticks = Ticks(monotonic() + self._interval, self._interval)
        fault = self._faults.report
        watchdog = Watchdog(loop, ticks, threshold=self._threshold, report=self._reports, fault=fault)
        self._loop, self._watchdog = loop, watchdog
        self._handle = loop.call_later(self._interval, self._tick, loop, ticks, watchdog)
        watchdog.start()

    def stop(self) -> None:
        """Cease to watch; to be called on the loop's thread, or when the loop has ended."""
        if self._watchdog is not None:
            self._watchdog.over = True
        if self._handle is not None:
            self._handle.cancel()
        self._loop = self._handle = self._watchdog = None
        self._flush()

    def _tick(self, loop: asyncio.AbstractEventLoop, ticks: Ticks, watchdog: Watchdog) -> None:
        if watchdog.over:
            return
        now = monotonic()
        self._delays += ticks.passed(now)
        self._handle = loop.call_later(ticks.due - now, self._tick, loop, ticks, watchdog)
        if watchdog.ground is None:
            watchdog.ground = Ground.below(sys._getframe(1))  # noqa: SLF001 # Documented.
        if len(self._delays) >= _BATCH:
            self._flush()
        if self._at_tick is not None:
            self._guarded(self._at_tick)

    def _flush(self) -> None:
        delays, self._delays = self._delays, []
        for delay in delays:
            self._guarded(self._record, delay)

    def _guarded(self, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except BaseException as error:
            self._faults.report("a tick", error)
