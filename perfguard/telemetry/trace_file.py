"""Spans as OTLP JSON: what collectors and file exporters write, read back as records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from perfguard.errors import PerfguardError


class TraceFileError(PerfguardError):
    """The text is no OTLP JSON; the message says where and why."""


class SpanKind(StrEnum):
    """The kinds of spans, in the order of their numbers in OTLP."""

    UNSPECIFIED = "UNSPECIFIED"
    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """A span that has ended.

    Attributes:
        trace_id: Its trace.
        span_id: Its own identity within the trace.
        parent_id: Its parent's, empty for a root.
        name: Its name.
        kind: Its kind.
        start: When it began, in seconds since the epoch.
        end: When it ended, in seconds since the epoch; never before it began.
        scope: The instrumentation scope that made it.
        attributes: Those whose values are single.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str
    kind: SpanKind = SpanKind.INTERNAL
    start: float
    end: float
    scope: str = ""
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name and, of a database call that has it, the statement without its literals, shortened."""
        text = next((self.attributes[key] for key in _STATEMENTS if key in self.attributes), None)
        return _labelled(self.name, text) if isinstance(text, str) else self.name


def read_spans(text: str) -> tuple[RecordedSpan, ...]:
    """Return the spans of OTLP JSON.

    The text is one `ExportTraceServiceRequest` (the OTLP specification, "JSON Protobuf
    Encoding"), or several one after the other, as the collector's file exporter writes them,
    one a line. Documents with only metrics or logs are passed over.

    Raises:
        TraceFileError: It is not JSON, or not of this form.
    """
    return tuple(span for where, document in _documents(text) for span in _spans(document, where))


_STATEMENTS = ("db.query.summary", "db.query.text", "db.statement")
_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
_LONGEST_STATEMENT = 500
_LONGEST_LABEL = 72
_NANOSECONDS = re.compile(r"[0-9]{1,20}", re.ASCII)
_OTHER_SIGNALS = frozenset({"resourceMetrics", "resourceLogs", "resourceProfiles"})
_KINDS = tuple(SpanKind)
_KIND_NAMES = {f"SPAN_KIND_{kind}": kind for kind in SpanKind}
_NUMBERS: Mapping[str, type[int | float]] = {"intValue": int, "doubleValue": float}


@lru_cache(maxsize=4096)
def _labelled(name: str, text: str) -> str:
    statement = _LITERAL.sub("?", " ".join(text[:_LONGEST_STATEMENT].split()))
    says_it_all = statement.lower().startswith(name.lower())
    return (statement if says_it_all else f"{name}: {statement}")[:_LONGEST_LABEL]


def _documents(text: str) -> Iterator[tuple[str, Any]]:
    decoder = json.JSONDecoder()
    begun, line, position = 0, 1, _skip_space(text, 0)
    while position < len(text):
        line += text.count("\n", begun, position)
        begun = position
        try:
            document, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise TraceFileError(f"line {error.lineno}: not JSON ({error.msg})") from None
        except (RecursionError, ValueError) as error:
            raise TraceFileError(f"line {line}: not JSON that can be read ({error})") from None
        yield f"line {line}", document
        position = _skip_space(text, position)


def _skip_space(text: str, position: int) -> int:
    space = re.compile(r"[\s\ufeff]*").match(text, position)
    return space.end() if space else position


def _spans(document: Any, where: str) -> Iterator[RecordedSpan]:
    if isinstance(document, dict) and "resourceSpans" not in document and _OTHER_SIGNALS & document.keys():
        return
    if not isinstance(document, dict) or "resourceSpans" not in document:
        raise TraceFileError(f"{where}: no OTLP JSON: there is no 'resourceSpans'")
    for at_resource, resource in _items(document, "resourceSpans", where):
        for at_scope, scope in _items(resource, "scopeSpans", at_resource):
            name = scope["scope"].get("name") if isinstance(scope.get("scope"), dict) else None
            for at_span, span in _items(scope, "spans", at_scope):
                yield _span(span, str(name or ""), at_span)


def _items(parent: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    # An empty list may be left out, by the rules of Protobuf's JSON.
    items = parent.get(key) or []
    if not isinstance(items, list):
        raise TraceFileError(f"{where}: {key!r} must be a list")
    for number, item in enumerate(items):
        at = f"{where}, {key}[{number}]"
        if not isinstance(item, dict):
            raise TraceFileError(f"{at}: must be an object")
        yield at, item


def _span(span: dict[str, Any], scope: str, where: str) -> RecordedSpan:
    start = _seconds(span, "startTimeUnixNano", where)
    return RecordedSpan(
        trace_id=_identity(span, "traceId", where),
        span_id=_identity(span, "spanId", where),
        parent_id=str(span.get("parentSpanId") or "").lower(),
        name=str(span.get("name") or ""),
        kind=_kind(span.get("kind", 0), where),
        start=start,
        end=max(start, _seconds(span, "endTimeUnixNano", where)),
        scope=scope,
        attributes=dict(_attributes(span, where)),
    )


def _identity(span: dict[str, Any], key: str, where: str) -> str:
    identity = span.get(key)
    if not isinstance(identity, str) or not identity:
        raise TraceFileError(f"{where}: {key!r} must be a text of hexadecimal digits")
    return identity.lower()


def _seconds(span: dict[str, Any], key: str, where: str) -> float:
    value = span.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str) or not _NANOSECONDS.fullmatch(str(value)):
        raise TraceFileError(f"{where}: {key!r} must be nanoseconds since the epoch")
    return int(value) / 10**9  # Of whole numbers, so that the quotient is rounded once.


def _kind(value: Any, where: str) -> SpanKind:
    if isinstance(value, int) and 0 <= value < len(_KINDS):
        return _KINDS[value]
    if isinstance(value, str) and value in _KIND_NAMES:
        return _KIND_NAMES[value]
    raise TraceFileError(f"{where}: 'kind' must be a number from 0 to {len(_KINDS) - 1}")


def _attributes(span: dict[str, Any], where: str) -> Iterator[tuple[str, str | int | float | bool]]:
    for at, attribute in _items(span, "attributes", where):
        key, value = attribute.get("key"), attribute.get("value")
        if not isinstance(key, str) or not isinstance(value, dict):
            raise TraceFileError(f"{at}: must have a 'key' and a 'value'")
        for kind, single in value.items():
            read = _single(kind, single)
            if read is not None:
                yield key, read


def _single(kind: str, value: Any) -> str | int | float | bool | None:
    if kind in _NUMBERS and isinstance(value, int | float | str):
        try:
            return _NUMBERS[kind](value)
        except (OverflowError, ValueError):
            return None
    if (kind == "stringValue" and isinstance(value, str)) or (kind == "boolValue" and isinstance(value, bool)):
        return value
    return None
