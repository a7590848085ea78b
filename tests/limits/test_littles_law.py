"""The default limit, by lists of instants."""

import pytest

from perfguard.limits import LimitChange, LimitReason, LittlesLawLimit, Sample

WINDOWS = 5.105
"""Seconds in which, at 100 calls a second, ten windows fit exactly: one call opens each, fifty fill it."""


class Service:
    """Calls that end at an even rate, seen by a limit.

    Args:
        limit: What learns from them.
    """

    def __init__(self, limit: LittlesLawLimit) -> None:
        self.limit = limit
        self.now = 0.0

    def run(
        self,
        *,
        rate: float,
        service_time: float,
        in_flight: int | None = None,
        seconds: float = 3.0,
        dropped_every: int = 0,
        wait: float = 0.0,
    ) -> LimitChange | None:
        """Let calls end until the limit moves; by default they fill it."""
        for number in range(int(rate * seconds)):
            self.now += 1.0 / rate
            change = self.limit.observe(
                Sample(
                    now=self.now,
                    service_time=service_time,
                    in_flight=self.limit.value if in_flight is None else in_flight,
                    dropped=bool(dropped_every) and number % dropped_every == 0,
                    wait=wait,
                )
            )
            if change is not None:
                return change
        return None


@pytest.fixture
def service() -> Service:
    """A service whose limit starts at 20."""
    return Service(LittlesLawLimit(initial=20))


def test_limit_stays_while_calls_do_not_reach_it(service: Service) -> None:
    """Whatever the service time, a limit that binds nobody has no reason to move."""
    assert service.run(rate=200, service_time=0.01, in_flight=5, seconds=5.0) is None
    assert service.limit.value == 20


def test_one_or_two_in_flight_move_nothing(service: Service) -> None:
    """A handler that computes keeps one or two in flight: the limit stays out of its way."""
    assert service.run(rate=400, service_time=0.002, in_flight=1, seconds=5.0) is None
    assert service.run(rate=50, service_time=0.040, in_flight=2, seconds=5.0) is None


def test_limit_rises_when_calls_reach_it_without_a_queue(service: Service) -> None:
    """The first raise doubles, so that noise does not hide its effect."""
    change = service.run(rate=200, service_time=0.1)
    assert change == LimitChange(old=20, new=40, reason=LimitReason.GROWTH)


def test_limit_doubles_while_throughput_follows(service: Service) -> None:
    """Slow start: each raise that bought throughput is followed by another."""
    service.run(rate=200, service_time=0.1)
    change = service.run(rate=400, service_time=0.1)
    assert change == LimitChange(old=40, new=80, reason=LimitReason.GROWTH)


def test_limit_falls_when_a_raise_bought_nothing(service: Service) -> None:
    """Where no baseline is proven, the knee is at or below the limit before the raise."""
    service.run(rate=200, service_time=0.1)
    change = service.run(rate=200, service_time=0.2)
    assert change == LimitChange(old=40, new=15, reason=LimitReason.KNEE)


def test_limit_falls_on_while_throughput_stays(service: Service) -> None:
    """Each step down that cost nothing is followed by another."""
    service.run(rate=200, service_time=0.1)
    service.run(rate=200, service_time=0.2)
    change = service.run(rate=200, service_time=0.075)
    assert change == LimitChange(old=15, new=11, reason=LimitReason.KNEE)


def test_limit_is_given_back_when_throughput_fell_with_it(service: Service) -> None:
    """A cut that took permits which were at work is taken back."""
    service.run(rate=200, service_time=0.1)
    service.run(rate=200, service_time=0.2)
    change = service.run(rate=100, service_time=0.15)
    assert change is not None
    assert (change.old, change.reason) == (15, LimitReason.CUT_TAKEN_BACK)
    assert change.new > 15


def test_limit_follows_littles_law_once_a_queue_shows_against_the_baseline(service: Service) -> None:
    """X W = 500/s x 0.02 s = 10 calls, and a headroom of 2; more throughput than usual says it is a queue."""
    service.run(rate=200, service_time=0.02, in_flight=4)
    change = service.run(rate=500, service_time=0.04)
    assert change == LimitChange(old=20, new=12, reason=LimitReason.QUEUE_GROWTH)


def test_longer_service_times_are_tested_upwards_before_anything_is_cut(service: Service) -> None:
    """F1: at the throughput of before, slower work looks like a queue until the limit is raised."""
    service.run(rate=100, service_time=0.02, in_flight=4, seconds=WINDOWS)
    change = service.run(rate=100, service_time=0.2)
    assert change is not None
    assert (change.reason, change.new > 20) == (LimitReason.GROWTH, True)


def test_a_raise_that_met_slower_work_makes_it_the_baseline(service: Service) -> None:
    """F1: throughput followed, so the longer time is the work's own."""
    service.run(rate=100, service_time=0.02, in_flight=4, seconds=WINDOWS)
    service.run(rate=100, service_time=0.2)
    assert service.limit.value == 40
    change = service.run(rate=200, service_time=0.2)
    assert change is not None
    assert change.reason is LimitReason.GROWTH
    assert "baseline 200.0 ms" in repr(service.limit)


def test_a_raise_that_met_a_queue_is_cut_to_what_the_work_needs(service: Service) -> None:
    """X W = 100/s x 0.02 s = 2 calls, and a headroom of 2."""
    service.run(rate=100, service_time=0.02, in_flight=4, seconds=WINDOWS)
    service.run(rate=100, service_time=0.2)
    change = service.run(rate=100, service_time=0.4)
    assert change == LimitChange(old=40, new=4, reason=LimitReason.KNEE)


def test_a_raise_that_met_a_queue_is_judged_by_the_window_before_it(service: Service) -> None:
    """The longer queue is the noisier: what the work needs shows in the shorter one."""
    service.run(rate=100, service_time=0.02, in_flight=4, seconds=WINDOWS)
    service.run(rate=100, service_time=0.2)
    change = None
    while change is None:
        change = service.run(rate=100, service_time=0.3, seconds=0.01) or service.run(
            rate=100, service_time=0.5, seconds=0.01
        )
    assert change == LimitChange(old=40, new=4, reason=LimitReason.KNEE)


def test_a_known_queue_that_grew_is_cut_without_a_test(service: Service) -> None:
    """F1, F13: where calls queued at the usual throughput, half of it means half the servers, not slower work alone.

    X W = 250/s x 0.02 s = 5 calls, and a headroom of 2.
    """
    service.run(rate=200, service_time=0.02, in_flight=4)
    service.run(rate=500, service_time=0.04)
    assert service.limit.value == 12
    service.run(rate=500, service_time=0.024, seconds=2.0)
    change = service.run(rate=250, service_time=0.048)
    assert change == LimitChange(old=12, new=7, reason=LimitReason.QUEUE_GROWTH)


def test_a_cut_of_a_known_queue_that_was_slower_work_is_taken_back(service: Service) -> None:
    """Throughput falls with the permits: the longer time is the work's own."""
    service.run(rate=200, service_time=0.02, in_flight=4)
    service.run(rate=500, service_time=0.04)
    service.run(rate=500, service_time=0.024, seconds=2.0)
    service.run(rate=250, service_time=0.048)
    change = service.run(rate=140, service_time=0.048)
    assert change is not None
    assert (change.old, change.reason) == (7, LimitReason.CUT_TAKEN_BACK)
    assert "baseline 48.0 ms" in repr(service.limit)


def test_a_small_raise_is_followed_by_a_larger_one_before_it_teaches(service: Service) -> None:
    """F3: a quarter more in flight tells too little; growth from the first limit on decides, or goes back to it."""
    service.run(rate=200, service_time=0.05, in_flight=4)
    while service.limit.value != 15:
        service.run(rate=200, service_time=service.limit.value / 200.0, seconds=0.3)
    change = service.run(rate=250, service_time=service.limit.value / 250.0)
    assert change is not None
    assert change.reason is LimitReason.GROWTH
    assert "baseline 50.0 ms" in repr(service.limit)
    change = service.run(rate=200, service_time=service.limit.value / 200.0)
    assert change is not None
    assert (change.new, change.reason) == (12, LimitReason.KNEE)


def test_times_that_drew_together_are_a_queue_without_a_test() -> None:
    """A wait adds the same to short calls as to long ones; slower work stretches their spread."""
    limit = LittlesLawLimit(initial=20)
    now = 0.0
    for number in range(510):
        now += 0.01
        limit.observe(Sample(now=now, service_time=(0.01, 0.03, 0.05)[number % 3], in_flight=4))
    change = None
    while change is None:
        now += 0.01
        change = limit.observe(Sample(now=now, service_time=0.2, in_flight=20))
    assert change.reason is LimitReason.QUEUE_GROWTH


def test_wait_measured_in_the_process_counts_as_queue_without_any_baseline(service: Service) -> None:
    """The first signal: what is measured needs no inference."""
    change = service.run(rate=200, service_time=0.1, wait=0.08)
    assert change == LimitChange(old=20, new=6, reason=LimitReason.QUEUE_GROWTH)


def test_raises_that_buy_nothing_become_rare(service: Service) -> None:
    """F4, F14: a proven limit is tried again after times that double, up to 30 seconds."""
    service.run(rate=200, service_time=0.05, in_flight=4)
    raises = 0
    for _ in range(200):
        in_flight = service.limit.value
        change = service.run(rate=200, service_time=in_flight / 200.0, seconds=1.0)
        raises += change is not None and change.reason is LimitReason.GROWTH
    assert 1 <= raises <= 15


def test_a_few_drops_move_nothing(service: Service) -> None:
    """F18: sparse errors are no overload."""
    assert service.run(rate=200, service_time=0.1, in_flight=5, dropped_every=20) is None


def test_many_drops_cut_the_limit(service: Service) -> None:
    """F12: a plateau of timeouts has no gradient, but it is dropped calls."""
    change = service.run(rate=200, service_time=0.1, in_flight=5, dropped_every=2)
    assert change == LimitChange(old=20, new=16, reason=LimitReason.DROPPED)


def test_times_of_dropped_calls_are_no_service_times(service: Service) -> None:
    """F12: a timeout's time is censored."""
    service.run(rate=200, service_time=0.010, in_flight=2, seconds=0.5)
    for _ in range(200):
        service.now += 0.005
        service.limit.observe(Sample(now=service.now, service_time=5.0, in_flight=2, dropped=True))
    assert "baseline 10.0 ms" in repr(service.limit)


def test_limit_never_falls_below_two() -> None:
    """F15: a limit that rounds to nothing would never learn again."""
    limit = LittlesLawLimit()
    service = Service(limit)
    for _ in range(60):
        service.run(rate=200, service_time=0.1, dropped_every=1)
    assert limit.value == 2


def test_limit_recovers_from_its_floor(service: Service) -> None:
    """F15: at the floor a raise that buys throughput is followed by more."""
    for _ in range(60):
        service.run(rate=200, service_time=0.1, dropped_every=1)
    for _ in range(6):
        service.run(rate=10.0 * service.limit.value, service_time=0.1, seconds=12.0)
    assert service.limit.value >= 20


@pytest.mark.parametrize("dropped_every", [0, 1])
def test_limit_never_leaves_its_bounds(dropped_every: int) -> None:
    """With one value allowed, nothing moves."""
    service = Service(LittlesLawLimit(initial=3, lowest=3, highest=3))
    assert service.run(rate=200, service_time=0.1, dropped_every=dropped_every) is None


def test_limit_far_from_use_falls_to_five_times_the_calls_in_flight(service: Service) -> None:
    """F14: what was needed once is no licence for the next burst."""
    for _ in range(4):
        service.run(rate=10.0 * service.limit.value, service_time=0.1)
    assert service.limit.value >= 160
    reasons = set()
    for _ in range(400):
        change = service.run(rate=100, service_time=0.1, in_flight=10, seconds=WINDOWS)
        reasons |= {change.reason} if change else set()
    assert reasons == {LimitReason.IDLE}
    assert service.limit.value == 50


def test_one_lucky_window_hardly_moves_the_baseline(service: Service) -> None:
    """F5: a window a little below the baseline counts for a part of it."""
    service.run(rate=100, service_time=0.010, in_flight=10, seconds=WINDOWS)
    service.run(rate=100, service_time=0.008, in_flight=10, seconds=0.515)
    assert "baseline 9.4 ms" in repr(service.limit)


def test_baseline_is_not_raised_by_calls_that_may_have_queued(service: Service) -> None:
    """F2, F3: a slow overload that the limit does not yet bind is not averaged in."""
    service.run(rate=200, service_time=0.010, in_flight=2, seconds=0.5)
    for step in range(1, 10):
        service.run(rate=200, service_time=0.010 * step, in_flight=6 + step, seconds=1.0)
    assert "baseline 10.0 ms" in repr(service.limit)


def test_baseline_rises_by_calls_that_could_not_queue(service: Service) -> None:
    """Fewer in flight than the server is known to serve at a time: the work itself takes longer."""
    service.run(rate=400, service_time=0.010, in_flight=4, seconds=1.0)
    for _ in range(20):
        service.run(rate=400, service_time=0.012, in_flight=4, seconds=0.5)
    assert "baseline 12.0 ms" in repr(service.limit)


def test_a_limit_that_is_touched_in_passing_stays(service: Service) -> None:
    """One call at the last permit, among many far from it, is no shortage."""
    for number in range(200):
        service.now += 0.005
        change = service.limit.observe(Sample(now=service.now, service_time=0.01, in_flight=20 if number == 30 else 3))
        assert change is None


def test_a_queue_at_a_limit_that_is_touched_in_passing_is_no_reason_to_raise(service: Service) -> None:
    """F14: half the permits are in use and calls wait nevertheless, so more permits would only lengthen the wait."""
    service.run(rate=200, service_time=0.02, in_flight=4)
    for number in range(1000):
        service.now += 0.005
        change = service.limit.observe(
            Sample(now=service.now, service_time=0.065, in_flight=20 if number % 50 == 0 else 13)
        )
        assert change is None


def test_few_calls_do_not_take_back_a_cut_by_chance(service: Service) -> None:
    """F6: the throughput of twenty calls may fall by a quarter; the times that fell with the limit decide."""
    service.run(rate=20, service_time=1.0, seconds=5.0)
    service.run(rate=20, service_time=service.limit.value / 20.0, seconds=9.0)
    assert service.limit.value == 15
    service.run(rate=14.5, service_time=15 / 14.5, seconds=5.0)
    assert service.limit.value < 15
