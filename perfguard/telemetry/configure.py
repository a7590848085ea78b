"""Sets OpenTelemetry up for services that have no set-up of their own."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace

from perfguard._checks import check_flag, check_positive
from perfguard.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

    from perfguard.telemetry._counting import SpanCount
    from perfguard.telemetry._quiet import OncePerMinute

EXIT_TIMEOUT = 2.0
"""Seconds by which the last export may delay the end of the process."""

_PROTOCOLS = (
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
)


class Configuration:
    """What `configure` set up: the providers, and what became of the spans.

    Safe from any thread; after a fork each process counts its own.

    Attributes:
        tracer_provider: Makes spans; `None` if there are none to be.
        meter_provider: Makes instruments; `None` if there are none to be.
    """

    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None
    _count: SpanCount | None
    _quiet: OncePerMinute
    _open: bool

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        count: SpanCount | None,
        quiet: OncePerMinute,
    ) -> None:
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self._count = count
        self._quiet = quiet
        self._open = True
        atexit.register(self.shutdown)

    def __repr__(self) -> str:
        return f"<Configuration {self._count or 'no spans'}, {self._quiet.suppressed} lines suppressed>"

    @property
    def exported(self) -> int:
        """Spans that the collector took."""
        return self._count.exported if self._count else 0

    @property
    def dropped(self) -> int:
        """Spans that were lost: the queue was full, the collector did not take them, or the process ended."""
        return self._count.lost if self._count else 0

    @property
    def suppressed(self) -> int:
        """Lines of the exporters that were kept from the log, since the like of them was there within a minute."""
        return self._quiet.suppressed

    def force_flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Export what waits; say whether that was done in time.

        Args:
            timeout: The longest that it may take, in seconds.

        Raises:
            ConfigurationError: `timeout` is no positive number.
        """
        check_positive("timeout", timeout, "seconds")
        return _within(timeout, [each.force_flush for each in self._providers()])

    def shutdown(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Export what waits, and end; say whether that was done in time. The second time it does nothing.

        At the end of the process it is called by itself. What is not exported in time is
        counted in `dropped`, and written to the log.

        Args:
            timeout: The longest that it may take, in seconds.

        Raises:
            ConfigurationError: `timeout` is no positive number.
        """
        check_positive("timeout", timeout, "seconds")
        if not self._open:
            return True
        self._open = False
        atexit.unregister(self.shutdown)
        done = _within(timeout, [each.shutdown for each in self._providers()])
        if self._count is not None:
            self._count.give_up()
            _tell(self._count.lost)
        return done

    def _providers(self) -> list[Any]:
        return [each for each in (self.tracer_provider, self.meter_provider) if each is not None]


def configure(
    service_name: str | None = None,
    *,
    sampler: Sampler | None = None,
    traces: bool = True,
    metrics: bool = True,
) -> Configuration:
    """Set OpenTelemetry up for this process: OTLP over HTTP, as the standard `OTEL_*` variables say.

    Call it once, before the first request. A collector that is dead or slow costs requests
    nothing: spans wait in a queue of `OTEL_BSP_MAX_QUEUE_SIZE`, what does not fit is
    counted, and the end of the process is delayed by two seconds at most. Forked workers
    each export by themselves. Called again, it returns what the first call set up.

    Args:
        service_name: What the service is called, unless `OTEL_SERVICE_NAME` or
            `OTEL_RESOURCE_ATTRIBUTES` say otherwise.
        sampler: Decides which traces are recorded, of requests that neither were late nor
            went wrong: it becomes the root of a `PerfguardSampler`, unless it is one. By
            default what `OTEL_TRACES_SAMPLER` says, else all.
        traces: Whether spans are exported.
        metrics: Whether metrics are exported.

    Raises:
        ConfigurationError: An argument or a variable is wrong, the extra `perfguard[otel]`
            is not installed, or something else has set OpenTelemetry up.
    """
    _check(service_name, sampler, traces=traces, metrics=metrics)
    existing = getattr(trace.get_tracer_provider(), "configuration", None) or getattr(
        otel_metrics.get_meter_provider(), "configuration", None
    )
    if isinstance(existing, Configuration):
        return existing
    _check_free(trace.get_tracer_provider(), "tracer")
    _check_free(otel_metrics.get_meter_provider(), "meter")
    return _configured(service_name, sampler, traces=traces, metrics=metrics)


def _check(service_name: object, sampler: object, *, traces: bool, metrics: bool) -> None:
    if service_name is not None and (not isinstance(service_name, str) or not service_name):
        raise ConfigurationError("service_name", service_name, "must be a text that is not empty, or None")
    check_flag("traces", traces)
    check_flag("metrics", metrics)
    for name in _PROTOCOLS:
        if os.environ.get(name, "http/protobuf") != "http/protobuf":
            raise ConfigurationError(name, os.environ[name], "must be http/protobuf, which configure() speaks")
    try:
        from opentelemetry.exporter.otlp.proto import http
        from opentelemetry.sdk.trace.sampling import Sampler
    except ImportError:
        raise ConfigurationError("configure", "()", "needs the extra: pip install 'perfguard[otel]'") from None
    del http
    if sampler is not None and not isinstance(sampler, Sampler):
        raise ConfigurationError("sampler", sampler, "must be an OpenTelemetry Sampler, or None")


def _check_free(provider: object, kind: str) -> None:
    if not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics")):
        remedy = f"stands already as the global {kind} provider: leave configure() out, perfguard uses it as it is"
        raise ConfigurationError("configure", provider, remedy)


def _configured(service_name: str | None, sampler: Sampler | None, *, traces: bool, metrics: bool) -> Configuration:
    from perfguard.telemetry._providers import meters, resource, tracers
    from perfguard.telemetry._quiet import quieten

    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    described: Resource = resource(service_name)
    tracer_provider, count = tracers(described, sampler) if traces and not off else (None, None)
    meter_provider = meters(described) if metrics and not off else None
    made = Configuration(tracer_provider, meter_provider, count, quieten())
    if tracer_provider is not None:
        tracer_provider.configuration = made
        trace.set_tracer_provider(tracer_provider)
    if meter_provider is not None:
        meter_provider.configuration = made
        otel_metrics.set_meter_provider(meter_provider)
    return made


def _within(timeout: float, actions: list[Callable[[], Any]]) -> bool:
    """Run actions side by side; say whether all ended in time. Those that did not are left behind."""
    threads = [threading.Thread(target=each, name="perfguard-export", daemon=True) for each in actions]
    end = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _tell(lost: int) -> None:
    if lost:
        import logging

        logging.getLogger("perfguard").warning("%d spans were lost on their way to the collector", lost)
