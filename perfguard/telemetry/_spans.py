"""The server spans: when they begin, what their parent is, and what they say at their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from perfguard.context import current_admission
from perfguard.telemetry import names
from perfguard.telemetry._described import Described
from perfguard.telemetry._live import Live
from perfguard.telemetry._times import Times


class Spans:
    """Opens and ends the server spans of requests.

    Args:
        tracer: Makes the spans.
        parts: Whether the queue and the service get a span each, below the request's.
    """

    __slots__ = ("_parts", "_tracer")

    _tracer: Tracer
    _parts: bool

    def __init__(self, tracer: Tracer, *, parts: bool) -> None:
        self._tracer = tracer
        self._parts = parts

    def start(self, live: Live) -> None:
        """Open a request's span, unless another instrumentation opened one: then take that."""
        described = live.described
        stale = _is_stale()
        current = trace.get_current_span()
        opened = current.get_span_context()
        if opened.is_valid and not opened.is_remote and not stale:
            live.own, live.span = False, current
            live.parent = live.context = contexts.get_current()
            current.set_attributes(_own(described.attributes))
            return
        live.parent = _parent(described.carrier, stale=stale)
        live.own, live.span = True, self.opened(live.parent, described.attributes, live.start_ns)
        live.context = trace.set_span_in_context(live.span, live.parent)

    def opened(self, parent: Context, attributes: Mapping[str, Any], start_ns: int) -> Span:
        """Return a new server span."""
        name = name_of(attributes)
        return self._tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=start_ns)

    def unserved(self, described: Described, start_ns: int, duration: float) -> bool:
        """Make the span of a request that was not admitted; say whether it is recorded."""
        current = trace.get_current_span()
        opened = current.get_span_context()
        if opened.is_valid and not opened.is_remote and not _is_stale():
            current.set_attributes(_own(described.attributes))
            return current.is_recording()
        parent = _parent(described.carrier, stale=_is_stale())
        span = self.opened(parent, described.attributes, start_ns)
        recorded = span.is_recording()
        if names.ERROR_TYPE in described.attributes:
            span.set_status(StatusCode.ERROR)
        span.end(start_ns + nanoseconds(duration))
        return recorded

    def end(self, live: Live, said: Mapping[str, Any], error: BaseException | None, times: Times) -> None:
        """End a request's span, or one made now for a request that was not sampled and is to be kept.

        Args:
            live: The request.
            said: The attributes that are known by now, in addition.
            error: What ended it and is no response, if it counts as an error.
            times: The parts of its time.
        """
        kept = live.admission.kept
        span = live.span
        if not span.is_recording() and kept is not None:
            attributes = {**live.described.attributes, **said, names.KEPT: kept}
            span = self.opened(_kept_parent(live), attributes, live.start_ns)
        if span.is_recording():
            self._say(span, live, said, error)
            if self._parts:
                self._split(span, live, times)
        if live.own:
            span.end(live.start_ns + nanoseconds(sum(times[1:])))

    def _say(self, span: Span, live: Live, said: Mapping[str, Any], error: BaseException | None) -> None:
        span.set_attributes(said if live.own else _own(said))
        if not live.own:
            return
        if names.ROUTE in said:
            span.update_name(name_of({**live.described.attributes, **said}))
        if error is not None:
            span.record_exception(error)
        if names.ERROR_TYPE in said:
            span.set_status(StatusCode.ERROR)

    def _split(self, span: Span, live: Live, times: Times) -> None:
        """Make the spans of the queue and of what came after it."""
        context = trace.set_span_in_context(span, live.parent)
        admitted = live.start_ns + nanoseconds(times.kernel + times.admission)
        end = live.start_ns + nanoseconds(sum(times[1:]))
        for name, start, until in (("queue", live.start_ns, admitted), ("service", admitted, end)):
            self._tracer.start_span(name, context, start_time=start).end(until)


def name_of(attributes: Mapping[str, Any]) -> str:
    """Return a span's name by the convention: the method, `HTTP` for unknown ones, and the route if there is one."""
    method = attributes[names.METHOD]
    if method == names.OTHER:
        method = "HTTP"
    route = attributes.get(names.ROUTE)
    return method if route is None else f"{method} {route}"


def nanoseconds(seconds: float) -> int:
    """Return seconds as nanoseconds."""
    return round(seconds * 1e9)


def error_type(status: int, error: BaseException | None) -> str | None:
    """Return the `error.type` of a response's status or of what was raised instead; `None` for no error.

    A client that left is none: the convention leaves requests unset that were given up on purpose.
    """
    if error is not None and counts(error):
        kind = type(error)
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return str(status) if status >= 500 else None


def counts(error: BaseException) -> bool:
    """Say whether an exception is an error of the service, and no news of its client's leaving."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return False
    # Starlette's, which is not to be imported here.
    return type(error).__name__ != "ClientDisconnect"


class _Headers(Getter[Mapping[str, str]]):
    """Reads headers by name, whatever the case in which a propagator asks."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


_HEADERS = _Headers()


def _is_stale() -> bool:
    """Say whether the context is that of another request, which a server has handed on to this one."""
    admission = current_admission.get()
    return admission is not None and admission.settled


def _parent(carrier: dict[str, str] | None, *, stale: bool) -> Context:
    context = Context() if stale else contexts.get_current()
    return context if carrier is None else extract(carrier, context, _HEADERS)


def _kept_parent(live: Live) -> Context:
    """Return the parent of a span made late: the client's, else the one that was not sampled, for its trace id."""
    remote = trace.get_current_span(live.parent).get_span_context()
    return live.parent if remote.is_valid else live.context


def _own(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return perfguard's own among attributes: all that the span of another instrumentation lacks."""
    return {name: value for name, value in attributes.items() if name.startswith("perfguard.")}
