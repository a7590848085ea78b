"""What a line of the log says of its request."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id, use_span

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


def test_a_format_may_name_the_values(capsys: Any) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter("%(message)s trace=%(trace_id)s route=%(route)s queued=%(queue_time).3f"))
    handler.handle(logging.makeLogRecord({"msg": "hello"}))
    assert capsys.readouterr().err == "hello trace= route= queued=0.000\n"
