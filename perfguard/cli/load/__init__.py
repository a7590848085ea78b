"""A load generator that is not fooled by a server that stalls: `run_load`, and `measure_capacity` for the peak."""

from perfguard.cli.load.closed_loop import measure_capacity
from perfguard.cli.load.distribution import QUANTILES, Distribution
from perfguard.cli.load.fate import Fate, Kind
from perfguard.cli.load.ledger import Ledger
from perfguard.cli.load.open_loop import run_load
from perfguard.cli.load.plan import Arrivals, CapacityPlan, Connections, LoadPlan, Phase, Target
from perfguard.cli.load.process import GeneratorDiedError, run_apart
from perfguard.cli.load.result import CapacityResult, Generator, LoadResult, OnProgress, Progress, TargetResult
from perfguard.cli.load.route import RemoteHostError, UnreachableError
from perfguard.cli.load.summary import Slice, Summary

__all__ = [
    "QUANTILES",
    "Arrivals",
    "CapacityPlan",
    "CapacityResult",
    "Connections",
    "Distribution",
    "Fate",
    "Generator",
    "GeneratorDiedError",
    "Kind",
    "Ledger",
    "LoadPlan",
    "LoadResult",
    "OnProgress",
    "Phase",
    "Progress",
    "RemoteHostError",
    "Slice",
    "Summary",
    "Target",
    "TargetResult",
    "UnreachableError",
    "measure_capacity",
    "run_apart",
    "run_load",
]
