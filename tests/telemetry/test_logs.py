"""What a line of the log says of its request."""

from __future__ import annotations

import asyncio
import logging
import logging.config
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    format_span_id,
    format_trace_id,
    use_span,
)

from perfguard import Call, Guard
from perfguard.context import Serving
from perfguard.telemetry import RequestFilter
from perfguard.testing import ManualClock


def written() -> Any:
    record: Any = logging.makeLogRecord({"msg": "hello"})
    assert RequestFilter().filter(record) is True
    return record


def test_a_line_within_a_request_has_its_trace_route_and_queue_time() -> None:
    provider, clock = TracerProvider(), ManualClock()
    span = provider.get_tracer("t").start_span("GET /orders")
    guard = Guard(clock=clock)
    admission = guard.admit(Call(key="/orders", arrival=clock() - 0.01))
    with admission, Serving(admission), use_span(span, end_on_exit=True):
        record = written()
    context = span.get_span_context()
    assert record.trace_id == format_trace_id(context.trace_id)
    assert record.span_id == format_span_id(context.span_id)
    assert record.route == "/orders"
    assert round(record.queue_time, 6) == 0.01
    provider.shutdown()


def test_a_line_without_a_request_has_empty_values() -> None:
    record = written()
    assert (record.trace_id, record.span_id, record.route, record.queue_time) == ("", "", "", 0.0)


def test_a_format_may_name_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter("%(message)s trace=%(trace_id)s route=%(route)s queued=%(queue_time).3f"))
    handler.handle(logging.makeLogRecord({"msg": "hello"}))
    assert capsys.readouterr().err == "hello trace= route= queued=0.000\n"


def test_what_a_record_has_already_stays() -> None:
    record: Any = logging.makeLogRecord({"msg": "hello", "route": "/own", "queue_time": 2.0})
    RequestFilter().filter(record)
    assert (record.route, record.queue_time, record.trace_id) == ("/own", 2.0, "")


def test_behind_a_queue_handler_the_line_keeps_the_request_it_was_written_in() -> None:
    lines: SimpleQueue[Any] = SimpleQueue()
    first = QueueHandler(lines)
    first.addFilter(RequestFilter())
    admission = Guard().admit(Call(key="/orders"))
    with admission, Serving(admission):
        first.handle(logging.makeLogRecord({"msg": "hello"}))
    record = lines.get()
    RequestFilter().filter(record)
    assert record.route == "/orders"


def test_work_that_a_request_hands_to_a_thread_is_its_own() -> None:
    async def served() -> Any:
        admission = Guard().admit(Call(key="/orders"))
        async with admission:
            with Serving(admission):
                return await asyncio.to_thread(written)

    assert asyncio.run(served()).route == "/orders"


class Broken(NonRecordingSpan):
    """A span that fails."""

    def get_span_context(self) -> SpanContext:
        """Fail."""
        raise RuntimeError("broken")


def test_a_span_that_fails_leaves_the_values_empty_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    once = RequestFilter()
    with use_span(Broken(INVALID_SPAN_CONTEXT), record_exception=False):
        for _ in range(3):
            record: Any = logging.makeLogRecord({"msg": "hello"})
            assert once.filter(record) is True
            assert (record.trace_id, record.route) == ("", "")
    assert [entry.levelno for entry in caplog.records] == [logging.ERROR]


def test_a_configuration_by_dictionary_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "perfguard.telemetry.RequestFilter"}},
        "formatters": {"line": {"format": "%(message)s [%(route)s]"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "filters": ["request"], "formatter": "line"}},
        "loggers": {"tests.shop": {"handlers": ["out"], "propagate": False}},
    }
    logging.config.dictConfig(settings)
    logging.getLogger("tests.shop").warning("hello")
    logging.getLogger("tests.shop").handlers.clear()
    assert capsys.readouterr().err == "hello []\n"
