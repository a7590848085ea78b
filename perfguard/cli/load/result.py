"""What a load run returns: records that can cross a process border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from perfguard.cli.load.distribution import Distribution
from perfguard.cli.load.ledger import Ledger
from perfguard.cli.load.plan import CapacityPlan, LoadPlan, Target
from perfguard.cli.load.summary import Slice, Summary, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a run stands.

    Args:
        elapsed: Seconds since the start.
        duration: Seconds that the schedule takes.
        sent: Requests sent.
        in_flight: Requests sent and not settled.
        open: Connections open.
        counts: Settled requests by `Kind` value.
    """

    elapsed: float
    duration: float
    sent: int
    in_flight: int
    open: int
    counts: dict[str, int]


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How well the generator itself did; where it did badly, the figures of the server cannot be trusted.

    Args:
        lateness: Seconds from the intended instant of each request to its sending.
        peak_connections: The most that were open at the same time.
        opened_connections: How many were opened.
        retried: Requests sent again, as the server closed a kept connection under them.
        cpu: Share of one core that the generator used, from 0 to 1.
    """

    lateness: Distribution
    peak_connections: int
    opened_connections: int
    retried: int
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """The figures of one target, or of all together.

    Args:
        label: The target's name.
        deadline: Seconds.
        summary: Over the whole run.
        slices: Second by second.
        ledger: Every request.
    """

    label: str
    deadline: float
    summary: Summary
    slices: tuple[Slice, ...]
    ledger: Ledger = field(repr=False)

    def between(self, start: float, stop: float) -> Summary:
        """The figures of the requests intended from `start` to before `stop`, in seconds from the start."""
        return summarise(self.ledger.between(start, stop), self.deadline, stop - start)

    def as_dict(self) -> dict[str, object]:
        """For JSON; without the ledger."""
        seconds = [
            {"second": part.second, "offered": part.offered, "served": part.served, "counts": part.counts}
            for part in self.slices
        ]
        return {"target": self.label, "summary": self.summary.as_dict(), "seconds": seconds}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The outcome of a load run.

    Args:
        plan: What was asked for.
        started: Wall clock, ISO 8601, UTC.
        total: All targets together.
        targets: One result for each target of the plan.
        generator: How the generator itself did.
        warnings: Sentences on what makes the figures doubtful; empty is good.
    """

    plan: LoadPlan
    started: str
    total: TargetResult
    targets: tuple[TargetResult, ...]
    generator: Generator
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON. Durations are seconds."""
        generator = asdict(self.generator) | {"lateness": self.generator.lateness.as_dict()}
        return {
            "version": 1,
            "started": self.started,
            "plan": _plan_as_dict(self.plan),
            "total": self.total.as_dict(),
            "targets": [target.as_dict() for target in self.targets],
            "generator": generator,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityResult:
    """The outcome of a closed-loop measurement.

    Args:
        plan: What was asked for.
        rate: Successes (2xx) per second, the median of the windows: the capacity.
        windows: Successes per second in each of the plan's windows.
        summary: Of the measured stretch, without the warm-up. Latencies are from the sending.
        warnings: Sentences on what makes the figures doubtful; empty is good.
    """

    plan: CapacityPlan
    rate: float
    windows: tuple[float, ...]
    summary: Summary
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON. Durations are seconds."""
        summary = {name: value for name, value in self.summary.as_dict().items() if name != "closed_loop"}
        return {
            "version": 1,
            "capacity": self.rate,
            "windows": list(self.windows),
            "users": self.plan.users,
            "targets": [target.url for target in self.plan.targets],
            "connections": self.plan.connections.value,
            "summary": summary,
            "warnings": list(self.warnings),
        }


def _plan_as_dict(plan: LoadPlan) -> dict[str, object]:
    return {
        "targets": [_target_as_dict(target) for target in plan.targets],
        "deadline": plan.deadline,
        "timeout": plan.patience,
        "arrivals": plan.arrivals.value,
        "connections": plan.connections.value,
        "max_connections": plan.max_connections,
        "seed": plan.seed,
    }


def _target_as_dict(target: Target) -> dict[str, object]:
    # Headers are left out: they may hold credentials.
    phases = [{"rate": phase.rate, "duration": phase.duration} for phase in target.phases]
    return {"name": target.label, "url": target.url, "method": target.method, "phases": phases}
