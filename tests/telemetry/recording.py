"""What the tests of the telemetry share: an SDK in memory, and what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanContext, SpanKind

from perfguard.telemetry import Telemetry


class Sdk:
    """An SDK of its own, with exporters in memory.

    Args:
        sampler: The sampler; all spans are sampled by default.
        options: Those of `Telemetry`.
    """

    def __init__(self, sampler: Sampler | None = None, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(self.tracers, self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in order."""
        return list(self._exporter.get_finished_spans())

    @property
    def servers(self) -> list[ReadableSpan]:
        """Those of kind SERVER."""
        return [span for span in self.spans if span.kind is SpanKind.SERVER]

    @property
    def server(self) -> ReadableSpan:
        """The only one of kind SERVER."""
        (span,) = self.servers
        return span

    def metrics(self) -> dict[str, Any]:
        """All metrics by name, each as the SDK gives it."""
        return {metric.name: metric for metric in self._collected()}

    def points(self, name: str) -> list[Any]:
        """The points of all metrics of that name."""
        return [point for metric in self._collected() if metric.name == name for point in metric.data.data_points]

    def values(self, name: str, attribute: str) -> dict[Any, Any]:
        """The values of a metric, a histogram's counts, by the value of one attribute."""
        return {
            point.attributes.get(attribute): point.value if hasattr(point, "value") else point.count
            for point in self.points(name)
        }

    def _collected(self) -> Iterator[Any]:
        data = self._reader.get_metrics_data()
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def said(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    """The duration of a span."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def context_of(span: ReadableSpan) -> SpanContext:
    """The identity of a span."""
    assert span.context is not None
    context: SpanContext = span.context
    return context
