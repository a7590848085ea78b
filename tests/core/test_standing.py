"""Refusals that stand until something changes."""

from __future__ import annotations

import asyncio

import pytest

from perfguard import Admission, AdmissionQueue, Call, Guard, Limiter, LimitExceeded, Outcome, Priority, Reason
from perfguard.limits import FixedLimit
from perfguard.queueing.standing import StandingRefusals
from perfguard.testing import RecordingListener

FULL = LimitExceeded(Reason.QUEUE_FULL)


def full_guard() -> tuple[Guard, Admission, asyncio.Task[None]]:
    """One call in flight, one queued, and no room for more."""
    guard = Guard(Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1, target=9.0, max_wait=9.0)))
    first = guard.admit()
    guard.begin(first)
    waiting = asyncio.ensure_future(guard.admit().acquire())
    return guard, first, waiting


async def refused(guard: Guard) -> Reason:
    with pytest.raises(LimitExceeded) as caught:
        await guard.admit().acquire()
    return caught.value.reason


@pytest.mark.parametrize(
    ("key", "priority", "stands"),
    [
        ("a", Priority.NORMAL, True),
        ("a", Priority.LOW, True),
        ("a", Priority.HIGH, False),
        ("b", Priority.NORMAL, False),
    ],
    ids=["same", "lower priority", "higher priority", "other key"],
)
def test_a_refusal_stands_for_its_key_and_no_higher_priority(key: str, priority: Priority, *, stands: bool) -> None:
    """Who could evict somebody, or queue elsewhere, is decided anew."""
    standing = StandingRefusals()
    standing.add(Call(key="a"), FULL)

    assert (standing.again(key, priority) is FULL) is stands


@pytest.mark.parametrize("reason", [Reason.DEADLINE, Reason.QUEUE_TIME, Reason.STREAM_LIMIT])
def test_a_refusal_for_another_reason_than_want_of_room_does_not_stand(reason: Reason) -> None:
    """Those depend on the call, not on the queue."""
    standing = StandingRefusals()
    standing.add(Call(), LimitExceeded(reason))

    assert not standing


def test_standing_refusals_are_bounded() -> None:
    """Keys may come from clients."""
    standing = StandingRefusals()
    for number in range(10_000):
        standing.add(Call(key=str(number)), FULL)

    assert len(standing.cleared()) <= 1000


def test_a_refusal_given_again_is_counted() -> None:
    """The snapshot counts every refusal, however it was given."""

    async def main() -> None:
        guard, first, waiting = full_guard()
        await asyncio.sleep(0)
        assert await refused(guard) is Reason.QUEUE_FULL
        again = [guard.refused_again("", Priority.NORMAL) for _ in range(3)]
        assert all(each is not None and each.reason is Reason.QUEUE_FULL for each in again)

        shown = guard.snapshot()
        assert shown.refused == {Reason.QUEUE_FULL: 4}
        assert shown.limiters[0].refused == 4
        first.settle(Outcome.SUCCESS)
        await waiting

    asyncio.run(main())


def test_a_refusal_stands_no_longer_once_a_call_has_settled() -> None:
    """A permit came free: the next call is decided anew."""

    async def main() -> None:
        guard, first, waiting = full_guard()
        await asyncio.sleep(0)
        await refused(guard)
        assert guard.standing

        first.settle(Outcome.SUCCESS)

        assert not guard.standing
        await waiting

    asyncio.run(main())


def test_no_refusal_stands_where_listeners_want_an_event_of_each() -> None:
    """Events are complete."""

    async def main() -> None:
        listener = RecordingListener()
        limiter = Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1))
        guard = Guard(limiter, listeners=[listener])
        guard.begin(guard.admit())
        waiting = asyncio.ensure_future(guard.admit().acquire())
        await asyncio.sleep(0)
        await refused(guard)

        assert not guard.standing
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
