"""What tells a queue that stands from one that drains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.outcome import Backpressure
from perfguard.queueing.overload import OverloadDetector

TARGET, INTERVAL, MAX_WAIT, STEP = 0.02, 0.1, 0.25, 0.005


def begun_to_shed(wait: Callable[[float], float], *, until: float = 5.0) -> float | None:
    """The instant at which a queue with that wait over time is found to stand; `None` if never."""
    detector = OverloadDetector(INTERVAL, MAX_WAIT)
    return instant(detector, wait, until)


def instant(detector: OverloadDetector, wait: Callable[[float], float], until: float = 5.0) -> float | None:
    for step in range(round(until / STEP)):
        now = step * STEP
        detector.observe(wait(now), TARGET, now, short=wait(now) < TARGET / 4)
        if detector.state is Backpressure.SHEDDING:
            return now
    return None


def test_a_full_queue_is_shed_after_an_interval_or_two() -> None:
    begun = begun_to_shed(lambda now: MAX_WAIT)
    assert begun is not None
    assert INTERVAL <= begun <= 2 * INTERVAL + STEP


def test_a_wait_just_above_the_target_is_borne_for_longer_than_a_full_queue() -> None:
    short, full = begun_to_shed(lambda now: 0.05), begun_to_shed(lambda now: MAX_WAIT)
    assert short is not None
    assert full is not None
    assert short > 4 * full


@pytest.mark.parametrize("load", [1.05, 1.2, 2.0, 8.0])
def test_a_queue_that_grows_is_shed(load: float) -> None:
    begun = begun_to_shed(lambda now: min(MAX_WAIT, (load - 1.0) * now))
    assert begun is not None


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7, 0.85])
def test_what_a_stall_of_300_ms_left_behind_is_not_shed(load: float) -> None:
    """It drains at the spare part of the capacity: the wait falls by 1 - load each second."""
    assert begun_to_shed(lambda now: max(0.0, 0.3 - (1.0 - load) * now)) is None


def test_bursts_that_pass_below_the_target_are_not_shed() -> None:
    """As of a few long calls among many short ones, at half the capacity."""
    assert begun_to_shed(lambda now: max(0.0, 0.1 - abs(now % 0.4 - 0.1))) is None


def shedding() -> OverloadDetector:
    detector = OverloadDetector(INTERVAL, MAX_WAIT)
    assert instant(detector, lambda now: MAX_WAIT) is not None
    return detector


def test_right_after_a_shedding_the_next_begins_within_an_interval() -> None:
    detector = shedding()
    for now in (1.0, 1.11):
        detector.observe(0.0, TARGET, now, short=True)
    states = []
    for now in (1.5, 1.55, 1.61):
        detector.observe(0.03, TARGET, now, short=False)
        states.append(detector.state)
    assert states == [Backpressure.PUSHBACK, Backpressure.PUSHBACK, Backpressure.SHEDDING]


def test_long_after_a_shedding_a_burst_is_borne_again() -> None:
    detector = shedding()
    for now in (1.0, 1.11):
        detector.observe(0.0, TARGET, now, short=True)
    for now in (10.0, 10.11):
        detector.observe(0.03, TARGET, now, short=False)
    assert detector.state is Backpressure.PUSHBACK


@given(st.lists(st.tuples(st.floats(0.0, 0.02), st.floats(0.0, 0.019)), max_size=100))
def test_below_the_target_nothing_is_ever_shed(steps: list[tuple[float, float]]) -> None:
    detector, now = OverloadDetector(INTERVAL, MAX_WAIT), 0.0
    for gap, wait in steps:
        now += gap
        detector.observe(wait, TARGET, now, short=False)
        assert detector.state is Backpressure.NORMAL


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 2.0), st.booleans()), max_size=200))
def test_shedding_begins_above_the_target_and_ends_below_it(steps: list[tuple[float, float, bool]]) -> None:
    detector, now = OverloadDetector(INTERVAL, MAX_WAIT), 0.0
    for gap, wait, short in steps:
        now += gap
        before = detector.state
        detector.observe(wait, TARGET, now, short=short)
        begins = detector.state is Backpressure.SHEDDING is not before
        ends = before is Backpressure.SHEDDING is not detector.state
        assert not (begins and wait < TARGET)
        assert not (ends and (wait >= TARGET or not short))
