"""Event loops that are watched from their first request on, by `Telemetry` itself."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any

import anyio.to_thread
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perfguard.asgi import GuardMiddleware, Receive, Scope, Send
from perfguard.errors import ConfigurationError
from perfguard.telemetry import Telemetry, names
from tests.conftest import Run
from tests.servers import until

SCOPE = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "query_string": b""}


class Told:
    """Telemetry, and what was told by it."""

    def __init__(self, **options: Any) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.telemetry = Telemetry(tracers, MeterProvider([self.reader]), **options)

    def metrics(self) -> set[str]:
        """The metrics that have points."""
        data = self.reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else ()
        return {metric.name for scope in scopes for metric in scope.metrics if metric.data.data_points}


async def responded(send: Send) -> None:
    """Send a response."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asked(told: Told, app: Any) -> None:
    """Ask an application for something, behind a guard."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        """Drop the message."""

    await asyncio.create_task(GuardMiddleware(app, telemetry=told.telemetry)(dict(SCOPE), receive, send))


def stalled(told: Told) -> bool:
    """Whether the span of the request that is under way was told of a stall."""
    (live,) = told.telemetry.live
    assert isinstance(live.span, ReadableSpan)
    return [event.name for event in live.span.events] == [names.STALL]


def test_the_span_of_the_request_that_holds_the_loop_is_told(run: Run) -> None:
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.2)  # For the first tick.
        until(lambda: stalled(told), "the span is told")
        await responded(send)

    run(asked(told, app))
    (span,) = told.spans.get_finished_spans()
    (event,) = span.events
    assert str((event.attributes or {})[names.FUNCTION_NAME]).endswith("until")


def test_the_loop_and_its_threads_are_among_the_metrics(run: Run) -> None:
    told = Told()
    shown: set[str] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.to_thread.run_sync(int)
        # Delays are recorded by the dozen.
        time.sleep(1.5)  # noqa: ASYNC251 # The loop is to be held.
        await asyncio.sleep(0.05)
        shown.update(told.metrics())
        await responded(send)

    run(asked(told, app))
    assert shown >= {
        names.EVENTLOOP_DELAY,
        names.THREAD_POOL_BORROWED,
        names.THREAD_POOL_LIMIT,
        names.THREAD_POOL_QUEUE,
    }


def test_a_loop_is_not_watched_if_that_is_not_wanted(run: Run) -> None:
    told = Told(watch_loops=False)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await responded(send)

    run(asked(told, app))
    assert told.telemetry.loops() is None
    assert names.EVENTLOOP_DELAY not in told.metrics()


def test_a_task_that_serves_no_request_has_no_span(run: Run) -> None:
    told = Told()

    async def main() -> None:
        loops = told.telemetry.loops()
        assert loops is not None
        assert loops.owner(asyncio.current_task()) is None
        assert loops.owner(None) is None

    run(main())


class Parented:
    """A task as Python 3.12 has it, whose context can be read."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def get_context(self) -> Any:
        """Its context."""
        return self._context


def test_a_task_that_a_request_has_begun_has_its_span(run: Run) -> None:
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops = told.telemetry.loops()
        assert loops is not None
        (live,) = told.telemetry.live
        task: Any = Parented(contextvars.copy_context())
        assert loops.owner(asyncio.current_task()) is live.span
        assert loops.owner(task) is live.span
        await responded(send)

    run(asked(told, app))


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_a_wrong_switch_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="watch_loops"):
        Telemetry(watch_loops=value)
