"""The providers of the SDK as `configure` sets them up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from requests import Session
from requests.adapters import HTTPAdapter

from perfguard._forking import in_each_child
from perfguard.errors import ConfigurationError
from perfguard.telemetry import names
from perfguard.telemetry._metric_reader import ForkingMetricReader
from perfguard.telemetry._span_queue import SpanQueue
from perfguard.telemetry.sampler import PerfguardSampler

if TYPE_CHECKING:
    from perfguard.telemetry.configuration import Configuration

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


class ProcessSession(Session):
    """A session whose connections no forked child shares: two processes would write into one."""

    def __init__(self) -> None:
        super().__init__()
        in_each_child(self._start_afresh)

    def _start_afresh(self) -> None:
        # Not `close`, which takes locks that another thread of the parent may have held.
        self.mount("https://", HTTPAdapter())
        self.mount("http://", HTTPAdapter())


def resource(service_name: str | None) -> Resource:
    """Return what describes the service: the environment has the last word."""
    said = f"{SERVICE_NAME}=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or os.environ.get("OTEL_SERVICE_NAME")
    return Resource.create({} if said or service_name is None else {SERVICE_NAME: service_name})


def wanted_sampler(sampler: Sampler | None) -> PerfguardSampler:
    """Return the sampler to use: perfguard's, over what is given or else over what the environment names.

    Raises:
        ConfigurationError: `sampler` is none, or the environment names none.
    """
    if sampler is not None and not isinstance(sampler, Sampler):
        raise ConfigurationError("sampler", sampler, "must be an OpenTelemetry Sampler, or None")
    root = root_sampler() if sampler is None else sampler
    return root if isinstance(root, PerfguardSampler) else PerfguardSampler(root)


def tracers(described: Resource, sampler: Sampler) -> tuple[Tracers, SpanQueue]:
    """Return the provider of spans, and what exports and counts them."""
    length, batch = _number("OTEL_BSP_MAX_QUEUE_SIZE", 2048), _number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
    delay = _number("OTEL_BSP_SCHEDULE_DELAY", 5000) / 1e3
    queue = SpanQueue(OTLPSpanExporter(session=_session()), length=length, batch=batch, delay=delay)
    # At the end of the process `Configuration` shuts it down, in bounded time.
    provider = Tracers(sampler=sampler, resource=described, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    return provider, queue


def meters(described: Resource, queue: SpanQueue | None) -> Meters:
    """Return the provider of instruments, with one that counts the spans that a queue has lost."""
    reader = ForkingMetricReader(OTLPMetricExporter(session=_session()))
    provider = Meters([reader], resource=described, shutdown_on_exit=False)
    if queue is not None:
        provider.get_meter("perfguard", schema_url=names.SCHEMA_URL).create_observable_counter(
            names.LOST_SPANS, [queue.lost.observations], "{span}", "Spans that did not reach the collector."
        )
    return provider


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


def _session() -> Session | None:
    # A credential provider of the SDK's brings a session of its own.
    return None if any(name.endswith("_CREDENTIAL_PROVIDER") for name in os.environ) else ProcessSession()


def _number(name: str, default: int) -> int:
    said = os.environ.get(name, "").strip()
    if not said:
        return default
    if not re.fullmatch("[0-9]{1,9}", said) or int(said) < 1:
        raise ConfigurationError(name, said, "must be a whole number of at least 1, and of nine digits at most")
    return int(said)
