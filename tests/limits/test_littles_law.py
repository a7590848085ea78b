"""The default limit, by lists of instants and in simulated services."""

import pytest

from perfguard.limits import FixedLimit, LimitChange, LimitReason, LittlesLawLimit, Sample
from tests.simulations.engine import Outcomes, Scenario, Simulation
from tests.simulations.scenarios import SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


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
    return Service(LittlesLawLimit(initial=20))


def simulated(name: str) -> tuple[Scenario, Outcomes]:
    scenario = BY_NAME[name]
    return scenario, Simulation(scenario, LittlesLawLimit()).run()


def test_limit_stays_while_calls_do_not_reach_it(service: Service) -> None:
    assert service.run(rate=200, service_time=0.01, in_flight=5, seconds=5.0) is None
    assert service.limit.value == 20


def test_limit_rises_when_calls_reach_it_without_a_queue(service: Service) -> None:
    change = service.run(rate=200, service_time=0.1)
    assert change == LimitChange(old=20, new=40, reason=LimitReason.GROWTH)


def test_limit_doubles_while_throughput_follows(service: Service) -> None:
    service.run(rate=200, service_time=0.1)
    change = service.run(rate=400, service_time=0.1)
    assert change == LimitChange(old=40, new=80, reason=LimitReason.GROWTH)


def test_limit_falls_when_a_raise_bought_nothing(service: Service) -> None:
    service.run(rate=200, service_time=0.1)
    change = service.run(rate=200, service_time=0.2)
    assert change == LimitChange(old=40, new=15, reason=LimitReason.KNEE)


def test_limit_falls_on_while_throughput_stays(service: Service) -> None:
    service.run(rate=200, service_time=0.1)
    service.run(rate=200, service_time=0.2)
    change = service.run(rate=200, service_time=0.075)
    assert change == LimitChange(old=15, new=11, reason=LimitReason.KNEE)


def test_limit_is_given_back_when_throughput_fell_with_it(service: Service) -> None:
    service.run(rate=200, service_time=0.1)
    service.run(rate=200, service_time=0.2)
    change = service.run(rate=150, service_time=0.1)
    assert change == LimitChange(old=15, new=22, reason=LimitReason.CUT_TAKEN_BACK)


def test_limit_follows_littles_law_once_a_queue_shows_against_the_baseline(service: Service) -> None:
    service.run(rate=200, service_time=0.02, in_flight=4)
    service.run(rate=200, service_time=0.1)
    service.run(rate=200, service_time=0.2)
    change = service.run(rate=200, service_time=0.1)
    # X W = 200/s x 0.02 s = 4 calls, and a headroom of 2.
    assert change == LimitChange(old=20, new=6, reason=LimitReason.QUEUE_GROWTH)


def test_a_raise_that_bought_nothing_is_taken_back_where_the_baseline_is_proven(service: Service) -> None:
    service.run(rate=200, service_time=0.1, in_flight=4)
    service.run(rate=200, service_time=0.1)
    change = service.run(rate=200, service_time=0.2)
    assert change == LimitChange(old=40, new=20, reason=LimitReason.KNEE)


def test_wait_measured_in_the_process_counts_as_queue_without_any_baseline(service: Service) -> None:
    change = service.run(rate=200, service_time=0.1, wait=0.08)
    assert change == LimitChange(old=20, new=6, reason=LimitReason.QUEUE_GROWTH)


def test_a_few_drops_move_nothing(service: Service) -> None:
    assert service.run(rate=200, service_time=0.1, in_flight=5, dropped_every=20) is None


def test_many_drops_cut_the_limit(service: Service) -> None:
    change = service.run(rate=200, service_time=0.1, in_flight=5, dropped_every=2)
    assert change == LimitChange(old=20, new=16, reason=LimitReason.DROPPED)


@pytest.mark.parametrize("dropped_every", [0, 1])
def test_limit_never_leaves_its_bounds(dropped_every: int) -> None:
    service = Service(LittlesLawLimit(initial=3, lowest=3, highest=3))
    assert service.run(rate=200, service_time=0.1, dropped_every=dropped_every) is None


def test_baseline_rises_slowly_where_calls_do_not_reach_the_limit(service: Service) -> None:
    service.run(rate=200, service_time=0.010, in_flight=2, seconds=0.3)
    service.run(rate=200, service_time=0.020, in_flight=2, seconds=0.4)
    assert "baseline 11.0 ms" in repr(service.limit)


@pytest.mark.parametrize("name", ["S2 steady 0.6x", "S6 2 rps", "S7 mix shifts 5/500 ms"])
def test_a_healthy_service_is_left_alone(name: str) -> None:
    _, outcomes = simulated(name)
    assert outcomes.refused <= 0.005 * outcomes.offered


@pytest.mark.parametrize(
    "name",
    [
        "S1 steady 2x",
        "S8 overload from the start, 8x",
        "S10 spike 5x for 5 s",
        "S12 contention beyond 20",
        "pool 10 x 20 ms, 2x",
        "pool doubles",
        "one slot, 5 ms, 4x",
    ],
)
def test_goodput_is_near_that_of_the_best_fixed_limit(name: str) -> None:
    scenario, outcomes = simulated(name)
    fixed = [Simulation(scenario, FixedLimit(value)).run() for value in (2, 12, 25)]
    assert len(outcomes.good) >= 0.95 * max(len(each.good) for each in fixed)


@pytest.mark.parametrize("name", ["pool halves", "work doubles"])
def test_half_the_capacity_is_found_within_five_seconds(name: str) -> None:
    _, outcomes = simulated(name)
    assert outcomes.good_between(20.0, 29.0) >= 0.95 * 250 * 9.0


def test_slower_work_without_a_queue_is_not_taken_for_overload() -> None:
    _, outcomes = simulated("S4 dependency x4, no queue")
    assert len(outcomes.good) >= 0.95 * outcomes.offered
