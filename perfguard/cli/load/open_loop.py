"""The open-loop generator: requests leave when the schedule says so, whatever has become of those before."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from perfguard.cli.durations import format_duration
from perfguard.cli.load.alarm import make_alarm
from perfguard.cli.load.client import Client
from perfguard.cli.load.collector import paused_collector
from perfguard.cli.load.distribution import Distribution
from perfguard.cli.load.fate import Fate, kind_of
from perfguard.cli.load.ledger import Ledger
from perfguard.cli.load.plan import LoadPlan
from perfguard.cli.load.result import Generator, LoadResult, OnProgress, Progress, TargetResult
from perfguard.cli.load.route import Route, resolve
from perfguard.cli.load.schedule import Schedule, schedule
from perfguard.cli.load.summary import slices, summarise
from perfguard.cli.machine import usable_cores

PROGRESS_INTERVAL = 0.25
_LEAD = 0.02
_SWEEP_INTERVAL = 0.005
# After so many requests in one go the network is read before the next.
_BURST = 32


async def run_load(plan: LoadPlan, on_progress: OnProgress | None = None) -> LoadResult:
    """Offer a load, and account for every request of it.

    Latency counts from the instant at which the schedule wanted the request sent. The run ends when every request
    has settled, which is at most the plan's patience after the last one.

    Args:
        plan: What to offer.
        on_progress: Called about four times a second in the loop's thread, which it delays.

    Raises:
        RemoteHostError: A target is not on this machine, and the plan does not allow that.
        ConfigurationError: A target's host does not resolve.
    """
    routes = [resolve(target, plan.connections, allow_remote=plan.allow_remote) for target in plan.targets]
    times = schedule(plan)
    with paused_collector():
        run = OpenLoop(plan, routes, times)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        await run.run(on_progress)
    return _result(plan, started, times=times, run=run)


class OpenLoop:
    """One run of a plan. For one loop's thread, and for one use.

    Args:
        plan: What to offer.
        routes: One for each target.
        times: The plan's schedule.
    """

    def __init__(self, plan: LoadPlan, routes: list[Route], times: Schedule) -> None:
        self.ledger = Ledger.blank(times.offsets)
        self.client = Client(self._settle, connections=plan.connections, limit=plan.max_connections)
        self.cpu = 0.0
        self._plan = plan
        self._routes = [routes[target] for target in times.targets]
        self._counts: Counter[str] = Counter()
        self._settled = self._next = self._oldest = 0
        self._start = 0.0
        self._alarm = make_alarm(self._send_due)

    def __repr__(self) -> str:
        return f"<OpenLoop: {self._next} sent and {self._settled} settled of {len(self.ledger)}>"

    async def run(self, on_progress: OnProgress | None) -> None:
        """Send everything, and wait until all is settled."""
        cpu = time.process_time()
        self._start = time.monotonic() + _LEAD
        self._arm()
        try:
            await self._watch(on_progress)
        finally:
            self._alarm.close()
            self.cpu = (time.process_time() - cpu) / (time.monotonic() - self._start + _LEAD)
            await self.client.close()

    def _arm(self) -> None:
        if self._next >= len(self.ledger):
            return
        due = self._start + self.ledger.intended[self._next]
        if due <= time.monotonic():
            asyncio.get_running_loop().call_soon(self._send_due)
        else:
            self._alarm.set(due)

    def _send_due(self) -> None:
        ledger, start, position = self.ledger, self._start, self._next
        stop = min(position + _BURST, len(ledger))
        while position < stop:
            now = time.monotonic() - start
            if ledger.intended[position] > now:
                break
            ledger.sent[position] = now
            if now - ledger.intended[position] < self._plan.patience:
                self.client.send(position, self._routes[position])
            else:
                self._settle(position, Fate.UNSENT)
            position += 1
        self._next = position
        self._arm()

    def _settle(self, request: int, fate: int) -> None:
        now = time.monotonic() - self._start
        self.ledger.finished[request] = now
        self.ledger.fate[request] = fate
        self._counts[kind_of(fate, now - self.ledger.intended[request], self._plan.deadline).value] += 1
        self._settled += 1

    async def _watch(self, on_progress: OnProgress | None) -> None:
        """Until all is settled, let clients leave whose patience has ended, and report."""
        report_at = 0.0
        while self._settled < len(self.ledger):
            await asyncio.sleep(_SWEEP_INTERVAL)
            elapsed = time.monotonic() - self._start
            self._sweep(elapsed - self._plan.patience)
            if on_progress is not None and elapsed >= report_at:
                report_at = elapsed + PROGRESS_INTERVAL
                on_progress(self._progress(elapsed))

    def _sweep(self, horizon: float) -> None:
        ledger, position = self.ledger, self._oldest
        while position < self._next and ledger.intended[position] <= horizon:
            if ledger.fate[position] == Fate.PENDING:
                self.client.abandon(position)
            position += 1
        self._oldest = position

    def _progress(self, elapsed: float) -> Progress:
        return Progress(
            elapsed=elapsed,
            duration=self._plan.duration,
            sent=self._next,
            in_flight=self.client.in_flight,
            open=self.client.open,
            counts=dict(self._counts),
        )


def _result(plan: LoadPlan, started: str, *, times: Schedule, run: OpenLoop) -> LoadResult:
    single = len(plan.targets) == 1
    label = plan.targets[0].label if single else "all"
    total = _target_result(label, run.ledger, plan=plan, duration=plan.duration)
    targets: tuple[TargetResult, ...] = (total,)
    if not single:
        rows = _rows_by_target(times, len(plan.targets))
        targets = tuple(
            _target_result(target.label, run.ledger.pick(rows[index]), plan=plan, duration=target.duration)
            for index, target in enumerate(plan.targets)
        )
    generator = _generator(run)
    warnings = tuple(_warnings(plan, generator, total))
    return LoadResult(plan=plan, started=started, total=total, targets=targets, generator=generator, warnings=warnings)


def _rows_by_target(times: Schedule, number: int) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(number)]
    for row, target in enumerate(times.targets):
        rows[target].append(row)
    return rows


def _target_result(label: str, ledger: Ledger, *, plan: LoadPlan, duration: float) -> TargetResult:
    return TargetResult(
        label=label,
        deadline=plan.deadline,
        summary=summarise(ledger, plan.deadline, duration),
        slices=slices(ledger, plan.deadline, duration),
        ledger=ledger,
    )


def _generator(run: OpenLoop) -> Generator:
    rows = zip(run.ledger.intended, run.ledger.sent, strict=True)
    return Generator(
        lateness=Distribution.of(sent - intended for intended, sent in rows),
        peak_connections=run.client.peak,
        opened_connections=run.client.opened,
        retried=run.client.retried,
        cpu=run.cpu,
    )


def _remedy() -> str:
    cores = usable_cores()
    if len(cores) > 1:
        return "Give it a core of its own (--cpu), or offer less."
    return f"It is pinned to core {min(cores)}: other work was done there, or this is more than one core can send."


def _warnings(plan: LoadPlan, generator: Generator, total: TargetResult) -> Iterator[str]:
    unsent = total.summary.counts.get("unsent", 0)
    allowed = max(0.005, plan.deadline / 100)
    if generator.lateness.p99 > allowed:
        yield (
            "The generator itself was late: it sent 1 % of the requests more than"
            f" {format_duration(generator.lateness.p99)} after their instant, which counts as latency. {_remedy()}"
        )
    if unsent:
        yield (
            f"{unsent} requests were not sent: {generator.peak_connections} connections were open of at most"
            f" {plan.max_connections}. Raise the limit, or offer less."
        )
