"""The providers of the SDK as `configure` sets them up."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from perfguard.errors import ConfigurationError
from perfguard.telemetry._counting import CountingExporter, CountingProcessor, SpanCount
from perfguard.telemetry.sampler import PerfguardSampler

if TYPE_CHECKING:
    from perfguard.telemetry.configure import Configuration

_CAPACITY = "OTEL_BSP_MAX_QUEUE_SIZE"

# The names of the specification ("SDK Environment Variables", OTEL_TRACES_SAMPLER).
_SAMPLERS: dict[str, Callable[[float], Sampler]] = {
    "always_on": lambda _: ALWAYS_ON,
    "always_off": lambda _: ALWAYS_OFF,
    "traceidratio": TraceIdRatioBased,
    "parentbased_always_on": lambda _: ParentBased(ALWAYS_ON),
    "parentbased_always_off": lambda _: ParentBased(ALWAYS_OFF),
    "parentbased_traceidratio": lambda ratio: ParentBased(TraceIdRatioBased(ratio)),
}


class Tracers(TracerProvider):
    """The SDK's provider, which knows who set it up."""

    configuration: Configuration | None = None


class Meters(MeterProvider):
    """The SDK's provider, which knows who set it up."""

    configuration: Configuration | None = None


def resource(service_name: str | None) -> Resource:
    """Return what describes the service: the environment has the last word."""
    said = f"{SERVICE_NAME}=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or os.environ.get("OTEL_SERVICE_NAME")
    return Resource.create({} if said or service_name is None else {SERVICE_NAME: service_name})


def tracers(described: Resource, sampler: Sampler | None) -> tuple[Tracers, SpanCount]:
    """Return the provider of spans, and what counts them."""
    root = root_sampler() if sampler is None else sampler
    wanted = root if isinstance(root, PerfguardSampler) else PerfguardSampler(root)
    # At the end of the process `Configuration` shuts it down, in bounded time.
    provider = Tracers(sampler=wanted, resource=described, shutdown_on_exit=False)
    capacity = _number(_CAPACITY, 2048)
    count = SpanCount(capacity)
    batches = BatchSpanProcessor(CountingExporter(OTLPSpanExporter(), count), max_queue_size=capacity)
    provider.add_span_processor(CountingProcessor(batches, count))
    return provider, count


def meters(described: Resource) -> Meters:
    """Return the provider of instruments."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return Meters([reader], resource=described, shutdown_on_exit=False)


def root_sampler() -> Sampler:
    """Return the sampler that the environment names.

    Raises:
        ConfigurationError: It names none that is known, or its argument is no ratio.
    """
    name = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    make = _SAMPLERS.get(name)
    if make is None:
        raise ConfigurationError("OTEL_TRACES_SAMPLER", name, f"must be one of {', '.join(_SAMPLERS)}")
    argument = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1.0"
    try:
        return make(float(argument))
    except ValueError:
        raise ConfigurationError("OTEL_TRACES_SAMPLER_ARG", argument, "must be a ratio from 0 to 1") from None


def _number(name: str, default: int) -> int:
    said: Any = os.environ.get(name, "").strip()
    if not said:
        return default
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise ConfigurationError(name, said, "must be a whole number of at least 1")
    return int(said)
