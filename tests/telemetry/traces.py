"""Traces for tests: records by hand, and OTLP JSON of spans that the SDK made."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perfguard.telemetry.trace_file import RecordedSpan, SpanKind

ORIGIN = 1_700_000_000.0


def span(name: str, start: float, end: float, parent: str = "server", **more: Any) -> RecordedSpan:
    """A span between two instants, in seconds; its identity is its name unless another is given."""
    given = {"trace_id": "t", "span_id": name, "kind": SpanKind.INTERNAL, "parent_id": parent, **more}
    return RecordedSpan(name=name, start=ORIGIN + start, end=ORIGIN + end, **given)


def server(start: float, end: float, *, route: str = "/orders", trace_id: str = "t", **attributes: Any) -> RecordedSpan:
    """A server span of a route; in the names of attributes `_` stands for a dot, and `__` for itself."""
    named = {"_".join(part.replace("_", ".") for part in name.split("__")): attributes[name] for name in attributes}
    return span(
        "server",
        start,
        end,
        "",
        trace_id=trace_id,
        kind=SpanKind.SERVER,
        attributes={"http.request.method": "GET", "http.route": route, **named},
    )


def row(number: int, *, start: float, each: float, name: str = "SELECT item", **more: Any) -> Iterable[RecordedSpan]:
    """So many spans of one name, one after the other."""
    for at in range(number):
        begin = start + at * each
        yield span(name, begin, begin + each, span_id=f"{name}-{at}", kind=SpanKind.CLIENT, **more)


class Recorder:
    """The SDK with spans in memory; instants are seconds since the request began."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("test")

    def request(self, route: str, parts: list[tuple[str, float, float]], end: float, **attributes: Any) -> None:
        """Record a request with spans below it."""
        given = {"http.request.method": "GET", "http.route": route, **attributes}
        request = self.tracer.start_span(
            f"GET {route}", kind=trace.SpanKind.SERVER, start_time=_at(0.0), attributes=given
        )
        parent = trace.set_span_in_context(request)
        for name, begin, finish in parts:
            child = self.tracer.start_span(name, parent, trace.SpanKind.CLIENT, start_time=_at(begin))
            child.end(_at(finish))
        request.end(_at(end))

    def text(self) -> str:
        """What was recorded, as a file exporter writes it: a request of its own for each span."""
        self._provider.shutdown()
        return "".join(otlp_json([each]) + "\n" for each in self._exporter.get_finished_spans())


def otlp_json(spans: Iterable[ReadableSpan]) -> str:
    """An `ExportTraceServiceRequest` as OTLP JSON, in which identities are hexadecimal."""
    document = MessageToDict(encode_spans(tuple(spans)), use_integers_for_enums=True)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for each in scope["spans"]:
                for key in {"traceId", "spanId", "parentSpanId"} & each.keys():
                    each[key] = base64.b64decode(each[key]).hex()
    return json.dumps(document)


def _at(instant: float) -> int:
    return int((ORIGIN + instant) * 1e9)
