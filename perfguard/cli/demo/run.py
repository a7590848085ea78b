"""Runs the demonstration: a fresh server for every run, so that none inherits the queues of another."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from perfguard.cli.demo.data import create_database
from perfguard.cli.demo.result import DemoResult, DemoRun
from perfguard.cli.demo.scenario import Scenario, capacity_plan, load_plan
from perfguard.cli.demo.server import ServerPlan, running
from perfguard.cli.load import CapacityResult, Progress, run_apart
from perfguard.cli.load.process import raise_file_limit
from perfguard.cli.machine import Cores, Machine, kept_off

_APPS = {False: "perfguard.cli.demo.service:unguarded", True: "perfguard.cli.demo.service:guarded"}


class Audience(Protocol):
    """Who watches a demonstration."""

    def begin(self, title: str) -> None:
        """A stretch of work begins."""
        ...

    def progress(self, progress: Progress) -> None:
        """It goes on."""
        ...

    def capacity(self, capacity: CapacityResult) -> None:
        """The capacity is known."""
        ...

    def finished(self, run: DemoRun) -> None:
        """A run is over."""
        ...


def run_demo(scenario: Scenario, audience: Audience, *, port: int) -> DemoResult:
    """Make all the runs of a scenario.

    Args:
        scenario: What to do.
        audience: Hears of it.
        port: A free one, on the loopback interface.

    Raises:
        ServerError: The service did not start.
        GeneratorDiedError: The load generator ended without a result.
    """
    raise_file_limit()
    # Before this process is kept off a core, which would not be counted.
    machine, cores = Machine.here(), Cores.share_out()
    with tempfile.TemporaryDirectory(prefix="perfguard-demo-") as folder, kept_off(cores.server):
        database = Path(folder) / "shop.db"
        create_database(database)
        stage = _Stage(scenario=scenario, audience=audience, port=port, machine=machine, cores=cores, database=database)
        return stage.play()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """All that the runs of a demonstration have in common."""

    scenario: Scenario
    audience: Audience
    port: int
    machine: Machine
    cores: Cores
    database: Path
    began: float = field(default_factory=time.monotonic)

    def play(self) -> DemoResult:
        capacity, start_up = self._measure_capacity()
        self.audience.capacity(capacity)
        seconds = self.scenario.run_seconds(time.monotonic() - self.began, start_up)
        runs = []
        for level in self.scenario.levels:
            for guarded in (False, True):
                run = self._run(level, level * capacity.rate, guarded=guarded, seconds=seconds)
                self.audience.finished(run)
                runs.append(run)
        return DemoResult(
            machine=self.machine,
            cores=self.cores,
            capacity=capacity,
            runs=tuple(runs),
            elapsed=time.monotonic() - self.began,
        )

    def _measure_capacity(self) -> tuple[CapacityResult, float]:
        """The capacity, and the seconds that the server took to start."""
        self.audience.begin("Measuring the capacity of the service")
        plan = capacity_plan(self.port, self.scenario.capacity_seconds)
        before = time.monotonic()
        with running(self._server(guarded=False)):
            start_up = time.monotonic() - before
            return run_apart(plan, self.audience.progress, cpu=self.cores.generator), start_up

    def _run(self, level: float, rate: float, *, guarded: bool, seconds: float) -> DemoRun:
        self.audience.begin(
            f"{level:g}x its capacity, {rate:,.0f} requests per second, {'with' if guarded else 'without'} the guard"
        )
        with running(self._server(guarded=guarded)):
            result = run_apart(load_plan(self.port, rate, seconds), self.audience.progress, cpu=self.cores.generator)
        measured = result.total.between(self.scenario.settle, seconds)
        return DemoRun(level=level, guarded=guarded, rate=rate, result=result, measured=measured)

    def _server(self, *, guarded: bool) -> ServerPlan:
        return ServerPlan(app=_APPS[guarded], port=self.port, database=self.database, cpu=self.cores.server)
