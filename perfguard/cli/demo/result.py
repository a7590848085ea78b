"""What the demonstration found, and whether the guard helped."""

from __future__ import annotations

from dataclasses import dataclass

from perfguard.cli.load import CapacityResult, Kind, LoadResult, Summary
from perfguard.cli.machine import Cores, Machine

OVERLOAD = 4.0

# Less than this is chance: each run is some seconds of random arrivals.
_NOTABLE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """One level of load, without or with the guard.

    Args:
        level: The offered load, as a multiple of the capacity.
        guarded: Whether the guard was there.
        rate: The offered load, in requests per second.
        result: All that the generator saw.
        measured: The figures without the first moments of the run.
    """

    level: float
    guarded: bool
    rate: float
    result: LoadResult
    measured: Summary

    @property
    def good_share(self) -> float:
        """Which part of the offered requests got a good answer, from 0 to 1."""
        return self.measured.share(Kind.GOOD)

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.level:g}x, {'with' if self.guarded else 'without'} the guard"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "level": self.level,
            "guarded": self.guarded,
            "rate": self.rate,
            "measured": self.measured.as_dict(),
            "result": self.result.as_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The whole demonstration.

    Args:
        machine: Where it ran.
        capacity: What the service can serve without the guard.
        cores: Which core served and which one loaded.
        runs: In the order in which they were made.
        elapsed: Seconds that it all took.
    """

    machine: Machine
    capacity: CapacityResult
    cores: Cores
    runs: tuple[DemoRun, ...]
    elapsed: float

    @property
    def pairs(self) -> tuple[tuple[DemoRun, DemoRun], ...]:
        """For each level the run without the guard, and the one with it."""
        without = [run for run in self.runs if not run.guarded]
        guarded = [run for run in self.runs if run.guarded]
        return tuple(zip(without, guarded, strict=True))

    @property
    def helped(self) -> bool:
        """Whether at every level from 4x on more clients were served with the guard than without."""
        heavy = [pair for pair in self.pairs if pair[0].level >= OVERLOAD]
        return all(guarded.measured.goodput > without.measured.goodput for without, guarded in heavy)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the figures doubtful."""
        of_runs = (f"{run.name}: {warning}" for run in self.runs for warning in run.result.warnings)
        return (*self.capacity.warnings, *of_runs)

    def share_of_capacity(self, run: DemoRun) -> float:
        """The goodput of a run as a part of the capacity, from 0 to about 1."""
        return run.measured.goodput / self.capacity.rate

    def as_dict(self) -> dict[str, object]:
        """For JSON. Durations are seconds."""
        return {
            "version": 1,
            "helped": self.helped,
            "elapsed": self.elapsed,
            "machine": self.machine.as_dict(),
            "pinned": {"server": self.cores.server, "generator": self.cores.generator},
            "costs": list(costs(self)),
            "capacity": self.capacity.as_dict(),
            "runs": [run.as_dict() for run in self.runs],
            "warnings": list(self.warnings),
        }


def verdict(result: DemoResult) -> str:
    """One sentence on the heaviest load."""
    without, guarded = result.pairs[-1]
    return (
        f"At {guarded.level:g} times its capacity the service gave {guarded.measured.goodput:,.0f} good answers"
        f" per second with the guard ({result.share_of_capacity(guarded):.0%} of its capacity), and"
        f" {without.measured.goodput:,.0f} without."
    )


def costs(result: DemoResult) -> tuple[str, ...]:
    """What the guard cost: a sentence for each level at which it did worse, or refused what could be served."""
    sentences = (_cost(*pair) for pair in result.pairs)
    return tuple(sentence for sentence in sentences if sentence)


def _cost(without: DemoRun, guarded: DemoRun) -> str:
    lost = without.good_share - guarded.good_share
    refused = guarded.measured.share(Kind.REFUSED)
    if lost <= _NOTABLE and (guarded.level >= 1 or refused <= _NOTABLE):
        return ""
    return (
        f"At {guarded.level:g} times its capacity the guard cost good answers: {guarded.good_share:.0%} of the requests"
        f" got one with it and {without.good_share:.0%} without; it refused {refused:.0%}."
    )
