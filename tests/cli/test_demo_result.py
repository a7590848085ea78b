"""What the demonstration says of its figures, on figures that are made up."""

from __future__ import annotations

import io
import re
from array import array

import pytest
from rich.console import Console

from perfguard.cli.demo.display import print_demo
from perfguard.cli.demo.result import DemoResult, DemoRun, costs
from perfguard.cli.demo.scenario import capacity_plan, load_plan
from perfguard.cli.load import (
    CapacityResult,
    Distribution,
    Generator,
    Kind,
    Ledger,
    LoadResult,
    Slice,
    Summary,
    TargetResult,
)
from perfguard.cli.machine import Cores, Machine
from perfguard.cli.pages.demo_page import demo_page

SECONDS = 5.0
RATE = 100.0


def run(level: float, *, guarded: bool, **counts: int) -> DemoRun:
    latency = Distribution.of([1.178])
    refusals = Distribution.of([0.05] * counts.get("refused", 0))
    summary = Summary(duration=SECONDS - 1, counts=counts, latency=latency, refusals=refusals)
    parts = tuple(Slice(second=at, counts={"good": 80}, served=80) for at in range(int(SECONDS)))
    empty = Ledger.blank(array("d"))
    total = TargetResult(label="all", deadline=1.0, summary=summary, slices=parts, ledger=empty)
    generator = Generator(lateness=latency, peak_connections=1, opened_connections=1, retried=0, cpu=0.1)
    plan = load_plan(8000, level * RATE, SECONDS)
    result = LoadResult(plan=plan, started="now", total=total, targets=(total,), generator=generator)
    return DemoRun(level=level, guarded=guarded, rate=level * RATE, result=result, measured=summary)


def demonstration(*runs: DemoRun) -> DemoResult:
    capacity = CapacityResult(plan=capacity_plan(8000, 4.0), rate=RATE, windows=(RATE,), summary=Summary(duration=4.0))
    cores = Cores(server=0, generator=1)
    return DemoResult(machine=Machine.here(), cores=cores, capacity=capacity, runs=runs, elapsed=1.0)


MIXED = demonstration(
    run(0.5, guarded=False, good=200),
    run(0.5, guarded=True, good=186, refused=14),
    run(4.0, guarded=False, good=100, late=300, error=100, unanswered=1100),
    run(4.0, guarded=True, good=350, refused=1250),
)


def shown(result: DemoResult) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_demo(console, result)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_the_guard_cost_is_said_in_the_terminal_and_on_the_page() -> None:
    (cost,) = costs(MIXED)
    assert cost == (
        "At 0.5 times its capacity the guard cost good answers: 93% of the requests got one with it and 100% without;"
        " it refused 7%."
    )
    assert "0.5 times its capacity the guard cost good answers" in shown(MIXED)
    assert "0.5 times its capacity the guard cost good answers" in demo_page(MIXED)
    assert costs(demonstration(*MIXED.runs[2:])) == ()


@pytest.mark.parametrize("kind", [Kind.GOOD, Kind.REFUSED, Kind.LATE, Kind.ERROR, Kind.UNANSWERED])
def test_outcomes_can_be_told_apart_without_colour(kind: Kind) -> None:
    lines = shown(MIXED).splitlines()
    (legend,) = (line for line in lines if line.rstrip().endswith("unanswered") and "good" in line)
    glyphs = {part.split()[1]: part.split()[0] for part in legend.strip().split("  ")}
    assert len(set(glyphs.values())) == len(glyphs)
    assert any(line.count(glyphs[kind.value]) > 1 for line in lines)


def test_no_line_is_broken_within_80_columns() -> None:
    lines = shown(MIXED).splitlines()
    assert "Capacity without the guard: 100 requests per second." in lines
    assert "Deadline of the clients: 1 s." in lines
    assert any("unanswered" in line and "refused" in line and "p50" in line for line in lines)


def test_the_page_says_what_was_planned_offered_pinned_and_not_counted() -> None:
    page = demo_page(MIXED)
    assert "50 requests per second planned, 50 offered" in page
    assert "the server is pinned to core 0, the load generator to core 1" in page
    assert page.count(">not counted<") == 2
    assert re.search(r">1,17\d<", page)
    assert "e+0" not in page
    assert ">none<" not in page.split("How long clients wait")[0]
