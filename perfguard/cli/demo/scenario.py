"""What the demonstration does: the mix of requests, the levels of load, and how long each may take."""

from __future__ import annotations

from dataclasses import dataclass

from perfguard.cli.demo.server import HOST
from perfguard.cli.load import CapacityPlan, LoadPlan, Phase, Target

DEADLINE = 1.0

MIX = (
    ("fast lookup", "/products/17", 0.57),
    ("order list", "/customers/42/orders", 0.35),
    ("sales report", "/reports/sales", 0.08),
)

_BUDGET = 84.0
_LONGEST = 7.0
_SHORTEST = 3.0
# Starting the generator, and adding its figures up.
_OVERHEAD = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The sequence of a demonstration.

    Args:
        levels: Offered loads, as multiples of the capacity.
        capacity_seconds: How long the capacity is measured.
        settle: Seconds at the start of each run that do not count: connections are opened and the server warms up.
        longest: Seconds that a run takes at most.
    """

    levels: tuple[float, ...] = (0.5, 1.5, 4.0, 8.0)
    capacity_seconds: float = 4.0
    settle: float = 1.0
    longest: float = _LONGEST

    @property
    def runs(self) -> int:
        """How many runs it has: each level without and with the guard."""
        return 2 * len(self.levels)

    def run_seconds(self, elapsed: float, start_up: float) -> float:
        """How long each run may take so that the whole stays within its budget.

        Args:
            elapsed: Seconds since the demonstration began; the capacity is measured.
            start_up: Seconds that a server takes to start.
        """
        each = (_BUDGET - elapsed) / self.runs - start_up - 1.25 * DEADLINE - _OVERHEAD
        return min(self.longest, max(_SHORTEST, each))


FULL = Scenario()
QUICK = Scenario(levels=(4.0,), capacity_seconds=1.0, longest=_SHORTEST)


def capacity_plan(port: int, seconds: float) -> CapacityPlan:
    """The measurement of what the service can serve of the mix."""
    return CapacityPlan(
        targets=tuple(Target(name=name, url=_url(port, path)) for name, path, _ in MIX),
        weights=tuple(share for _, _, share in MIX),
        duration=seconds,
        warm_up=1.0,
    )


def load_plan(port: int, rate: float, seconds: float) -> LoadPlan:
    """The mix, at `rate` requests per second in all for `seconds`."""
    return LoadPlan(
        targets=tuple(
            Target(name=name, url=_url(port, path), phases=(Phase(rate=rate * share, duration=seconds),))
            for name, path, share in MIX
        ),
        deadline=DEADLINE,
        max_connections=16_384,
        seed=1,
    )


def _url(port: int, path: str) -> str:
    return f"http://{HOST}:{port}{path}"
