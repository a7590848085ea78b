"""The limiter as a policy: what it lets start, and what its limit learns."""

from __future__ import annotations

import pytest

from perfguard import AdmissionQueue, Backpressure, Call, Limiter, LimitExceeded, Outcome, Priority, Reason
from perfguard.events import LimitChanged
from perfguard.limits.limit import LimitChange, LimitReason, Sample
from perfguard.limits.limiter import Ticket
from perfguard.queueing import Place


class Ratchet:
    """A limit that goes up by one with every sample, and keeps the samples."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.samples: list[Sample] = []

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn."""
        self.samples.append(sample)
        self.value += 1
        return LimitChange(old=self.value - 1, new=self.value, reason=LimitReason.GROWTH)


def test_limiter_lets_as_many_start_as_the_limit_says() -> None:
    """The first two of three get tickets, the third a place."""
    limiter = Limiter(Ratchet(2))

    passed = [limiter.admit(Call(), 0.0) for _ in range(3)]

    assert [type(each) for each in passed] == [Ticket, Ticket, Place]
    assert (limiter.in_flight, len(limiter)) == (2, 1)


def test_limiter_queues_newcomers_behind_those_who_wait() -> None:
    """A free permit belongs to whoever waits, not to whoever comes."""
    limiter = Limiter(Ratchet(1))
    limiter.enqueue(Call(), 0.0)

    assert isinstance(limiter.admit(Call(), 0.0), Place)


def test_limiter_head_is_nobody_while_the_limit_is_reached() -> None:
    """A place may start once a permit is free, not before."""
    limiter = Limiter(Ratchet(1))
    ticket = limiter.admit(Call(), 0.0)
    place = limiter.admit(Call(), 0.0)
    assert isinstance(ticket, Ticket)
    assert limiter.head(0.0) is None

    limiter.settle(ticket, Outcome.IGNORED, 0.1)

    assert limiter.head(0.1) is place


@pytest.mark.parametrize(
    ("outcome", "learnt"),
    [
        (Outcome.SUCCESS, [(0.25, False)]),
        (Outcome.DROPPED, [(0.25, True)]),
        (Outcome.FAILURE, []),
        (Outcome.IGNORED, []),
    ],
)
def test_limit_learns_from_success_and_overload_alone(outcome: Outcome, learnt: list[tuple[float, bool]]) -> None:
    """A failure's latency says nothing about load; a dropped call's is censored."""
    limit = Ratchet(5)
    limiter = Limiter(limit)
    ticket = limiter.admit(Call(), 1.0)
    assert isinstance(ticket, Ticket)

    limiter.settle(ticket, outcome, 1.25)

    assert [(sample.service_time, sample.dropped) for sample in limit.samples] == learnt
    assert limiter.in_flight == 0


def test_limit_learns_how_many_were_in_flight_at_the_start() -> None:
    """The sample counts the call itself, and those that ran when it started."""
    limit = Ratchet(5)
    limiter = Limiter(limit)
    first, second = limiter.admit(Call(), 0.0), limiter.admit(Call(), 0.0)
    assert isinstance(first, Ticket)
    assert isinstance(second, Ticket)

    limiter.settle(second, Outcome.SUCCESS, 0.1)
    limiter.settle(first, Outcome.SUCCESS, 0.2)

    assert [sample.in_flight for sample in limit.samples] == [2, 1]


def test_service_time_excludes_the_wait_in_the_queue() -> None:
    """A queued call's sample begins when it starts."""
    limit = Ratchet(1)
    limiter = Limiter(limit)
    ticket = limiter.admit(Call(), 0.0)
    place = limiter.admit(Call(), 0.0)
    assert isinstance(ticket, Ticket)
    assert isinstance(place, Place)
    limiter.settle(ticket, Outcome.IGNORED, 0.2)

    limiter.grant(place, 0.2)
    limiter.settle(place.ticket, Outcome.SUCCESS, 0.3)

    assert limit.samples[0].service_time == pytest.approx(0.1)


def test_limiter_tells_of_a_moved_limit_once() -> None:
    """A change is told with its reason, under the guard's name, and then forgotten."""
    limiter = Limiter(Ratchet(3), key="/orders")
    ticket = limiter.admit(Call(), 0.0)
    assert isinstance(ticket, Ticket)
    limiter.settle(ticket, Outcome.SUCCESS, 0.1)

    assert limiter.notices("api", 0.1) == [
        LimitChanged(guard="api", key="/orders", now=0.1, old=3, new=4, reason="growth")
    ]
    assert limiter.notices("api", 0.1) == []


def test_limiter_snapshot_shows_the_queue() -> None:
    """A snapshot says how many run and wait, and what a newcomer would wait."""
    limiter = Limiter(Ratchet(1), key="/orders")
    limiter.admit(Call(), 0.0)
    limiter.admit(Call(), 0.0)

    (shot,) = limiter.snapshots(0.0)

    assert (shot.key, shot.limit, shot.in_flight, shot.queued) == ("/orders", 1, 1, 1)
    assert (shot.state, shot.departure_rate, shot.predicted_wait) == (Backpressure.NORMAL, None, 0.0)
    assert shot.advised_limit is None


def test_limiter_by_default_limits_by_littles_law() -> None:
    """Nothing to tune: the defaults stand."""
    limiter = Limiter()

    assert type(limiter.limit).__name__ == "LittlesLawLimit"
    assert limiter.limit.value >= 1
    assert isinstance(limiter.queue, AdmissionQueue)


def test_limiter_repr_shows_its_state() -> None:
    """The representation is for logs."""
    limiter = Limiter(Ratchet(4), key="/orders")

    assert repr(limiter) == "<Limiter '/orders' 0/4 in flight, 0 queued, normal>"
    assert repr(Limiter(Ratchet(4))) == "<Limiter 0/4 in flight, 0 queued, normal>"


def test_verdict_refuses_nothing_below_the_limit() -> None:
    """In a dry run, a call that would start at once would not be refused."""
    limiter = Limiter(Ratchet(1))

    assert limiter.verdict(Call(deadline=5.0), 0.0) is None


def test_verdict_counts_calls_over_the_limit_as_the_queue() -> None:
    """In a dry run, a third call over a queue of two would find it full."""
    limiter = Limiter(Ratchet(1), AdmissionQueue(min_length=1, max_length=2))
    verdicts = []
    for _ in range(4):
        verdicts.append(limiter.verdict(Call(), 0.0))
        limiter.force(Call(), 0.0)

    assert verdicts[:3] == [None, None, None]
    assert isinstance(verdicts[3], LimitExceeded)
    assert verdicts[3].reason is Reason.QUEUE_FULL


def test_limiter_queues_a_call_that_stood_unseen_for_longer_than_the_target() -> None:
    """Its age tells of a queue in the kernel, though a permit is free; the queue's state follows it."""
    limiter = Limiter(Ratchet(2))

    place = limiter.admit(Call(arrival=0.9), 1.0)

    assert isinstance(place, Place)
    assert limiter.queue.state is Backpressure.PUSHBACK
    assert limiter.head(1.0) is place


def test_shedding_ends_while_calls_start_at_once_though_the_kernel_had_them_for_a_moment() -> None:
    """8 ms behind another call, with nobody in line, is no queue."""
    limiter = Limiter(Ratchet(10))
    now = 0.0
    for _ in range(20):
        now += 0.01
        limiter.queue.watch(now - 0.05, now, 0)

    for _ in range(12):
        now += 0.01
        ticket = limiter.admit(Call(arrival=now - 0.008), now)
        assert isinstance(ticket, Ticket)
        limiter.settle(ticket, Outcome.SUCCESS, now)

    assert (limiter.queue.state, limiter.in_flight) == (Backpressure.NORMAL, 0)


def refused(limiter: Limiter, now: float = 0.0) -> int:
    """How many refusals it shows."""
    return limiter.snapshots(now)[0].refused


def test_a_limiter_counts_a_call_that_has_no_room() -> None:
    limiter = Limiter(Ratchet(1), AdmissionQueue(min_length=1, max_length=1))
    limiter.admit(Call(), 0.0)
    limiter.admit(Call(), 0.0)

    with pytest.raises(LimitExceeded):
        limiter.admit(Call(), 0.0)

    assert refused(limiter) == 1


def test_a_limiter_counts_a_call_whose_deadline_has_passed() -> None:
    limiter = Limiter(Ratchet(1))

    with pytest.raises(LimitExceeded):
        limiter.admit(Call(deadline=0.5), 1.0)

    assert refused(limiter) == 1


def test_a_limiter_counts_a_call_that_loses_its_place() -> None:
    """Once, when it is told of it."""
    limiter = Limiter(Ratchet(1), AdmissionQueue(min_length=1, max_length=1))
    limiter.admit(Call(), 0.0)
    limiter.admit(Call(priority=Priority.LOW), 0.0)
    limiter.admit(Call(priority=Priority.HIGH), 0.0)

    assert len(limiter.released()) == 1
    assert limiter.released() == []
    assert refused(limiter) == 1


def test_a_limiter_counts_a_call_that_has_waited_too_long() -> None:
    limiter = Limiter(Ratchet(1))
    limiter.admit(Call(), 0.0)
    limiter.admit(Call(), 0.0)

    limiter.expire(9.0)

    assert len(limiter.released()) == 1
    assert refused(limiter, 9.0) == 1


def test_a_limiter_counts_refusals_that_were_given_without_asking() -> None:
    limiter = Limiter(Ratchet(1))

    limiter.count_refusals(Call(), 7, 0.0)

    assert refused(limiter) == 7


def test_a_limiter_counts_what_a_dry_run_would_have_refused() -> None:
    limiter = Limiter(Ratchet(1), AdmissionQueue(min_length=1, max_length=1))
    for _ in range(4):
        limiter.verdict(Call(), 0.0)
        limiter.force(Call(), 0.0)

    assert refused(limiter) == 2


def test_a_limiter_that_starts_afresh_has_refused_nothing() -> None:
    limiter = Limiter(Ratchet(1))
    limiter.count_refusals(Call(), 7, 0.0)

    limiter.start_afresh(0.1)

    assert refused(limiter) == 0
