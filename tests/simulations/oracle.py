"""The phase oracle: what the best fixed limit of each phase would have reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulations.engine import Outcomes, percentile

GRID = (2, 4, 6, 8, 10, 12, 17, 20, 25, 35, 50, 80, 150, 225, 700)
"""The fixed limits that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """What is the best that a fixed limit can do, chosen anew for each phase.

    Attributes:
        good: Good answers, summed over the phases.
        p99: The 99th percentile of the seconds to an answer, over all phases.
        limits: The limit chosen for each phase.
    """

    good: int
    p99: float
    limits: tuple[int, ...]


def oracle(runs: Sequence[tuple[int, Outcomes]]) -> Oracle:
    """Choose, per phase, the least p99 among the limits within 1 % of the highest goodput.

    Args:
        runs: Fixed limits, each with its run of the scenario.
    """
    good = 0
    times: list[float] = []
    chosen: list[int] = []
    for number in range(len(runs[0][1].phases)):
        phases = [(limit, outcomes.phases[number]) for limit, outcomes in runs]
        highest = max(phase.good for _, phase in phases)
        enough = [(limit, phase) for limit, phase in phases if phase.good >= 0.99 * highest]
        limit, best = min(enough, key=lambda each: (percentile(each[1].times), each[0]))
        good += highest
        times += best.times
        chosen.append(limit)
    return Oracle(good=good, p99=percentile(times), limits=tuple(chosen))
