"""The watch of real event loops, really blocked."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span

from perfguard.errors import ConfigurationError
from perfguard.telemetry import LoopWatch, delay_histogram
from tests.conftest import Run
from tests.servers import until

Task = asyncio.Task[Any] | None


def nothing(seconds: float) -> None:
    """Take a delay for granted."""


def wait_for(holds: Callable[[], bool]) -> None:
    """Hold the thread, and with it the loop, until something holds."""
    until(holds, "what the loop is held for")


async def some_ticks(watch: LoopWatch) -> None:
    """Let a watch with an interval of a millisecond tick."""
    await asyncio.sleep(0.02)
    assert watch.running


def hold(seconds: float) -> None:
    """Hold the thread, and with it the loop, for that long."""
    time.sleep(seconds)


class Listener:
    """The span of one task, and whether it has heard of a stall."""

    def __init__(self, *, sampled: bool = True) -> None:
        provider = TracerProvider() if sampled else TracerProvider(sampler=ALWAYS_OFF)
        self.span = provider.get_tracer("test").start_span("request")
        self.asked: list[Task] = []

    def owner(self, task: Task) -> Span | None:
        """The span, whichever the task."""
        self.asked.append(task)
        return self.span

    @property
    def events(self) -> tuple[Event, ...]:
        """What the span was told."""
        assert isinstance(self.span, ReadableSpan)
        return tuple(self.span.events)


def test_the_span_of_the_task_that_holds_the_loop_is_told_what_it_calls(run: Run) -> None:
    listener = Listener()

    async def main() -> None:
        watch = LoopWatch(nothing, owner=listener.owner, interval=0.001, threshold=0.02)
        watch.start()
        await some_ticks(watch)
        wait_for(lambda: bool(listener.events))
        watch.stop()
        assert listener.asked == [asyncio.current_task()]

    run(main())
    (event,) = listener.events
    told = dict(event.attributes or {})
    assert event.name == "perfguard.eventloop.stall"
    assert str(told["code.function.name"]).endswith("until")
    assert str(told["code.file.path"]).endswith("tests/servers.py")
    assert told["perfguard.eventloop.stall.innermost"] in ("threading.Condition.wait", "threading.Event.wait")
    assert "wait_for" in str(told["code.stacktrace"])
    assert "run(main())" not in str(told["code.stacktrace"])


def test_a_stall_is_told_once_and_the_next_one_again(run: Run) -> None:
    listener = Listener()

    async def main() -> None:
        watch = LoopWatch(nothing, owner=listener.owner, interval=0.001, threshold=0.01)
        watch.start()
        for stalls in (1, 2):
            await some_ticks(watch)
            wait_for(lambda stalls=stalls: len(listener.events) == stalls)  # type: ignore[misc] # mypy infers no defaults.
            hold(0.05)  # Several looks of the watchdog.
        watch.stop()

    run(main())
    assert len(listener.events) == 2


def test_a_callback_outside_of_tasks_is_told_without_one(run: Run) -> None:
    listener = Listener()

    async def main() -> None:
        watch = LoopWatch(nothing, owner=listener.owner, interval=0.001, threshold=0.02)
        watch.start()
        await some_ticks(watch)
        asyncio.get_running_loop().call_soon(wait_for, lambda: bool(listener.events))
        await asyncio.sleep(0)
        watch.stop()

    run(main())
    assert listener.asked == [None]
    assert "in wait_for" in str((listener.events[0].attributes or {})["code.stacktrace"])


@pytest.mark.parametrize("span", ["none", "not sampled", "ended"])
def test_where_no_span_records_the_log_has_the_stall(run: Run, span: str, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(sampled=span != "not sampled")
    if span == "ended":
        listener.span.end()

    async def main() -> None:
        options = {} if span == "none" else {"owner": listener.owner}
        watch = LoopWatch(nothing, interval=0.001, threshold=0.02, **options)  # type: ignore[arg-type] # By name.
        watch.start()
        await some_ticks(watch)
        wait_for(lambda: bool(caplog.records))
        watch.stop()

    with caplog.at_level(logging.WARNING, "perfguard"):
        run(main())
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "tests.servers.until" in record.getMessage()
    assert "wait_for" in record.getMessage()


def test_a_loop_that_is_held_has_the_delay_of_each_tick(run: Run) -> None:
    delays: list[float] = []

    async def main() -> None:
        watch = LoopWatch(delays.append, interval=0.01, threshold=60.0)
        watch.start()
        await asyncio.sleep(0.05)
        began = time.monotonic()
        hold(0.1)
        held = time.monotonic() - began
        await asyncio.sleep(0.05)
        watch.stop()
        late = sorted(delays, reverse=True)
        # At most a gap of 1.62 intervals before the first tick that was held up.
        assert late[0] > held - 0.0163
        assert sum(1 for each in late if each > 0.0163) >= (held - 0.0163) // 0.01 - 2

    run(main())


def test_the_histogram_is_in_seconds_and_has_every_tick(run: Run) -> None:
    reader = InMemoryMetricReader()
    with_sdk = MeterProvider([reader])

    async def main() -> None:
        watch = LoopWatch(delay_histogram(with_sdk.get_meter("test")).record, interval=0.001)
        watch.start()
        await asyncio.sleep(0.05)
        watch.stop()

    run(main())
    point = only_point(reader)
    assert point.count >= 40
    assert point.sum < point.count
    with_sdk.shutdown()


def only_point(reader: InMemoryMetricReader) -> HistogramDataPoint:
    """The one point of the one metric, the loop's delay."""
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("perfguard.eventloop.delay", "s")
    (point,) = metric.data.data_points
    assert isinstance(point, HistogramDataPoint)
    return point


def percentile(point: HistogramDataPoint, share: float) -> float:
    """A percentile as backends compute it: linear within its bucket."""
    rank, below, lower = share * point.count, 0, 0.0
    for upper, count in zip([*point.explicit_bounds, point.max], point.bucket_counts, strict=True):
        if below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below, lower = below + count, upper
    raise AssertionError(f"no {share}")


@pytest.mark.slow
@pytest.mark.parametrize(("blocked", "free"), [(0.2, 0.2), (0.12, 0.08), (0.45, 0.05)])
def test_the_p90_of_the_histogram_is_within_a_tenth_of_an_injected_delay(run: Run, blocked: float, free: float) -> None:
    """The truth is what arrivals at any instant would see, by the instants of the blocks."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    waits: list[float] = []

    async def main() -> None:
        watch = LoopWatch(delay_histogram(provider.get_meter("test")).record, threshold=60.0)
        watch.start()
        end = time.monotonic() + 12.0
        free_since = time.monotonic()
        while free_since < end:
            await asyncio.sleep(free)
            began = time.monotonic()
            hold(blocked)
            ended = time.monotonic()
            waits.extend([0.0] * round((began - free_since) * 1e4))
            waits.extend(number / 1e4 for number in range(round((ended - began) * 1e4)))
            free_since = ended
        await asyncio.sleep(0)
        watch.stop()

    run(main())
    truth = sorted(waits)[round(0.9 * len(waits))]
    assert percentile(only_point(reader), 0.9) == pytest.approx(truth, rel=0.1)
    provider.shutdown()


def loops_of(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine on a loop of each kind."""
    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())


def watchdogs() -> list[threading.Thread]:
    """The watchdogs that live."""
    return [each for each in threading.enumerate() if each.name == "perfguard-loop-watchdog"]


def test_a_loop_that_ends_without_a_stop_leaves_nothing_behind(run: Run) -> None:
    watch = LoopWatch(nothing, interval=0.001, threshold=0.01)

    async def main() -> None:
        watch.start()
        await some_ticks(watch)
        assert watchdogs()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    until(lambda: not watchdogs(), "the watchdog has ended")
    assert not watch.running


def test_a_stop_ends_the_ticks_and_the_watchdog_and_may_come_twice(run: Run) -> None:
    delays: list[float] = []

    async def main() -> None:
        watch = LoopWatch(delays.append, interval=0.001, threshold=0.01)
        watch.start()
        await some_ticks(watch)
        watch.stop()
        watch.stop()
        assert not watch.running
        ticks = len(delays)
        await asyncio.sleep(0.01)
        assert len(delays) == ticks

    run(main())
    until(lambda: not watchdogs(), "the watchdog has ended")


def test_it_may_be_started_again_on_another_loop() -> None:
    watch = LoopWatch(nothing, interval=0.001, threshold=0.01)

    async def main() -> None:
        watch.start()
        watch.start()
        await some_ticks(watch)
        watch.stop()

    loops_of(main)


def test_it_watches_one_loop_at_a_time() -> None:
    watch = LoopWatch(nothing)

    async def other() -> None:
        with pytest.raises(RuntimeError, match="one event loop"):
            watch.start()

    async def main() -> None:
        watch.start()
        await asyncio.to_thread(asyncio.run, other())
        watch.stop()

    asyncio.run(main())


def test_without_a_loop_it_does_not_start() -> None:
    with pytest.raises(RuntimeError):
        LoopWatch(nothing).start()


@pytest.mark.parametrize("where", ["record", "at_tick", "owner"])
def test_what_a_callback_raises_ends_no_watch(run: Run, where: str, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[object] = []

    def fail(*arguments: object) -> None:
        calls.append(arguments)
        raise LookupError("mine")

    async def main() -> None:
        options: dict[str, Any] = {"record": nothing, where: fail}
        watch = LoopWatch(interval=0.001, threshold=0.01, **options)
        watch.start()
        while len(calls) < 2:
            await some_ticks(watch)
            hold(0.03 if where == "owner" else 0.0)
        watch.stop()

    run(main())
    (record,) = caplog.records
    assert "loop watch" in record.getMessage()


def test_something_may_be_read_on_the_loop_at_each_tick(run: Run) -> None:
    read: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        watch = LoopWatch(nothing, interval=0.001, at_tick=lambda: read.append(asyncio.get_running_loop()))
        watch.start()
        await some_ticks(watch)
        watch.stop()
        assert set(read) == {asyncio.get_running_loop()}
        assert len(read) > 3

    run(main())


@pytest.mark.parametrize(
    "options",
    [{"record": 1}, {"owner": 1}, {"interval": 0}, {"threshold": -1.0}, {"threshold": float("nan")}, {"at_tick": 1}],
    ids=str,
)
def test_wrong_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        LoopWatch(**{"record": nothing, **options})
