"""A sampler that never misses a request that went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from perfguard.errors import ConfigurationError
from perfguard.telemetry import names


class PerfguardSampler(Sampler):
    """Samples each request that arrived late, was shed, was cut or hit an open breaker; the rest as `root` says.

    A sampler decides when a span starts. perfguard starts the span of a request once its
    admission is decided, with the time in queue and the result among the attributes, so
    that both are known here. What happens later lets the span be recorded at its end, with
    the attribute `perfguard.kept` (`perfguard.context.keep_trace`). Such a request is
    sampled also where the parent of its span is not: its trace begins with it, then.

    Safe from any thread.

    Args:
        root: Decides on all others; by default all, or as the parent was decided on.
        late: Time in queue from which on a request is always sampled, in seconds.

    Raises:
        ConfigurationError: `root` is no sampler, or `late` no positive number.
    """

    __slots__ = ("_late", "_root")

    _root: Sampler
    _late: float

    def __init__(self, root: Sampler | None = None, *, late: float = 0.1) -> None:
        if root is not None and not isinstance(root, Sampler):
            raise ConfigurationError("root", root, "must be an OpenTelemetry Sampler, or None")
        if isinstance(late, bool) or not isinstance(late, int | float) or not 0.0 < late < inf:
            raise ConfigurationError("late", late, "must be a positive number of seconds")
        self._root = ParentBased(ALWAYS_ON) if root is None else root
        self._late = late

    def __repr__(self) -> str:
        return f"<{self.get_description()}>"

    def should_sample(  # noqa: PLR0917 - The SDK has it so.
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision on a span that starts."""
        if attributes and self._wanted(attributes):
            parent = get_current_span(parent_context).get_span_context()
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state or parent.trace_state)
        return self._root.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Return what it does, in a line."""
        return f"PerfguardSampler{{{self._root.get_description()}, late={self._late:g}s}}"

    def _wanted(self, attributes: Attributes) -> bool:
        said = attributes or {}
        if said.get(names.RESULT, names.ACQUIRED) != names.ACQUIRED or names.KEPT in said:
            return True
        waited = said.get(names.QUEUE_TIME)
        return isinstance(waited, int | float) and waited >= self._late
