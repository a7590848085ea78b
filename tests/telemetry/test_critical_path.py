"""The critical path, on spans whose times are written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.telemetry.critical_path import Leg, children_of, critical_path
from perfguard.telemetry.trace_file import RecordedSpan, SpanKind
from tests.telemetry.traces import ORIGIN, server, span


def path_of(*spans: RecordedSpan, start: float = 0.0, end: float = 10.0) -> Leg:
    """The path of a request with these spans below it."""
    return critical_path(server(0.0, end), children_of(spans), ORIGIN + start)


def legs_of(leg: Leg) -> list[tuple[str, float, float]]:
    return [(each.span.name, each.start - ORIGIN, each.end - ORIGIN) for each in leg.legs]


def test_spans_one_after_the_other_are_all_on_the_path() -> None:
    path = path_of(span("b", 4, 7), span("a", 1, 3))
    assert legs_of(path) == [("a", 1, 3), ("b", 4, 7)]
    assert path.own == 5


def test_of_spans_that_ran_at_once_the_one_that_ended_last_is_on_the_path() -> None:
    assert legs_of(path_of(span("short", 1, 3), span("long", 1, 8))) == [("long", 1, 8)]


def test_a_span_that_overlaps_the_next_keeps_the_time_before_it() -> None:
    assert legs_of(path_of(span("a", 0, 6), span("b", 4, 9))) == [("a", 0, 4), ("b", 4, 9)]


def test_a_span_that_outlives_its_request_is_clipped() -> None:
    """Background work is no part of the response."""
    assert legs_of(path_of(span("a", 8, 30))) == [("a", 8, 10)]


def test_the_path_begins_where_it_is_told() -> None:
    assert legs_of(path_of(span("a", 1, 3), span("b", 1, 6), start=4)) == [("b", 4, 6)]


def test_the_path_goes_down_through_spans_below_spans() -> None:
    (outer,) = path_of(span("outer", 2, 8), span("inner", 3, 5, "outer")).legs
    assert legs_of(outer) == [("inner", 3, 5)]
    assert outer.own == 4


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_another_request_is_no_part_of_the_path(kind: SpanKind) -> None:
    """Its time is in the span of the call to it."""
    (call,) = path_of(span("call", 2, 8), span("other", 3, 7, "call", kind=kind)).legs
    assert call.legs == ()


def test_the_spans_that_draw_the_guards_queue_and_service_are_left_out() -> None:
    """They cover what lies within them; a span of that name which is not the guard's stays."""
    drawn = [span("queue", 0, 1, scope="perfguard"), span("service", 0, 9)]
    assert legs_of(path_of(*drawn, span("queue", 2, 3, scope="shop", span_id="other"))) == [("queue", 2, 3)]


def test_a_span_that_was_delivered_twice_counts_once() -> None:
    assert path_of(span("a", 1, 3), span("a", 1, 3)).own == 8


def test_spans_that_are_their_own_ancestors_end_somewhere() -> None:
    children = children_of([span("a", 0, 9), span("b", 0, 9, "a"), span("a", 0, 9, "b", span_id="a")])
    assert len(list(critical_path(server(0, 10), children, ORIGIN).walk())) <= 101


times = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)


@given(st.lists(st.tuples(times, st.integers(0, 30)), max_size=20))
def test_the_own_times_on_the_path_add_up_to_the_whole(drawn: list[tuple[list[int], int]]) -> None:
    """Whatever the spans are and whichever is whose parent."""
    spans = [
        span(
            "s",
            begin,
            end,
            "server" if not parent % (number + 1) else str(parent % (number + 1)),
            span_id=str(number + 1),
        )
        for number, ((begin, end), parent) in enumerate(drawn)
    ]
    path = path_of(*spans, end=15)
    assert sum(leg.own for leg in path.walk()) == pytest.approx(15.0)
    assert all(before.end <= after.start for before, after in zip(path.legs, path.legs[1:], strict=False))
