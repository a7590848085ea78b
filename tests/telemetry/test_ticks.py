"""Ticks of an event loop, and when a late one is a stall, as lists of instants."""

from __future__ import annotations

from itertools import pairwise

import pytest

from perfguard.telemetry.ticks import MOST_MISSED, StallRule, Ticks


def dues(number: int) -> list[float]:
    """The first instants at which ticks are due."""
    ticks, instants = Ticks(1.0, 0.02), list[float]()
    while len(instants) < number:
        instants.append(ticks.due)
        ticks.passed(ticks.due)
    return instants


def test_each_interval_has_one_tick() -> None:
    assert [int((due - 1.0) / 0.02 + 1e-9) for due in dues(1000)] == list(range(1000))


def test_ticks_lie_by_the_golden_ratio_in_their_intervals() -> None:
    gaps = {round((after - before) / 0.02, 6) for before, after in pairwise(dues(1000))}
    assert gaps == {0.618034, 1.618034}


def test_a_tick_in_time_is_one_delay() -> None:
    ticks = Ticks(1.0, 0.02)
    assert ticks.passed(1.003) == pytest.approx([0.003])
    assert ticks.due == dues(2)[1]


def test_an_early_tick_is_not_late_and_shifts_nothing() -> None:
    ticks = Ticks(1.0, 0.02)
    assert ticks.passed(0.999) == [0.0]
    assert ticks.due == dues(2)[1]


def test_each_tick_that_a_stall_made_late_counts_by_its_own_delay() -> None:
    ticks, instants = Ticks(1.0, 0.02), dues(20)
    assert ticks.passed(1.2) == pytest.approx([1.2 - due for due in instants if due <= 1.2])
    assert ticks.due == min(due for due in instants if due > 1.2)


def test_late_ticks_do_not_shift_the_schedule() -> None:
    ticks, instants = Ticks(1.0, 0.02), dues(20)
    for now in (1.005, 1.04, 1.09, 1.1):
        ticks.passed(now)
    assert ticks.due in instants


def test_the_work_after_a_long_stall_is_bounded_and_its_distribution_is_kept() -> None:
    ticks = Ticks(0.0, 0.02)
    delays = sorted(ticks.passed(3600.0))
    assert MOST_MISSED <= len(delays) <= MOST_MISSED + 2
    assert delays[len(delays) // 2] == pytest.approx(1800.0, rel=0.02)
    assert delays[-1] == 3600.0
    assert 3600.0 < ticks.due <= 3600.04


@pytest.mark.parametrize("interval", [0.02, 0.08])
@pytest.mark.parametrize(("blocked", "free"), [(0.2, 0.2), (0.5, 0.5), (0.3, 0.033), (0.08, 0.02)])
def test_the_p90_of_the_delay_is_that_of_arrivals_at_any_time(interval: float, blocked: float, free: float) -> None:
    """Of a loop that is blocked and free by turns an arrival sees a delay that is uniform while it is blocked."""
    ticks, delays, now = Ticks(0.0, interval), list[float](), 0.0
    while now < 600.0:
        freed = now + blocked
        if ticks.due <= freed:
            delays += ticks.passed(freed)
        now = freed + free
        while ticks.due < now:
            delays += ticks.passed(ticks.due)
    delays.sort()
    truth = blocked - 0.1 * (blocked + free)
    assert delays[int(0.9 * len(delays))] == pytest.approx(truth, rel=0.1)


def test_a_tick_that_is_late_by_the_threshold_begins_a_stall_once() -> None:
    rule = StallRule(0.1)
    assert not rule.begins(1.09, due=1.0)
    assert rule.begins(1.1, due=1.0)
    assert not rule.begins(9.0, due=1.0)
    assert rule.begins(9.2, due=9.05)


def test_the_next_look_is_when_a_stall_can_begin_at_the_earliest() -> None:
    rule = StallRule(0.1)
    assert rule.pause(1.0, due=1.02) == pytest.approx(0.12)
    assert rule.pause(1.08, due=1.02) == pytest.approx(0.04)
    assert rule.pause(1.5, due=1.02) > 0.0


def test_a_stall_that_was_told_is_looked_at_by_the_threshold() -> None:
    rule = StallRule(0.1)
    rule.begins(1.2, due=1.0)
    assert rule.pause(1.2, due=1.0) == 0.1
    assert rule.pause(1.3, due=1.31) == pytest.approx(0.11)


def test_a_look_is_due_once_a_second_at_least() -> None:
    assert StallRule(60.0).pause(1.0, due=1.02) == 1.0
