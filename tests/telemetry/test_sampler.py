"""Which requests are always recorded."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, SamplingResult, StaticSampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from perfguard.errors import ConfigurationError
from perfguard.telemetry import PerfguardSampler

NEVER = PerfguardSampler(ALWAYS_OFF, late=0.1)


def decided(sampler: PerfguardSampler, parent: Context | None = None, **attributes: Any) -> SamplingResult:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return sampler.should_sample(parent, 1, "GET /", attributes=named)


def sampled(sampler: PerfguardSampler, parent: Context | None = None, **attributes: Any) -> bool:
    return decided(sampler, parent, **attributes).decision is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize(
    "attributes",
    [
        {"perfguard__queue__time": 0.1},
        {"perfguard__queue__time": 3},
        {"perfguard__admission__result": "rejected"},
        {"perfguard__admission__result": "expired"},
        {"perfguard__kept": "cut"},
    ],
)
def test_a_request_that_went_wrong_is_sampled(attributes: dict[str, Any]) -> None:
    assert sampled(NEVER, **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"perfguard__queue__time": 0.099},
        {"perfguard__queue__time": "1"},
        {"perfguard__admission__result": "acquired", "perfguard__queue__time": 0.0},
    ],
)
def test_the_root_decides_on_all_others(attributes: dict[str, Any]) -> None:
    assert not sampled(NEVER, **attributes)
    assert sampled(PerfguardSampler(), **attributes)


def unsampled_parent() -> Context:
    state = TraceState([("vendor", "1")])
    return set_span_in_context(
        NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0), trace_state=state))
    )


def test_a_late_request_is_sampled_though_its_parent_is_not() -> None:
    assert sampled(PerfguardSampler(), unsampled_parent(), perfguard__queue__time=0.2)
    assert not sampled(PerfguardSampler(), unsampled_parent())


def test_the_trace_state_of_the_parent_goes_on() -> None:
    result = decided(NEVER, unsampled_parent(), perfguard__kept="cut")
    assert result.trace_state is not None
    assert result.trace_state.get("vendor") == "1"


def test_attributes_of_a_sampled_span_are_kept() -> None:
    provider = TracerProvider(sampler=NEVER)
    span = provider.get_tracer("t").start_span("GET /", attributes={"perfguard.kept": "cut", "a": 1})
    assert span.is_recording()
    assert dict(span.attributes or {}) == {"perfguard.kept": "cut", "a": 1}  # type: ignore[attr-defined]
    span.end()
    provider.shutdown()


def test_the_attributes_that_the_root_adds_are_kept() -> None:
    class Adding(StaticSampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, {"sampler": "own"})

    assert dict(decided(PerfguardSampler(Adding(Decision.DROP))).attributes) == {"sampler": "own"}


def test_the_description_names_the_root() -> None:
    assert NEVER.get_description() == "PerfguardSampler{AlwaysOffSampler, late=0.1s}"
    assert "ParentBased" in PerfguardSampler(ParentBased(ALWAYS_OFF)).get_description()


@pytest.mark.parametrize(
    ("name", "value"), [("late", 0), ("late", "1"), ("late", float("nan")), ("late", True), ("root", 1)]
)
def test_wrong_arguments_are_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        PerfguardSampler(**{name: value})
