"""Applications that are recorded by OpenTelemetry: by perfguard, and beside it by the usual instrumentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiInstrumentation
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiInstrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

import perfguard.asgi
import perfguard.wsgi
from perfguard.telemetry import Telemetry
from tests.benchmarks.costs import Cost

_NAMES = {
    "all": "the guard with spans and metrics, all sampled",
    "some": "the guard with spans and metrics, 1 % sampled",
    "usual": "OpenTelemetry's own instrumentation, all sampled",
    "usual some": "OpenTelemetry's own instrumentation, 1 % sampled",
    "usual short": "OpenTelemetry's own instrumentation without the spans of send and receive, all sampled",
}
_GOALS = {"all": 45e-6, "some": 15e-6}


class Nowhere(SpanExporter):
    """Exports at no cost: what it takes is the exporter's, and the same on every side."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take the spans."""
        return SpanExportResult.SUCCESS


class Sdk:
    """An SDK as it is set up in production, exporters apart.

    Args:
        sampler: The sampler; all spans are sampled by default.
    """

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.tracers = TracerProvider(sampler=sampler)
        # Longer than by default, lest a queue that is full makes it cheap.
        self.tracers.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=65_536))
        self.meters = MeterProvider([InMemoryMetricReader()])

    @property
    def telemetry(self) -> Telemetry:
        """What tells it of the guard's requests."""
        return Telemetry(self.tracers, self.meters)

    @property
    def providers(self) -> dict[str, Any]:
        """The arguments of the usual instrumentation."""
        return {"tracer_provider": self.tracers, "meter_provider": self.meters}


def asgi(app: Any) -> dict[str, Any]:
    """An ASGI application on each side."""
    every, some = Sdk(), Sdk(ParentBased(TraceIdRatioBased(0.01)))
    short: Any = {"exclude_spans": ["send", "receive"], **every.providers}
    return {
        "all": perfguard.asgi.GuardMiddleware(app, telemetry=every.telemetry),
        "some": perfguard.asgi.GuardMiddleware(app, telemetry=some.telemetry),
        "usual": AsgiInstrumentation(app, **every.providers),
        "usual some": AsgiInstrumentation(app, **some.providers),
        "usual short": AsgiInstrumentation(app, **short),
    }


def wsgi(app: Any) -> dict[str, Any]:
    """A WSGI application on each side."""
    every, some = Sdk(), Sdk(ParentBased(TraceIdRatioBased(0.01)))
    return {
        "all": perfguard.wsgi.GuardMiddleware(app, telemetry=every.telemetry),
        "some": perfguard.wsgi.GuardMiddleware(app, telemetry=some.telemetry),
        "usual": WsgiInstrumentation(app, **every.providers),
        "usual some": WsgiInstrumentation(app, **some.providers),
    }


def costs(times: dict[str, float], protocol: str = "") -> list[Cost]:
    """The rows of those sides, each over the bare application, and what the guard's is of the usual one's."""
    rows = [Cost(name=protocol + _NAMES[name], value=value, goal=_GOALS.get(name)) for name, value in times.items()]
    share = f"{protocol}the guard with spans and metrics, as a share of the usual instrumentation"
    return [*rows, Cost(name=share, value=times["all"] / times["usual"], goal=1 / 3, scale=100.0, unit="%")]
