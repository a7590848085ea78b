"""Records the requests of one guard: a span for each, and the metrics of all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from perfguard._arrival import ProxyClock
from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard._http import STATUS
from perfguard.admission import Admission
from perfguard.guard import Guard
from perfguard.outcome import Call, Priority, Reason
from perfguard.telemetry import names
from perfguard.telemetry._described import Protocol, Vocabulary, route_found
from perfguard.telemetry._instruments import BUCKETS, Histograms, result_of
from perfguard.telemetry._labels import LabelSets
from perfguard.telemetry._live import Live
from perfguard.telemetry._rate import Rate
from perfguard.telemetry._spans import Spans, counts, error_type, nanoseconds
from perfguard.telemetry._times import Times, times_of

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

_SHORTEST_WAIT = BUCKETS[0]
"""Seconds from which on it is a wait that is recorded: all below are in the first bucket, at 10 us a record.

The kernel's age has a resolution of 4 ms, so that a request that did not wait may show as much.
"""

_REFUSALS, _REFUSAL_SPANS = 100, 10
"""Refusals in a second whose duration is recorded, and that have a span.

Under overload they are most requests, and what they cost decides how many others can be
served: a refusal takes 7 us, a record of the SDK 10 us. All are counted by the guard.
"""

_ASK_EVERY = 20
"""Requests between two looks for an SDK, as long as there is none: a look takes 1 us."""

_PRIORITIES = {each: each.name.lower() for each in Priority}


class Recorder:
    """Records the requests of one guard; what has a protocol derives from it.

    Safe from any thread and event loop.

    Args:
        telemetry: Whose providers are used, and among whose live requests these are.
        guard: The guard.
        proxy_clock: What reads the stamps of its trusted proxies, if it has any.

    Attributes:
        canceled: Requests whose client left before they were admitted.
        fault: Is told of what fails in here.
        protocol: How requests are read.
        kinds: The methods and schemes that were seen.
        live: The requests under way.
        refused_outside: Refusals that the guard did not decide, by reason.
    """

    protocol: Protocol

    guard: Guard
    proxy_clock: ProxyClock | None
    live: set[Live]
    kinds: set[tuple[str, str]]
    canceled: int
    refused_outside: Counter[Reason]
    fault: Callable[[str, BaseException], None]
    _telemetry: Telemetry
    _lock: Lock
    _ready: bool
    _asked: int
    _spans: Spans
    _histograms: Histograms
    _labels: LabelSets
    _words: Vocabulary
    _refusals: Rate
    _refusal_spans: Rate
    _canceled_spans: Rate

    def __init__(self, telemetry: Telemetry, guard: Guard, proxy_clock: ProxyClock | None = None) -> None:
        self.guard = guard
        self.proxy_clock = proxy_clock
        self.live = telemetry.live
        self.fault = Faults("telemetry", "what was to be recorded is lost").report
        self.kinds = set()
        self._telemetry = telemetry
        self._labels = LabelSets(guard.name)
        self._ready = False
        self._asked = 0
        self._start_afresh()
        in_each_child(self._start_afresh)

    @property
    def active(self) -> bool:
        """Whether anything records: with the API alone nothing does, until an SDK is set up."""
        return self._ready or self._made_ready()

    def begin(self, admission: Admission, request: Any, task: Any = None) -> Live:
        """Open the span of a request that was just admitted, or take the one that is open.

        Args:
            admission: Its passage.
            request: The scope or environ.
            task: The task that serves it, if it is one.
        """
        described = self.protocol.described(request, self._words)
        live = Live(self, admission, described, task)
        live.arrival, live.start_ns = self._arrival(admission.call)
        described.attributes.update(_known(admission))
        self._spans.start(live)
        self.kinds.add(live.kind)
        self.live.add(live)
        return live

    def end(self, live: Live, status: int, error: BaseException | None) -> None:
        """Record a request's end; `Live.end` calls it, once."""
        self.live.discard(live)
        try:
            self._end(live, status, error)
        except Exception as fault:
            self.fault("the end of a request", fault)

    def due(self) -> int:
        """Count a refusal; return for how many `refused` is to record it, 0 if it need not be called."""
        return self._refusals.take(self.guard.now())

    def refused(self, reason: Reason, call: Call, request: Any, count: int) -> None:
        """Record a refusal that was just sent, and stands for so many."""
        try:
            said = {names.RESULT: result_of(reason), names.REASON: reason.value, names.ERROR_TYPE: names.SHED + reason}
            self._unserved(call, request, said | {names.STATUS_CODE: STATUS}, rate=self._refusal_spans, count=count)
        except Exception as fault:
            self.fault("a refusal", fault)

    def refused_before(self, reason: Reason) -> None:
        """Count a refusal that the guard was not asked for."""
        with self._lock:
            self.refused_outside[reason] += 1

    def left(self, call: Call, request: Any) -> None:
        """Record that a client left before its request was admitted."""
        with self._lock:
            self.canceled += 1
        try:
            self._unserved(call, request, {names.RESULT: names.CANCELED}, rate=self._canceled_spans, count=1)
        except Exception as fault:
            self.fault("a request that was given up", fault)

    def _start_afresh(self) -> None:
        # The parent's requests never end in a forked child.
        self.live.clear()
        self.canceled = 0
        self.refused_outside = Counter()
        self._lock = Lock()
        self._refusals = Rate(_REFUSALS)
        self._refusal_spans = Rate(_REFUSAL_SPANS)
        self._canceled_spans = Rate(_REFUSAL_SPANS)

    def _made_ready(self) -> bool:
        """Get the tracer and the instruments, once there is an SDK behind them."""
        self._asked += 1
        if self._asked % _ASK_EVERY != 1:
            return False
        try:
            made = self._telemetry.connect(self)
        except Exception as fault:
            self.fault("the set-up", fault)
            return False
        if made is not None:
            self._spans, self._histograms, self._words = made
            self._ready = True
        return self._ready

    def _arrival(self, call: Call) -> tuple[float, int]:
        """Return when a call reached this host, in the guard's clock and in nanoseconds since the epoch."""
        wall, now = time.time_ns(), self.guard.now()
        arrival = now if call.arrival is None else min(now, call.arrival + call.proxy_time)
        return arrival, wall - nanoseconds(now - arrival)

    def _end(self, live: Live, status: int, error: BaseException | None) -> None:
        duration = max(0.0, self.guard.now() - live.arrival)
        times = times_of(live.admission, duration)
        attributes, kind = live.described.attributes, error_type(status, error)
        route = attributes.get(names.ROUTE)
        if route is None:
            route = route_found(live.described)
        if live.recorded:
            said = _said(times, status, kind, None if names.ROUTE in attributes else route)
            self._spans.end(live, said, error if error is not None and counts(error) else None, times)
        version = attributes.get(names.PROTOCOL_VERSION, "")
        labels, queued = self._labels.of((*live.kind, route, version, status, kind))
        self._measure(live, duration, times, (labels, queued))

    def _measure(self, live: Live, duration: float, times: Times, labels: tuple[Any, Any]) -> None:
        histograms, context = self._histograms, live.context
        if live.counted:
            histograms.duration.record(duration, labels[0], context)
        histograms.service.record(times.service, labels[0], context)
        queue = times.queue
        if queue >= _SHORTEST_WAIT:
            histograms.queue.record(queue, labels[1], context)
        if times.upstream + queue + times.pool >= _SHORTEST_WAIT:
            for name, wait in zip(Times._fields[:-1], times, strict=False):
                if wait >= _SHORTEST_WAIT:
                    histograms.wait.record(wait, {**labels[1], names.QUEUE_NAME: name}, context)

    def _unserved(self, call: Call, request: Any, said: dict[str, Any], *, rate: Rate, count: int) -> None:
        """Record a request that was not admitted: its duration, and where its rate allows a span."""
        arrival, start_ns = self._arrival(call)
        now = self.guard.now()
        duration, words = max(0.0, now - arrival), self._words
        status, error = said.get(names.STATUS_CODE, 0), said.get(names.ERROR_TYPE)
        labels, _ = self._labels.of((*self.protocol.kind(request, words), status, error))
        self._histograms.duration.record(duration, labels)
        count = rate.take(now, count)
        if count:
            described = self.protocol.described(request, words)
            described.attributes.update(said | {names.QUEUE_TIME: duration, names.REPRESENTED: count})
            if not self._spans.unserved(described, start_ns, duration):
                rate.give_back(count)


def _known(admission: Admission) -> dict[str, Any]:
    """Return what a sampler may go by: how long a request stood in which queue before it was admitted."""
    call = admission.call
    queue = max(0.0, admission.queue_time - call.proxy_time)
    known: dict[str, Any] = {
        names.QUEUE_TIME: queue,
        names.KERNEL_TIME: max(0.0, queue - admission.admission_time),
        names.PRIORITY: _PRIORITIES[call.priority],
    }
    if admission.admitted_at is not None:
        known[names.RESULT] = names.ACQUIRED
        if call.deadline is not None:
            known[names.DEADLINE_BUDGET] = call.deadline - admission.admitted_at
    if admission.admission_time:
        known[names.ADMISSION_TIME] = admission.admission_time
    if call.proxy_time:
        known[names.UPSTREAM_TIME] = call.proxy_time
    return known


def _said(times: Times, status: int, kind: str | None, route: str | None) -> dict[str, Any]:
    """Return what is known at the end alone."""
    said: dict[str, Any] = {names.SERVICE_TIME: times.service}
    if times.thread_pool:
        said[names.THREAD_POOL_TIME] = times.thread_pool
        said[names.QUEUE_TIME] = times.queue
    if times.pool:
        said[names.POOL_WAIT_TIME] = times.pool
    if status:
        said[names.STATUS_CODE] = status
    if kind is not None:
        said[names.ERROR_TYPE] = kind
    if route is not None:
        said[names.ROUTE] = route
    return said
