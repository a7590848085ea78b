"""The admission queue, by lists of instants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.errors import ConfigurationError, LimitExceeded
from perfguard.outcome import Backpressure, Call, Priority, Reason
from perfguard.queueing import AdmissionQueue, Place
from perfguard.queueing.rate import DepartureRate


def steady_queue(rate: float = 100.0, **arguments: float) -> AdmissionQueue:
    """A queue that has given up calls at an even rate, and is empty at the instant 1."""
    queue = AdmissionQueue(**arguments)  # type: ignore[arg-type] # Lengths are whole all the same.
    now = 0.0
    for _ in range(int(rate)):
        place = queue.offer(Call(), now)
        now += 1.0 / rate
        queue.take(place, now)
        queue.offer(Call(), now)
        _drain(queue, now)
    return queue


def _drain(queue: AdmissionQueue, now: float) -> None:
    while (place := queue.head(now)) is not None:
        queue.withdraw(place)


def shedding_queue() -> AdmissionQueue:
    queue = steady_queue()
    queue.watch(0.9, 1.0, 50)
    queue.watch(1.0, 1.2, 50)
    assert queue.state is Backpressure.SHEDDING
    return queue


def test_a_wait_is_predicted_by_littles_law() -> None:
    queue = steady_queue(rate=100.0)
    assert queue.predicted_wait(1.0, 10) == pytest.approx(0.1, rel=0.1)


def test_nothing_is_predicted_before_anything_departed() -> None:
    queue = AdmissionQueue()
    assert queue.departure_rate(0.0) is None
    assert queue.predicted_wait(0.0, 10) == 0.0


def test_first_come_is_first_served() -> None:
    queue = AdmissionQueue()
    first = queue.offer(Call(), 0.0)
    queue.offer(Call(), 0.01)
    assert queue.head(0.02) is first


def test_the_higher_priority_goes_first() -> None:
    queue = AdmissionQueue()
    queue.offer(Call(priority=Priority.LOW), 0.0)
    high = queue.offer(Call(priority=Priority.HIGH), 0.01)
    assert queue.head(0.02) is high


def test_last_come_is_first_served_while_a_standing_queue_is_longer_than_its_target() -> None:
    queue = steady_queue()
    places = [queue.offer(Call(), 1.2) for _ in range(10)]
    queue.watch(0.9, 1.21, 50)
    queue.watch(1.0, 1.4, 50)
    assert queue.state is Backpressure.SHEDDING
    assert queue.head(1.21) is places[-1]


def test_first_come_is_first_served_again_once_the_queue_is_within_its_target() -> None:
    queue = shedding_queue()
    first = queue.offer(Call(arrival=1.17), 1.2)
    queue.offer(Call(arrival=1.17), 1.201)
    assert queue.head(1.202) is first


def test_a_standing_queue_is_pushback_first_and_shedding_after_an_interval() -> None:
    queue = steady_queue()
    states = []
    for now in (1.0, 1.05, 1.11):
        queue.watch(now - 0.1, now, 50)
        states.append(queue.state)
    assert states == [Backpressure.PUSHBACK, Backpressure.PUSHBACK, Backpressure.SHEDDING]


def test_shedding_ends_once_the_queue_has_been_well_below_the_target_for_an_interval() -> None:
    queue = shedding_queue()
    states = []
    for now, length in ((1.2, 0), (1.25, 0), (1.31, 0)):
        queue.watch(now, now, length)
        states.append(queue.state)
    assert states == [Backpressure.SHEDDING, Backpressure.SHEDDING, Backpressure.NORMAL]


@pytest.mark.parametrize("length", [2, 50])
def test_a_queue_that_stands_again_within_an_interval_is_shed_on(length: int) -> None:
    queue = shedding_queue()
    for now, queued in ((1.2, 0), (1.25, length), (1.31, 0)):
        queue.watch(now, now, queued)
    assert queue.state is Backpressure.SHEDDING


def test_a_burst_may_wait_as_long_as_max_wait() -> None:
    queue = steady_queue(rate=100.0)
    assert queue.verdict(Call(), 1.0, 20) is None
    assert queue.verdict(Call(), 1.0, 30) is Reason.PREDICTED_WAIT


def test_a_full_queue_refuses_whatever_the_rate() -> None:
    queue = AdmissionQueue(min_length=1, max_length=1)
    queue.offer(Call(), 0.0)
    with pytest.raises(LimitExceeded) as refusal:
        queue.offer(Call(), 0.0)
    assert refusal.value.reason is Reason.QUEUE_FULL


def test_a_full_queue_evicts_its_lowest_priority_for_a_higher_one() -> None:
    queue = AdmissionQueue(min_length=1, max_length=2)
    queue.offer(Call(priority=Priority.NORMAL), 0.0)
    lowest = queue.offer(Call(priority=Priority.BACKGROUND), 0.0)
    queue.offer(Call(priority=Priority.HIGH), 0.0)
    assert queue.released == [lowest]
    assert lowest.error is not None
    assert lowest.error.reason is Reason.EVICTED


def test_an_equal_priority_evicts_nobody() -> None:
    queue = AdmissionQueue(min_length=1, max_length=1)
    queue.offer(Call(priority=Priority.LOW), 0.0)
    with pytest.raises(LimitExceeded):
        queue.offer(Call(priority=Priority.LOW), 0.0)
    assert queue.released == []


def test_a_deadline_that_the_wait_would_miss_is_refused_at_once() -> None:
    queue = steady_queue(rate=100.0)
    for _ in range(10):
        queue.offer(Call(), 1.0)
    with pytest.raises(LimitExceeded) as refusal:
        queue.offer(Call(deadline=1.05), 1.0)
    assert refusal.value.reason is Reason.DEADLINE
    assert queue.offer(Call(deadline=1.5), 1.0).waiting


def test_a_call_that_stood_too_long_in_the_kernel_is_refused_while_shedding() -> None:
    queue = shedding_queue()
    with pytest.raises(LimitExceeded) as refusal:
        queue.offer(Call(arrival=0.9), 1.2)
    assert refusal.value.reason is Reason.QUEUE_TIME


@pytest.mark.parametrize(
    ("call", "reason"),
    [(Call(), Reason.QUEUE_TIME), (Call(deadline=0.2), Reason.DEADLINE)],
    ids=["queue time", "deadline"],
)
def test_whoever_waited_too_long_is_refused(call: Call, reason: Reason) -> None:
    queue = AdmissionQueue(max_wait=0.25)
    place = queue.offer(call, 0.0)
    queue.expire(0.1)
    assert place.waiting
    queue.expire(0.26)
    assert not place.waiting
    assert place.error is not None
    assert place.error.reason is reason


def test_a_queue_without_calls_has_no_head() -> None:
    assert AdmissionQueue().head(0.0) is None


def test_withdrawn_places_are_forgotten_though_they_stand_in_the_middle() -> None:
    queue = AdmissionQueue()
    places = [queue.offer(Call(), 0.0) for _ in range(100)]
    for place in places[1:-1]:
        queue.withdraw(place)
        queue.withdraw(place)
    assert len(queue) == 2
    assert queue.head(0.0) is places[0]
    assert repr(queue) == "<AdmissionQueue 2 queued, normal>"


def test_the_time_to_drain_counts_those_who_will_come_back() -> None:
    queue = steady_queue(rate=100.0)
    first = queue.refuse(1.0)
    last = max(queue.refuse(1.1) for _ in range(200))
    assert last > first + 1.0
    assert queue.refuse(2.2) == pytest.approx(last, rel=0.7)
    assert queue.refuse(9.0) < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 0.0}, "target must be a positive number of seconds, got 0.0"),
        ({"interval": -1.0}, "interval must be a positive number"),
        ({"max_wait": float("nan")}, "max_wait must be a positive number"),
        ({"max_wait": 0.01}, "max_wait must be at least target"),
        ({"min_length": 0}, "min_length must be at least 1, got 0"),
        ({"max_length": 3}, "max_length must be at least min_length"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_argument_names_itself_and_the_remedy(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AdmissionQueue(**arguments)  # type: ignore[arg-type] # Wrong on purpose.


@given(st.lists(st.tuples(st.sampled_from(["offer", "take", "leave", "wait"]), st.sampled_from(Priority)), max_size=60))
def test_the_length_is_that_of_the_places_that_wait(steps: list[tuple[str, Priority]]) -> None:
    queue = AdmissionQueue(min_length=1, max_length=6)
    places: list[Place] = []
    now = 0.0
    for action, priority in steps:
        now += 0.02
        if action == "offer":
            try:
                places.append(queue.offer(Call(priority=priority), now))
            except LimitExceeded:
                assert len(queue) >= 1
        elif action == "take" and (place := queue.head(now)) is not None:
            queue.take(place, now)
        elif action == "leave" and places:
            queue.withdraw(places[len(places) // 2])
        else:
            queue.expire(now)
        assert len(queue) == sum(place.waiting for place in places) <= 6


def test_departures_at_one_instant_are_no_infinite_rate() -> None:
    rate = DepartureRate()
    for _ in range(5):
        rate.depart(1.0)
    assert rate.per_second(1.0) is None


def test_a_stall_lowers_the_rate_before_the_next_departure() -> None:
    rate = DepartureRate()
    rate.begin(0.0)
    for step in range(1, 11):
        rate.depart(step * 0.01)
    running = rate.per_second(0.1)
    stalled = rate.per_second(0.5)
    assert running == pytest.approx(100.0, rel=0.01)
    assert stalled is not None
    assert stalled < 25.0
