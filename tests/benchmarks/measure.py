"""Measures one setting: its peak, what requests cost, and goodput under each load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from perfguard.cli.load import (
    CapacityPlan,
    CapacityResult,
    Connections,
    Kind,
    LoadPlan,
    LoadResult,
    Progress,
    Target,
    TargetResult,
    run_apart,
)
from tests.benchmarks.rows import Goal, Row, middle
from tests.benchmarks.serving import CORES, Server, Service, serving
from tests.benchmarks.settings import DEADLINE, PATIENCE, PEAK, PEAK_SECONDS, REPEATS, SECONDS, USERS, Setting

WARM_UP = 1.0
_HERE = "http://server"

Note = Callable[[str], None]
"""Takes a sentence for the report."""


@dataclass(slots=True)
class CpuMeter:
    """Follows a run: how much processor time the server used, and how many requests ended meanwhile."""

    server: Server
    seen: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        """Take a reading, once the run is warm."""
        if progress.elapsed >= WARM_UP / 2:
            self.seen.append((self.server.cpu(), sum(progress.counts.values())))

    @property
    def cost(self) -> float:
        """Seconds of processor time for each request; 0 if it cannot be told."""
        if len(self.seen) < 2:
            return 0.0
        (cpu, count), (last_cpu, last_count) = self.seen[0], self.seen[-1]
        return (last_cpu - cpu) / max(1, last_count - count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What a service does for users who await their answers.

    Args:
        rate: Successes per second.
        cost: Processor seconds of the server for each request.
        result: All of it.
    """

    rate: float
    cost: float
    result: CapacityResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the loads of a setting are measured by.

    Args:
        peak: Successes per second without a guard.
        service_cost: Processor seconds of a request that is served, without a guard.
    """

    peak: float
    service_cost: float

    def __str__(self) -> str:
        return f"unguarded peak {self.peak:.0f} per second, {self.service_cost * 1e6:.0f} us of CPU each"

    def limit(self, load: float, refusal_cost: float) -> float:
        """The largest share of the peak that can be served while the rest is refused.

        With `g` served of `n` offered, a second of the processor is `g * service + (n - g) * refusal`.
        """
        left = max(0.0, 1.0 - load * self.peak * refusal_cost)
        return left / (self.service_cost - refusal_cost) / self.peak


def measure(setting: Setting, note: Note) -> Iterator[Row]:
    """The peaks, and then each load on each side, interleaved."""
    row, base = _peaks(setting)
    note(f"{setting.name}: {base}")
    yield row
    for load, goal in setting.loads.items():
        limit = None
        if setting.computes and load > 1.0:
            cost = _refusal_cost(setting, base, load)
            limit = base.limit(load, cost)
            note(f"{setting.name} at {load:g}x: a refusal without a guard takes {cost * 1e6:.0f} us of CPU")
        peers = setting.peers if load > 1.0 else ()
        for each in _sides(setting, base, (load, goal), peers):
            yield replace(each, limit=limit) if each.side == "perfguard" else each


def peak_of(service: Service, side: str, connections: Connections, *, users: int, path: str = "/") -> Peak:
    """A closed loop of so many users."""
    with serving(service, side) as server:
        meter = CpuMeter(server)
        plan = CapacityPlan(
            targets=(Target(url=server.url + path),),
            users=users,
            duration=min(SECONDS, PEAK_SECONDS),
            warm_up=WARM_UP / 2,
            connections=connections,
        )
        result = run_apart(plan, meter, cpu=CORES.generator)
    return Peak(rate=result.rate, cost=meter.cost, result=result)


def offer(service: Service, side: str, plan: LoadPlan) -> LoadResult:
    """An open loop, with a plan of `plan_of`."""
    with serving(service, side) as server:
        targets = tuple(replace(each, url=each.url.replace(_HERE, server.url)) for each in plan.targets)
        return run_apart(replace(plan, targets=targets), cpu=CORES.generator)


def plan_of(
    rates: dict[str, float], duration: float, *, connections: Connections = Connections.KEEP_ALIVE, seed: int = 0
) -> LoadPlan:
    """A steady load: requests per second by path, for so many seconds."""
    targets = tuple(Target.at(_HERE + path, rate, duration) for path, rate in rates.items())
    return LoadPlan(targets=targets, deadline=DEADLINE, timeout=PATIENCE, connections=connections, seed=seed)


def row_of(
    part: TargetResult, window: tuple[float, float], by: float, *, labels: tuple[str, str, str], goal: Goal | None
) -> Row:
    """The row of a stretch of a run; goodput is divided by `by` per second."""
    figures = part.between(*window)
    service, load, side = labels
    return Row(
        service=service,
        load=load,
        side=side,
        goal=goal,
        share=figures.goodput / by,
        answered=part.ledger.between(*window).answered_within(DEADLINE),
        p50=figures.latency.at(50.0),
        p99=figures.latency.at(99.0),
        refused=figures.share(Kind.REFUSED),
        refused_p99=figures.refusals.at(99.0),
    )


def doubt(result: LoadResult) -> str:
    """What the generator says against its own figures."""
    busy = [f"The generator used {result.generator.cpu:.0%} of its core."] if result.generator.cpu > 0.9 else []
    return " ".join([*result.warnings, *busy])


def _peaks(setting: Setting) -> tuple[Row, Baseline]:
    """Without and with the guard, interleaved; the medians."""
    service = setting.service
    many: list[Peak] = []
    bare: list[Peak] = []
    guarded: list[Peak] = []
    for _ in range(REPEATS):
        many.append(peak_of(service, "none", setting.connections, users=USERS))
        few = setting.users != USERS
        bare.append(peak_of(service, "none", setting.connections, users=setting.users) if few else many[-1])
        guarded.append(peak_of(service, "perfguard", setting.connections, users=setting.users))
    base = Baseline(
        peak=median(each.rate for each in many),
        service_cost=median(each.cost for each in many),
    )
    return _peak_row(setting, guarded, median(each.rate for each in bare)), base


def _peak_row(setting: Setting, guarded: list[Peak], peak: float) -> Row:
    rate = median(each.rate for each in guarded)
    figures = min(guarded, key=lambda each: abs(each.rate - rate)).result.summary
    return Row(
        service=setting.name,
        load=f"closed loop, {setting.users} users",
        side="perfguard",
        goal=PEAK,
        share=rate / peak,
        answered=1.0 - figures.share(Kind.UNANSWERED) - figures.share(Kind.ERROR),
        p50=figures.latency.at(50.0),
        p99=figures.latency.at(99.0),
        refused=figures.share(Kind.REFUSED),
        refused_p99=figures.refusals.at(99.0),
    )


def _refusal_cost(setting: Setting, base: Baseline, load: float) -> float:
    """Processor seconds of a refusal by the server alone, among as many services as fit at such a load.

    It is measured in the mixture, since it depends on it: a client that sleeps costs more to wake.
    """
    share = max(0.5, 0.9 - 0.035 * load) / load
    with serving(replace(setting.service, share=share), "turning away") as server:
        meter = CpuMeter(server)
        plan = plan_of({"/": load * base.peak}, WARM_UP + SECONDS, connections=setting.connections)
        targets = tuple(replace(each, url=each.url.replace(_HERE, server.url)) for each in plan.targets)
        run_apart(replace(plan, targets=targets), meter, cpu=CORES.generator)
    return max(0.0, (meter.cost - share * base.service_cost) / (1.0 - share))


def _sides(setting: Setting, base: Baseline, load: tuple[float, Goal], peers: tuple[str, ...]) -> Iterator[Row]:
    rows: dict[str, list[Row]] = {}
    for repeat in range(REPEATS):
        for side in ("perfguard", *(() if repeat else peers)):
            rows.setdefault(side, []).append(_one(setting, base, load, side, seed=repeat))
    for each in rows.values():
        yield middle(each)


def _one(setting: Setting, base: Baseline, load: tuple[float, Goal], side: str, *, seed: int) -> Row:
    multiple, goal = load
    rates = {"/": multiple * base.peak}
    plan = plan_of(rates, WARM_UP + SECONDS, connections=setting.connections, seed=seed)
    result = offer(setting.service, side, plan)
    row = row_of(
        result.total,
        (WARM_UP, WARM_UP + SECONDS),
        base.peak,
        labels=(setting.name, f"{multiple:g}x", side),
        goal=goal if side == "perfguard" else None,
    )
    return replace(row, doubt=doubt(result))
