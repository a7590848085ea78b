"""A few of the simulations, short enough for every run; `make sim` runs them all."""

from dataclasses import replace
from pathlib import Path

import pytest

from perfguard.limits import FixedLimit, Limiter, LittlesLawLimit
from tests.simulations.contenders import CONTENDERS
from tests.simulations.engine import Outcomes, Scenario, Simulation, limit_at
from tests.simulations.oracle import oracle
from tests.simulations.scenarios import BY_NAME, NOT_SIMULATED, SCENARIOS

REPORT = Path(__file__).with_name("report.txt").read_text(encoding="utf-8")


def run(scenario: Scenario, seed: int = 1) -> Outcomes:
    return Simulation(scenario, Limiter(LittlesLawLimit()), seed).run()


@pytest.mark.parametrize(
    "name",
    [
        "S2 steady 0.6x",
        "S4 dependency x4, no queue",
        "S6 2 rps",
        "S7 mix of 5/500 ms shifts",
        "S9 the same, released at first byte",
        "S18 pause of 300 ms every 10 s, 0.7x",
        "S25 60 % not found in 1 ms, 0.8x",
        "S29 calls of 2-60 s, 0.5 rps",
        "10 x 20 ms, 0.5x",
    ],
)
def test_a_healthy_service_is_left_alone(name: str) -> None:
    """Whatever happens within its capacity, at most one call in two hundred is refused."""
    assert run(BY_NAME[name]).refused <= 0.005


@pytest.mark.parametrize(
    "name",
    [
        "S14 S1 hidden",
        "S8 half fail in 1 ms, 2x",
        "S12 one GIL, 8 ms CPU + 60 ms, 2x",
        "S27 capacity x2",
        "10 x 20 ms, capacity halves",
        "bimodal 5/150 ms, 2x",
    ],
)
def test_an_overloaded_service_does_nearly_what_the_best_fixed_limits_would(name: str) -> None:
    """Goodput at least 0.95 of the phase oracle's, p99 of the admitted at most 1.5 times its."""
    scenario = BY_NAME[name]
    best = oracle([(value, Simulation(scenario, Limiter(FixedLimit(value))).run()) for value in (6, 12, 20)])
    outcomes = run(scenario)
    assert outcomes.good >= 0.95 * best.good
    assert outcomes.p99() <= 1.5 * best.p99


@pytest.mark.parametrize("seed", [2, 3])
def test_a_cold_start_under_overload_ends_near_the_knee(seed: int) -> None:
    """Ten slots: from the tenth second on the limit stays between them and half as many again."""
    outcomes = run(replace(BY_NAME["10 x 20 ms, 8x"], duration=10.5), seed)
    assert 10 <= limit_at(outcomes.limits, 10.0) <= 16


def test_throughput_comes_back_within_ten_seconds_of_a_retry_storm() -> None:
    """S17: the load falls below the capacity at 40 s, and no overload sustains itself beyond 50 s."""
    assert run(BY_NAME["S17 retry storm after 10 s of 3x"]).last_bad < 50


def test_a_plateau_of_timeouts_is_left_behind() -> None:
    """S15, F12: once calls end again, so does the shortage."""
    outcomes = run(BY_NAME["S15 all time out at 5 s for 60 s"])
    assert outcomes.phases[2].good >= 0.95 * outcomes.phases[2].offered


def test_no_call_is_refused_while_one_of_lower_priority_is_served_much() -> None:
    """S20: calls of high priority are refused next to never, though two of three calls are."""
    outcomes = run(BY_NAME["S20 priorities at 3x"])
    high = [refused for (_, priority), (_, refused) in outcomes.seconds.items() if priority.name == "HIGH"]
    assert sum(high) <= 0.01 * 60 * 30


def test_a_run_is_the_same_every_time() -> None:
    """The report changes with the code alone."""
    assert run(BY_NAME["S1 steady 2x"]) == run(BY_NAME["S1 steady 2x"])


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_every_contender_serves_a_healthy_service(name: str) -> None:
    """Each of the other algorithms does its work where nothing is hard about it."""
    scenario = replace(BY_NAME["S2 steady 0.6x"], duration=20.0)
    outcomes = Simulation(scenario, CONTENDERS[name]()).run()
    assert outcomes.good >= 0.5 * outcomes.phases[0].offered


def test_the_report_is_of_these_scenarios() -> None:
    """Every scenario has its line in the committed report, and every other one a reason."""
    assert [each.name for each in SCENARIOS if f"\n{each.name} " not in REPORT] == []
    assert [name for name in NOT_SIMULATED if f"\n{name} " not in REPORT] == []


def test_the_report_misses_no_gate_without_a_reason() -> None:
    """A gate that is missed says what limits it."""
    assert [line for line in REPORT.splitlines() if line.endswith(": open")] == []
