"""How refusals are spread where the queue stands outside the process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard import AdmissionQueue, Call, Limiter, LimitExceeded
from perfguard.limits import FixedLimit
from perfguard.limits.limiter import Ticket
from perfguard.outcome import Backpressure, Outcome, Priority, Reason
from perfguard.queueing.share import EvenShare

LEAST, MOST = 0.01, 0.05


def decided(share: EvenShare, age: float, count: int, priority: Priority = Priority.NORMAL) -> list[bool]:
    return [share.takes(age, priority, least=LEAST, most=MOST) for _ in range(count)]


def settled(age: float) -> EvenShare:
    """A share that has seen that age for long."""
    share = EvenShare()
    decided(share, age, 200)
    return share


def test_half_way_between_the_ages_every_other_call_is_refused() -> None:
    taken = decided(settled(0.03), 0.03, 20)
    assert taken in ([True, False] * 10, [False, True] * 10)


@pytest.mark.parametrize(("age", "share"), [(0.01, 0.0), (0.02, 0.25), (0.04, 0.75), (0.05, 1.0)])
def test_the_share_grows_with_the_age(age: float, share: float) -> None:
    assert sum(decided(settled(age), age, 400)) == pytest.approx(400 * share, abs=1)


def test_one_old_call_among_young_ones_is_served() -> None:
    assert decided(settled(0.0), MOST, 1) == [False]


def test_once_the_queue_has_drained_its_age_of_before_refuses_few() -> None:
    share = settled(MOST)
    assert sum(decided(share, 0.015, 16)) <= 2


def test_a_call_of_twice_the_greatest_age_is_refused_at_once() -> None:
    assert decided(EvenShare(), 2 * MOST, 1) == [True]


def test_less_important_calls_are_refused_in_the_stead_of_more_important_ones() -> None:
    share = settled(0.03)
    refused = dict.fromkeys(Priority, 0)
    for number in range(1000):
        priority = Priority.CRITICAL if number % 3 == 0 else Priority.LOW
        refused[priority] += share.takes(0.03, priority, least=LEAST, most=MOST)
    assert refused[Priority.CRITICAL] == 0
    assert refused[Priority.LOW] == pytest.approx(500, abs=5)


def test_where_all_are_important_the_share_is_theirs() -> None:
    assert sum(decided(settled(0.03), 0.03, 400, Priority.CRITICAL)) == pytest.approx(200, abs=5)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from(Priority)), max_size=300))
def test_a_young_call_is_never_refused_whatever_came_before(calls: list[tuple[float, Priority]]) -> None:
    """Nobody stands behind it, as after the end of an overload."""
    share = EvenShare()
    for age, priority in calls:
        share.takes(age, priority, least=LEAST, most=MOST)
        assert decided(share, LEAST / 2, 1, Priority.BACKGROUND) == [False]


def shedding() -> Limiter:
    """A limiter with permits to spare, behind a queue that nobody here sees."""
    limiter = Limiter(FixedLimit(100), AdmissionQueue())
    for step in range(20):
        limiter.queue.watch(step * 0.02 - 0.25, step * 0.02, 0)
    assert limiter.queue.state is Backpressure.SHEDDING
    return limiter


def test_a_limiter_refuses_a_share_of_the_calls_that_it_could_start() -> None:
    limiter, now, reasons = shedding(), 10.0, []
    for _ in range(200):
        now += 0.005
        try:
            ticket = limiter.admit(Call(arrival=now - 0.025), now)
            assert isinstance(ticket, Ticket)
            limiter.settle(ticket, Outcome.SUCCESS, now)
        except LimitExceeded as error:
            reasons.append(error.reason)
    assert set(reasons) == {Reason.QUEUE_TIME}
    assert 50 < len(reasons) < 150
