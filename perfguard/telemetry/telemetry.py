"""What is told to OpenTelemetry, and by whose providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import TracerProvider

from perfguard._arrival import ProxyClock
from perfguard._checks import check_flag
from perfguard.errors import ConfigurationError
from perfguard.guard import Guard
from perfguard.telemetry import names
from perfguard.telemetry._described import Vocabulary, vocabulary
from perfguard.telemetry._instruments import Histograms, observe
from perfguard.telemetry._labels import known_methods
from perfguard.telemetry._live import Live
from perfguard.telemetry._recorder import Recorder
from perfguard.telemetry._spans import Spans
from perfguard.telemetry.proxy_clock import ProxyClockMetrics

if TYPE_CHECKING:
    from perfguard.telemetry._exchange import ScopeRecorder
    from perfguard.telemetry._loops import LoopWatches
    from perfguard.telemetry._response import EnvironRecorder

_SCOPE = "perfguard"


class Telemetry:
    """Tells OpenTelemetry of every guarded request: `GuardMiddleware(app, telemetry=Telemetry())`.

    Each gets a server span by the semantic conventions for HTTP (1.44, stable), with the
    time that it stood in each queue apart from the time of its service, and counts in
    the metrics, which are complete whatever is sampled. Where another instrumentation
    has opened a span for the request already, the attributes go to that one.

    As long as no SDK is set up it does next to nothing; when one is, it notices within
    twenty requests. One may
    serve several guards, on several threads and event loops; guards need names of their
    own, since the series of metrics are told apart by them.

    Args:
        tracer_provider: Makes the spans; `None` for the global one.
        meter_provider: Makes the instruments; `None` for the global one.
        queue_spans: Whether each request has two spans more, `queue` and `service`, so
            that any viewer draws the wait as a bar of its own.
        watch_loops: Whether the event loops on which requests are served are watched, from
            the first request on: see `LoopWatch` and `ThreadPools`.

    Attributes:
        live: The requests under way, each with its `task` (`None` on a thread) and its
            `span`. Copy the set before going through it.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    live: set[Live]
    _tracer_provider: TracerProvider | None
    _meter_provider: MeterProvider | None
    _queue_spans: bool
    _watch_loops: bool
    _loops: LoopWatches | None

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        queue_spans: bool = False,
        watch_loops: bool = True,
    ) -> None:
        if tracer_provider is not None and not isinstance(tracer_provider, TracerProvider):
            raise ConfigurationError("tracer_provider", tracer_provider, "must be a TracerProvider, or None")
        if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
            raise ConfigurationError("meter_provider", meter_provider, "must be a MeterProvider, or None")
        check_flag("queue_spans", queue_spans)
        check_flag("watch_loops", watch_loops)
        self.live = set()
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._queue_spans = queue_spans
        self._watch_loops = watch_loops
        self._loops = None

    def scopes(self, guard: Guard, proxy_clock: ProxyClock | None = None) -> ScopeRecorder:
        """Return what records the requests of a guard that come as ASGI scopes; for middleware."""
        from perfguard.telemetry._exchange import ScopeRecorder

        return ScopeRecorder(self, guard, proxy_clock)

    def environs(self, guard: Guard, proxy_clock: ProxyClock | None = None) -> EnvironRecorder:
        """Return what records the requests of a guard that come as WSGI environs; for middleware."""
        from perfguard.telemetry._response import EnvironRecorder

        return EnvironRecorder(self, guard, proxy_clock)

    def loops(self) -> LoopWatches | None:
        """Return what watches event loops, if they are to be watched; for a recorder that records."""
        if self._watch_loops and self._loops is None:
            from perfguard.telemetry._loops import LoopWatches

            meters = self._meter_provider or metrics.get_meter_provider()
            self._loops = LoopWatches(meters.get_meter(_SCOPE, schema_url=names.SCHEMA_URL), self.live)
        return self._loops

    def connect(self, recorder: Recorder) -> tuple[Spans, Histograms, Vocabulary] | None:
        """Return what a recorder records with; `None` as long as there is no SDK."""
        tracers = self._tracer_provider or trace.get_tracer_provider()
        meters = self._meter_provider or metrics.get_meter_provider()
        if not (_records(tracers) or _records(meters)):
            return None
        histograms = Histograms(meters.get_meter(_SCOPE, schema_url=names.SCHEMA_URL))
        # One instrument has one list of callbacks: those of a guard are in a scope of its own.
        scope = {names.GUARD: recorder.guard.name}
        meter = meters.get_meter(_SCOPE, schema_url=names.SCHEMA_URL, attributes=scope)
        observe(meter, recorder)
        if recorder.proxy_clock:
            ProxyClockMetrics(meter, recorder.proxy_clock)
        spans = Spans(tracers.get_tracer(_SCOPE, schema_url=names.SCHEMA_URL), parts=self._queue_spans)
        return spans, histograms, vocabulary(known_methods(), get_global_textmap().fields)


def _records(provider: Any) -> bool:
    """Say whether a provider is more than those of the API, which record nothing."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
