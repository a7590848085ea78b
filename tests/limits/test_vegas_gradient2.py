"""Limits that compare service times."""

from perfguard.limits import Gradient2Limit, LimitChange, LimitReason, Sample, VegasLimit

Limit = VegasLimit | Gradient2Limit


def observe(limit: Limit, service_time: float, in_flight: int = 20, *, dropped: bool = False) -> LimitChange | None:
    return limit.observe(Sample(now=0.0, service_time=service_time, in_flight=in_flight, dropped=dropped))


def test_vegas_takes_the_first_sample_as_the_least_time() -> None:
    limit = VegasLimit(window=0)
    assert observe(limit, 0.01) is None
    assert repr(limit) == "<VegasLimit 20, least 10.0 ms>"


def test_vegas_grows_fast_without_a_queue() -> None:
    limit = VegasLimit(window=0)
    observe(limit, 0.0100)
    change = observe(limit, 0.0101)
    assert change is not None
    assert change.reason is LimitReason.GROWTH
    assert change.new == int(20 + 6 * 1.30103)


def test_vegas_grows_slowly_with_a_short_queue() -> None:
    limit = VegasLimit(window=0)
    observe(limit, 0.010)
    change = observe(limit, 0.011)
    assert change is not None
    assert change.new == 21


def test_vegas_shrinks_with_a_long_queue() -> None:
    limit = VegasLimit(window=0)
    observe(limit, 0.010)
    change = observe(limit, 0.030)
    assert change is not None
    assert (change.new, change.reason) == (18, LimitReason.QUEUE_GROWTH)


def test_vegas_stays_between_its_thresholds() -> None:
    limit = VegasLimit(window=0)
    observe(limit, 0.010)
    assert observe(limit, 0.014) is None


def test_vegas_shrinks_after_a_drop() -> None:
    limit = VegasLimit(window=0)
    change = observe(limit, 0.010, dropped=True)
    assert change is not None
    assert change.reason is LimitReason.DROPPED


def test_vegas_stays_while_little_of_the_limit_is_used() -> None:
    limit = VegasLimit(window=0)
    observe(limit, 0.010)
    assert observe(limit, 0.030, in_flight=9) is None


def test_vegas_averages_over_its_window() -> None:
    limit = VegasLimit(window=1.0)
    for step in range(24):
        service_time = 0.010 if step < 12 else 0.030
        change = limit.observe(Sample(now=step * 0.1, service_time=service_time, in_flight=20))
        assert (change is not None) == (step == 21)


def test_gradient2_grows_by_its_queue_while_times_are_steady() -> None:
    limit = Gradient2Limit(window=0)
    change = observe(limit, 0.010)
    assert change is None
    change = observe(limit, 0.010)
    assert change is not None
    assert (change.old, change.new) == (20, 21)


def test_gradient2_shrinks_when_times_rise_beyond_the_tolerance() -> None:
    limit = Gradient2Limit(window=0, initial=100, long_window=600)
    for _ in range(20):
        observe(limit, 0.010, in_flight=100)
    change = observe(limit, 0.050, in_flight=100)
    assert change is not None
    assert change.reason is LimitReason.QUEUE_GROWTH


def test_gradient2_stays_while_little_of_the_limit_is_used() -> None:
    assert observe(Gradient2Limit(window=0), 0.010, in_flight=5) is None


def test_gradient2_forgets_a_long_average_that_is_far_too_high() -> None:
    limit = Gradient2Limit(window=0)
    for _ in range(12):
        observe(limit, 0.100, in_flight=1)
    observe(limit, 0.010, in_flight=1)
    assert "long average 94." in repr(limit)


def test_gradient2_learns_no_time_from_drops_alone() -> None:
    assert observe(Gradient2Limit(window=0), 1.0, dropped=True) is None
