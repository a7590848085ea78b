"""Gauges of AnyIO's threads, read from real limiters."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio.to_thread
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from perfguard.telemetry import LoopWatch, ThreadPools
from tests.conftest import Run
from tests.manual_loop import turns

NAMES = ("queue.length", "limit", "borrowed")


class Gauges:
    """What the gauges of one `ThreadPools` show."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.pools = ThreadPools(self.provider.get_meter("test"))

    def read(self) -> tuple[float | None, ...]:
        """The length of the queue, the limit and the threads borrowed."""
        points = dict(self._points())
        return tuple(points.get(f"perfguard.thread_pool.{name}") for name in NAMES)

    def _points(self) -> Iterator[tuple[str, float]]:
        data = self.reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                assert isinstance(point, NumberDataPoint)
                assert dict(point.attributes or {}) == {"perfguard.thread_pool.name": "anyio"}
                yield metric.name, point.value


@pytest.fixture
def gauges() -> Iterator[Gauges]:
    """The gauges of a meter of their own."""
    gauges = Gauges()
    yield gauges
    gauges.provider.shutdown()


async def occupied(calls: int, threads: int, release: threading.Event) -> list[asyncio.Task[bool]]:
    """Hand calls over to so many threads, each until the release."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads
    tasks = [asyncio.create_task(anyio.to_thread.run_sync(release.wait)) for _ in range(calls)]
    await turns(10)
    return tasks


def test_gauges_show_who_waits_for_a_thread(run: Run, gauges: Gauges) -> None:
    async def main() -> None:
        release = threading.Event()
        tasks = await occupied(7, 2, release)
        gauges.pools.sample()
        assert gauges.read() == (5, 2, 2)
        release.set()
        await asyncio.gather(*tasks)
        gauges.pools.sample()
        assert gauges.read() == (0, 2, 0)

    run(main())


def test_calls_that_are_cancelled_while_they_wait_leave_the_queue(run: Run, gauges: Gauges) -> None:
    async def main() -> None:
        release = threading.Event()
        tasks = await occupied(7, 2, release)
        for task in tasks[2:]:
            task.cancel()
        await turns(10)
        gauges.pools.sample()
        assert gauges.read() == (0, 2, 2)
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_the_watch_of_a_loop_reads_its_threads(run: Run, gauges: Gauges) -> None:
    async def main() -> None:
        release = threading.Event()
        tasks = await occupied(3, 2, release)
        watch = LoopWatch(lambda _: None, interval=0.001, at_tick=gauges.pools.sample)
        watch.start()
        await asyncio.sleep(0.02)
        watch.stop()
        assert gauges.read() == (1, 2, 2)
        release.set()
        await asyncio.gather(*tasks)

    run(main())


def test_the_loops_of_a_process_are_summed_until_they_are_closed(gauges: Gauges) -> None:
    async def other() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 5
        gauges.pools.sample()
        assert gauges.read() == (0, 7, 0)

    async def main() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2
        gauges.pools.sample()
        await asyncio.to_thread(asyncio.run, other())
        assert gauges.read() == (0, 2, 0)

    asyncio.run(main())
    assert gauges.read() == (None, None, None)


def test_no_limit_is_no_number(run: Run, gauges: Gauges) -> None:
    async def main() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = math.inf
        gauges.pools.sample()
        assert gauges.read() == (0, None, 0)

    run(main())


def test_before_a_sample_there_is_nothing_to_show(gauges: Gauges) -> None:
    assert gauges.read() == (None, None, None)


ALONE = """
import asyncio, sys
from opentelemetry.metrics import get_meter
from perfguard.telemetry import LoopWatch, ThreadPools

async def main():
    ThreadPools(get_meter("test")).sample()

asyncio.run(main())
loaded = {name.partition(".sdk")[0] + ".sdk" for name in sys.modules if name.startswith("opentelemetry.sdk")}
print(sorted(loaded | ({"anyio"} & set(sys.modules))))
"""


def test_where_nothing_uses_anyio_it_is_not_loaded_and_the_sdk_never() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
