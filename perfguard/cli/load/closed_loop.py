"""The closed-loop measurement of how much a server can serve."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from random import Random
from statistics import median

from perfguard.cli.load.client import Client
from perfguard.cli.load.collector import paused_collector
from perfguard.cli.load.fate import REFUSAL, SUCCESS, describe, kind_of
from perfguard.cli.load.ledger import Ledger
from perfguard.cli.load.open_loop import PROGRESS_INTERVAL
from perfguard.cli.load.plan import MAX_CONNECTIONS, MAX_REQUESTS, CapacityPlan
from perfguard.cli.load.result import CapacityResult, OnProgress, Progress
from perfguard.cli.load.route import Route, resolve
from perfguard.cli.load.summary import summarise

_SWEEP_INTERVAL = 0.02
_BACK_OFF = 0.1
_GUARD_IS_ON = (
    "Its guard or a limit is on, and this is not its capacity: measure without (PERFGUARD_ENABLED=0 for perfguard)."
)
# Cards of the rarest target in a deck.
_LEAST_CARDS = 4


async def measure_capacity(plan: CapacityPlan, on_progress: OnProgress | None = None) -> CapacityResult:
    """The rate at which a server answers when it is kept busy, and no busier.

    Args:
        plan: What to request, and for how long.
        on_progress: Called about four times a second in the loop's thread.

    Raises:
        RemoteHostError: A target is not on this machine, and the plan does not allow that.
        ConfigurationError: A target's host does not resolve.
    """
    routes = [resolve(target, plan.connections, allow_remote=plan.allow_remote) for target in plan.targets]
    with paused_collector():
        loop = ClosedLoop(plan, routes)
        await loop.run(on_progress)
    return _result(plan, loop)


class ClosedLoop:
    """One measurement. For one loop's thread, and for one use.

    Args:
        plan: What to request, and for how long.
        routes: One for each target.
    """

    def __init__(self, plan: CapacityPlan, routes: list[Route]) -> None:
        self.ledger = Ledger(intended=array("d"), sent=array("d"), finished=array("d"), fate=array("h"))
        self._plan = plan
        self._routes = routes
        self._chance = Random(plan.seed)
        # More than users: a connection that is closing still counts.
        self._client = Client(self._settle, connections=plan.connections, limit=MAX_CONNECTIONS)
        self._counts: Counter[str] = Counter()
        self._deck: list[Route] = []
        self._start = 0.0
        self._oldest = 0

    def __repr__(self) -> str:
        return f"<ClosedLoop: {self._plan.users} users, {len(self.ledger)} requests>"

    async def run(self, on_progress: OnProgress | None) -> None:
        """Keep every user busy until the time is up."""
        self._start = time.monotonic()
        end = self._plan.warm_up + self._plan.duration
        for _ in range(self._plan.users):
            self._send()
        report_at = elapsed = 0.0
        try:
            while elapsed < end:
                await asyncio.sleep(min(_SWEEP_INTERVAL, end - elapsed))
                elapsed = time.monotonic() - self._start
                self._sweep(elapsed - self._plan.timeout)
                if on_progress is not None and elapsed >= report_at:
                    report_at = elapsed + PROGRESS_INTERVAL
                    on_progress(self._progress(elapsed))
        finally:
            await self._client.close()

    def _send(self) -> None:
        ledger, now = self.ledger, time.monotonic() - self._start
        if now >= self._plan.warm_up + self._plan.duration or len(ledger) >= MAX_REQUESTS:
            return
        ledger.intended.append(now)
        ledger.sent.append(now)
        ledger.finished.append(0.0)
        ledger.fate.append(0)
        self._client.send(len(ledger) - 1, self._deal())

    def _deal(self) -> Route:
        """From a shuffled deck: the shares of the targets are exact after every hundred or so requests.

        With drawing at will, a few heavy requests more or less would change the figure by several percent.
        """
        if not self._deck:
            least = min(self._plan.shares)
            counts = [max(1, round(_LEAST_CARDS * share / least)) for share in self._plan.shares]
            self._deck = self._chance.sample(self._routes, sum(counts), counts=counts)
        return self._deck.pop()

    def _settle(self, request: int, fate: int) -> None:
        now = time.monotonic() - self._start
        self.ledger.finished[request] = now
        self.ledger.fate[request] = fate
        self._counts[kind_of(fate, 0.0, self._plan.timeout).value] += 1
        # Never within this call: a send that settles at once would be a recursion.
        asyncio.get_running_loop().call_later(self._pause(fate), self._send)

    def _pause(self, fate: int) -> float:
        """Who was turned away comes back when told to, as clients should; not at once in any case."""
        if fate in REFUSAL:
            return max(self._client.retry_after, _BACK_OFF)
        return _BACK_OFF if fate < 0 else 0.0

    def _sweep(self, horizon: float) -> None:
        ledger = self.ledger
        while self._oldest < len(ledger) and ledger.intended[self._oldest] <= horizon:
            self._client.abandon(self._oldest)
            self._oldest += 1

    def _progress(self, elapsed: float) -> Progress:
        return Progress(
            elapsed=elapsed,
            duration=self._plan.warm_up + self._plan.duration,
            sent=len(self.ledger),
            in_flight=self._client.in_flight,
            open=self._client.open,
            counts=dict(self._counts),
        )


def _result(plan: CapacityPlan, loop: ClosedLoop) -> CapacityResult:
    """Count what was answered within the measured stretch, whenever it was sent."""
    end = plan.warm_up + plan.duration
    ledger = loop.ledger
    rows = [row for row, finished in enumerate(ledger.finished) if plan.warm_up <= finished < end]
    measured = ledger.pick(rows)
    windows = _windows(plan, measured)
    return CapacityResult(
        plan=plan,
        rate=median(windows),
        windows=windows,
        summary=summarise(measured, plan.timeout, plan.duration),
        warnings=tuple(_warnings(measured)),
    )


def _windows(plan: CapacityPlan, ledger: Ledger) -> tuple[float, ...]:
    """The successes per second in each window."""
    length = plan.duration / plan.windows
    served = Counter(
        min(int((finished - plan.warm_up) / length), plan.windows - 1)
        for finished, fate in zip(ledger.finished, ledger.fate, strict=True)
        if fate in SUCCESS
    )
    return tuple(served[window] / length for window in range(plan.windows))


def _warnings(ledger: Ledger) -> Iterator[str]:
    failed = Counter(fate for fate in ledger.fate if fate not in SUCCESS)
    for fate, number in failed.most_common():
        if fate in REFUSAL:
            yield f"The server refused {number:,} requests ({describe(fate)}). {_GUARD_IS_ON}"
        else:
            yield f"{number:,} requests got no success ({describe(fate)})."
