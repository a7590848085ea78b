"""The instants of all requests, computed before the first one is sent."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from perfguard.cli.load.plan import Arrivals, LoadPlan, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Who is due when, in order.

    Args:
        offsets: Seconds from the start of the run.
        targets: For each offset, the index of the target in the plan.
    """

    offsets: array[float]
    targets: array[int]

    def __len__(self) -> int:
        return len(self.offsets)


def schedule(plan: LoadPlan) -> Schedule:
    """All instants of a plan; each target has its own stream of chance, drawn from the plan's seed."""
    chance = Random(plan.seed)
    streams = [
        _stream(index, target.phases, arrivals=plan.arrivals, chance=Random(chance.random()))
        for index, target in enumerate(plan.targets)
    ]
    offsets, targets = array("d"), array("B")
    for offset, target in heapq.merge(*streams):
        offsets.append(offset)
        targets.append(target)
    return Schedule(offsets=offsets, targets=targets)


def instants(phases: tuple[Phase, ...], arrivals: Arrivals, chance: Random) -> Iterator[float]:
    """The instants of one stream, in seconds from its start.

    A Poisson stream has no memory, so that each phase starts afresh.
    """
    begin = 0.0
    for phase in phases:
        if phase.rate > 0:
            spread = _poisson if arrivals is Arrivals.POISSON else _constant
            yield from spread(begin, phase, chance)
        begin += phase.duration


def _stream(
    index: int, phases: tuple[Phase, ...], *, arrivals: Arrivals, chance: Random
) -> Iterator[tuple[float, int]]:
    for offset in instants(phases, arrivals, chance):
        yield offset, index


def _poisson(begin: float, phase: Phase, chance: Random) -> Iterator[float]:
    end = begin + phase.duration
    offset = begin + chance.expovariate(phase.rate)
    while offset < end:
        yield offset
        offset += chance.expovariate(phase.rate)


def _constant(begin: float, phase: Phase, chance: Random) -> Iterator[float]:
    del chance
    for number in range(round(phase.rate * phase.duration)):
        yield begin + number / phase.rate
