"""What telemetry decides by arithmetic: the parts of a request's time, and which refusals are recorded."""

from __future__ import annotations

import pytest

from perfguard import Admission, Call, Guard
from perfguard.telemetry._query import redacted
from perfguard.telemetry._rate import Rate
from perfguard.telemetry._times import times_of


def admission(**told: float) -> Admission:
    """A passage that stood in queues for so long."""
    passage = Admission(Guard(enabled=False), Call(proxy_time=told.pop("proxy_time", 0.0)))
    for name, seconds in told.items():
        setattr(passage, name, seconds)
    return passage


@pytest.mark.parametrize(
    ("told", "duration"),
    [
        ({}, 1.0),
        ({"queue_time": 0.4, "admission_time": 0.3}, 1.0),
        ({"queue_time": 2.4, "proxy_time": 2.0}, 1.0),
        ({"wait_time": 0.5, "thread_time": 0.2}, 1.0),
        ({"wait_time": 9.0, "thread_time": 2.0}, 1.0),
        ({"queue_time": 5.0}, 1.0),
        ({"queue_time": 1.0, "proxy_time": 3.0}, 0.0),
    ],
    ids=["served at once", "queued", "behind a proxy", "waited", "waits at once", "a clock that stood", "none"],
)
def test_the_parts_add_up_and_none_is_negative(told: dict[str, float], duration: float) -> None:
    times = times_of(admission(**told), duration)
    assert sum(times[1:]) == pytest.approx(duration)
    assert min(times) >= 0.0


def test_each_wait_is_in_its_own_part() -> None:
    told = admission(queue_time=2.5, proxy_time=2.0, admission_time=0.3, wait_time=0.7, thread_time=0.2)
    assert times_of(told, 2.0) == pytest.approx((2.0, 0.2, 0.3, 0.2, 0.5, 0.8))
    assert times_of(told, 2.0).queue == pytest.approx(0.7)


def test_so_many_in_a_second_are_picked_and_the_next_stands_for_the_others() -> None:
    rate = Rate(2)
    assert [rate.take(now) for now in (0.0, 0.1, 0.2, 0.9, 1.0, 1.5, 1.6)] == [1, 1, 0, 0, 3, 1, 0]


def test_what_is_given_back_is_told_by_the_next() -> None:
    rate = Rate(2)
    rate.give_back(rate.take(0.0, 5))
    assert rate.take(0.1) == 6


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", ""),
        ("sig=a", "sig=REDACTED"),
        ("a=1&sig=", "a=1&sig=REDACTED"),
        ("a=sig=1", "a=sig=1"),
        ("signature=a&Signature=b", "signature=a&Signature=REDACTED"),
        ("X-Goog-Signature=%20&&b", "X-Goog-Signature=REDACTED&&b"),
    ],
)
def test_secret_keys_are_known_by_their_whole_name_and_case(query: str, told: str) -> None:
    assert redacted(query) == told
