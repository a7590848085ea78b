"""The export of metrics, by the SDK's periodic reader, in processes that fork."""

from __future__ import annotations

from threading import Lock
from typing import Any

from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData, PeriodicExportingMetricReader

from perfguard._faults import Faults
from perfguard._forking import in_each_child


class ForkingMetricReader(PeriodicExportingMetricReader):
    """The SDK's periodic reader, whose exports a forked child goes on with.

    The SDK's holds a lock while it exports, for up to ten seconds where the collector hangs.
    A child that is forked meanwhile inherits it, locked for good, and would never export.

    Args:
        exporter: Delivers the metrics; called from one thread at a time.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        self._to = exporter
        self._told = Faults("telemetry", "metrics are lost").report
        self._renew()
        # Before the SDK's own hook, which starts the thread.
        in_each_child(self._renew)
        super().__init__(exporter)

    def _renew(self) -> None:
        self._one_at_a_time = Lock()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # As the SDK does, so that an HTTP client that is instrumented makes no spans of it.
        token = attach(set_value(key="suppress_instrumentation", value=True))
        try:
            with self._one_at_a_time:
                self._to.export(metrics_data, timeout_millis=timeout_millis)
        except Exception as error:
            self._told("their export", error)
        finally:
            detach(token)
