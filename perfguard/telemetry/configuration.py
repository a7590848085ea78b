"""Sets OpenTelemetry up for services that have no set-up of their own."""

from __future__ import annotations

import atexit
import os
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace

from perfguard._checks import check_flag, check_positive
from perfguard._faults import Faults
from perfguard.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

    from perfguard.telemetry._providers import Meters, Tracers
    from perfguard.telemetry._quiet import OncePerMinute
    from perfguard.telemetry._span_queue import SpanQueue

EXIT_TIMEOUT = 2.0
"""Seconds by which the last export may delay the end of the process."""

_CHOICES = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf",),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("http/protobuf",),
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": ("http/protobuf",),
    "OTEL_TRACES_EXPORTER": ("otlp", "none"),
    "OTEL_METRICS_EXPORTER": ("otlp", "none"),
}


class Configuration:
    """What `configure` set up: the providers, and what became of the spans.

    Safe from any thread; after a fork each process exports and counts its own.

    Attributes:
        tracer_provider: Makes spans; `None` if there are none to be.
        meter_provider: Makes instruments; `None` if there are none to be.
    """

    tracer_provider: Tracers | None
    meter_provider: Meters | None
    _spans: SpanQueue | None
    _quiet: OncePerMinute | None
    _open: bool

    def __init__(
        self,
        tracer_provider: Tracers | None = None,
        meter_provider: Meters | None = None,
        *,
        spans: SpanQueue | None = None,
        quiet: OncePerMinute | None = None,
    ) -> None:
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self._spans = spans
        self._quiet = quiet
        self._fault = Faults("telemetry", "metrics are lost").report
        self._open = True
        atexit.register(self.shutdown)

    def __repr__(self) -> str:
        return f"<Configuration {self._spans or 'no spans'}, {self.suppressed} lines suppressed>"

    @property
    def exported(self) -> int:
        """Spans that the collector took."""
        return self._spans.exported if self._spans else 0

    @property
    def dropped(self) -> int:
        """Spans that were lost: the queue was full, the collector did not take them, or the process ended."""
        return self._spans.lost.total if self._spans else 0

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """The same by reason: `queue_full`, `export_failed` and `shutdown`."""
        return self._spans.lost.by_reason() if self._spans else {}

    @property
    def suppressed(self) -> int:
        """Lines of the exporters that were kept from the log, since the like of them was there within a minute."""
        return self._quiet.suppressed if self._quiet else 0

    def force_flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Export what waits; say whether that was done in time. It blocks: on an event loop call it in a thread.

        Args:
            timeout: The longest that it may take, in seconds.

        Raises:
            ConfigurationError: `timeout` is no positive number.
        """
        check_positive("timeout", timeout, "seconds")
        end = monotonic() + timeout
        # In a thread, since the SDK's own takes as long as the exporter does, whatever time it is given.
        metrics = Thread(target=self._flush_metrics, name="perfguard-flush", daemon=True)
        metrics.start()
        flushed = self._spans is None or self._spans.force_flush(timeout * 1e3)
        metrics.join(max(0.0, end - monotonic()))
        return flushed and not metrics.is_alive()

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
        end = monotonic() + timeout
        # Spans and metrics are exported side by side, in the threads that they have:
        # at the end of a process Python 3.12 lets nobody start one.
        if self._spans is not None:
            self._spans.stop()
        self._end_metrics(timeout)
        if self._spans is not None:
            self._spans.shutdown(max(0.0, end - monotonic()))
        if self.tracer_provider is not None:
            self.tracer_provider.shutdown()
        return monotonic() < end

    def _flush_metrics(self) -> None:
        try:
            if self.meter_provider is not None:
                self.meter_provider.force_flush()
        except Exception as error:
            self._fault("their export", error)

    def _end_metrics(self, timeout: float) -> None:
        try:
            if self.meter_provider is not None:
                self.meter_provider.shutdown(timeout * 1e3)
        except Exception as error:
            self._fault("their last export", error)


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
    _check(service_name, traces=traces, metrics=metrics)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Configuration()
    existing = standing()
    if existing is not None:
        return existing
    _check_free(trace.get_tracer_provider(), "tracer")
    _check_free(otel_metrics.get_meter_provider(), "meter")
    return _configured(
        service_name,
        sampler,
        traces=traces and os.environ.get("OTEL_TRACES_EXPORTER", "").strip() != "none",
        metrics=metrics and os.environ.get("OTEL_METRICS_EXPORTER", "").strip() != "none",
    )


def standing() -> Configuration | None:
    """Return what `configure` has set up in this process, `None` before."""
    for provider in (trace.get_tracer_provider(), otel_metrics.get_meter_provider()):
        configuration = getattr(provider, "configuration", None)
        if isinstance(configuration, Configuration):
            return configuration
    return None


def _check(service_name: object, *, traces: bool, metrics: bool) -> None:
    if service_name is not None and (not isinstance(service_name, str) or not service_name):
        raise ConfigurationError("service_name", service_name, "must be a text that is not empty, or None")
    check_flag("traces", traces)
    check_flag("metrics", metrics)
    for name, choices in _CHOICES.items():
        said = os.environ.get(name, "").strip()
        if said and said not in choices:
            raise ConfigurationError(name, said, f"must be {' or '.join(choices)}: configure() has nothing else")


def _check_free(provider: object, kind: str) -> None:
    if not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics")):
        remedy = f"stands already as the global {kind} provider: leave configure() out, perfguard uses it as it is"
        raise ConfigurationError("configure", provider, remedy)


def _configured(service_name: str | None, sampler: Sampler | None, *, traces: bool, metrics: bool) -> Configuration:
    try:
        from perfguard.telemetry import _providers
        from perfguard.telemetry._quiet import quieten
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("opentelemetry", "requests"):
            raise
        raise ConfigurationError("configure", error.name, "needs the extra: pip install 'perfguard[otel]'") from error
    described, wanted = _providers.resource(service_name), _providers.wanted_sampler(sampler)
    tracers, spans = _providers.tracers(described, wanted) if traces else (None, None)
    meters = _providers.meters(described, spans) if metrics else None
    made = Configuration(tracers, meters, spans=spans, quiet=quieten())
    if tracers is not None:
        tracers.configuration = made
        trace.set_tracer_provider(tracers)
    if meters is not None:
        meters.configuration = made
        otel_metrics.set_meter_provider(meters)
    return made
