"""OTLP JSON read back as spans."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.telemetry.trace_file import SpanKind, TraceFileError, read_spans
from tests.telemetry.traces import ORIGIN, Recorder, span

SPAN: dict[str, Any] = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "parentSpanId": "EEE19B7EC3C1B173",
    "name": "GET /orders",
    "startTimeUnixNano": "1700000000000000000",
    "endTimeUnixNano": 1700000000250000000,
    "kind": 2,
    "attributes": [
        {"key": "http.route", "value": {"stringValue": "/orders"}},
        {"key": "retries", "value": {"intValue": "3"}},
        {"key": "perfguard.queue.time", "value": {"doubleValue": 0.125}},
        {"key": "cached", "value": {"boolValue": True}},
        {"key": "tags", "value": {"arrayValue": {"values": []}}},
    ],
}


def document(*spans: Any, **changes: Any) -> str:
    scope = {"scope": {"name": "perfguard"}, "spans": list(spans)}
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}], **changes})


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SPAN), **changes}


def test_a_span_is_read_with_its_attributes() -> None:
    """Identities in lower case, times in seconds, values by their kind; a list has no single value."""
    (read,) = read_spans(document(SPAN))
    assert (read.trace_id, read.span_id) == ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
    assert (read.parent_id, read.kind, read.scope) == ("eee19b7ec3c1b173", SpanKind.SERVER, "perfguard")
    assert (read.start, read.end) == (ORIGIN, ORIGIN + 0.25)
    assert read.attributes == {"http.route": "/orders", "retries": 3, "perfguard.queue.time": 0.125, "cached": True}


def test_spans_that_the_sdk_made_are_read() -> None:
    recorder = Recorder()
    recorder.request("/orders", [("SELECT orders", 0.1, 0.2)], 0.25)
    child, request = read_spans(recorder.text())
    assert (request.kind, request.name) == (SpanKind.SERVER, "GET /orders")
    assert (child.parent_id, child.trace_id) == (request.span_id, request.trace_id)
    assert child.end - child.start == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("separator", ["\n", "", "\r\n\r\n"], ids=["lines", "nothing", "empty lines"])
def test_documents_follow_one_another(separator: str) -> None:
    assert len(read_spans(separator.join([document(SPAN), document(SPAN, SPAN)]))) == 3


def test_one_document_may_take_many_lines() -> None:
    assert len(read_spans("\ufeff" + json.dumps(json.loads(document(SPAN)), indent=2))) == 1


def test_kinds_are_read_by_name_too() -> None:
    assert read_spans(document(changed(kind="SPAN_KIND_CLIENT")))[0].kind is SpanKind.CLIENT


def test_metrics_and_logs_are_passed_over() -> None:
    text = "\n".join(['{"resourceMetrics": []}', document(SPAN), '{"resourceLogs": []}'])
    assert len(read_spans(text)) == 1


def test_a_span_that_ends_before_it_begins_has_no_length() -> None:
    (read,) = read_spans(document(changed(endTimeUnixNano="1")))
    assert read.end == read.start


@pytest.mark.parametrize("text", ["", " \n", '{"resourceSpans": []}', '{"resourceSpans": [{}]}'], ids=repr)
def test_nothing_is_no_spans(text: str) -> None:
    assert read_spans(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not JSON"),
        (document(SPAN) + "\n\nnonsense", "line 3: not JSON"),
        ("[" * 100_000, "line 1: not JSON that can be read"),
        (f'{{"a": {"9" * 5000}}}', "line 1: not JSON that can be read"),
        ("[]", "line 1: no OTLP JSON: there is no 'resourceSpans'"),
        ('{"data": [{"traceID": "1"}]}', "there is no 'resourceSpans'"),
        ('{"resourceSpans": {}, "x": 1}\n7', "line 2: no OTLP JSON"),
        ('{"resourceSpans": "many"}', "line 1: 'resourceSpans' must be a list"),
        ('{"resourceSpans": [1]}', r"resourceSpans\[0\]: must be an object"),
        (document("x"), r"scopeSpans\[0\], spans\[0\]: must be an object"),
        (document(changed(traceId=7)), r"spans\[0\]: 'traceId' must be"),
        (document(changed(spanId="")), "'spanId' must be"),
        (document(changed(startTimeUnixNano=1.5)), "'startTimeUnixNano' must be nanoseconds"),
        (document(changed(startTimeUnixNano="9" * 5000)), "'startTimeUnixNano' must be nanoseconds"),
        (document(changed(endTimeUnixNano=None)), "'endTimeUnixNano' must be nanoseconds"),
        (document(changed(endTimeUnixNano=True)), "'endTimeUnixNano' must be nanoseconds"),
        (document(changed(kind=9)), "'kind' must be a number from 0 to 5"),
        (document(changed(kind=None)), "'kind' must be"),
        (document(changed(attributes=[{"key": 1}])), r"attributes\[0\]: must have a 'key'"),
    ],
    ids=[str(number) for number in range(19)],
)
def test_what_is_no_otlp_json_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(TraceFileError, match=message):
        read_spans(text)


@pytest.mark.parametrize(
    "value",
    [{"intValue": "x"}, {"intValue": "9" * 5000}, {"doubleValue": "wide"}, {"doubleValue": None}, {"stringValue": 1}],
    ids=lambda value: str(value)[:24],
)
def test_values_that_are_none_are_left_out(value: dict[str, Any]) -> None:
    (read,) = read_spans(document(changed(attributes=[{"key": "a", "value": value}])))
    assert read.attributes == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(SPAN)), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SPAN)), json_values))
def test_no_span_at_all_raises_another_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(TraceFileError):
        read_spans(document(changed(**changes)))


def test_the_label_of_a_query_has_its_statement_without_literals() -> None:
    text = "SELECT *\n FROM item  WHERE id = 42 AND name = 'it''s'"
    query = span("SELECT", 0.0, 1.0, attributes={"db.query.text": text})
    assert query.label == "SELECT * FROM item WHERE id = ? AND name = ?"
    assert span("query", 0.0, 1.0, attributes={"db.query.summary": "SELECT item"}).label == "query: SELECT item"


def test_a_label_is_short() -> None:
    assert len(span("SELECT", 0.0, 1.0, attributes={"db.statement": "SELECT " + "x, " * 10_000}).label) == 72
