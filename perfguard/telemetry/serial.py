"""Which parts of a route's requests ran one after the other, and what running them at once could gain at most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from math import ceil

from perfguard.telemetry.critical_path import Leg, children_of
from perfguard.telemetry.request_times import Key, RequestTimes, Run
from perfguard.telemetry.trace_file import RecordedSpan, SpanKind


class Independence(StrEnum):
    """Which of the spans that ran one after the other are taken to need nothing from one another: a guess."""

    SAME_LABEL = "same-label"
    SIBLINGS = "siblings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The median and the 95th percentile over the traces of a route, by nearest rank."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a kind of span adds to the service time, apart from the spans below it.

    Attributes:
        label: The span's name, with its statement where it has one.
        count: How many are on the critical path of a trace.
        time: How much of a trace's service time they take, in seconds.
        share: Their part of the service time of all traces, 0 to 1.
    """

    label: str
    count: Figures
    time: Figures
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequential:
    """Siblings that ran one after the other, though they may be independent.

    Attributes:
        parent: The label of the span that they are below.
        labels: Their labels.
        traces: In how many traces there are at least two in a row.
        count: How many there are, in those traces.
        most: The most in one trace.
        time: What they take together, in seconds.
        longest: What the longest takes, in seconds: the least that could remain.
        suspicious: Whether so many of one label look like a query for each row (N+1).
    """

    parent: str
    labels: tuple[str, ...]
    traces: int
    count: Figures
    most: int
    time: Figures
    longest: Figures
    suspicious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stretch of the critical path of one trace; siblings of one label in a row are one step.

    Attributes:
        depth: How far below the server span, 1 for its children.
        label: Their label.
        count: How many.
        start: When the first began, in seconds since the request arrived.
        end: When the last ended, in seconds since the request arrived.
        time: What they take together, in seconds.
    """

    depth: int
    label: str
    count: int
    start: float
    end: float
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """Where the time of a route's requests went.

    Attributes:
        method: The request's method.
        route: The route's template, empty where the spans have none.
        traces: How many requests.
        duration: From arrival to the end of the response, in seconds.
        queue: The part of it before service, in seconds; `None` where no span tells it.
        service: The rest of it, in seconds.
        serial: The serial fraction of the service time, 0 to 1: what is left when that is
            taken away which could have run beside something else.
        width: The most parts that could run at once.
        speedup: The bound of Amdahl's law on the service time, 1 or more: 1 / (s + (1 - s) / n).
        shortest: The service time if of all that could run at once only the longest counted, in seconds.
        parts: What takes the service time, the largest first; their times add up to it in each trace.
        sequential: What ran one after the other though it may be independent, the largest first.
        steps: The critical path of the trace with the median duration.
    """

    method: str
    route: str
    traces: int
    duration: Figures
    queue: Figures | None
    service: Figures
    serial: Figures
    width: Figures
    speedup: Figures
    shortest: Figures
    parts: tuple[Part, ...]
    sequential: tuple[Sequential, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialReport:
    """The routes of a set of traces.

    Attributes:
        independence: What was assumed.
        routes: Those that take the most time in all first.
        spans: How many spans were read.
        detached: How many of them are below no server span.
    """

    independence: Independence
    routes: tuple[RouteReport, ...]
    spans: int
    detached: int


def serial_report(spans: Iterable[RecordedSpan], independence: Independence = Independence.SAME_LABEL) -> SerialReport:
    """Report on each route for which there are server spans.

    Spans do not tell which of them need the result of another. `SAME_LABEL` takes siblings
    of one label to be independent, as the queries for each row of a list are;
    `SIBLINGS` takes all siblings to be, which bounds what any change of order could gain.

    Pure; any thread may call it.

    Args:
        spans: The spans of any number of traces, in any order.
        independence: What is assumed.
    """
    traces: dict[str, list[RecordedSpan]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    times: defaultdict[tuple[str, str], list[RequestTimes]] = defaultdict(list)
    for trace in traces.values():
        for each in _requests(trace, _KEYS[independence]):
            times[_route_of(each.span)].append(each)
    routes = sorted(times.items(), key=lambda item: -sum(each.duration for each in item[1]))
    return SerialReport(
        independence=independence,
        routes=tuple(_route(method, route, requests) for (method, route), requests in routes),
        spans=sum(map(len, traces.values())),
        detached=sum(map(_detached, traces.values())),
    )


_KEYS: dict[Independence, Key] = {
    Independence.SAME_LABEL: lambda span: span.label,
    Independence.SIBLINGS: lambda _: "",
}
_MANY = 5  # As in Sentry's detector of N+1 queries.
_DEEPEST_STEP = 3


def _requests(trace: list[RecordedSpan], key: Key) -> Iterator[RequestTimes]:
    children = children_of(trace)
    servers = {span.span_id: span for span in trace if span.kind is SpanKind.SERVER}
    return (RequestTimes(span, children, key) for span in servers.values())


def _route_of(span: RecordedSpan) -> tuple[str, str]:
    # `http.method` is the name before the conventions of 2023, which some instrumentation still has.
    method = span.attributes.get("http.request.method", span.attributes.get("http.method", ""))
    return str(method), str(span.attributes.get("http.route", ""))


def _detached(trace: list[RecordedSpan]) -> int:
    """Count the spans that have no server span above them."""
    below: defaultdict[str, list[str]] = defaultdict(list)
    for span in trace:
        below[span.parent_id].append(span.span_id)
    reached = {span.span_id for span in trace if span.kind is SpanKind.SERVER}
    found = list(reached)
    while found:
        new = [each for each in below.get(found.pop(), ()) if each not in reached]
        reached.update(new)
        found += new
    return sum(span.span_id not in reached for span in trace)


def _route(method: str, route: str, requests: list[RequestTimes]) -> RouteReport:
    def figures(read: Callable[[RequestTimes], float]) -> Figures:
        return _figures([read(each) for each in requests])

    queues = [each.queue for each in requests if each.queue is not None]
    return RouteReport(
        method=method,
        route=route,
        traces=len(requests),
        duration=figures(lambda each: each.duration),
        queue=_figures(queues) if queues else None,
        service=figures(lambda each: each.service),
        serial=figures(lambda each: each.serial),
        width=figures(lambda each: each.width),
        speedup=figures(lambda each: each.speedup),
        shortest=figures(lambda each: each.shortest),
        parts=_parts(requests),
        sequential=_sequential(requests),
        steps=_steps_of(sorted(requests, key=lambda each: each.duration)[(len(requests) - 1) // 2]),
    )


def _figures(values: Sequence[float]) -> Figures:
    ordered = sorted(values)
    return Figures(median=_quantile(ordered, 0.5), p95=_quantile(ordered, 0.95))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _parts(requests: list[RequestTimes]) -> tuple[Part, ...]:
    total = sum(each.service for each in requests)
    labels = dict.fromkeys(label for each in requests for label in each.own)
    parts = [_part(label, requests, total) for label in labels]
    return tuple(sorted(parts, key=lambda part: -part.share))


def _part(label: str, requests: list[RequestTimes], total: float) -> Part:
    times = [each.own.get(label, 0.0) for each in requests]
    counts = [each.counts[label] for each in requests]
    share = sum(times) / total if total > 0.0 else 0.0
    return Part(label=label, count=_figures(counts), time=_figures(times), share=share)


def _sequential(requests: list[RequestTimes]) -> tuple[Sequential, ...]:
    found: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for each in requests:
        for place, run in each.runs.items():
            found[place].append(run)
    made = [_sequence(parent, runs) for (parent, _), runs in found.items()]
    return tuple(sorted(made, key=lambda sequence: -sequence.time.median * sequence.traces))


def _sequence(parent: str, runs: list[Run]) -> Sequential:
    most = max(runs, key=lambda run: run.count)
    return Sequential(
        parent=parent,
        labels=most.labels,
        traces=len(runs),
        count=_figures([run.count for run in runs]),
        most=most.count,
        time=_figures([run.time for run in runs]),
        longest=_figures([run.longest for run in runs]),
        suspicious=len(most.labels) == 1 and most.count >= _MANY,
    )


def _steps_of(request: RequestTimes) -> tuple[Step, ...]:
    return tuple(_steps(request.path.legs, 1, request.span.start))


def _steps(legs: Iterable[Leg], depth: int, origin: float) -> Iterator[Step]:
    for label, group in groupby(legs, key=lambda leg: leg.span.label):
        row = list(group)
        yield Step(
            depth=depth,
            label=label,
            count=len(row),
            start=row[0].start - origin,
            end=row[-1].end - origin,
            time=sum(leg.duration for leg in row),
        )
        if depth < _DEEPEST_STEP:
            yield from _steps((below for leg in row for below in leg.legs), depth + 1, origin)
