"""How many spans were lost on their way to the collector."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from perfguard._forking import in_each_child


class SpanCount:
    """Counts the spans that ended, and what became of them; safe from any thread.

    Args:
        capacity: How many the processor holds; of more it drops the oldest.

    Attributes:
        ended: Sampled spans that ended.
        waiting: Those that wait to be exported.
        exported: Those that a collector took.
        lost: Those for which there was no room, and those that no collector took.
    """

    __slots__ = ("__weakref__", "_capacity", "_lock", "ended", "exported", "lost", "waiting")

    ended: int
    waiting: int
    exported: int
    lost: int
    _capacity: int
    _lock: Lock

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._start_afresh()
        in_each_child(self._start_afresh)

    def __repr__(self) -> str:
        return f"<SpanCount {self.ended} ended, {self.waiting} waiting, {self.exported} exported, {self.lost} lost>"

    def end(self) -> None:
        """Count a span that ended, in the place of the oldest if there is no room."""
        with self._lock:
            self.ended += 1
            if self.waiting < self._capacity:
                self.waiting += 1
            else:
                self.lost += 1

    def take(self, spans: int) -> None:
        """Count spans that wait no longer."""
        with self._lock:
            self.waiting = max(0, self.waiting - spans)

    def deliver(self, spans: int, *, taken: bool) -> None:
        """Count spans that a collector took, or did not take."""
        with self._lock:
            if taken:
                self.exported += spans
            else:
                self.lost += spans

    def give_up(self) -> None:
        """Count as lost whatever has not been exported."""
        with self._lock:
            self.lost = self.ended - self.exported
            self.waiting = 0

    def _start_afresh(self) -> None:
        self._lock = Lock()
        self.ended = self.waiting = self.exported = self.lost = 0


class CountingProcessor(SpanProcessor):
    """Counts what is handed to another processor.

    Args:
        inner: Exports the spans.
        count: Where they are counted.
    """

    def __init__(self, inner: SpanProcessor, count: SpanCount) -> None:
        self._inner = inner
        self._count = count

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand on."""
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Count a sampled span, and hand it on."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._count.end()
        self._inner.on_end(span)

    def shutdown(self) -> None:
        """Hand on."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Hand on."""
        return self._inner.force_flush(timeout_millis)


class CountingExporter(SpanExporter):
    """Counts what another exporter was able to deliver.

    Args:
        inner: Delivers.
        count: Where it is counted.
    """

    def __init__(self, inner: SpanExporter, count: SpanCount) -> None:
        self._inner = inner
        self._count = count

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver, and count."""
        self._count.take(len(spans))
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            self._count.deliver(len(spans), taken=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Hand on."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Hand on."""
        return self._inner.force_flush(timeout_millis)
