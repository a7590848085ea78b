"""The instruments of a guard's metrics: what is recorded for each request, and what is read from the guard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from perfguard.guard import Guard
from perfguard.limits.limiter import LimiterSnapshot
from perfguard.outcome import Backpressure, Reason
from perfguard.telemetry import names
from perfguard.telemetry._labels import MOST_ROUTES

if TYPE_CHECKING:
    from perfguard.telemetry._recorder import Recorder

# The convention's advice for `http.server.request.duration`.
BUCKETS = 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0

Observe = Callable[[CallbackOptions], Iterable[Observation]]
Read = Callable[["Recorder"], Iterable[Observation]]


class Histograms:
    """What is recorded for each request, in seconds.

    Args:
        meter: Makes them.

    Attributes:
        duration: From arrival to the last byte.
        queue: The time in queues on this host, of requests that stood there.
        service: The service alone.
        wait: The wait in each queue in which a request stood.
    """

    __slots__ = ("duration", "queue", "service", "wait")

    duration: Histogram
    queue: Histogram
    service: Histogram
    wait: Histogram

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, description: str) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BUCKETS)

        self.duration = histogram(names.REQUEST_DURATION, "Duration of HTTP server requests.")
        self.queue = histogram(
            names.TIME_IN_QUEUE, "Time in queues of this host, of requests that stood there 1 ms or more."
        )
        self.service = histogram(names.SERVICE_DURATION, "Duration of requests without their time in queues.")
        self.wait = histogram(names.QUEUE_WAIT, "Time in one queue, of requests that stood there 1 ms or more.")


def observe(meter: Meter, recorder: Recorder) -> None:
    """Make the instruments that are read from a guard's snapshot, and from the requests under way."""
    makers = {
        "sum": meter.create_observable_up_down_counter,
        "count": meter.create_observable_counter,
        "gauge": meter.create_observable_gauge,
    }
    for kind, name, unit, description, read in _READ:
        makers[kind](name, [_contained(recorder, name, read)], unit, description)


def _contained(recorder: Recorder, name: str, read: Read) -> Observe:
    """Return a callback that reports what `read` raises, and then observes nothing."""

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        try:
            return list(read(recorder))
        except Exception as error:  # noqa: BLE001 - The other instruments are to be read all the same.
            recorder.fault(f"the metric {name}", error)
            return []

    return callback


def _active(recorder: Recorder) -> Iterator[Observation]:
    counts = Counter(live.kind for live in recorder.live.copy() if live.recorder is recorder)
    for method, scheme in recorder.kinds | set(counts):
        yield Observation(counts[method, scheme], {names.METHOD: method, names.SCHEME: scheme})


def _summed(guard: Guard, read: Callable[[LimiterSnapshot], int]) -> Iterator[Observation]:
    """Observe each key, those beyond the first hundred as one."""
    sums: Counter[str] = Counter()
    for number, limiter in enumerate(guard.snapshot().limiters):
        sums[limiter.key if number < MOST_ROUTES else names.OTHER] += read(limiter)
    for key, value in sums.items():
        yield Observation(value, _of(guard, key))


def _results(recorder: Recorder) -> Iterator[Observation]:
    guard, snapshot = recorder.guard, recorder.guard.snapshot()
    base = {names.GUARD: guard.name}
    yield Observation(snapshot.admitted, base | {names.RESULT: names.ACQUIRED})
    yield Observation(recorder.canceled, base | {names.RESULT: names.CANCELED})
    refused = Counter(snapshot.refused) + recorder.refused_outside
    for reason in Reason:
        if refused[reason]:
            labels = {names.RESULT: result_of(reason), names.REASON: reason.value}
            yield Observation(refused[reason], base | labels)


def _states(recorder: Recorder) -> Iterator[Observation]:
    guard = recorder.guard
    order = list(Backpressure)
    worst: dict[str, Backpressure] = {}
    for number, limiter in enumerate(guard.snapshot().limiters):
        key = limiter.key if number < MOST_ROUTES else names.OTHER
        worst[key] = max(limiter.state, worst.get(key, limiter.state), key=order.index)
    for key, state in worst.items():
        for each in order:
            yield Observation(int(each is state), _of(guard, key) | {names.STATE: each.value})


def _of(guard: Guard, key: str) -> dict[str, str]:
    return {names.GUARD: guard.name, names.KEY: key} if key else {names.GUARD: guard.name}


def result_of(reason: Reason) -> str:
    """Return the result of an admission that was refused for that reason."""
    return names.EXPIRED if reason in (Reason.DEADLINE, Reason.QUEUE_TIME) else names.REJECTED


def _queued(recorder: Recorder) -> Iterator[Observation]:
    return _summed(recorder.guard, lambda limiter: limiter.queued)


def _leases(recorder: Recorder) -> Iterator[Observation]:
    return _summed(recorder.guard, lambda limiter: limiter.in_flight)


def _limits(recorder: Recorder) -> Iterator[Observation]:
    return _summed(recorder.guard, lambda limiter: limiter.limit)


_READ: tuple[tuple[str, str, str, str, Read], ...] = (
    ("sum", names.ACTIVE_REQUESTS, "{request}", "Number of active HTTP server requests.", _active),
    ("sum", names.QUEUED_REQUESTS, "{request}", "Requests in the admission queue.", _queued),
    ("sum", names.ACTIVE_LEASES, "{request}", "Requests admitted and not yet settled.", _leases),
    ("gauge", names.LIMIT, "{request}", "The concurrency limit.", _limits),
    ("count", names.REQUESTS, "{request}", "Requests by the result of admission.", _results),
    ("gauge", names.STATE, "1", "1 for the state in which the admission queue is, 0 for the others.", _states),
)
