"""The critical path through the spans of a request: at each instant, the one span that the response waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from perfguard.telemetry.trace_file import RecordedSpan, SpanKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A span's stretch of the critical path.

    Attributes:
        span: The span.
        start: When the stretch begins, in seconds since the epoch.
        end: When it ends, in seconds since the epoch.
        legs: Those of its children, one after the other; between them the span waits for
            none of its children.
    """

    span: RecordedSpan
    start: float
    end: float
    legs: tuple[Leg, ...] = ()

    @property
    def duration(self) -> float:
        """Its length, in seconds."""
        return self.end - self.start

    @property
    def own(self) -> float:
        """The part that belongs to none of its children, in seconds."""
        return max(0.0, self.duration - sum(leg.duration for leg in self.legs))

    def walk(self) -> Iterator[Leg]:
        """Itself and all that are below it."""
        yield self
        for leg in self.legs:
            yield from leg.walk()


Children = Mapping[str, Sequence[RecordedSpan]]
"""The children of each span of a trace, by the parent's identity."""


def children_of(spans: Iterable[RecordedSpan]) -> Children:
    """Return the children of each span of a trace, without those that are a request or a message of their own.

    Left out are also the spans with which perfguard draws its own queue and service.
    """
    children: dict[str, dict[str, RecordedSpan]] = {}
    for span in spans:
        if span.parent_id and span.kind not in _APART and not _draws_the_guard(span):
            # An exporter that retries may deliver a span twice.
            children.setdefault(span.parent_id, {})[span.span_id] = span
    return {parent: tuple(each.values()) for parent, each in children.items()}


def critical_path(span: RecordedSpan, children: Children, start: float) -> Leg:
    """Return the critical path from an instant to the end of a span.

    Backwards from the end, the response waited at each instant for the child that ended
    last of those under way; a child is on the path only until a later one of its siblings
    begins to be. Children are clipped to their parent. The method is that of Jaeger's
    critical path (and of Google's, Eizenberg et al., "Distributed Latency Profiling through
    Critical Path Tracing", 2022), but that a span which overlaps the next keeps the time
    before.

    Args:
        span: A server span, or any other.
        children: The children of each span of its trace; cycles in them end at a depth of 100.
        start: Where the path begins, in seconds since the epoch.
    """
    return _leg(span, children, (start, span.end), 0)


_APART = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})
_DEEPEST = 100


def _draws_the_guard(span: RecordedSpan) -> bool:
    # Some backends give spans back without their scope.
    return span.name in ("queue", "service") and span.scope in ("perfguard", "")


def _leg(span: RecordedSpan, children: Children, window: tuple[float, float], depth: int) -> Leg:
    start, end = window
    below = children.get(span.span_id, ()) if depth < _DEEPEST else ()
    legs = [_leg(child, children, stretch, depth + 1) for child, stretch in _chain(below, start, end)]
    return Leg(span=span, start=start, end=end, legs=tuple(reversed(legs)))


def _chain(
    spans: Sequence[RecordedSpan], start: float, end: float
) -> Iterator[tuple[RecordedSpan, tuple[float, float]]]:
    """The spans on the path, last first, each with its stretch."""
    cursor = end
    # By their ends, the last one first; of those that end together, the one that began first.
    for span in sorted(spans, key=lambda span: (-min(span.end, end), span.start)):
        begin, finish = max(span.start, start), min(span.end, cursor)
        if begin < finish:
            yield span, (begin, finish)
            cursor = begin
