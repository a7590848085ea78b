"""The queue of spans on its way to real collectors: those that take, and those that do not."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

from perfguard.telemetry._lost_spans import LostSpans, Why
from perfguard.telemetry._span_queue import SpanQueue
from tests.telemetry.receiver import Receiver

NEVER = 3600.0


@contextmanager
def queueing(exporter: SpanExporter, *, length: int = 100, batch: int = 10) -> Iterator[tuple[SpanQueue, Tracer]]:
    """A queue, and a tracer whose spans get there; it exports when a batch is full, or told to."""
    queue = SpanQueue(exporter, length=length, batch=batch, delay=NEVER)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    try:
        yield queue, provider.get_tracer("test")
    finally:
        queue.shutdown(0.1)


def to(receiver: Receiver, timeout: float = 60.0) -> OTLPSpanExporter:
    return OTLPSpanExporter(f"{receiver.url}/v1/traces", timeout=timeout)


def end(tracer: Tracer, spans: int) -> None:
    for number in range(spans):
        tracer.start_span(str(number)).end()


def test_a_full_batch_is_exported_at_once() -> None:
    with Receiver() as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 10)
        receiver.until(lambda: len(receiver.spans) == 10)
        queue.force_flush()
        assert (queue.exported, queue.lost.total, receiver.requests) == (10, 0, 1)


def test_a_flush_exports_what_there_is() -> None:
    with Receiver() as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 3)
        assert queue.force_flush()
        assert receiver.names() == ["0", "1", "2"]
        assert queue.exported == 3


def test_the_end_exports_what_there_is() -> None:
    with Receiver() as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 25)
        queue.shutdown()
        assert (len(receiver.spans), queue.exported, queue.lost.total) == (25, 25, 0)


def test_a_span_that_is_not_sampled_is_neither_exported_nor_lost() -> None:
    with Receiver() as receiver, queueing(to(receiver)) as (queue, _):
        provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
        provider.add_span_processor(queue)
        end(provider.get_tracer("test"), 20)
        assert queue.force_flush()
        assert (receiver.requests, queue.exported, queue.lost.total) == (0, 0, 0)


def test_what_does_not_fit_while_the_collector_hangs_is_lost_and_counted() -> None:
    with Receiver(0) as receiver, queueing(to(receiver), length=20) as (queue, tracer):
        end(tracer, 10)
        receiver.until(lambda: receiver.requests == 1)
        end(tracer, 1000)
        assert queue.lost.by_reason() == {"queue_full": 980, "export_failed": 0, "shutdown": 0}


def test_a_collector_that_hangs_delays_no_flush_and_no_end() -> None:
    with Receiver(0) as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 10)
        receiver.until(lambda: receiver.requests == 1)
        end(tracer, 5)
        assert not queue.force_flush(10)
        queue.shutdown(0.01)
        assert queue.lost.by_reason() == {"queue_full": 0, "export_failed": 0, "shutdown": 15}


@pytest.mark.parametrize("status", [400, 500])
def test_what_a_collector_refuses_for_good_is_lost_and_counted(status: int) -> None:
    with Receiver(status) as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 3)
        assert queue.force_flush()
        assert queue.lost.by_reason() == {"queue_full": 0, "export_failed": 3, "shutdown": 0}
        assert receiver.requests == 1


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_collector_asks_to_send_later_is_sent_later(status: int) -> None:
    with Receiver(status, 200, retry_after="0") as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 3)
        assert queue.force_flush()
        assert (len(receiver.spans), queue.exported, queue.lost.total) == (3, 3, 0)


def test_the_end_does_not_wait_for_a_retry() -> None:
    with Receiver(429, retry_after="50") as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 3)
        queue.stop()
        receiver.until(lambda: receiver.requests == 1)
        queue.shutdown(0.01)
        assert queue.lost.by_reason()["shutdown"] == 3


def test_a_collector_that_is_not_there_loses_what_was_tried() -> None:
    with Receiver() as receiver:
        gone = to(receiver, timeout=0.1)
    with queueing(gone) as (queue, tracer):
        end(tracer, 3)
        assert queue.force_flush()
        assert queue.lost.by_reason()["export_failed"] == 3


def test_after_a_failure_the_next_batch_arrives() -> None:
    with Receiver(500, 200) as receiver, queueing(to(receiver)) as (queue, tracer):
        end(tracer, 3)
        queue.force_flush()
        end(tracer, 4)
        queue.force_flush()
        assert (queue.exported, queue.lost.total, len(receiver.spans)) == (4, 3, 4)


def test_what_ends_after_the_end_is_lost_and_counted() -> None:
    with Receiver() as receiver, queueing(to(receiver)) as (queue, tracer):
        queue.shutdown()
        end(tracer, 3)
        queue.shutdown()
        assert queue.lost.by_reason() == {"queue_full": 0, "export_failed": 0, "shutdown": 3}


class Raising(SpanExporter):
    """Fails at every batch."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Fail."""
        raise RuntimeError("cannot be encoded")


def test_an_exporter_that_raises_is_told_once_and_costs_its_batches(caplog: pytest.LogCaptureFixture) -> None:
    with queueing(Raising()) as (queue, tracer):
        for _ in range(3):
            end(tracer, 2)
            assert queue.force_flush()
        assert queue.lost.failed == 6
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


class Asking(SpanExporter):
    """Notes whether an HTTP client that is instrumented would make spans of the export."""

    def __init__(self) -> None:
        self.instrumented: list[bool] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Note it."""
        self.instrumented.append(is_instrumentation_enabled())
        return SpanExportResult.SUCCESS


def test_the_export_of_spans_makes_no_spans() -> None:
    exporter = Asking()
    with queueing(exporter) as (queue, tracer):
        end(tracer, 1)
        assert queue.force_flush()
    assert exporter.instrumented == [False]


class Ending(SpanExporter):
    """Ends another span in the midst of an export, and takes everything."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """End one, the first time."""
        self.names += [span.name for span in spans]
        tracer, self.tracer = self.tracer, None
        if tracer is not None:
            tracer.start_span("ended in the export").end()
        return SpanExportResult.SUCCESS


def test_a_span_may_end_within_an_export() -> None:
    exporter = Ending()
    with queueing(exporter) as (queue, tracer):
        exporter.tracer = tracer
        end(tracer, 1)
        assert queue.force_flush()
        assert queue.force_flush()
    assert exporter.names == ["0", "ended in the export"]


def test_the_log_is_told_of_losses_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    lost = LostSpans()
    for second in range(100):
        lost.add(Why.QUEUE_FULL, 10)
        lost.tell(float(second))
    assert [record.getMessage() for record in caplog.records] == [
        "10 spans were lost on the way to the collector (since the start: 10 queue_full)",
        "600 spans were lost on the way to the collector (since the start: 610 queue_full)",
    ]


def test_the_log_is_told_of_the_last_losses_at_once_and_of_none_not_at_all(caplog: pytest.LogCaptureFixture) -> None:
    lost = LostSpans()
    lost.tell(0.0, last=True)
    lost.add(Why.EXPORT_FAILED)
    lost.tell(1.0)
    lost.add(Why.SHUTDOWN, 2)
    lost.tell(2.0, last=True)
    assert [record.args for record in caplog.records] == [(1, "1 export_failed"), (2, "1 export_failed, 2 shutdown")]


def test_losses_are_a_metric_by_reason() -> None:
    lost = LostSpans()
    lost.add(Why.QUEUE_FULL, 7)
    said = {
        each.attributes["error.type"]: each.value for each in lost.observations(CallbackOptions()) if each.attributes
    }
    assert said == {"queue_full": 7, "export_failed": 0, "shutdown": 0}


def test_a_signal_handler_may_end_spans_in_the_midst_of_others() -> None:
    with queueing(Asking(), length=100_000, batch=1) as (queue, tracer):
        ended: list[str] = []

        def end_one(name: str) -> None:
            tracer.start_span(name).end()
            ended.append(name)

        before = signal.signal(signal.SIGALRM, lambda *_: end_one("of the handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        try:
            while ended.count("of the handler") < 500:
                end_one("of the thread")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
        assert queue.force_flush()
        assert (queue.exported, queue.lost.total) == (len(ended), 0)
