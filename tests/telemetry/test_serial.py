"""The report of what ran one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.telemetry.serial import Independence, RouteReport, SerialReport, serial_report
from perfguard.telemetry.trace_file import RecordedSpan, SpanKind, read_spans
from tests.telemetry.traces import Recorder, row, server, span

NEAR = 1e-5
"""What seconds since the epoch lose as floats."""


def route_of(*spans: RecordedSpan, independence: Independence = Independence.SAME_LABEL) -> RouteReport:
    """The report of the only route."""
    (route,) = serial_report(spans, independence).routes
    return route


def traces_of(*durations: float) -> list[RecordedSpan]:
    return [server(0.0, duration, trace_id=str(number)) for number, duration in enumerate(durations)]


def test_queue_and_service_are_apart() -> None:
    """A request of one second that stood a quarter of it in queues."""
    route = route_of(server(0.0, 1.0, perfguard_queue_time=0.25))
    assert route.duration.median == 1.0
    assert route.queue is not None
    assert route.queue.median == 0.25
    assert route.service.median == 0.75


def test_without_the_guards_attribute_all_is_service() -> None:
    route = route_of(server(0.0, 1.0))
    assert route.queue is None
    assert route.service.median == 1.0


@pytest.mark.parametrize("time", ["soon", True, -1.0, float("nan"), float("inf")], ids=repr)
def test_a_queue_time_that_is_none_is_not_believed(time: object) -> None:
    assert route_of(server(0.0, 1.0, perfguard_queue_time=time)).queue is None


def test_the_wait_for_a_thread_may_stand_amid_the_service() -> None:
    """What ran before it stays on the path, and the parts still add up."""
    request = server(0.0, 1.0, perfguard_queue_time=0.5, perfguard_queue_thread__pool_time=0.4)
    route = route_of(request, span("authorise", 0.1, 0.3))
    assert {part.label: part.time.median for part in route.parts} == pytest.approx(
        {"server": 0.3, "authorise": 0.2}, abs=NEAR
    )
    assert route.service.median == 0.5


def test_the_parts_of_the_service_are_what_each_kind_of_span_adds_to_it() -> None:
    """Largest first, each without what is below it, with its share."""
    spans = [span("load", 0.1, 0.9), *row(3, start=0.2, each=0.2, parent="load"), span("render", 0.9, 1.0)]
    route = route_of(server(0.0, 1.0), *spans)
    assert [(part.label, part.count.median) for part in route.parts[:2]] == [("SELECT item", 3), ("load", 1)]
    assert [part.share for part in route.parts] == pytest.approx([0.6, 0.2, 0.1, 0.1], abs=NEAR)


def test_siblings_in_a_row_are_reported_with_what_could_remain() -> None:
    """Four queries of a tenth of a second, and one of two tenths."""
    spans = [*row(4, start=0.0, each=0.1), span("SELECT item", 0.4, 0.6, kind=SpanKind.CLIENT)]
    (sequence,) = route_of(server(0.0, 1.0), *spans).sequential
    assert (sequence.parent, sequence.labels, sequence.traces, sequence.most) == ("server", ("SELECT item",), 1, 5)
    assert sequence.time.median == pytest.approx(0.6, abs=NEAR)
    assert sequence.longest.median == pytest.approx(0.2, abs=NEAR)


def test_five_queries_of_one_kind_in_a_row_are_suspicious() -> None:
    four, five = (route_of(server(0.0, 1.0), *row(number, start=0.0, each=0.1)) for number in (4, 5))
    assert not four.sequential[0].suspicious
    assert five.sequential[0].suspicious


def test_siblings_that_ran_at_once_are_no_sequence() -> None:
    spans = [span("fetch", 0.0, 0.5, span_id=str(number)) for number in range(10)]
    route = route_of(server(0.0, 1.0), *spans)
    assert route.sequential == ()
    assert route.serial.median == 1.0


def test_the_gain_is_bounded_by_amdahls_law() -> None:
    """Half of a second is serial, the rest is ten equal parts: 1 / (0.5 + 0.5 / 10)."""
    route = route_of(server(0.0, 1.0), *row(10, start=0.2, each=0.05))
    assert route.serial.median == pytest.approx(0.5, abs=NEAR)
    assert route.width.median == 10
    assert route.speedup.median == pytest.approx(1.0 / 0.55, abs=1e-4)
    assert route.shortest.median == pytest.approx(0.55, abs=NEAR)


def test_what_could_run_at_once_at_two_levels_multiplies() -> None:
    """Two loads one after the other, of five queries each, could be ten queries at once."""
    loads = [span("load", start, start + 0.5, span_id=f"load {start}") for start in (0.0, 0.5)]
    queries = [
        span("SELECT", start + 0.1 * at, start + 0.1 * (at + 1), f"load {start}", span_id=f"{start} {at}")
        for start in (0.0, 0.5)
        for at in range(5)
    ]
    route = route_of(server(0.0, 1.0), *loads, *queries)
    assert route.width.median == 10
    assert route.shortest.median == pytest.approx(0.1, abs=NEAR)
    assert route.speedup.median == pytest.approx(10.0, rel=1e-3)


def test_parts_of_other_names_are_independent_only_if_it_is_assumed() -> None:
    """A user, then the user's orders: spans do not tell that the second needs the first."""
    spans = [span("SELECT user", 0.0, 0.5), span("SELECT orders", 0.5, 1.0)]
    assert route_of(server(0.0, 1.0), *spans).speedup.median == 1.0
    route = route_of(server(0.0, 1.0), *spans, independence=Independence.SIBLINGS)
    assert route.speedup.median == pytest.approx(2.0)
    assert route.sequential[0].labels == ("SELECT user", "SELECT orders")


def test_the_steps_are_the_path_of_the_median_trace() -> None:
    """Siblings of one label in a row are one step, and what is below them stands below it."""
    spans = [*row(3, start=0.25, each=0.125), span("wait", 0.25, 0.3, "SELECT item-0"), span("render", 0.75, 1.0)]
    steps = route_of(server(0.0, 1.0), *spans).steps
    told = [(step.depth, step.label, step.count, step.start, step.end, step.time) for step in steps]
    assert told == [
        (1, "SELECT item", 3, 0.25, 0.625, 0.375),
        (2, "wait", 1, 0.25, pytest.approx(0.3, abs=NEAR), pytest.approx(0.05, abs=NEAR)),
        (1, "render", 1, 0.75, 1.0, 0.25),
    ]


def test_figures_are_medians_and_95th_percentiles_by_nearest_rank() -> None:
    route = route_of(*traces_of(*map(float, range(1, 101))))
    assert (route.traces, route.duration.median, route.duration.p95) == (100, 50.0, 95.0)


def test_a_part_that_a_trace_does_not_have_counts_as_nothing_there() -> None:
    route = route_of(*traces_of(1.0, 1.0, 1.0), span("rare", 0.0, 1.0, trace_id="0"))
    rare = next(part for part in route.parts if part.label == "rare")
    assert (rare.time.median, rare.time.p95) == (0.0, 1.0)


def test_routes_that_take_the_most_time_come_first() -> None:
    spans = [server(0.0, 1.0, route="/few"), *traces_of(0.5, 0.6, 0.7)]
    assert [route.route for route in serial_report(spans).routes] == ["/orders", "/few"]


def test_requests_without_a_route_are_together_by_method() -> None:
    """Also under the attribute's older name."""
    bare = [
        span("GET", 0.0, 1.0, "", kind=SpanKind.SERVER, attributes={key: "GET"}, trace_id=key)
        for key in ("http.request.method", "http.method")
    ]
    route = route_of(*bare)
    assert (route.method, route.route, route.traces) == ("GET", "", 2)


def test_a_request_to_another_service_in_the_same_trace_has_a_report_of_its_own() -> None:
    inner = [
        span("call", 0.1, 0.9),
        span("GET /stock", 0.2, 0.8, "call", kind=SpanKind.SERVER, attributes={"http.route": "/stock"}),
    ]
    report = serial_report([server(0.0, 1.0), *inner])
    assert {route.route: route.duration.median for route in report.routes} == pytest.approx(
        {"/orders": 1.0, "/stock": 0.6}, abs=NEAR
    )
    assert report.detached == 0


def test_spans_below_no_request_are_counted() -> None:
    report = serial_report([server(0.0, 1.0), span("job", 0.0, 1.0, ""), span("step", 0.0, 1.0, "job")])
    assert (report.spans, report.detached) == (3, 2)


def test_nothing_is_a_report_without_routes() -> None:
    assert serial_report([]) == SerialReport(independence=Independence.SAME_LABEL, routes=(), spans=0, detached=0)


def test_spans_that_the_sdk_made_are_reported() -> None:
    """From the SDK through OTLP JSON to the figures."""
    recorder = Recorder()
    for _ in range(3):
        queries = [("SELECT item", 0.1 + 0.1 * at, 0.2 + 0.1 * at) for at in range(8)]
        recorder.request("/orders/{id}", queries, 1.0, **{"perfguard.queue.time": 0.05})
    route = route_of(*read_spans(recorder.text()))
    assert (route.method, route.route, route.traces) == ("GET", "/orders/{id}", 3)
    assert route.sequential[0].suspicious
    assert route.serial.median == pytest.approx(0.15 / 0.95, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.sampled_from("ab"), st.integers(0, 9)), max_size=12))
def test_the_bounds_hold_for_any_tree(drawn: list[tuple[int, int, str, int]]) -> None:
    """More freedom never gains less, nothing gets slower, and no gain is above Amdahl's bound."""
    spans = [
        span(name, begin, begin + length, str(parent - 1) if 0 < parent <= number else "server", span_id=str(number))
        for number, (begin, length, name, parent) in enumerate(drawn)
    ]
    same = route_of(server(0.0, 10.0), *spans)
    free = route_of(server(0.0, 10.0), *spans, independence=Independence.SIBLINGS)
    for route in (same, free):
        assert 1.0 <= route.speedup.median <= route.width.median + NEAR
        assert route.service.median / route.shortest.median <= route.speedup.median + 1e-3
        assert sum(part.time.median for part in route.parts) == pytest.approx(10.0)
    assert free.shortest.median <= same.shortest.median + NEAR
