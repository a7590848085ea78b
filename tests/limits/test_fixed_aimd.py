"""Limits that follow a plain rule."""

import pytest

from perfguard.errors import ConfigurationError
from perfguard.limits import AIMDLimit, FixedLimit, Gradient2Limit, LimitReason, LittlesLawLimit, Sample, VegasLimit


def sample(now: float = 0.0, service_time: float = 0.01, in_flight: int = 20, *, dropped: bool = False) -> Sample:
    return Sample(now=now, service_time=service_time, in_flight=in_flight, dropped=dropped)


def test_fixed_limit_never_moves() -> None:
    limit = FixedLimit(7)
    assert limit.observe(sample(dropped=True)) is None
    assert limit.value == 7
    assert repr(limit) == "<FixedLimit 7>"


def test_fixed_limit_below_one_is_refused_with_its_remedy() -> None:
    with pytest.raises(ConfigurationError, match="value must be at least 1, got 0"):
        FixedLimit(0)


def test_aimd_grows_by_one_when_half_the_limit_is_in_use() -> None:
    limit = AIMDLimit(initial=20)
    change = limit.observe(sample(in_flight=10))
    assert change is not None
    assert (change.old, change.new, change.reason) == (20, 21, LimitReason.GROWTH)


def test_aimd_stays_when_less_than_half_is_in_use() -> None:
    assert AIMDLimit(initial=20).observe(sample(in_flight=9)) is None


@pytest.mark.parametrize("bad", [sample(dropped=True), sample(service_time=6.0)], ids=["dropped", "slow"])
def test_aimd_backs_off(bad: Sample) -> None:
    limit = AIMDLimit(initial=40)
    change = limit.observe(bad)
    assert change is not None
    assert (change.new, change.reason) == (36, LimitReason.DROPPED)


def test_aimd_stays_within_its_bounds() -> None:
    limit = AIMDLimit(initial=20, lowest=20, highest=20)
    assert limit.observe(sample(dropped=True)) is None
    assert limit.observe(sample()) is None
    assert repr(limit) == "<AIMDLimit 20>"


@pytest.mark.parametrize("make", [AIMDLimit, VegasLimit, Gradient2Limit, LittlesLawLimit])
@pytest.mark.parametrize(
    "arguments", [{"initial": 0}, {"initial": 50, "highest": 10}], ids=["too low", "above the highest"]
)
def test_a_range_out_of_order_is_refused(make: type, arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="must be at least"):
        make(**arguments)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (AIMDLimit, {"lowest": 0}, "lowest must be at least 1, got 0"),
        (AIMDLimit, {"backoff": 1.5}, "backoff must be above 0 and at most 1, got 1.5"),
        (AIMDLimit, {"timeout": 0.0}, "timeout must be a positive number, got 0.0"),
        (VegasLimit, {"smoothing": 0.0}, "smoothing must be above 0"),
        (VegasLimit, {"window": -1.0}, "window must be at least 0"),
        (Gradient2Limit, {"tolerance": 0.9}, "tolerance must be at least 1"),
        (Gradient2Limit, {"queue_size": -1}, "queue_size must be at least 0"),
        (Gradient2Limit, {"long_window": 0}, "long_window must be a positive number"),
        (Gradient2Limit, {"window": float("nan")}, "window must be a finite number"),
        (LittlesLawLimit, {"window": float("inf")}, "window must be a positive number"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_a_wrong_argument_names_itself_and_the_remedy(make: type, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(**arguments)
